/// What comes in wrong is named field by field, and never becomes a fault of ours.
import Budgets
import HTTPTypes
import JSON
import Store
import Testing

@testable import Server

@Suite(.serialized) struct InvalidRequestTests {
    /// A body that a route takes, with ids of a `World` by the names `$team`, `$tier` and so on.
    static let good: [(HTTPRequest.Method, String, JSON)] = [
        (.post, "/v1/organizations", ["name": "N", "time_zone": "UTC"]),
        (.patch, "/v1/organization", ["name": "N", "time_zone": "Europe/Berlin", "default_tier": "$tier"]),
        (
            .put, "/v1/tag-policy",
            ["enforcement": "warn", "tags": [["tag": "project-id", "required": false, "values": ["p*"], "project": true]]]
        ),
        (.post, "/v1/teams", ["name": "N", "cost_center": "C"]),
        (.patch, "/v1/teams/$team", ["name": "N", "cost_center": "C", "cost_center_from": "2099-01-01T00:00:00Z"]),
        (.post, "/v1/projects", ["name": "N", "team": "$team", "tier": "$tier", "cost_center": "C", "settings": ["a": [1, "x", nil]]]),
        (
            .patch, "/v1/projects/$project",
            [
                "name": "N", "team": "$team", "tier": "$tier", "cost_center": "C",
                "cost_center_from": "2099-01-01T00:00:00Z", "suspended": false, "settings": ["a": 1],
            ]
        ),
        (.post, "/v1/users", ["name": "N", "email": "n@example.com", "roles": [["role": "lead", "team": "$team"], ["role": "finance"]]]),
        (.patch, "/v1/users/$user", ["name": "N", "email": "m@example.com", "roles": [["role": "auditor"]]]),
        (
            .post, "/v1/api-keys",
            [
                "name": "N", "project": "$project", "environment": "staging", "scopes": ["calls:write"], "networks": ["10.0.0.0/8"],
                "models": ["model-*"], "expires_at": "2099-01-01T00:00:00Z",
            ]
        ),
        (.patch, "/v1/api-keys/$key", ["name": "N", "expires_at": "2099-01-01T00:00:00Z"]),
        (.post, "/v1/api-keys/$key/rotate", ["overlap_seconds": 60]),
        (
            .post, "/v1/access-requests",
            [
                "project": "$project", "tier": "$higher", "reason": "a trial",
                "ends_at": .string(Instant.now().adding(seconds: 86_400).rfc3339),
            ]
        ),
        (.post, "/v1/access-requests/$request/approve", ["reason": "fine"]),
        (.post, "/v1/access-requests/$request2/deny", ["reason": "no"]),
        (
            .post, "/v1/models",
            [
                "name": "N", "provider": "P", "max_input_tokens": 1000, "max_output_tokens": 1000,
                "aliases": ["N2"], "deprecated_at": "2030-01-01T00:00:00Z",
            ]
        ),
        (
            .post, "/v1/prices",
            [
                "model": "model-a", "usage_kind": "cached_input", "service_tier": "batch", "context_from": 200_000,
                "amount_per_million": "0.15", "valid_from": "2026-01-01T00:00:00Z", "source": "a page",
            ]
        ),
        (.post, "/v1/prices/$price/correct", ["amount_per_million": "0.2", "source": "a letter"]),
        (
            .post, "/v1/contracted-prices",
            [
                "lines": [
                    ["provider": "acme", "percent_off": "10"], ["model": "listed", "usage_kind": "input", "amount_per_million": "2"],
                ],
                "source": "N", "valid_from": "2026-01-01T00:00:00Z", "accept": ["listed"], "dry_run": false,
            ]
        ),
        (
            .post, "/v1/tiers",
            [
                "name": "N", "rank": 7, "models": ["gpt-*"], "approval": "team_lead", "max_output_tokens": 4096,
                "max_input_tokens": 100_000, "max_requests_per_minute": 600,
            ]
        ),
        (
            .patch, "/v1/tiers/$tier",
            [
                "name": "N", "rank": 3, "models": ["gpt-*"], "approval": "none", "max_output_tokens": 4096, "max_input_tokens": nil,
                "max_requests_per_minute": 60,
            ]
        ),
        (
            .post, "/v1/budgets",
            [
                "name": "N", "scope": ["project": "$project"], "match": ["models": ["gpt-*"], "end_users": ["*"]], "per": "end_user",
                "unit": "usd", "period": "quarter", "anchor_day": 31, "anchor_month": 4, "amount": "5000.50", "thresholds": [50, 100],
                "threshold_amounts": ["4000", "4500.50"],
                "enforcement": "warn", "active_from": "2026-01-01T00:00:00Z", "active_to": "2027-01-01T00:00:00Z",
                "degrade": ["from_percent": 80, "models": ["gpt-4o": "gpt-4o-mini"]],
                "final_call": ["calls": 3, "model": "gpt-4o-mini", "max_output_tokens": 200],
            ]
        ),
        (
            .post, "/v1/budgets/$budget/shares",
            ["name": "N", "percent": "12.5", "match": ["features": ["chat*"]], "thresholds": [80, 100], "enforcement": "warn"]
        ),
        (
            .post, "/v1/budgets/$budget/bursts",
            [
                "amount": "5", "reason": "N", "starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-02-01T00:00:00Z",
                "match": ["features": ["launch*"]],
            ]
        ),
        (
            .patch, "/v1/budgets/$budget",
            [
                "name": "N", "match": ["providers": ["acme"]], "amount": ["amount": "7", "currency": "USD"], "thresholds": [],
                "threshold_amounts": [],
                "enforcement": "shadow", "active_from": nil, "active_to": "2099-01-01T00:00:00Z", "degrade": nil,
                "final_call": ["calls": 1, "model": "model-a", "max_output_tokens": 10],
            ]
        ),
        (.post, "/v1/bursts/$burst/approve", ["reason": "N"]), (.post, "/v1/bursts/$other/deny", ["reason": "N"]),
        (
            .post, "/v1/adjustments",
            [
                "kind": "adjustment", "project": "$project", "amount": "-5.25", "reason": "N", "feature": "f",
                "occurred_at": .string(Instant.now().adding(seconds: -3600).rfc3339),
            ]
        ),
        (.post, "/v1/adjustments/$adjustment/approve", ["reason": "N"]), (.post, "/v1/adjustments/$denied/deny", ["reason": "N"]),
        (.post, "/v1/adjustments/$booked/reverse", ["reason": "N"]), (.put, "/v1/burst-rails", rails),
        (.put, "/v1/budgets/$budget/burst-rails", rails),
        (
            .post, "/v1/reallocations",
            ["from": "$budget", "to": "$second", "amount": "1.5", "lasting": "this_period", "reason": "N"]
        ),
        (.post, "/v1/reallocations/$reallocation/deny", ["reason": "N"]),
        (
            .post, "/v1/reservations",
            [
                "project": "$project", "request_id": "r", "model": "model-a", "service_tier": "standard", "input_tokens": 10,
                "max_output_tokens": 10, "end_user": "alice", "feature": "f", "tags": ["customer": "acme"], "ttl_seconds": 60,
            ]
        ),
        (
            .post, "/v1/reservations/$reservation/settle",
            ["usage": ["input": 1, "output": 2], "provider_request_id": "p", "latency_ms": 1, "outcome": "ok"]
        ),
        (
            .post, "/v1/reservations/$reservation/settle",
            [
                "provider_usage": ["prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7], "provider_request_id": "p",
                "latency_ms": 1, "outcome": "ok",
            ]
        ),
        (
            .post, "/v1/estimates",
            [
                "project": "$project", "usage": ["input": 1000, "output": 10], "calls_per_day": 5, "days": 30, "models": ["model-*"],
                "service_tier": "standard", "limit": 5,
            ]
        ),
        (.post, "/v1/usage", ["events": [["project": "$project", "request_id": "r2", "model": "model-a", "usage": ["input": 1]]]]),
        (.post, "/v1/exports", ["format": "focus-1.4", "first_month": "2026-01", "last_month": "2026-02"]),
        (.post, "/v1/exports/$export/cancel", [:]),
        (
            .post, "/v1/cost-splits",
            [
                "name": "N", "source": "$project", "method": "percent", "receivers": [["project": "$sharing", "percent": "100"]],
                "from_month": "2020-01", "until_month": "2020-02",
            ]
        ),
        (.patch, "/v1/cost-splits/$split", ["until_month": "2020-03"]),
        (
            .post, "/v1/commitments",
            [
                "name": "N", "provider": "acme", "models": ["model-*"], "amount": "100.00", "from_date": "2030-01-01",
                "until_date": "2031-01-01", "purchase_month": "2029-12", "invoice": "I",
            ]
        ), (.post, "/v1/commitments/$commitment/cancel", [:]),
        (.put, "/v1/journal-accounts", ["expense": "6400", "clearing": "2400", "cost_centers": ["CC-1": "6410"]]),
        (.post, "/v1/statements/2026-01/propose", [:]),
        (
            .post, "/v1/statements/2026-01/close",
            ["accept": ["unpriced_usage", "unattributed_spend", "missing_cost_centers"]]
        ), (.post, "/v1/statements/2026-01/reopen", ["reason": "N"]),
        (
            .post, "/v1/endpoints",
            [
                "kind": "webhook", "name": "N", "url": "https://example.com/x", "signing": "ed25519", "events": ["*"],
                "about": ["$team", "$project", "$budget"], "min_percent": 70, "min_severity": "warning", "rate_per_minute": 60,
            ]
        ),
        (
            .patch, "/v1/endpoints/$endpoint",
            [
                "name": "N", "events": ["budget.*"], "about": [], "min_percent": 0, "min_severity": "info", "rate_per_minute": nil,
                "paused": true, "enabled": true,
            ]
        ),
        (
            .post, "/v1/endpoints/$endpoint/rotate-secret",
            ["overlap_seconds": 60, "url": "https://example.com/y"]
        ),
    ]

    /// The route of such a path: `/v1/teams/{id}`.
    static func route(_ path: String) -> String {
        let parts = path.split(separator: "/").map { $0.hasPrefix("$") ? "{id}" : $0 == "2026-01" ? "{month}" : String($0) }
        return "/" + parts.joined(separator: "/")
    }

    private static let rails: JSON = [
        "largest_percent": 50, "largest_open": 3, "largest_per_quarter": 4, "shortest_notice_seconds": 60, "admin_above": "100",
        "owner_above": "1000.5", "blocks_while_review_overdue": true, "review_days": 5,
    ]

    /// Values that no field takes, or that only look like good ones.
    static let hostile: [JSON] = [
        .null, true, -1, 0, .number("1.5"), .number("1e400"), .number("-0"), .number("9223372036854775808"), .number("1E999999999999"),
        .number(String(repeating: "9", count: 5000)), "", " ", "\0", "a\u{7F}b", "\u{202E}", .string(String(repeating: "x", count: 5000)),
        .string(String(repeating: "😀", count: 100)), "-1", "1e3", "0x10", "NaN", "99999999999999999999999999999999",
        "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "team_00000000000000000000000000000000",
        "'; DROP TABLE teams; --", [], [nil], ["\0"], ["*"], [["a"]], [:], ["a": "\0"], ["\0": "a"], ["input": .number("1e400")],
        ["amount": "1", "currency": "EUR"], .array(Array(repeating: "x", count: 2000)),
    ]

    @Test("a field with a hostile value is taken or refused with its name, and never a fault", arguments: 0..<good.count)
    func hostileValues(index: Int) async throws {
        let (method, path, body) = Self.good[index]
        try await withServer { served in
            let world = try await World.make(served)
            let names = try await Names(world)
            let caller = path == "/v1/organizations" ? served.caller(served.operatorKey) : served.owner
            try await Self.bring(path, to: world)
            let good = try await caller.send(method, names.fill(path), names.fill(body).bytes, headers: [.ifMatch: "*"])
            #expect((200...299).contains(good.status), "\(good)")
            for member in try #require(body.object) {
                for value in Self.hostile {
                    var object = try #require(names.fill(body).object)
                    object[member.name] = value
                    let answer = try await caller.send(method, names.fill(path), JSON.object(object).bytes, headers: [.ifMatch: "*"])
                    #expect(answer.status < 500 && !answer.text.isEmpty, "\(method) \(path) \(member.name)=\(value.text): \(answer)")
                    guard answer.code == "invalid_request" else { continue }
                    let names = answer.faults.map { $0.split(separator: " ")[0] }
                    #expect(!names.isEmpty && names.allSatisfy { $0.hasPrefix("/") }, "\(answer)")
                }
                // Left out, doubled in number, and misspelt.
                var object = try #require(names.fill(body).object)
                object[member.name] = nil
                object[member.name + "x"] = 1
                let answer = try await caller.send(method, names.fill(path), JSON.object(object).bytes, headers: [.ifMatch: "*"])
                #expect(answer.status == 422 && answer.faults.contains("/\(member.name)x unknown_field"), "\(answer)")
            }
        }
    }

