/// Top spenders, what models give, and forecasts, through the API: parts always sum to the whole.
import Budgets
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Server

@Suite(.serialized) struct InsightTests {
    private let zone = Zone("Europe/Berlin")!
    /// Two local days, before and with today.
    private var range: String {
        let today = PeriodRule(.day).span(containing: .now(), in: zone)
        let yesterday = PeriodRule(.day).span(containing: today.start.adding(seconds: -1), in: zone)
        return "from=\(yesterday.start.rfc3339)&to=\(today.end?.rfc3339 ?? "")"
    }

    private func use(_ world: World) async throws {
        let now = Instant.now()
        let calls: [(user: String?, customer: String?, input: Int64)] = [
            ("alice", "acme", 5_000_000), ("bob", "acme", 3_000_000), ("alice", nil, 1_000_000), (nil, "umbrella", 2_000_000),
        ]
        var events: [JSON] = []
        for (index, call) in calls.enumerated() {
            let usage: JSON = ["input": .number(call.input), "cached_input": 0, "output": 1_000_000]
            var members: [(String, JSON)] = [
                ("request_id", .string("e\(index)")), ("occurred_at", .string(now.adding(seconds: -Int64(index)).rfc3339)),
                ("model", "model-a"), ("usage", usage),
            ]
            if let user = call.user { members.append(("end_user", .string(user))) }
            if let customer = call.customer { members.append(("tags", .object([("customer", .string(customer))]))) }
            events.append(.object(members))
        }
        let answer = try await world.caller.post("/v1/usage", ["events": .array(events)])
        #expect(answer.body["results"]?.array?.allSatisfy { $0["status"] == "booked" } == true, "\(answer)")
    }

    /// Returns once everything booked is rolled up, end users and tags included.
    private func rolledUp(_ served: Served) async throws {
        let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
        let done: Query = """
            SELECT NOT EXISTS (SELECT FROM fences AS f LEFT JOIN rollup_positions AS p USING (organization_id)
                               WHERE f.version > coalesce(p.subject_version, 0) AND EXISTS (
                                   SELECT FROM ledger_entries AS e WHERE e.organization_id = f.organization_id))
            """
        while try await connection.query(done).rows[0].decode(as: Bool.self) == false { await Task.yield() }
        await connection.close()
    }

    private func parts(_ report: JSON) -> [String] {
        let rows = (report["data"]?.array ?? []).map { "\($0["value"]?.string ?? "") \($0["cost"]?["amount"]?.string ?? "")" }
        return rows
            + ["others", "unattributed", "total"].map {
                "\($0) \(report[$0]?["calls"]?.int64 ?? -1) \(report[$0]?["cost"]?["amount"]?.string ?? "")"
            }
    }

