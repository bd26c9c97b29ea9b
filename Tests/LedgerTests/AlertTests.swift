/// Which alerts the engine makes, whom they are for, and how they end; in a real Postgres, to the rows that the dispatcher takes up.
import Budgets
import Foundation
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite(.timeLimit(.minutes(2))) struct AlertTests {
    /// An endpoint that nothing is sent to: only its deliveries count.
    private func endpoint(_ world: World, about: [Concern] = [], events: [String] = ["*"]) async throws -> EndpointID {
        let id = EndpointID(at: .now())
        try await world.sql([
            """
            INSERT INTO endpoints (organization_id, id, name, kind, events, about, sealed)
            VALUES (\(world.organization), \(id), 'e', 'webhook', \(events), \(about.map(\.description)), \(Bytea([])))
            """
        ])
        return id
    }

    private func spend(_ world: World, _ ledger: Ledger, _ request: String, _ tokens: Int64, at: Instant = .now()) async throws {
        let held = await ledger.submit(world.reserve(request, tokens: tokens, at: at), for: world.organization)
        let id = try #require(held.reservation?.id, "\(held)")
        let settled = await ledger.submit(world.settle(id, tokens: tokens, at: at), for: world.organization)
        #expect(settled.word == "settled")
    }

    /// Type and state of every delivery, in the order of their events.
    private func deliveries(_ world: World) async throws -> [String] {
        let result = try await world.sql([
            """
            SELECT e.type || ' ' || coalesce(e.body->>'threshold', e.body->>'threshold_amount', e.body->>'reason') || ' ' || d.state
            FROM deliveries AS d JOIN events AS e USING (organization_id) WHERE e.id = d.event_id
            ORDER BY e.created_at, d.state, e.body->'budget'->'scope'->>'name'
            """
        ])
        return try result[0].rows.map { try $0.decode(as: String.self) }
    }

    private func review(_ world: World, at: Instant) async throws {
        let pool = PostgresPool(world.configuration, size: 1, logger: testLogger)
        _ = try await Store(pool: pool).reviewAlerts(at: at)
        await pool.shutdown()
    }

    @Test("thresholds may be amounts: each is told once a period, whatever becomes of the limit, and a leap tells of the highest")
    func amounts() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("10", enforcement: .warn, thresholds: [])
            _ = try await endpoint(world)
            func set(_ amount: String) async throws {
                try await world.sql([
                    Fences.raiseConfiguration(world.organization),
                    """
                    UPDATE budgets SET amount = \(Amount(amount)!), threshold_amounts = \(["1", "2", "4"].map { Amount($0)! }),
                        limit_version = limit_version + 1
                    WHERE organization_id = \(world.organization) AND id = \(budget)
                    """,
                ])
            }
            try await set("10")
            try await world.withLedger { ledger in
                try await spend(world, ledger, "a", 2_500_000)
                try await set("100")
                try await spend(world, ledger, "b", 100_000)
                try await spend(world, ledger, "c", 1_500_000)
            }
            let told = "budget.threshold_reached"
            #expect(try await deliveries(world) == ["\(told) 2.000000000000 pending", "\(told) 4.000000000000 pending"])
            let rows = try await world.sql(["SELECT threshold_amount, event_id IS NULL FROM alerts ORDER BY threshold_amount"])[0].rows
            #expect(
                try rows.map { try $0.decode(as: (Amount, Bool).self) }.map { "\($0.0.plain) \($0.1)" } == ["1 true", "2 false", "4 false"])
        }
    }

    @Test("postings that become known together tell of the highest only")
    func batch() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.budget("10")
            _ = try await endpoint(world)
            try await world.withLedger(lanes: 1) { ledger in
                var held: [ReservationID] = []
                for number in 0..<10 {
                    let answer = await ledger.submit(world.reserve("r\(number)"), for: world.organization)
                    held.append(try #require(answer.reservation?.id))
                }
                let ids = held
                await withTaskGroup(of: Void.self) { group in
                    for id in ids {
                        group.addTask { _ = await ledger.submit(world.settle(id, tokens: 1_000_000), for: world.organization) }
                    }
                }
            }
            // However the ten fell into batches, the last thing told is 100 %, and no threshold is told twice.
            let told = try await deliveries(world)
            #expect(told.last == "budget.exceeded 100 pending" && Set(told).count == told.count)
            let rows = try await world.sql(["SELECT count(*), count(event_id) FROM alerts"])[0].rows
            let (all, news) = try rows[0].decode(as: (Int64, Int64).self)
            #expect(all == 4 && news == Int64(told.count))
        }
    }

    @Test("where an exhausted organization was told of, its teams and projects are muted and counted; elsewhere they are not")
    func fanIn() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.budget("10")
            let team = BudgetID(at: .now())
            try await world.sql([
                Fences.raiseConfiguration(world.organization),
                """
                INSERT INTO budgets (organization_id, id, name, team_id, unit, period, amount)
                VALUES (\(world.organization), \(team), 'Team', \(world.team), 'usd', 'total', 10)
                """,
            ])
            let both = try await endpoint(world)
            let only = try await endpoint(world, about: [.team(world.team)])
            try await world.withLedger { ledger in try await spend(world, ledger, "a", 10_000_000) }
            let rows = try await world.sql([
                """
                SELECT endpoint_id, state, muted_by IS NOT NULL FROM deliveries ORDER BY endpoint_id, state
                """
            ])[0].rows.map { try $0.decode(as: (EndpointID, String, Bool).self) }
            #expect(
                rows.map { "\($0.0 == both ? "both" : "only") \($0.1) \($0.2)" } == [
                    "both muted true", "both pending false", "only pending false",
                ])
            _ = only
        }
    }

    @Test("an alert ends with the period or a raised limit, is told to whoever was told, and comes again when it is reached again")
    func recovery() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let start = try #require(Instant(rfc3339: "2026-11-10T00:00:00Z"))
            let budget = try await world.budget("10", period: .month)
            _ = try await endpoint(world)
            func limit(_ amount: String) async throws {
                try await world.sql([
                    Fences.raiseConfiguration(world.organization),
                    """
                    UPDATE budgets SET amount = \(Amount(amount)!), limit_version = limit_version + 1
                    WHERE organization_id = \(world.organization) AND id = \(budget)
                    """, Store.reviewAlerts(of: budget, in: world.organization),
                ])
                try await world.sql(["UPDATE alerts SET review_at = least(review_at, \(start))"])
                try await review(world, at: start.adding(seconds: 60))
            }
            try await world.withLedger(now: { start }) { ledger in
                try await spend(world, ledger, "a", 10_000_000, at: start)
                // Nothing has ended.
                try await limit("10")
                #expect(try await deliveries(world) == ["budget.exceeded 100 pending"])
                // Above 100 % no more, but still near it.
                try await limit("10.2")
                #expect(try await deliveries(world).last == "budget.recovered limit_raised pending")
                try await spend(world, ledger, "b", 200_000, at: start.adding(seconds: 120))
                #expect(try await deliveries(world).last == "budget.exceeded 100 pending")
                // A new period ends all that is open, once.
                let next = try #require(Instant(rfc3339: "2026-12-01T00:00:00Z"))
                for _ in 1...2 { try await review(world, at: next) }
                #expect(
                    try await deliveries(world) == [
                        "budget.exceeded 100 pending", "budget.recovered limit_raised pending", "budget.exceeded 100 pending",
                        "budget.recovered new_period pending",
                    ])
            }
            let open = try await world.sql(["SELECT 1 FROM alerts WHERE event_id IS NOT NULL AND recovered_at IS NULL"])[0].rows
            #expect(open.isEmpty)
        }
    }

    @Test("a limit raised a little does not warn of the same again; raised much, it does when it is reached again")
    func hysteresis() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("10", enforcement: .warn)
            _ = try await endpoint(world)
            func limit(_ amount: String) async throws {
                try await world.sql([
                    Fences.raiseConfiguration(world.organization),
                    """
                    UPDATE budgets SET amount = \(Amount(amount)!), limit_version = limit_version + 1
                    WHERE organization_id = \(world.organization) AND id = \(budget)
                    """,
                ])
            }
            try await world.withLedger { ledger in
                try await spend(world, ledger, "a", 9_100_000)
                try await limit("10.2")
                try await spend(world, ledger, "b", 50_000)
                try await spend(world, ledger, "c", 100_000)  // 90.6 % of 10.2
                #expect(try await deliveries(world) == ["budget.threshold_reached 90 pending"])
                try await limit("12")
                try await spend(world, ledger, "d", 50_000)
                try await spend(world, ledger, "e", 1_600_000)  // 90.8 % of 12, after 77 %
                #expect(try await deliveries(world) == ["budget.threshold_reached 90 pending", "budget.threshold_reached 90 pending"])
            }
        }
    }

    @Test("the body says who, how much, where it leads and what happens next, below 20 kB whatever the names")
    func body() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let start = try #require(Instant(rfc3339: "2026-11-10T00:00:00Z"))
            try await world.budget("10", period: .month)
            try await world.sql([
                "UPDATE budgets SET name = repeat('👩‍👩‍👧', 40)",
                "UPDATE organizations SET name = repeat('ü', 200) WHERE organization_id = \(world.organization)",
            ])
            try await world.withLedger(now: { start }) { ledger in try await spend(world, ledger, "a", 9_000_000, at: start) }
            let row = try #require(try await world.sql(["SELECT body FROM events"])[0].rows.first)
            let text = try row.decode(as: JSONB.self).text
            let body = try JSON.parse(text)
            #expect(text.utf8.count < 20_000)
            #expect(body["version"] == 1 && body["threshold"] == 90 && body["superseded"] == [70, 80])
            #expect(body["remaining"] == "1.000000000000" && body["consequence"] == "calls_refused_at_100_percent")
            // Nine days cost nine dollars; a month has thirty. The tenth dollar goes on the tenth day.
            #expect(body["projected"] == "30.000000000000" && body["exhausts_at"] == "2026-11-11T00:00:00Z")
            #expect(body["links"]?["budget"]?.string == body["budget"]?["id"]?.string.map { "/v1/budgets/\($0)" })
            // The documentation's example has these members and no others.
            let documentation = try String(contentsOf: Vendors.file("docs/webhooks.md"), encoding: .utf8)
            let example = try #require(
                documentation.components(separatedBy: "```json\n").dropFirst().compactMap { part in
                    try? JSON.parse(part.components(separatedBy: "```")[0])
                }.first { $0["type"] == "budget.threshold_reached" && $0["version"] != nil })
            #expect(Set(example.object?.map(\.name) ?? []) == Set(body.object?.map(\.name) ?? []))
        }
    }
}