    /// Brings the month into the state that the route needs.
    static func bring(_ path: String, to world: World) async throws {
        guard let step = path.split(separator: "/").last, ["close", "reopen"].contains(step) else { return }
        _ = try await world.served.owner.post("/v1/statements/2026-01/propose")
        if step == "reopen" { try await world.close("2026-01") }
    }

    @Test("all faulty fields are listed at once, with pointers into the body")
    func everyFault() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let answer = try await served.owner.post(
                "/v1/budgets",
                [
                    "name": "", "scope": ["team": "team_1", "x/y~z": 1], "match": ["models": ["ok", 7]], "unit": "eur",
                    "amount": .number("1.5"),
                    "thresholds": [90, 80], "surprise": true,
                ])
            #expect(answer.status == 422 && answer.code == "invalid_request")
            #expect(
                answer.faults == [
                    "/amount invalid_value", "/match/models/1 wrong_type", "/name out_of_range", "/period missing",
                    "/scope/team invalid_value", "/scope/x~1y~0z unknown_field", "/surprise unknown_field", "/thresholds invalid_value",
                    "/unit invalid_value",
                ], "\(answer)")
            _ = world
        }
    }

    static let texts: [(String, [UInt8], Int)] = [
        ("nothing but a brace", Array("{".utf8), 400), ("not UTF-8", [0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D], 400),
        ("an array", Array("[]".utf8), 400), ("a name twice", Array(#"{"name":"a","name":"b"}"#.utf8), 400),
        ("too deep", Array((String(repeating: "[", count: 100_000)).utf8), 400), ("empty", [], 422),
        ("half a surrogate", Array(#"{"name":"\ud800"}"#.utf8), 400), ("two values", Array("{}{}".utf8), 400),
    ]

    @Test("a body that is no JSON object is refused on every route that takes one")
    func noObject() async throws {
        try await withServer { served in
            for (what, body, status) in Self.texts {
                for path in ["/v1/teams", "/v1/reservations", "/v1/usage"] {
                    let answer = try await served.owner.send(.post, path, body)
                    #expect(answer.status == status && answer.code == "invalid_request", "\(what) \(path): \(answer)")
                }
            }
        }
    }

    static let queries = [
        "/v1/teams?limit=0", "/v1/teams?limit=201", "/v1/teams?limit=x", "/v1/teams?cursor=x", "/v1/teams?cursor=%FF", "/v1/teams?a=b",
        "/v1/teams?limit=1&limit=2", "/v1/prices?at=yesterday", "/v1/allowance", "/v1/teams?%zz=1", "/v1/teams?limit=%00",
        "/v1/statements/2026-01/export?format=pdf", "/v1/exports?state=open",
        "/v1/reports/budget-review?period=2026-13", "/v1/reports/budget-review?period=2026-11&format=pdf",
    ]

    @Test("queries are checked like bodies")
    func queries() async throws {
        try await withServer { served in
            for path in Self.queries {
                let answer = try await served.owner.get(path)
                #expect((answer.status == 400 || answer.status == 422) && answer.code == "invalid_request", "\(path): \(answer)")
            }
        }
    }
}

/// Ids of a world, by the names that stand for them.
struct Names: Sendable {
    let ids: [(name: String, id: String)]

    init(_ world: World) async throws {
        let budget = try await world.budget("100")
        let key = try await world.served.owner.post("/v1/api-keys", ["name": "k", "role": "auditor"])
        let user = try await world.served.owner.post("/v1/users", ["name": "u"])
        let reservation = try await world.reserve("named")
        let member = try await world.served.owner.post("/v1/api-keys", ["name": "m", "role": "member", "team": .string(world.team)])
        let asking = world.served.caller(member.body["secret"]?.string)
        let ask: JSON = ["amount": "5", "reason": "N", "starts_at": "2099-01-01T00:00:00Z", "ends_at": "2099-02-01T00:00:00Z"]
        let burst = try await asking.post("/v1/budgets/\(budget)/bursts", ask)
        let other = try await asking.post("/v1/budgets/\(budget)/bursts", ask)
        let finance = try await world.served.owner.post("/v1/api-keys", ["name": "f", "role": "finance"])
        let booking = world.served.caller(finance.body["secret"]?.string)
        let credit: JSON = ["kind": "credit", "project": .string(world.project), "amount": "1", "reason": "N"]
        let adjustment = try await booking.post("/v1/adjustments", credit)
        let denied = try await booking.post("/v1/adjustments", credit)
        let booked = try await booking.post("/v1/adjustments", credit)
        _ = try await world.served.owner.post("/v1/adjustments/\(booked.id)/approve")
        let endpoint = try await world.served.owner.post("/v1/endpoints", ["kind": "webhook", "url": "https://example.com/x"])
        let higher = try await world.served.owner.post(
            "/v1/tiers", ["name": "other", "rank": 9, "models": ["other-*"], "max_output_tokens": 1, "approval": "team_lead"])
        let lead = try await world.served.owner.post("/v1/api-keys", ["name": "lead", "role": "lead", "team": .string(world.team)])
        let leading = world.served.caller(lead.body["secret"]?.string)
        let wish: JSON = [
            "project": .string(world.project), "tier": .string(higher.id), "reason": "r",
            "ends_at": .string(Instant.now().adding(seconds: 3600).rfc3339),
        ]
        let (first, second) = (try await leading.post("/v1/access-requests", wish), try await leading.post("/v1/access-requests", wish))
        try #require(first.status == 201 && second.status == 201, "\(first) \(second)")
        let platform = world.served.caller(world.served.operatorKey)
        _ = try await platform.post("/v1/models", ["name": "listed", "provider": "acme"])
        _ = try await platform.post("/v1/prices", ["model": "listed", "usage_kind": "input", "amount_per_million": "1"])
        let price = try await world.served.owner.post(
            "/v1/prices", ["model": "model-a", "usage_kind": "cache_write_5m", "amount_per_million": "1"])
        let taking = try await world.budget("100")
        let shift: JSON = [
            "from": .string(budget), "to": .string(taking), "amount": "1", "lasting": "from_now_on", "reason": "r",
        ]
        let reallocation = try await leading.post("/v1/reallocations", shift)
        try #require(reallocation.status == 201, "\(reallocation)")
        func project(_ name: JSON) async throws -> String {
            try await world.served.owner.post("/v1/projects", ["name": name, "team": .string(world.team), "tier": .string(world.tier)]).id
        }
        let (sharing, shared) = (try await project("Sharing"), try await project("Shared"))
        let split = try await world.served.owner.post(
            "/v1/cost-splits",
            [
                "name": "N", "source": .string(shared), "method": "even", "receivers": [["project": .string(sharing)]],
                "from_month": "2020-01",
            ])
        let commitment = try await world.served.owner.post(
            "/v1/commitments",
            ["name": "N", "provider": "acme", "amount": "1", "from_date": "2030-01-01", "until_date": "2031-01-01"])
        let export = try await world.served.owner.post(
            "/v1/exports", ["format": "csv", "first_month": "2026-02", "last_month": "2026-03"])
        try #require(export.status == 202, "\(export)")
        ids = [
            ("$export", export.id), ("$commitment", commitment.id),
            ("$price", price.id), ("$sharing", sharing), ("$split", split.id),
            ("$second", taking), ("$reallocation", reallocation.id),
            ("$adjustment", adjustment.id), ("$denied", denied.id), ("$booked", booked.id),
            ("$request2", second.id), ("$request", first.id), ("$higher", higher.id),
            ("$team", world.team), ("$tier", world.tier), ("$project", world.project), ("$budget", budget), ("$key", key.id),
            ("$reservation", reservation.id), ("$user", user.id),
            ("$burst", burst.id), ("$other", other.id), ("$endpoint", endpoint.id),
        ]
    }

    subscript(name: String) -> String? { ids.first { $0.name == name }?.id }

    /// The same, but that this name stands for another id.
    func with(_ name: String, _ id: String) -> Names { Names(ids: ids.map { $0.name == name ? (name, id) : $0 }) }

    private init(ids: [(name: String, id: String)]) { self.ids = ids }

    func fill(_ text: String) -> String { ids.reduce(text) { $0.replacing($1.name, with: $1.id) } }

    func fill(_ json: JSON) -> JSON { Names.replacing(json, fill) }

    /// Puts ids that are there in the place of made-up ones of the same kind: different ones for different ones.
    func exchange(_ json: JSON) -> JSON {
        var exchanged: [String: String] = [:]
        return Names.replacing(json) { text in
            guard let kind = text.wholeMatch(of: /([a-z]+_)[0-9a-f]{32}/)?.1 else { return text }
            let there = ids.first { $0.id.hasPrefix(kind) && !exchanged.values.contains($0.id) }?.id
            let id = exchanged[text] ?? there ?? text
            exchanged[text] = id
            return id
        }
    }

    private static func replacing(_ json: JSON, _ replace: (String) -> String) -> JSON {
        switch json {
        case .string(let text): .string(replace(text))
        case .array(let elements): .array(elements.map { replacing($0, replace) })
        case .object(let members): .object(members.map { ($0.name, replacing($0.value, replace)) })
        default: json
        }
    }
}
