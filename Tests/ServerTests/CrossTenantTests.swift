/// What somebody with an organization of their own tries in order to learn of another one, or to touch it. Whatever they name of it, by
/// id, key or cursor, is answered as if nobody had it; with either wall alone (law 8).
import Budgets
import Crypto
import Foundation
import HTTPTypes
import JSON
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized, .timeLimit(.minutes(4))) struct CrossTenantTests {
    @Test("another's id in a path or a body is answered as one that nobody has, and nothing there changes", arguments: Wall.holding)
    func ids(wall: Wall) async throws {
        try await withServer(wall: wall) { served in
            let (victim, attacker) = (try await Side.make(served), try await Side.make(served, by: served.anotherOrganization()))
            let before = try await victim.state()
            var tried = 0
            for (method, path, body) in InvalidRequestTests.good + Self.further {
                for name in Set("\(path) \(body.text)".matches(of: /\$[a-z0-9]+/).map { String($0.0) }) {
                    let theirs = try #require(victim.names[name])
                    let nobodys = Side.nobodys(theirs)
                    var answers: [String] = []
                    for id in [theirs, nobodys] {
                        let names = attacker.names.with(name, id)
                        let answer = try await attacker.owner.send(
                            method, names.fill(path), names.fill(body).bytes, headers: [.ifMatch: "*", .requestID: "same"])
                        if path.contains("\(name)/") || path.hasSuffix(name) {
                            #expect(answer.status == 404, "\(method) \(path): \(answer)")
                        }
                        // What only matches calls and events of one's own may name anything; a report is answered event by event.
                        let isTaken = answer.status < 300 && path != "/v1/usage"
                        #expect(!isTaken || path.hasPrefix("/v1/endpoints") || name == "$key", "\(method) \(path) \(name): \(answer)")
                        #expect(isTaken || !answer.text.contains(Side.mark), "\(answer)")
                        answers.append(isTaken ? "\(answer.status)" : answer.description.replacing(id, with: "…"))
                    }
                    #expect(answers[0] == answers[1], "\(method) \(path) \(name)")
                    tried += 1
                }
            }
            #expect(tried > 45)
            #expect(try await victim.state() == before)
        }
    }

    /// What the examples of good bodies do not name.
    private static let further: [(HTTPRequest.Method, String, JSON)] = [
        (.post, "/v1/api-keys", ["name": "N", "role": "lead", "team": "$team"]), (.post, "/v1/api-keys", ["name": "N", "user": "$user"]),
        (.patch, "/v1/users/$user", ["roles": [["role": "member", "team": "$team"]]]),
        (
            .post, "/v1/budgets",
            [
                "name": "N", "scope": ["team": "$team"], "match": ["api_keys": ["$key"]], "unit": "usd", "period": "day", "amount": "1",
            ]
        ),
        (.patch, "/v1/endpoints/$endpoint", ["about": ["$team", "$project", "$budget"]]),
    ]

    /// Reads that take ids as filters.
    private static let reads = [
        "/v1/access-requests?project=$project", "/v1/access-grants?project=$project", "/v1/deliveries?endpoint=$endpoint",
        "/v1/reallocations?budget=$budget", "/v1/audit-events?target=$team", "/v1/audit-events?target=$budget",
        "/v1/audit-events?actor=$key", "/v1/audit-events/export?target=$team", "/v1/allowance?model=model-a&project=$project",
    ]

    @Test("nothing of another's is in any list, report, export or audit event, whatever they are filtered by", arguments: Wall.holding)
    func reading(wall: Wall) async throws {
        try await withServer(wall: wall) { served in
            let (victim, attacker) = (try await Side.make(served), try await Side.make(served, by: served.anotherOrganization()))
            for path in Self.reads {
                let name = try #require(path.firstMatch(of: /\$[a-z0-9]+/)).0
                let theirs = try #require(victim.names[String(name)])
                let nobodys = Side.nobodys(theirs)
                var answers: [String] = []
                for id in [theirs, nobodys] {
                    let answer = try await attacker.owner.send(
                        .get, attacker.names.with(String(name), id).fill(path), headers: [.requestID: "same"])
                    answers.append(answer.description.replacing(id, with: "…"))
                }
                #expect(answers[0] == answers[1], "\(path)")
                #expect(!victim.shows(in: answers[0]), "\(path)")
            }
            var telling = 0
            for path in Side.everything() {
                let answer = try await attacker.owner.get(attacker.names.fill(path))
                #expect(answer.status == 200 || answer.status == 409, "\(path): \(answer)")
                #expect(!victim.shows(in: answer.text), "\(path): \(answer)")
                if try await victim.shows(in: victim.owner.get(victim.names.fill(path)).text) { telling += 1 }
            }
            #expect(telling > 20, "to their owner they do show")
        }
    }

    @Test("idempotency keys, revisions, request ids, cursors and names of another's say nothing of it", arguments: Wall.holding)
    func headers(wall: Wall) async throws {
        try await withServer(wall: wall) { served in
            let (victim, attacker) = (try await Side.make(served), try await Side.make(served, by: served.anotherOrganization()))
            // A name and an idempotency key that are taken there are free here.
            let key: HTTPFields = [.init("idempotency-key")!: "same"]
            let body = Array(#"{"name":"Taken"}"#.utf8)
            let first = try await victim.owner.send(.post, "/v1/teams", body, headers: key)
            let second = try await attacker.owner.send(.post, "/v1/teams", body, headers: key)
            #expect(first.status == 201 && second.status == 201 && first.id != second.id, "\(second)")
            let other = try await attacker.owner.send(.post, "/v1/teams", Array(#"{"name":"Other"}"#.utf8), headers: key)
            #expect(other.code == "idempotency_key_reused", "\(other)")

            // Whether a revision is right is not told either.
            let revision = try #require(first.headers[.eTag])
            for eTag in [revision, "\"99\"", "*"] {
                for (method, body) in [(.patch, Array(#"{"name":"Mine"}"#.utf8)), (.delete, nil)] as [(HTTPRequest.Method, [UInt8]?)] {
                    let answer = try await attacker.owner.send(method, "/v1/teams/\(first.id)", body, headers: [.ifMatch: eTag])
                    #expect(answer.status == 404, "\(method) \(eTag): \(answer)")
                }
            }

            // A request id that was used there books here, on one's own project; theirs is unknown.
            let mine = try await attacker.world.reserve("named")
            #expect(mine.status == 201 && mine.id != victim.names["$reservation"], "\(mine)")
            let usage = try await attacker.owner.post(
                "/v1/usage",
                ["events": [["project": .string(victim.world.project), "request_id": "named", "model": "model-a", "usage": ["input": 1]]]])
            #expect(usage.body["results"]?[0]?["status"] == "invalid", "\(usage)")

            // A cursor is its list's; one that is made up for one's own list, behind another's row, shows one's own rows.
            let page = try await victim.owner.get("/v1/teams?limit=1")
            let cursor = try #require(page.body["next_cursor"]?.string)
            #expect(try await attacker.owner.get("/v1/teams?limit=1&cursor=\(cursor)").faults == ["?cursor invalid_value"])
            let organization = try await attacker.owner.get("/v1/organization").id
            for place in [victim.world.team, "team_00000000000000000000000000000000"] {
                let forged = Self.cursor(of: "/v1/teams", in: organization, at: place)
                let answer = try await attacker.owner.get("/v1/teams?cursor=\(forged)")
                #expect(answer.status == 200 && !victim.shows(in: answer.text), "\(answer)")
            }
        }
    }

    /// As `PageQuery` makes it: whoever reads the source can.
    private static func cursor(of list: String, in organization: String, at place: String) -> String {
        let seal = SHA256.hash(data: Array("\(organization)\n\(list)\n\(place)".utf8)).prefix(8)
        return Base64URL.encode(Array(seal) + Array(place.utf8))
    }

    @Test("calls of two organizations in one lane are decided each by its own models and prices", arguments: Wall.holding)
    func lane(wall: Wall) async throws {
        try await withServer(wall: wall) { served in
            let (one, other) = (try await Side.make(served), try await Side.make(served, by: served.anotherOrganization()))
            _ = try await other.owner.post("/v1/models", ["name": "model-z", "provider": "acme"])
            for price in [3, 1000] as [Int64] {
                for (model, caller) in [("model-a", other.owner), ("model-z", other.owner), ("model-p", served.caller(served.operatorKey))]
                {
                    _ = try await caller.post("/v1/models", ["name": .string(model), "provider": "acme"])
                    let new: JSON = ["model": .string(model), "usage_kind": "input", "amount_per_million": .string("\(price)")]
                    let made = try await caller.post("/v1/prices", new)
                    try #require(made.status == 201, "\(made)")
                }
                let (own, others) = ("0.001200000000", price == 3 ? "0.003200000000" : "1.000200000000")
                // What waits while a batch is under way is the next one: calls of both, whose configurations were changed or not.
                try await withThrowingTaskGroup(of: Void.self) { calls in
                    for number in 0..<10 {
                        for (side, model, expected) in [
                            (one, "model-a", own), (other, "model-a", others), (one, "model-z", "model_unknown"),
                        ] {
                            calls.addTask {
                                let answer = try await side.world.caller.post(
                                    "/v1/reservations",
                                    [
                                        "request_id": .string("\(price) \(number) \(model)"), "model": .string(model), "input_tokens": 1000,
                                        "max_output_tokens": 100,
                                    ])
                                #expect((answer.body["held"]?["amount"]?.string ?? answer.code) == expected, "\(answer)")
                            }
                        }
                    }
                    try await calls.waitForAll()
                }
            }
        }
    }

    @Test("without any wall these tests would see it")
    func control() async throws {
        try await withServer(wall: .neither) { served in
            let (victim, stranger) = (try await World.make(served), try await served.anotherOrganization())
            #expect(try await stranger.get("/v1/teams").text.contains(victim.team))
            #expect(try await stranger.get("/v1/teams/\(victim.team)").status == 200)
        }
    }
}

/// One of the two organizations, with one of everything, and calls that were paid for.
private struct Side: Sendable {
    /// In what callers wrote there.
    static let mark = "v1ctim"

    let world: World
    let names: Names
    var owner: Caller { world.served.owner }

    static func make(_ served: Served, by owner: Caller? = nil) async throws -> Side {
        var own = served
        own.owner = owner ?? served.owner
        _ = try await own.owner.patch("/v1/organization", ["time_zone": "UTC"])
        let world = try await World.make(own)
        let names = try await Names(world)
        let mark: JSON = .string(owner == nil ? mark : "attacker")
        let call: JSON = ["model": "model-a", "request_id": "paid", "end_user": mark, "feature": mark, "tags": ["customer": mark]]
        var event = try #require(call.object)
        event["provider_usage"] = ["prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "unheard_of_tokens": 3]
        let booked = try await world.caller.post("/v1/usage", ["events": [.object(event)]])
        try #require(booked.body["results"]?[0]?["status"] == "booked", "\(booked)")
        return Side(world: world, names: names)
    }

    /// An id of the same kind that nothing has.
    static func nobodys(_ id: String) -> String {
        let kind = id.prefix { $0 != "_" }
        return "\(kind)_\(id.dropFirst(kind.count + 1).prefix(12))7abc8def\(String(UInt64.random(in: 1 << 44 ..< 1 << 48), radix: 16))"
    }

    func shows(in text: String) -> Bool { text.contains(Side.mark) || names.ids.contains { text.contains($0.id) } }

    /// What only a change would change: every administrative one is among the audit events.
    func state() async throws -> [String] {
        var texts: [String] = []
        for path in ["/v1/audit-events?limit=200", "/v1/adjustments", "/v1/budgets/$budget/periods", "/v1/reservations/$reservation"] {
            texts.append(try await owner.get(names.fill(path)).text)
        }
        return texts
    }

    /// Every route that reads without naming a thing.
    static func everything() -> [String] {
        let month = String(Instant.now().rfc3339.prefix(7))
        let span = "from=\(month)-01T00:00:00Z&to=\(Instant.now().adding(seconds: 86_400).rfc3339.prefix(10))T00:00:00Z"
        let needed = [
            "/v1/allowance": ["model=model-a&project=$project"],
            "/v1/statements/{month}/export": ["csv", "csv-summary", "focus-1.2", "focus-1.4", "journal", "json"].map { "format=\($0)" },
            "/v1/reports/spend": ["team", "project", "api_key", "feature"].map { "group_by=\($0)&\(span)" },
            "/v1/reports/top": ["end_user", "tag:customer", "project"].map { "by=\($0)&\(span)" },
            "/v1/reports/models": [span], "/v1/audit-events": ["limit=200"],
        ]
        return routes.filter { route in
            guard case .needs(let permission) = route.access else { return false }
            return route.method == .get && permission != .organizations && !route.path.contains("{id}")
        }.flatMap { route in
            let path = route.path.replacing("{month}", with: month)
            return needed[route.path]?.map { "\(path)?\($0)" } ?? [path]
        }
    }
}
