/// How much of each kind of thing an organization may have (law 11): as much as is said, one more is refused, and nothing is without a bound.
import Budgets
import JSON
import Postgres
import TestSupport
import Testing

@testable import Server
@testable import Store

@Suite(.serialized, .timeLimit(.minutes(4))) struct BoundsTests {
    /// A kind of thing: its table, what tells its rows apart beside the id as SQL of a number `n`, and how one more is made. Without a
    /// table there are so few that they are made one by one.
    private struct Kind: Sendable {
        let bound: Bound
        var table: String?
        var unique = ""
        let make: @Sendable (World, Int) async throws -> Caller.Answer
    }

    private static let end = JSON.string(Instant.now().adding(seconds: 86_400 * 7).rfc3339)
    private static let kinds: [Kind] = [
        Kind(bound: .exports) { world, _ in
            try await world.served.owner.post("/v1/exports", ["format": "csv", "first_month": "2026-01", "last_month": "2026-01"])
        },
        Kind(bound: .costSplits, table: "cost_splits") { world, number in
            let source = try await project("Source \(number)", world)
            return try await world.served.owner.post(
                "/v1/cost-splits",
                [
                    "name": "N", "source": .string(source.id), "method": "even", "receivers": [["project": .string(world.project)]],
                    "from_month": "2020-01",
                ])
        },
        Kind(bound: .commitments, table: "commitments") { world, _ in
            try await world.served.owner.post(
                "/v1/commitments",
                ["name": "N", "provider": "p", "amount": "1", "from_date": "2030-01-01", "until_date": "2031-01-01"])
        },
        Kind(bound: .adjustments, table: "adjustments") { world, _ in
            try await world.served.owner.post(
                "/v1/adjustments", ["kind": "credit", "project": .string(world.project), "amount": "1", "reason": "r"])
        },
        Kind(bound: .reallocations, table: "reallocations") { world, _ in
            let (from, to) = (try await world.budget("10"), try await world.budget("10"))
            return try await world.served.owner.post(
                "/v1/reallocations",
                ["from": .string(from), "to": .string(to), "amount": "1", "lasting": "from_now_on", "reason": "r"])
        },
        Kind(bound: .accessGrants, table: "access_grants", unique: "'access_request_id', gen_random_uuid()") { world, number in
            let owner = world.served.owner
            let higher: JSON = ["name": "Higher", "rank": 9, "models": ["x"], "max_output_tokens": 1, "approval": "none"]
            _ = try await owner.post("/v1/tiers", higher)
            let tier = try await owner.get("/v1/tiers?name_prefix=Higher").body["data"]?[0]?["id"] ?? .null
            return try await owner.post(
                "/v1/access-requests", ["project": .string(world.project), "tier": tier, "reason": "r", "ends_at": end])
        },
        Kind(bound: .prices, table: "prices", unique: "'model', 'm' || n") { world, number in
            try await world.served.owner.post(
                "/v1/prices", ["model": "model-a", "usage_kind": .string("kind_\(number)"), "amount_per_million": "1"])
        },
        Kind(bound: .teams, table: "teams", unique: "'name', n") { world, number in
            try await world.served.owner.post("/v1/teams", ["name": .string("Team \(number)")])
        },
        Kind(bound: .projects, table: "projects", unique: "'name', n") { world, number in try await project("Project \(number)", world) },
        Kind(bound: .users, table: "users") { world, _ in try await world.served.owner.post("/v1/users", ["name": "N"]) },
        Kind(bound: .tiers, table: "tiers", unique: "'name', n, 'rank', n + 200") { world, number in
            try await world.served.owner.post(
                "/v1/tiers", ["name": .string("Tier \(number)"), "rank": .number(100 + number), "models": ["x"], "max_output_tokens": 1])
        },
        Kind(bound: .endpoints, table: "endpoints") { world, _ in
            try await world.served.owner.post("/v1/endpoints", ["kind": "webhook", "url": "https://example.com/"])
        },
        Kind(bound: .models, table: "models", unique: "'name', n") { world, number in
            try await world.served.owner.post("/v1/models", ["name": .string("model-\(number)"), "provider": "p"])
        },
        Kind(bound: .budgets, table: "budgets") { world, _ in
            try await world.served.owner.post("/v1/budgets", ["name": "N", "unit": "usd", "period": "day", "amount": "1"])
        },
        Kind(
            bound: .apiKeys, table: "api_keys", unique: #"'secret_sha256', '\x' || encode(sha256(n::text::bytea), 'hex')"#
        ) { world, number in
            // The third is made by rotation, which leaves the old one in force for a day.
            guard number == 3 else { return try await world.served.owner.post("/v1/api-keys", ["name": "N", "role": "auditor"]) }
            let keys = try await world.served.owner.get("/v1/api-keys?sort=-created_at&state=active&name_prefix=N&limit=1")
            return try await world.served.owner.post("/v1/api-keys/\(keys.body["data"]?[0]?["id"]?.string ?? "")/rotate")
        },
    ]

    private static func project(_ name: String, _ world: World) async throws -> Caller.Answer {
        try await world.served.owner.post(
            "/v1/projects", ["name": .string(name), "team": .string(world.team), "tier": .string(world.tier)])
    }

    @Test("an organization may have as many of each kind as is said, and is told so when it asks for one more")
    func bounds() async throws {
        #expect(Set(Self.kinds.map(\.bound)) == Set(Bound.allCases))
        try await withServer { served in
            let world = try await World.make(served)
            let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
            // As what restores a backup: no triggers, which would write an audit event for each.
            try await connection.script("SET session_replication_role = replica; SET statement_timeout = 0")
            let organization = try #require(OrganizationID(try await served.owner.get("/v1/organization").id))
            for kind in Self.kinds {
                do {
                    try await fill(kind, of: organization, world, connection)
                } catch {
                    Issue.record("\(kind.bound): \(error)")
                }
            }
            await connection.close()
        }
    }

    @Test("neither a contract nor an approved proposal goes past the bound on prices, and a restored thing not past its own")
    func detours() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
            try await connection.script("SET session_replication_role = replica; SET statement_timeout = 0")
            let organization = try #require(OrganizationID(try await served.owner.get("/v1/organization").id))
            let platform = served.caller(served.operatorKey)
            _ = try await platform.post("/v1/models", ["name": "listed", "provider": "acme"])
            for kind in ["input", "output"] {
                _ = try await platform.post("/v1/prices", ["model": "listed", "usage_kind": .string(kind), "amount_per_million": "1"])
            }
            func agree(_ kind: JSON, _ amount: JSON, dryRun: JSON = false) async throws -> Caller.Answer {
                let line: JSON = ["model": "listed", "usage_kind": kind, "amount_per_million": amount]
                return try await served.owner.post("/v1/contracted-prices", ["lines": [line], "source": "s", "dry_run": dryRun])
            }
            #expect(try await agree("input", "100").body["held_back"] == 1)
            let archived = try await served.owner.post("/v1/tiers", ["name": "T", "rank": 999, "models": ["x"], "max_output_tokens": 1])
            #expect(try await served.owner.delete("/v1/tiers/\(archived.id)").status == 204)
            for kind in Self.kinds where [.prices, .tiers].contains(kind.bound) {
                try await fill(kind, of: organization, world, connection)
            }

            let proposal = try #require(try await served.owner.get("/v1/price-proposals").body["data"]?[0]?["id"]?.string)
            let refused = [
                try await agree("output", "1.1"), try await served.owner.post("/v1/price-proposals/\(proposal)/approve"),
                try await served.owner.post("/v1/tiers/\(archived.id)/restore"),
            ]
            for answer in refused { #expect(answer.status == 409 && answer.code == "limit_reached", "\(answer)") }
            #expect(try await agree("output", "1.1", dryRun: true).status == 200)
            await connection.close()
        }
    }

    @Test("of a project there are as many undecided access requests as is said")
    func accessRequests() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let member = try await served.owner.post("/v1/api-keys", ["name": "m", "role": "member", "team": .string(world.team)])
            let asking = served.caller(member.body["secret"]?.string)
            _ = try await served.owner.post("/v1/models", ["name": "special", "provider": "p"])
            let wish: JSON = ["project": .string(world.project), "model": "special", "reason": "r", "ends_at": Self.end]
            for _ in 0..<NewAccessRequest.mostPending {
                let answer = try await asking.post("/v1/access-requests", wish)
                try #require(answer.status == 201, "\(answer)")
            }
            let refused = try await asking.post("/v1/access-requests", wish)
            #expect(refused.status == 409 && refused.code == "limit_reached", "\(refused)")
            #expect(refused.body["detail"]?.string?.hasSuffix("Decide or withdraw those that wait.") == true, "\(refused)")
        }
    }

    /// Makes as many as may be, and asks for one more.
    private func fill(
        _ kind: Kind, of organization: OrganizationID, _ world: World, _ connection: PostgresConnection
    ) async throws {
        let first = try await kind.make(world, 1)
        try #require((200...299).contains(first.status), "\(kind.bound): \(first)")
        if let table = kind.table {
            try await connection.script(Self.copies(kind, table, organization))
        } else {
            for number in 2..<kind.bound.most { _ = try await kind.make(world, number) }
        }
        let last = try await kind.make(world, 2)
        #expect((200...299).contains(last.status), "\(kind.bound), the last one: \(last)")
        let refused = try await kind.make(world, 3)
        #expect(refused.status == 409 && refused.code == "limit_reached", "\(kind.bound): \(refused)")
        #expect(refused.body["detail"]?.string?.contains("\(kind.bound.most) \(kind.bound.rawValue)") == true, "\(refused)")
    }

    /// Copies the newest until all but one are there.
    private static func copies(_ kind: Kind, _ table: String, _ organization: OrganizationID) -> String {
        let counted =
            switch kind.bound {
            case .teams, .projects, .users, .tiers, .budgets, .endpoints, .models: "archived_at IS NULL"
            case .apiKeys, .accessGrants: "revoked_at IS NULL"
            case .prices: "replaced_by IS NULL AND valid_to IS NULL"
            case .adjustments: "state = 'requested'"
            case .reallocations: "decision IS NULL"
            case .commitments: "cancelled_at IS NULL"
            case .costSplits: "until_month IS NULL"
            case .exports: "true"
            }
        let own = "FROM \(table) WHERE organization_id = '\(organization.hexadecimal)'"
        let unique = ["'id', md5(n || t.id::text)::uuid", kind.unique].filter { !$0.isEmpty }.joined(separator: ", ")
        return """
            INSERT INTO \(table)
            SELECT r.* FROM \(table) AS t, generate_series(1, \(kind.bound.most) - 1 - (SELECT count(*) \(own) AND \(counted))) AS n,
                LATERAL jsonb_populate_record(t, jsonb_build_object(\(unique))) AS r
            WHERE t.organization_id = '\(organization.hexadecimal)' AND t.id = (SELECT id \(own) ORDER BY id DESC LIMIT 1)
            """
    }
}
