/// Every list, sorted and narrowed: pages lead through all of it in the order that was asked for, and nothing else is taken.
import Budgets
import JSON
import Store
import Testing

@testable import Server

@Suite struct ListTests {
    /// Where each list is, what it can be sorted by, and how it comes by itself.
    private static let lists: [(path: String, sorts: [String], usual: String)] = [
        ("/v1/teams", ["created_at", "name"], "created_at"), ("/v1/projects", ["created_at", "name"], "created_at"),
        ("/v1/users", ["created_at", "name"], "created_at"), ("/v1/api-keys", ["created_at", "name"], "created_at"),
        ("/v1/models", ["created_at", "name"], "created_at"), ("/v1/prices", ["created_at", "amount_per_million"], "created_at"),
        ("/v1/price-proposals", ["proposed_at"], "-proposed_at"),
        ("/v1/tiers", ["created_at", "name", "rank"], "created_at"), ("/v1/budgets", ["created_at", "name", "amount"], "created_at"),
        ("/v1/budgets/{budget}/limits", ["limit_version"], "-limit_version"),
        ("/v1/budgets/{budget}/bursts", ["requested_at"], "-requested_at"), ("/v1/bursts", ["requested_at"], "-requested_at"),
        ("/v1/access-requests", ["requested_at"], "-requested_at"), ("/v1/access-grants", ["granted_at"], "-granted_at"),
        ("/v1/reallocations", ["requested_at"], "-requested_at"), ("/v1/adjustments", ["requested_at"], "-requested_at"),
        ("/v1/commitments", ["created_at", "name", "amount"], "created_at"),
        ("/v1/cost-splits", ["created_at", "name"], "created_at"), ("/v1/endpoints", ["created_at", "name"], "created_at"),
        ("/v1/alerts", ["created_at"], "-created_at"), ("/v1/exports", ["created_at"], "-created_at"),
        ("/v1/deliveries", ["event"], "-event"), ("/v1/budgets/{users}/periods", ["period_start"], "-period_start"),
        ("/v1/unmapped-usage", ["last_seen_at", "first_seen_at", "entries"], "-last_seen_at"),
        ("/v1/statements", ["month"], "-month"), ("/v1/audit-events", ["sequence"], "-sequence"),
    ]

