/// The sweeper when there is more to expire than it reads at once.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite struct SweeperTests {
    @Test("more expired holds than two pages, left by a crash, are all given back; what is not due stays", .timeLimit(.minutes(1)))
    func manyPages() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            let budget = try await world.budget("1000000", unit: .requests)
            try await world.withLedger(sweepInterval: .seconds(3600)) { ledger in
                #expect(await ledger.submit(world.reserve("open"), for: world.organization).word == "held")
            }
            // Copies of the one that is open, many of one instant, so that a page ends between equals.
            let copies = 2 * Sweeper.maximumPage + 1
            try await world.sql([
                Fences.raiseConfiguration(world.organization),
                """
                INSERT INTO reservations
                    (organization_id, id, project_id, request_id, request_sha256, attribution_id, state, model, requested_model, provider,
                     service_tier, held, max_output_tokens, draws, created_at, expires_at)
                SELECT organization_id, gen_random_uuid(), project_id, 'copy-' || n, request_sha256, attribution_id, state, model,
                       requested_model, provider, service_tier, held, max_output_tokens, draws, created_at,
                       timestamptz '2026-01-01' + n / 1000 * interval '1 second'
                FROM reservations, generate_series(1, \(copies)) AS n WHERE organization_id = \(world.organization)
                """,
                "UPDATE budget_periods SET held = held + \(copies) WHERE organization_id = \(world.organization)",
            ])
            let before = try await world.totals(budget)
            #expect(before.open == copies + 1)
            try await world.withLedger { _ in
                while try await world.openCount() > 1 { await Task.yield() }
            }
            let after = try await world.totals(budget)
            #expect(after == .init(settled: "0", held: "1", entries: 0, open: 1))
        }
    }
}

extension World {
    fileprivate func openCount() async throws -> Int64 {
        try await sql(["SELECT count(*) FROM reservations WHERE organization_id = \(organization) AND state = 'held'"])[0].rows[0]
            .decode(as: Int64.self)
    }
}