    @Test("the largest, the others and what names none sum to the whole, before and after they are rolled up")
    func top() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let price = try await served.owner.post(
                "/v1/prices",
                ["model": "model-a", "usage_kind": "cached_input", "amount_per_million": "0.1", "valid_from": "2020-01-01T00:00:00Z"])
            #expect(price.status == 201)
            try await use(world)
            let cases: [(query: String, parts: [String])] = [
                (
                    "by=end_user&limit=1",
                    ["alice 10.000000000000", "others 1 5.000000000000", "unattributed 1 4.000000000000", "total 4 19.000000000000"]
                ),
                (
                    "by=tag:customer",
                    ["acme 12.000000000000", "umbrella 4.000000000000", "others 0 0.000000000000", "unattributed 1 3.000000000000"]
                        + ["total 4 19.000000000000"]
                ),
                (
                    "by=model",
                    ["model-a 19.000000000000", "others 0 0.000000000000", "unattributed 0 0.000000000000", "total 4 19.000000000000"]
                ),
                ("by=feature", ["others 0 0.000000000000", "unattributed 4 19.000000000000", "total 4 19.000000000000"]),
            ]
            for round in 0..<2 {
                for (query, expected) in cases {
                    let report = try await served.owner.get("/v1/reports/top?\(range)&\(query)")
                    #expect(parts(report.body) == expected, "\(round) \(query): \(report)")
                }
                if round == 0 { try await rolledUp(served) }
            }
            let team = try await served.owner.get("/v1/reports/top?\(range)&by=team")
            #expect(team.body["data"]?.array?.first?["value"]?.string == world.team && team.body["data"]?.array?.first?["name"] == "Search")
            for (query, fault) in [
                ("by=tag:", "?by invalid_value"), ("by=end_user&limit=0", "?limit invalid_value"), ("by=user", "?by invalid_value"),
            ] {
                #expect(try await served.owner.get("/v1/reports/top?\(range)&\(query)").faults == [fault])
            }
            let noon = try await served.owner.get("/v1/reports/top?from=2026-01-01T12:00:00Z&to=2026-01-02T12:00:00Z&by=end_user")
            #expect(noon.faults == ["?from invalid_value", "?to invalid_value"], "\(noon)")
        }
    }

    @Test("models tell what they cost and gave, and what share came from the cache")
    func models() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let event: JSON = [
                "request_id": "e", "occurred_at": .string(Instant.now().rfc3339), "model": "model-a",
                "usage": ["input": 750_000, "cached_input": 250_000, "output": 100_000],
            ]
            let price = try await served.owner.post(
                "/v1/prices",
                ["model": "model-a", "usage_kind": "cached_input", "amount_per_million": "0.1", "valid_from": "2020-01-01T00:00:00Z"])
            #expect(price.status == 201)
            #expect(try await world.caller.post("/v1/usage", ["events": [event]]).body["results"]?.array?.first?["status"] == "booked")
            let report = try await served.owner.get("/v1/reports/models?\(range)")
            let row = try #require(report.body["data"]?.array?.first, "\(report)")
            #expect(row["cost"]?["amount"] == "0.975000000000" && row["input_tokens"] == 1_000_000 && row["output_tokens"] == 100_000)
            #expect(row["cached_share_percent"] == "25" && row["output_per_input_percent"] == "10" && row["tokens_per_call"] == "1100000")
            #expect(row["cost_per_call"] == "0.975" && row["cost_per_million_tokens"] == "0.886363" && row["cost_change_percent"] == .null)
        }
    }

    @Test("a forecast says nothing without a week of history, and which budgets are used up")
    func forecast() async throws {
        try await withServer { served in
            let world = try await World.make(served)
            let budget = try await world.budget("100")
            let spent = try await world.budget("2", enforcement: "warn")
            try await use2(world)
            let report = try await served.owner.get("/v1/reports/forecast")
            #expect(report.status == 200 && report.body["month"]?["expected"] == .null && report.body["method"] == .null, "\(report)")
            #expect(report.body["month"]?["spent"]?["amount"] == "3.000000000000")
            let budgets = report.body["budgets"]?.array ?? []
            #expect(Set(budgets.compactMap { $0["id"]?.string }) == [budget, spent])
            #expect(budgets.first { $0["id"]?.string == budget }?["exhausts_on"] == .null)
            #expect(budgets.first { $0["id"]?.string == spent }?["exhausts_on"]?.string != nil)
        }
    }

    private func use2(_ world: World) async throws {
        let event: JSON = [
            "request_id": "f", "occurred_at": .string(Instant.now().rfc3339), "model": "model-a", "usage": ["input": 3_000_000],
        ]
        #expect(try await world.caller.post("/v1/usage", ["events": [event]]).body["results"]?.array?.first?["status"] == "booked")
    }

    @Test("with weeks of history it knows the month and when a budget ends")
    func history() async throws {
        // The server's own check may find roll-ups without their ledger, and says so in the log.
        try await withServer(expectsFaults: true) { served in
            let world = try await World.make(served)
            #expect(try await served.owner.patch("/v1/organization", ["time_zone": "UTC"]).status == 200)
            let budget = try await world.budget("1000000", period: "total")
            let connection = try await PostgresConnection.connect(served.database, logger: testLogger)
            let organization = try #require(OrganizationID(try await served.owner.get("/v1/organization").id))
            // Roll-ups as six weeks of one dollar a day leave them: nothing else is read.
            try await connection.flight([
                """
                INSERT INTO attributions
                    (organization_id, id, team_id, team_name, project_id, project_name, tier_id, tier_name, api_key_id, api_key_name, environment)
                VALUES (\(organization), \(AttributionID(high: 1, low: 1)), \(TeamID(high: 1, low: 1)), 'T', \(ProjectID(high: 1, low: 1)), 'P',
                        \(TierID(high: 1, low: 1)), 'S', \(APIKeyID(high: 1, low: 1)), 'k', 'production')
                """,
                """
                INSERT INTO spend_rollups (organization_id, span, starts_at, attribution_id, provider, model, feature, calls, cost)
                SELECT \(organization), 'day', date_trunc('day', now(), 'UTC') - n * interval '1 day', \(AttributionID(high: 1, low: 1)), 'p', 'm', '', 1, 1
                FROM generate_series(1, 42) AS n
                UNION ALL
                SELECT \(organization), 'quarter', date_trunc('day', now(), 'UTC') - n * interval '1 day' + interval '12 hours',
                       \(AttributionID(high: 1, low: 1)), 'p', 'm', '', 1, 1 FROM generate_series(1, 42) AS n
                """,
            ])
            await connection.close()
            let report = try await served.owner.get("/v1/reports/forecast")
            #expect(report.body["method"] == "seasonal_smoothing" && report.body["interval_percent"] == 80, "\(report)")
            let month = PeriodRule(.month).span(containing: .now(), in: .utc)
            let today = PeriodRule(.day).span(containing: .now(), in: .utc)
            let past = (today.start.seconds - month.start.seconds) / 86_400
            let toCome = Amount(whole: ((month.end ?? .now()).seconds - today.start.seconds) / 86_400)
            #expect(report.body["month"]?["spent"]?["amount"]?.string == Amount(whole: past).description, "\(report)")
            let expected = try #require((report.body["month"]?["expected"]?["amount"]?.string).flatMap { Amount($0) })
            let difference = expected - Amount(whole: past) - toCome
            #expect(difference < Amount("0.05")! && difference > Amount("-0.05")!, "\(report)")
            let outlook = report.body["budgets"]?.array?.first
            #expect(outlook?["id"]?.string == budget && outlook?["exhausts_on"] == .null && outlook?["resets_at"] == .null, "\(report)")
        }
    }
}
