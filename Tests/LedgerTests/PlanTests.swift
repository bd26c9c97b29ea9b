/// Behind row-level security Postgres uses a condition for an index only where nothing in it could tell of other rows. A lane that reads a
/// reservation must not read its organization's whole ledger for it, and nothing but the plan shows that while a ledger is short.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite struct PlanTests {
    @Test(
        "a lane finds the entry of a reservation by its whole key, however it looks for the reservation",
        .enabled(if: Wall.ofThisRun == .both))
    func entries() async throws {
        try await withDatabase { database in
            let world = try await World.create(database)
            try await world.withLedger { ledger in
                for number in 0..<300 {
                    #expect(await ledger.submit(world.book("b\(number)", tokens: 1), for: world.organization).word == "settled")
                }
            }
            try await world.sql(["ANALYZE ledger_entries", "ANALYZE reservations"])
            var lane = database.serving.forLane
            lane.alteringSQL = { sql in sql.hasPrefix("SELECT r.") ? "EXPLAIN (COSTS OFF) " + sql : sql }
            let connection = try await PostgresConnection.connect(lane, logger: testLogger)
            let request = RequestID(project: world.project, text: "b0")
            for query in [
                LedgerReads.reservations([(world.organization, ReservationID(at: .now()))]),
                LedgerReads.reservations(for: [(world.organization, request)]),
            ] {
                let plan = try await connection.query(query).rows.map { try $0.decode(as: String.self) }
                let month = Instant.now().rfc3339.prefix(7).replacing("-", with: "_")
                let scan = try #require(plan.firstIndex { $0.contains(" on ledger_entries_\(month) ") }, "\(plan)")
                let condition = plan[scan + 1]
                #expect(condition.contains("Index Cond") && condition.contains("occurred_at ="), "\(plan.joined(separator: "\n"))")
            }
            await connection.close()
        }
    }
}
