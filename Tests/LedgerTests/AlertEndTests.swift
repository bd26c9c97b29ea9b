/// How an alert of 100 % ends when a burst gives room, and who is named as the one who spent most.
import Budgets
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite(.timeLimit(.minutes(2))) struct AlertEndTests {
    private func spend(_ world: World, _ ledger: Ledger, _ request: String, _ tokens: Int64) async throws {
        let booked = await ledger.submit(world.book(request, tokens: tokens), for: world.organization)
        #expect(booked.word == "settled")
    }

    private func withStore<T: Sendable>(_ world: World, _ body: (Store) async throws -> T) async throws -> T {
        let pool = PostgresPool(world.configuration, size: 1, logger: testLogger)
        let result: Result<T, any Error>
        do { result = .success(try await body(Store(pool: pool))) } catch { result = .failure(error) }
        await pool.shutdown()
        return try result.get()
    }

    /// Type, reason and levels of every event about the budget itself, in order.
    private func events(_ world: World) async throws -> [String] {
        let result = try await world.sql(["SELECT body FROM events WHERE type LIKE 'budget.%' ORDER BY created_at, id"])
        return try result[0].rows.map { row in
            let body = try JSON.parse(try row.decode(as: JSONB.self).text)
            let levels = body["levels"]?.array?.compactMap(\.string) ?? []
            return ([body["type"]?.string, body["reason"]?.string].compactMap(\.self) + levels).joined(separator: " ")
        }
    }

    @Test("an approved burst ends the alert of 100 % when it begins, not the warnings; one without room does not")
    func bursts() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("10")
            try await world.withLedger { ledger in try await spend(world, ledger, "a", 10_000_000) }
            let now = Instant.now()
            func approve(from start: Instant, _ amount: Int64 = 5) async throws {
                try await withStore(world) { store in
                    let asked = try await store.requestBurst(
                        NewBurst(
                            id: BurstID(at: start), budget: budget, amount: Amount(whole: amount), match: JSONB(text: "{}"),
                            startsAt: start,
                            endsAt: start.adding(seconds: 86_400), reason: "launch"),
                        of: world.organization, requestedBy: "somebody", rank: { _ in 0 }, at: now)
                    _ = try await store.decide(
                        .approve, on: asked.id, of: world.organization, by: "somebody else", reason: nil, at: now, check: { _, _, _ in })
                }
            }
            func review(at instant: Instant) async throws {
                try await withStore(world) { store in _ = try await store.reviewAlerts(at: instant) }
            }
            let tomorrow = now.adding(seconds: 86_400)
            try await approve(from: tomorrow)
            // Before it begins nothing has changed; the look is put off until then.
            try await review(at: now.adding(seconds: 60))
            #expect(try await events(world) == ["budget.exceeded"])
            try await world.sql(["UPDATE bursts SET held = amount"])
            try await review(at: tomorrow)
            #expect(try await events(world) == ["budget.exceeded"])
            try await world.sql(["UPDATE bursts SET held = 0", Store.reviewAlerts(of: budget, in: world.organization)])
            try await review(at: tomorrow.adding(seconds: 1))
            #expect(try await events(world) == ["budget.exceeded", "budget.recovered burst_active block"])
            // Once.
            try await review(at: tomorrow.adding(seconds: 2))
            #expect(try await events(world).count == 2)
        }
    }

    @Test("the top spender is the largest right below the budget's scope since the period began, rolled up or not")
    func topSpender() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let other = (project: ProjectID(at: .now()), key: APIKeyID(at: .now()))
            try await world.sql([
                Fences.raiseConfiguration(world.organization),
                """
                INSERT INTO projects (organization_id, id, team_id, tier_id, name)
                VALUES (\(world.organization), \(other.project), \(world.team), \(world.tier), 'Indexer')
                """,
                """
                INSERT INTO api_keys (organization_id, id, name, project_id, secret_sha256, secret_hint)
                VALUES (\(world.organization), \(other.key), 'cd', \(other.project), sha256('other'::bytea), 'bur_…')
                """,
            ])
            var indexer = world
            indexer.project = other.project
            indexer.apiKey = other.key
            let whole = try await world.budget("100", period: .month)
            let (team, project, matched) = (BudgetID(at: .now()), BudgetID(at: .now()), BudgetID(at: .now()))
            for (id, team, project, match) in [
                (team, world.team, nil, "{}"), (project, nil, world.project, "{}"), (matched, nil, nil, #"{"models":["x"]}"#),
            ] as [(BudgetID, TeamID?, ProjectID?, String)] {
                try await world.sql([
                    """
                    INSERT INTO budgets (organization_id, id, name, team_id, project_id, match, unit, period, amount)
                    VALUES (\(world.organization), \(id), \(id.description), \(team), \(project), \(JSONB(text: match)), 'usd', 'month', 100)
                    """
                ])
            }
            let worlds = (world, indexer)
            try await world.withLedger { ledger in
                try await spend(worlds.0, ledger, "a", 2_000_000)
                try await spend(worlds.1, ledger, "b", 3_000_000)
                try await spend(worlds.0, ledger, "c", 500_000)
            }
            let start = PeriodRule(.month).span(containing: .now(), in: .utc).start
            func name(_ budget: BudgetID, since: Instant = start) async throws -> String? {
                try await withStore(world) { store in
                    try await store.topSpender(of: budget, in: world.organization, since: since, at: .now())
                }.map { "\($0.dimension.rawValue) \($0.name) \($0.cost.plain)" }
            }
            #expect(try await name(whole) == "team Search 5.5")
            #expect(try await name(team) == "project Indexer 3")
            #expect(try await name(project) == "api_key ci 2.5")
            #expect(try await name(matched) == nil)
            // Between two quarters of an hour nobody can say.
            #expect(try await name(whole, since: start.adding(seconds: 1)) == nil)
        }
    }
}
