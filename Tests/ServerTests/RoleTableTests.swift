/// Who may do what (design §10), as one table: every operation, every role, on things of one's own team, of another team, and of
/// another organization. The table is written by hand, so that a slip in `Roles.swift` shows.
import Budgets
import HTTPTypes
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct RoleTableTests {
    /// Roles by letter: owner, admin, finance, auditor, lead, member, operator (X), and the key of a project.
    static let letters: [(Character, String)] = [
        ("o", "owner"), ("a", "admin"), ("f", "finance"), ("u", "auditor"), ("l", "lead"), ("m", "member"), ("X", "operator"),
        ("p", "project"),
    ]

    /// The operation, who may do it at home, and the body that names something of the place it is done in.
    static let table: [(operation: String, home: String, body: JSON?)] = [
        ("POST /v1/organizations", "X", ["name": "N"]), ("GET /v1/organizations", "X", nil),
        ("GET /v1/organization", "oafulm", nil), ("PATCH /v1/organization", "oa", [:]),
        ("GET /v1/tag-policy", "oafulm", nil), ("PUT /v1/tag-policy", "oa", [:]),
        ("POST /v1/teams", "oa", ["name": "$unique"]), ("GET /v1/teams", "oafulm", nil), ("GET /v1/teams/$team", "oafulm", nil),
        ("PATCH /v1/teams/$team", "oa", [:]), ("POST /v1/teams/$team/restore", "oa", [:]), ("DELETE /v1/teams/$team", "oa", nil),
        ("POST /v1/projects", "oal", ["name": "$unique", "team": "$team", "tier": "$tier"]), ("GET /v1/projects", "oafulm", nil),
        ("GET /v1/projects/$project", "oafulm", nil), ("PATCH /v1/projects/$project", "oal", [:]),
        ("DELETE /v1/projects/$empty", "oal", nil), ("POST /v1/projects/$empty/restore", "oal", [:]),
        (
            "POST /v1/access-requests", "oalm",
            ["project": "$project", "tier": "$higher", "reason": "r", "ends_at": "$soon"]
        ),
        ("GET /v1/access-requests", "oafulm", nil), ("GET /v1/access-requests/$request", "oafulm", nil),
        ("POST /v1/access-requests/$request/approve", "oal", [:]), ("POST /v1/access-requests/$request/deny", "oal", ["reason": "r"]),
        ("POST /v1/access-requests/$request/withdraw", "oalm", [:]),
        ("GET /v1/access-grants", "oafulm", nil), ("GET /v1/access-grants/$grant", "oafulm", nil),
        ("POST /v1/access-grants/$grant/revoke", "oal", [:]),
        ("POST /v1/users", "oal", ["name": "N", "roles": [["role": "member", "team": "$team"]]]), ("GET /v1/users", "oaful", nil),
        ("GET /v1/users/$user", "oaful", nil), ("PATCH /v1/users/$user", "oal", [:]), ("DELETE /v1/users/$user", "oal", nil),
        ("POST /v1/users/$user/restore", "oal", [:]),
        ("POST /v1/api-keys", "oal", ["name": "N", "project": "$project"]), ("GET /v1/api-keys", "oafulX", nil),
        ("GET /v1/api-keys/$key", "oaful", nil), ("PATCH /v1/api-keys/$key", "oal", [:]), ("POST /v1/api-keys/$key/rotate", "oal", [:]),
        ("POST /v1/api-keys/$key/revoke", "oal", [:]),
        ("POST /v1/models", "oaX", ["name": "$unique", "provider": "p"]), ("GET /v1/models", "oafulmX", nil),
        ("GET /v1/models/$model", "oafulm", nil), ("PATCH /v1/models/$model", "oa", [:]), ("DELETE /v1/models/$model", "oa", nil),
        ("POST /v1/models/$model/restore", "oa", [:]),
        ("POST /v1/prices", "oaX", ["model": "$unique", "usage_kind": "input", "amount_per_million": "1"]),
        ("GET /v1/prices", "oafulmX", nil), ("GET /v1/prices/$price", "oafulm", nil),
        ("POST /v1/prices/$price/correct", "oa", ["amount_per_million": "2", "source": "N"]),
        (
            "POST /v1/contracted-prices", "oa",
            ["lines": [["model": "listed", "usage_kind": "output", "amount_per_million": "1"]], "source": "N"]
        ),
        ("GET /v1/price-proposals", "oaX", nil), ("POST /v1/price-proposals/$proposal/approve", "oa", [:]),
        ("POST /v1/price-proposals/$proposal/reject", "oa", [:]),
        ("POST /v1/tiers", "oa", ["name": "$unique", "rank": "$rank", "models": ["x"], "max_output_tokens": 1]),
        ("GET /v1/tiers", "oafulmX", nil), ("GET /v1/tiers/$tier", "oafulm", nil), ("PATCH /v1/tiers/$tier", "oa", [:]),
        ("DELETE /v1/tiers/$tier", "oa", nil), ("POST /v1/tiers/$tier/restore", "oa", [:]),
        ("POST /v1/budgets", "oal", ["name": "N", "scope": ["project": "$project"], "unit": "usd", "period": "day", "amount": "1"]),
        ("POST /v1/budgets", "oa", ["name": "N", "scope": ["team": "$team"], "unit": "usd", "period": "day", "amount": "1"]),
        ("GET /v1/budgets", "oafulm", nil), ("GET /v1/budgets/$budget", "oafulm", nil), ("GET /v1/budgets/$teamBudget", "oafulm", nil),
        ("PATCH /v1/budgets/$budget", "oal", [:]), ("PATCH /v1/budgets/$teamBudget", "oa", [:]), ("DELETE /v1/budgets/$budget", "oal", nil),
        ("DELETE /v1/budgets/$teamBudget", "oa", nil), ("GET /v1/budgets/$budget/periods", "oafulm", nil),
        ("POST /v1/budgets/$budget/restore", "oal", [:]), ("GET /v1/budgets/$budget/limits", "oafulm", nil),
        ("POST /v1/budgets/$budget/shares", "oal", ["name": "N", "percent": "1", "match": ["features": ["f"]]]),
        (
            "POST /v1/budgets/$budget/bursts", "oalm",
            ["amount": "1", "reason": "N", "starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-02-01T00:00:00Z"]
        ),
        ("GET /v1/budgets/$budget/bursts", "oafulm", nil), ("GET /v1/bursts", "oafulm", nil), ("GET /v1/bursts/$burst", "oafulm", nil),
        ("POST /v1/bursts/$burst/approve", "oal", [:]), ("POST /v1/bursts/$burst/deny", "oal", ["reason": "N"]),
        ("POST /v1/bursts/$burst/withdraw", "oalm", [:]), ("POST /v1/bursts/$burst/revoke", "oal", ["reason": "N"]),
        ("POST /v1/bursts/$burst/review", "oalm", ["purpose": "N", "result": "N", "worth_it": true]),
        ("GET /v1/burst-rails", "oafulm", nil), ("PUT /v1/burst-rails", "oa", [:]),
        ("GET /v1/budgets/$budget/burst-rails", "oafulm", nil), ("PUT /v1/budgets/$budget/burst-rails", "oa", [:]),
        (
            "POST /v1/reallocations", "oal",
            ["from": "$budget", "to": "$teamBudget", "amount": "0.01", "lasting": "this_period", "reason": "N"]
        ),
        ("GET /v1/reallocations", "oafulm", nil), ("GET /v1/reallocations/$reallocation", "oafulm", nil),
        ("POST /v1/reallocations/$reallocation/approve", "oal", [:]), ("POST /v1/reallocations/$reallocation/deny", "oal", ["reason": "N"]),
        ("POST /v1/reallocations/$reallocation/withdraw", "oal", [:]),
        ("POST /v1/reservations", "oap", ["request_id": "$unique", "model": "model-a", "input_tokens": 1, "project": "$project"]),
        ("GET /v1/reservations/$reservation", "oafulmp", nil),
        ("POST /v1/reservations/$reservation/settle", "oap", ["usage": ["input": 1]]),
        ("POST /v1/reservations/$reservation/release", "oap", [:]), ("GET /v1/allowance?model=model-a&project=$project", "oap", nil),
        ("POST /v1/usage", "oap", ["events": []]), ("GET /v1/unmapped-usage", "oafu", nil),
        ("POST /v1/estimates", "oafulmp", ["usage": ["input": 1], "calls_per_day": 1, "project": "$project"]),
        ("POST /v1/endpoints", "oa", ["kind": "slack"]), ("GET /v1/endpoints", "oafu", nil), ("GET /v1/endpoints/$endpoint", "oafu", nil),
        ("PATCH /v1/endpoints/$endpoint", "oa", [:]), ("POST /v1/endpoints/$endpoint/test", "oa", [:]),
        ("POST /v1/endpoints/$endpoint/rotate-secret", "oa", [:]),
        ("POST /v1/endpoints/$endpoint/recover?since=2026-01-01T00:00:00Z", "oa", nil),
        ("GET /v1/deliveries/$delivery", "oafu", nil), ("POST /v1/deliveries/$delivery/retry", "oa", [:]),
        ("DELETE /v1/endpoints/$endpoint", "oa", nil), ("POST /v1/endpoints/$endpoint/restore", "oa", [:]),
        ("GET /v1/alerts", "oafulm", nil), ("GET /v1/deliveries", "oafu", nil),
        ("GET /v1/reports/budget-review", "oafulm", nil),
        ("GET /v1/reports/top", "oafu", nil), ("GET /v1/reports/models", "oafu", nil),
        ("GET /v1/reports/forecast", "oafu", nil),
        ("GET /v1/statements", "oafu", nil),
        ("GET /v1/statements/2026-01/manifest", "oaf", nil), ("GET /v1/journal-accounts", "oafu", nil),
        ("PUT /v1/journal-accounts", "oaf", ["expense": "6400", "clearing": "2400"]),
        ("GET /v1/statements/2026-01/checklist", "oafu", nil), ("POST /v1/statements/2026-01/propose", "oaf", [:]),
        ("POST /v1/statements/2026-01/close", "oaf", [:]), ("POST /v1/statements/2026-01/reopen", "oa", ["reason": "N"]),
        ("GET /v1/reports/spend", "oafu", nil), ("GET /v1/statements/2026-01", "oafu", nil),
        ("GET /v1/statements/2026-01/unattributed", "oafu", nil),
        ("GET /v1/statements/2026-01/export", "oaf", nil),
        ("POST /v1/exports", "oaf", ["format": "csv", "first_month": "2026-02", "last_month": "2026-02"]), ("GET /v1/exports", "oaf", nil),
        ("GET /v1/exports/$export", "oaf", nil), ("POST /v1/exports/$export/cancel", "oaf", [:]),
        (
            "POST /v1/cost-splits", "oaf",
            ["name": "N", "source": "$project", "method": "even", "receivers": [["project": "$empty"]], "from_month": "2020-01"]
        ),
        ("GET /v1/cost-splits", "oafu", nil), ("GET /v1/cost-splits/$split", "oafu", nil),
        ("PATCH /v1/cost-splits/$split", "oaf", ["until_month": nil]),
        ("GET /v1/statements/2026-01/commitments", "oafu", nil),
        (
            "POST /v1/commitments", "oaf",
            ["name": "N", "provider": "acme", "amount": "1", "from_date": "2030-01-01", "until_date": "2031-01-01"]
        ),
        ("GET /v1/commitments", "oafu", nil), ("GET /v1/commitments/$commitment", "oafu", nil),
        ("POST /v1/commitments/$commitment/cancel", "oaf", [:]),
        ("POST /v1/adjustments", "oaf", ["kind": "credit", "project": "$project", "amount": "1", "reason": "N"]),
        ("GET /v1/adjustments", "oafu", nil), ("GET /v1/adjustments/$adjustment", "oafu", nil),
        ("POST /v1/adjustments/$adjustment/approve", "oa", [:]), ("POST /v1/adjustments/$adjustment/deny", "oa", ["reason": "N"]),
        ("POST /v1/adjustments/$adjustment/withdraw", "oaf", [:]),
        ("POST /v1/adjustments/$adjustment/reverse", "oaf", ["reason": "N"]),
        ("GET /v1/audit-events", "oau", nil), ("GET /v1/audit-events/export", "oau", nil),
    ]

    @Test("the table names every route that needs a role")
    func whole() {
        let listed = Set(
            Self.table.map { line in
                String(line.operation.split(separator: "?")[0]).replacing(#/\$[A-Za-z]+/#, with: "{id}").replacing(
                    "2026-01", with: "{month}")
            })
        let needing = routes.compactMap { route in
            if case .needs = route.access { "\(route.method.rawValue) \(route.path)" } else { nil }
        }
        #expect(listed == Set(needing))
    }

    @Test("at home: those who may, may; all others are refused")
    func home() async throws {
        try await withServer { served in
            try await list(served)
            let home = try await Place.make(served.owner)
            let callers = try await callers(of: home, served)
            for line in Self.table {
                for (letter, role) in Self.letters {
                    let answer = try await send(line, in: home, as: try #require(callers[role]))
                    let may = line.home.contains(letter)
                    if role == "operator" {
                        // Another organization's credential: what is not its own to do, it gets nowhere with.
                        #expect(may || answer.status >= 400, "\(role): \(line.operation): \(answer)")
                        continue
                    }
                    #expect((answer.status == 403) == !may, "\(role): \(line.operation): \(answer)")
                    if may { #expect(answer.status != 404 && answer.status != 401, "\(role): \(line.operation): \(answer)") }
                }
            }
        }
    }

    @Test("in another team: whoever holds a role on a team only is refused; lists leave the other's things out")
    func otherTeam() async throws {
        try await withServer { served in
            try await list(served)
            let home = try await Place.make(served.owner)
            let other = try await Place.make(served.owner, tier: home.tier)
            let callers = try await callers(of: home, served)
            for line in Self.table {
                for role in ["lead", "member"] {
                    let caller = try #require(callers[role])
                    let answer = try await send(line, in: other, as: caller)
                    if line.operation.hasPrefix("GET"), !line.operation.contains("$"), answer.status == 200 {
                        #expect(!other.owned.contains { answer.text.contains($0) }, "\(role): \(line.operation): \(answer)")
                    } else if !line.operation.hasSuffix("organization"), !Self.isCommon(line.operation) {
                        #expect(answer.status == 403, "\(role): \(line.operation): \(answer)")
                    }
                }
            }
            let own = try await (try #require(callers["lead"])).get("/v1/projects")
            #expect(own.text.contains(home.project), "\(own)")
        }
    }

    @Test("in another organization there is nothing, and either of the two walls is enough", arguments: Wall.holding)
    func otherOrganization(wall: Wall) async throws {
        try await withServer(wall: wall) { served in
            try await list(served)
            let home = try await Place.make(served.owner)
            let other = try await Place.make(try await served.anotherOrganization())
            let callers = try await callers(of: home, served)
            for line in Self.table where line.operation.contains("$") && !line.operation.contains("?") {
                for (letter, role) in Self.letters where role != "operator" {
                    let answer = try await send(line, in: other, as: try #require(callers[role]))
                    // A lead may change budgets, if not this one: told, as all others who may, that there is none.
                    let may = line.home.contains(letter) || (role == "lead" && line.operation.hasSuffix("$teamBudget"))
                    #expect(answer.status == (may ? 404 : 403), "\(role): \(line.operation): \(answer)")
                }
            }
            for line in Self.table where line.operation.hasPrefix("GET") && !line.operation.contains("$") {
                let answer = try await send(line, in: other, as: served.owner)
                #expect(!other.owned.contains { answer.text.contains($0) }, "\(line.operation): \(answer)")
            }
        }
    }

    @Test("nobody gives, takes or rotates a role above their own, and a member's roles end with them")
    func governing() async throws {
        try await withServer { served in
            try await list(served)
            let home = try await Place.make(served.owner)
            let callers = try await callers(of: home, served)
            let lead = try #require(callers["lead"])
            let roles: [JSON] = [["role": "owner"], ["role": "admin"], ["role": "auditor"], ["role": "lead", "team": .string(home.team)]]
            for role in roles {
                #expect(try await lead.post("/v1/users", ["name": "N", "roles": [role]]).status == 403)
                #expect(try await lead.patch("/v1/users/\(home.user)", ["roles": [role]]).status == 403)
            }
            #expect(try await lead.post("/v1/users", ["name": "nobody's"]).status == 403)
            let boss = try await served.owner.post("/v1/users", ["name": "Boss", "roles": [["role": "owner"]]])
            #expect(try await lead.post("/v1/api-keys", ["name": "N", "user": .string(boss.id)]).status == 403)
            let admin = try await served.owner.post("/v1/api-keys", ["name": "admin", "role": "admin"])
            let administrator = served.caller(admin.body["secret"]?.string)
            #expect(try await administrator.post("/v1/api-keys", ["name": "N", "user": .string(boss.id)]).status == 403)
            #expect(try await administrator.patch("/v1/users/\(boss.id)", ["roles": []]).status == 403)
            #expect(try await administrator.delete("/v1/users/\(boss.id)").status == 403)

            let key = try await lead.post("/v1/api-keys", ["name": "N", "user": .string(home.user)])
            let member = served.caller(key.body["secret"]?.string)
            #expect(try await member.get("/v1/projects/\(home.project)").status == 200)
            #expect(try await lead.patch("/v1/users/\(home.user)", ["roles": []]).status == 200)
            #expect(try await member.get("/v1/projects/\(home.project)").status == 403)
            #expect(try await served.owner.delete("/v1/users/\(home.user)").status == 204)
            #expect(try await member.get("/v1/projects").status == 401)
        }
    }

    @Test("a request is decided by a role above, never by who asked, under whatever key")
    func deciding() throws {
        let team = TeamID(high: 1, low: 1)
        func key(_ low: UInt64, _ roles: [RoleGrant?], user: UserID? = nil, origin: APIKeyID? = nil, makers: [String] = []) -> Credential {
            Credential(
                organization: OrganizationID(high: 9, low: 9), apiKey: APIKeyID(high: 2, low: low), user: user,
                roles: roles.compactMap { $0 }, origin: origin, makers: makers)
        }
        let member = key(1, [RoleGrant(.member, on: team)])
        let lead = key(2, [RoleGrant(.lead, on: team)])
        let stranger = key(3, [RoleGrant(.lead, on: TeamID(high: 1, low: 2))])
        func may(_ approver: Credential, _ requester: Credential) -> Bool {
            approver.mayDecide(
                requestOf: Speaker(actor: requester.actor, makers: requester.makers), rank: requester.rank(on: team), on: team)
        }
        #expect(may(lead, member) && !may(member, lead) && !may(stranger, member) && !may(lead, lead))
        let owner = key(4, [.owner])
        #expect(may(owner, lead) && may(key(5, [.owner]), owner) && !may(owner, owner))
        #expect(!may(key(6, [.owner], origin: owner.apiKey), owner), "a rotated key is the same actor")
        let made = key(7, [.owner], makers: [owner.actor])
        let madeWithThat = key(11, [.owner], makers: [made.actor, owner.actor])
        #expect(!may(made, owner) && !may(madeWithThat, owner) && !may(madeWithThat, made), "a key of the requester's making")
        #expect(!may(owner, made) && !may(owner, madeWithThat) && !may(made, madeWithThat), "the maker of the key that asked")
        let admin = key(12, [RoleGrant(.admin)], makers: [owner.actor])
        #expect(!may(owner, admin) && may(key(13, [.owner]), admin), "an administrator makes no second one of themselves")
        #expect(may(owner, key(14, [RoleGrant(.member, on: team)], makers: [owner.actor])), "a member's key is the member's")
        let person = UserID(high: 3, low: 1)
        #expect(!may(key(8, [.owner], user: person), key(10, [RoleGrant(.member, on: team)], user: person)), "two keys of one person")
        #expect(!may(key(9, [RoleGrant(.finance), RoleGrant(.auditor)]), member))
    }

    /// A model of the platform, for organizations to agree prices of.
    private func list(_ served: Served) async throws {
        let platform = served.caller(served.operatorKey)
        _ = try await platform.post("/v1/models", ["name": "listed", "provider": "p"])
        let price = try await platform.post("/v1/prices", ["model": "listed", "usage_kind": "input", "amount_per_million": "1"])
        try #require(price.status == 201, "\(price)")
    }

    private static func isCommon(_ operation: String) -> Bool {
        ["models", "prices", "tiers"].contains { operation.contains("/v1/\($0)") } && operation.hasPrefix("GET")
    }

    /// A caller of each role, on the place's team where the role is held on one.
    private func callers(of place: Place, _ served: Served) async throws -> [String: Caller] {
        var callers = ["owner": served.owner, "operator": served.caller(served.operatorKey), "project": served.caller(place.secret)]
        for role in ["admin", "finance", "auditor", "lead", "member"] {
            var body: [(String, JSON)] = [("name", .string(role)), ("role", .string(role))]
            if role == "lead" || role == "member" { body.append(("team", .string(place.team))) }
            let made = try await served.owner.post("/v1/api-keys", .object(body))
            try #require(made.status == 201, "\(made)")
            callers[role] = served.caller(made.body["secret"]?.string)
        }
        return callers
    }

    private func send(_ line: (operation: String, home: String, body: JSON?), in place: Place, as caller: Caller) async throws
        -> Caller.Answer
    {
        let parts = place.fill(line.operation).split(separator: " ")
        let method = try #require(HTTPRequest.Method(rawValue: String(parts[0])))
        // What only puts away is not done: whether it may be is told by a revision that does not fit.
        return try await caller.send(
            method, String(parts[1]), line.body.map { Array(place.fill($0.text).utf8) },
            headers: [.ifMatch: method == .delete ? "\"999\"" : "*"])
    }
}

/// One of everything, on one team.
private struct Place {
    let ids: [String: String]
    let secret: String

    var team: String { ids["$team"] ?? "" }
    var tier: String { ids["$tier"] ?? "" }
    var project: String { ids["$project"] ?? "" }
    var user: String { ids["$user"] ?? "" }
    /// What belongs to the team, and to no other.
    var owned: [String] {
        let shared: Set = ["$tier", "$higher", "$model", "$price", "$endpoint", "$delivery", "$soon"]
        return ids.filter { !shared.contains($0.key) }.map(\.value)
    }

    static func make(_ owner: Caller, tier: String? = nil) async throws -> Place {
        func post(_ path: String, _ body: JSON) async throws -> Caller.Answer {
            let answer = try await owner.post(path, body)
            try #require(answer.status == 201, "\(answer)")
            return answer
        }
        let name: JSON = .string(unique())
        let isSecond = tier != nil
        let tier =
            if let tier { tier } else {
                try await post("/v1/tiers", ["name": name, "rank": 1, "models": ["*"], "max_output_tokens": 9]).id
            }
        let team = try await post("/v1/teams", ["name": name]).id
        let project = try await post("/v1/projects", ["name": name, "team": .string(team), "tier": .string(tier)]).id
        let empty = try await post("/v1/projects", ["name": .string(unique()), "team": .string(team), "tier": .string(tier)]).id
        let user = try await post("/v1/users", ["name": name, "roles": [["role": "member", "team": .string(team)]]]).id
        let key = try await post("/v1/api-keys", ["name": name, "project": .string(empty)]).id
        let caller = try await post("/v1/api-keys", ["name": name, "project": .string(project)])
        let budget = try await post(
            "/v1/budgets", ["name": name, "scope": ["project": .string(project)], "unit": "usd", "period": "month", "amount": "1"]
        ).id
        let teamBudget = try await post(
            "/v1/budgets", ["name": name, "scope": ["team": .string(team)], "unit": "usd", "period": "month", "amount": "1"]
        ).id
        let member = try await post("/v1/api-keys", ["name": name, "role": "member", "team": .string(team)])
        let burst = try await Caller(port: owner.port, apiKey: member.body["secret"]?.string).post(
            "/v1/budgets/\(budget)/bursts",
            ["amount": "1", "reason": "N", "starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-02-01T00:00:00Z"]
        ).id
        // A lead's own: given by asking, so that administrators are wanted.
        let lead = try await post("/v1/api-keys", ["name": name, "role": "lead", "team": .string(team)])
        let reallocation = try await Caller(port: owner.port, apiKey: lead.body["secret"]?.string).post(
            "/v1/reallocations",
            ["from": .string(budget), "to": .string(teamBudget), "amount": "0.01", "lasting": "this_period", "reason": "N"]
        ).id
        let finance = try await post("/v1/api-keys", ["name": name, "role": "finance"])
        let adjustment = try await Caller(port: owner.port, apiKey: finance.body["secret"]?.string).post(
            "/v1/adjustments", ["kind": "credit", "project": .string(project), "amount": "1", "reason": "N"]
        ).id
        let shared = try await post("/v1/projects", ["name": .string(unique()), "team": .string(team), "tier": .string(tier)]).id
        let split = try await post(
            "/v1/cost-splits",
            [
                "name": "N", "source": .string(shared), "method": "even", "receivers": [["project": .string(project)]],
                "from_month": "2020-01",
            ]
        ).id
        let commitment = try await post(
            "/v1/commitments",
            ["name": "N", "provider": "acme", "amount": "1", "from_date": "2030-01-01", "until_date": "2031-01-01"]
        ).id
        let export = try await owner.post("/v1/exports", ["format": "csv", "first_month": "2026-02", "last_month": "2026-03"])
        try #require(export.status == 202, "\(export)")
        // Ranks are the organization's: a second place in it, which is given its tier, has others.
        let rank: Int64 = isSecond ? 4 : 2
        let higher = try await post(
            "/v1/tiers", ["name": .string(unique()), "rank": .number(rank), "models": ["*"], "max_output_tokens": 9]
        ).id
        // The rule none grants at once; a member's request under another rule waits.
        func ask(_ owner: Caller, _ tier: String) async throws -> Caller.Answer {
            try await owner.post(
                "/v1/access-requests",
                ["project": .string(project), "tier": .string(tier), "reason": "r", "ends_at": .string(soon())])
        }
        let granted = try await ask(owner, higher)
        let grant = try #require(granted.body["grant"]?.string, "\(granted)")
        let ruled = try await post(
            "/v1/tiers",
            [
                "name": .string(unique()), "rank": .number(rank + 1), "models": ["*"], "max_output_tokens": 9,
                "approval": "team_lead",
            ]
        ).id
        let request = try await ask(Caller(port: owner.port, apiKey: member.body["secret"]?.string), ruled).id
        let endpoint = try await post("/v1/endpoints", ["kind": "webhook", "url": "http://127.0.0.1:9/x"]).id
        let delivery = try await owner.post("/v1/endpoints/\(endpoint)/test").body["delivery"]?.string ?? ""
        let model = try await post("/v1/models", ["name": name, "provider": "p"]).id
        let price = try await post("/v1/prices", ["model": name, "usage_kind": "input", "amount_per_million": "1"]).id
        if try await owner.get("/v1/models").text.contains("\"model-a\"") == false {
            _ = try await post("/v1/models", ["name": "model-a", "provider": "p"])
            for kind in ["input", "output"] {
                _ = try await post("/v1/prices", ["model": "model-a", "usage_kind": .string(kind), "amount_per_million": "1"])
            }
        }
        let agreed = try await owner.post(
            "/v1/contracted-prices",
            ["lines": [["model": "listed", "usage_kind": "input", "amount_per_million": "100"]], "source": "N"])
        try #require(agreed.status == 200, "\(agreed)")
        let proposal = try #require(try await owner.get("/v1/price-proposals").body["data"]?[0]?["id"]?.string)
        let reservation = try await post(
            "/v1/reservations", ["project": .string(project), "request_id": "r", "model": "model-a", "input_tokens": 1]
        ).id
        return Place(
            ids: [
                "$team": team, "$tier": tier, "$project": project, "$empty": empty, "$user": user, "$key": key, "$budget": budget,
                "$burst": burst, "$reallocation": reallocation, "$adjustment": adjustment, "$proposal": proposal, "$split": split,
                "$commitment": commitment,
                "$teamBudget": teamBudget, "$endpoint": endpoint, "$delivery": delivery, "$model": model, "$price": price,
                "$reservation": reservation, "$higher": higher, "$request": request, "$grant": grant, "$soon": soon(),
                "$export": export.id,
            ], secret: try #require(caller.body["secret"]?.string))
    }

    func fill(_ text: String) -> String {
        var text = text.replacing("$unique", with: Place.unique()).replacing("\"$rank\"", with: String(Int.random(in: 2...999)))
        for (name, id) in ids.sorted(by: { $0.key.count > $1.key.count }) { text = text.replacing(name, with: id) }
        return text
    }

    private static func soon() -> String { Instant.now().adding(seconds: 3600).rfc3339 }
    private static func unique() -> String { String(UInt64.random(in: 0 ... .max), radix: 36) }
}