    @Test("every list is sorted by each of its fields, either way round, over all of its pages")
    func sorted() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let (budget, users) = try await Self.fill(world)
            for list in Self.lists {
                let path = list.path.replacing("{budget}", with: budget).replacing("{users}", with: users)
                let usual = try await Self.all(path, nil, world)
                #expect(usual.count >= (list.path == "/v1/price-proposals" ? 0 : 2), "\(path) has too little to sort")
                #expect(try await Self.all(path, list.usual, world) == usual, "\(path)")
                for sort in list.sorts {
                    let up = try await Self.all(path, sort, world)
                    #expect(Set(up) == Set(usual) && up.count == usual.count, "\(path) by \(sort)")
                    #expect(try await Self.all(path, "-" + sort, world) == up.reversed(), "\(path) by -\(sort)")
                }
                let refused = try await served.owner.get(path + "?sort=colour")
                #expect(refused.status == 422 && refused.faults == ["?sort invalid_value"], "\(path): \(refused)")
                let detail = refused.body["errors"]?[0]?["detail"]?.string
                #expect(detail == "must be one of \(list.sorts.flatMap { [$0, "-" + $0] }.joined(separator: ", "))", "\(path)")
            }
            // Names as people sort them; amounts and ranks by their value.
            #expect(try await Self.texts("/v1/teams?sort=name", "name", world) == ["alpha", "Ärger", "Beta", "Search", "zeta"])
            #expect(try await Self.texts("/v1/budgets?sort=-amount&unit=requests", "name", world) == ["Ärger", "zeta", "Beta", "alpha"])
            #expect(try await Self.texts("/v1/tiers?sort=-rank", "name", world) == ["zeta", "Beta", "Ärger", "alpha", "Standard"])
            #expect(try await Self.texts("/v1/unmapped-usage?sort=-entries", "field", world) == ["odd_tokens", "strange_tokens"])
        }
    }

    @Test("a cursor goes on in the order it was given for, and in no other")
    func bound() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            for name in ["b", "a"] { #expect(try await served.owner.post("/v1/teams", ["name": .string(name)]).status == 201) }
            let first = try await served.owner.get("/v1/teams?sort=name&limit=1")
            let cursor = try #require(first.body["next_cursor"]?.string)
            #expect(try await Self.texts("/v1/teams?sort=name&cursor=\(cursor)", "name", world) == ["b", "Search"])
            for query in ["cursor=\(cursor)", "sort=-name&cursor=\(cursor)", "sort=name&archived=true&cursor=\(cursor)"] {
                let answer = try await served.owner.get("/v1/teams?" + query)
                #expect(answer.status == 422 && answer.faults == ["?cursor invalid_value"], "\(query): \(answer)")
            }
        }
    }

    @Test("lists are narrowed to what was archived, to names, and to whose and what things are")
    func filters() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let (budget, users) = try await Self.fill(world)
            let gone = try await served.owner.post("/v1/teams", ["name": "gone"]).id
            let aside = try await served.owner.post("/v1/projects", ["name": "Aside", "team": .string(gone), "tier": .string(world.tier)])
                .id
            for (query, names) in [
                ("/v1/teams?name_prefix=AL", ["alpha"]), ("/v1/teams?name_prefix=%25", []), ("/v1/projects?team=\(gone)", ["Aside"]),
                ("/v1/projects?team=\(world.team)&name_prefix=r", ["Ranker"]), ("/v1/projects?suspended=true", []),
                ("/v1/projects?tier=\(world.tier)&name_prefix=a&sort=-name", ["Aside", "alpha"]), ("/v1/users?team=\(gone)", []),
                ("/v1/budgets?project=\(aside)", []), ("/v1/budgets?unit=requests&period=week", []),
                ("/v1/budgets?team=\(world.team)&unit=usd", ["Search"]), ("/v1/api-keys?project=\(world.project)", ["ci"]),
                ("/v1/api-keys?state=revoked", []), ("/v1/api-keys?name_prefix=al", ["alpha"]), ("/v1/models?provider=acme", ["model-a"]),
                ("/v1/models?owner=platform", []), ("/v1/endpoints?kind=slack", []), ("/v1/tiers?name_prefix=st", ["Standard"]),
                ("/v1/teams?archived=true", []), ("/v1/commitments?provider=p&sort=name", ["alpha", "Ärger", "Beta", "zeta"]),
                ("/v1/commitments?provider=q", []), ("/v1/commitments?state=cancelled", []),
            ] {
                #expect(try await Self.texts(query, "name", world) == names, "\(query)")
            }
            #expect(try await served.owner.delete("/v1/projects/\(aside)").status == 204)
            #expect(try await served.owner.delete("/v1/teams/\(gone)").status == 204)
            #expect(try await Self.texts("/v1/teams?archived=true", "name", world) == ["gone"])
            #expect(try await Self.texts("/v1/projects?archived=true", "name", world) == ["Aside"])
            #expect(try await Self.texts("/v1/teams?name_prefix=g", "name", world) == [])
            for (path, count) in [
                ("/v1/bursts?team=\(world.team)", 2), ("/v1/bursts?team=\(gone)", 0), ("/v1/budgets/\(budget)/bursts?state=requested", 2),
                ("/v1/access-requests?team=\(gone)", 0), ("/v1/adjustments?project=\(aside)", 0), ("/v1/statements?state=closed", 0),
                ("/v1/statements?state=proposed", 2), ("/v1/alerts?recovered=true", 0), ("/v1/reallocations?team=\(world.team)", 2),
                ("/v1/budgets/\(users)/periods?subject=bo%20b", 1), ("/v1/budgets/\(users)/periods?subject=nobody", 0),
                ("/v1/budgets/\(users)/periods?from=2020-01-01T00:00:00Z", 2), ("/v1/budgets/\(users)/periods?to=2020-01-01T00:00:00Z", 0),
                ("/v1/unmapped-usage?model=model-a", 2), ("/v1/unmapped-usage?model=model-b", 0),
                ("/v1/deliveries?event_type=burst.approved", 0), ("/v1/deliveries?state=muted", 0),
            ] {
                let answer = try await served.owner.get(path)
                #expect(answer.body["data"]?.array?.count == count, "\(path): \(answer)")
            }
            let asked = try await served.owner.get("/v1/deliveries?event_type=burst.requested").body["data"]?.array ?? []
            let event = try #require(asked.first?["event"]?.string)
            let ofIt = try await served.owner.get("/v1/deliveries?event=\(event)").body["data"]?.array ?? []
            #expect(asked.count > ofIt.count && ofIt.allSatisfy { $0["event"]?.string == event } && !ofIt.isEmpty)
            let lead = try await served.owner.post("/v1/api-keys", ["name": "lead", "role": "lead", "team": .string(world.team)])
            let theirs = try await served.caller(try #require(lead.body["secret"]?.string)).get("/v1/projects?team=\(gone)")
            #expect(theirs.status == 200 && theirs.body["data"] == [], "a filter does not widen anybody's reach: \(theirs)")
            #expect(try await served.owner.get("/v1/teams?archived=yes").faults == ["?archived invalid_value"])
        }
    }

    /// At least two of everything; returns a budget with bursts and limits, and one with two end users.
    private static func fill(_ world: World) async throws -> (budget: String, users: String) {
        let owner = world.served.owner
        func make(_ path: String, _ body: JSON) async throws -> String {
            let answer = try await owner.post(path, body)
            try #require((200...299).contains(answer.status), "\(path): \(answer)")
            return answer.id
        }
        let end = JSON.string(Instant.now().adding(seconds: 86_400 * 7).rfc3339)
        let member = try await owner.post("/v1/api-keys", ["name": "member", "role": "member", "team": .string(world.team)])
        let asking = world.served.caller(try #require(member.body["secret"]?.string))
        let budget = try await world.budget("10")
        let users = try await make(
            "/v1/budgets",
            ["name": "Users", "unit": "tokens", "period": "day", "amount": "10", "per": "end_user", "enforcement": "warn"])
        // Each end user reaches 70 percent; of what was reported with their calls, nobody bills some.
        for (user, odd) in [("alice", ["odd_tokens": 3]), ("bo b", ["odd_tokens": 3, "strange_tokens": 1])] as [(JSON, JSON)] {
            var usage = try #require(odd.object)
            (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) = (5, 2, 7)
            let call: JSON = ["request_id": user, "model": "model-a", "end_user": user, "provider_usage": .object(usage)]
            let booked = try await world.caller.post("/v1/usage", ["events": [call]])
            try #require(booked.body["results"]?[0]?["status"] == "booked", "\(booked)")
        }
        for name in ["one", "two"] as [JSON] {
            let source = try await make("/v1/projects", ["name": name, "team": .string(world.team), "tier": .string(world.tier)])
            let split: JSON = [
                "name": name, "source": .string(source), "method": "even", "receivers": [["project": .string(world.project)]],
                "from_month": "2020-01",
            ]
            _ = try await make("/v1/cost-splits", split)
        }
        for (index, name) in (["zeta", "Beta", "alpha", "Ärger"] as [JSON]).enumerated() {
            let number = JSON.number([4, 3, 2, 9][index])
            _ = try await make("/v1/teams", ["name": name])
            let prepaid: JSON = [
                "name": name, "provider": "p", "amount": .string(number.text), "from_date": "2030-01-01", "until_date": "2031-01-01",
            ]
            _ = try await make("/v1/commitments", prepaid)
            _ = try await make("/v1/projects", ["name": name, "team": .string(world.team), "tier": .string(world.tier)])
            _ = try await make("/v1/users", ["name": name, "roles": [["role": "auditor"]]])
            _ = try await make("/v1/api-keys", ["name": name, "role": "auditor"])
            let rank = JSON.number([9, 8, 2, 3][index])
            let approval: JSON = index < 2 ? "none" : "team_lead"
            let tier = try await make(
                "/v1/tiers", ["name": name, "rank": rank, "models": ["m-*"], "max_output_tokens": 1, "approval": approval])
            _ = try await make("/v1/models", ["name": name, "provider": "p"])
            _ = try await make("/v1/prices", ["model": name, "usage_kind": "input", "amount_per_million": .string("\(index).5")])
            _ = try await make("/v1/budgets", ["name": name, "unit": "requests", "period": "day", "amount": .string(number.text)])
            _ = try await make(
                "/v1/endpoints",
                ["name": name, "kind": "webhook", "url": "https://example.com", "secret": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"])
            guard index < 2 else { continue }
            let request: JSON = ["project": .string(world.project), "tier": .string(tier), "reason": "r", "ends_at": end]
            let asked = try await asking.post("/v1/access-requests", request)
            try #require(asked.status == 201, "\(asked)")
            let burst = try await asking.post("/v1/budgets/\(budget)/bursts", ["amount": "1", "reason": "r", "ends_at": end])
            try #require(burst.status == 201, "\(burst)")
            _ = try await make(
                "/v1/adjustments",
                ["kind": "credit", "project": .string(world.project), "amount": .string("\(index + 1)"), "reason": "r"])
            _ = try await make("/v1/exports", ["format": "csv", "first_month": "2026-01", "last_month": "2026-01"])
            _ = try await make("/v1/statements/2026-0\(index + 1)/propose", [:])
            let other = try await world.budget("5")
            let move: JSON = ["from": .string(other), "to": .string(budget), "amount": "1", "lasting": "this_period", "reason": "r"]
            _ = try await make("/v1/reallocations", move)
            #expect(try await owner.patch("/v1/budgets/\(budget)", ["amount": .string("\(11 + index)")]).status == 200)
            #expect(try await owner.delete("/v1/budgets/\(other)").status == 204)
        }
        return (budget, users)
    }

    /// A list's elements as their pages give them, two at a time.
    private static func all(_ path: String, _ sort: String?, _ world: World) async throws -> [String] {
        var elements: [String] = []
        var cursor: String?
        repeat {
            let query = ["limit=2"] + (sort.map { ["sort=\($0)"] } ?? []) + (cursor.map { ["cursor=\($0)"] } ?? [])
            let page = try await world.served.owner.get("\(path)?\(query.joined(separator: "&"))")
            try #require(page.status == 200, "\(path): \(page)")
            elements += (page.body["data"]?.array ?? []).map { element in
                ["id", "sequence", "limit_version", "month"].compactMap { element[$0]?.text }.first ?? element.text
            }
            cursor = page.body["next_cursor"]?.string
        } while cursor != nil
        return elements
    }

    private static func texts(_ path: String, _ field: String, _ world: World) async throws -> [String] {
        let answer = try await world.served.owner.get(path)
        try #require(answer.status == 200, "\(path): \(answer)")
        return (answer.body["data"]?.array ?? []).compactMap { $0[field]?.string }
    }
}
