/// What is booked for a closed month counts in the open one, marked as a correction; and no SQL gets past that.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Ledger

@Suite("Closed months")
struct ClosedMonthTests {
    /// In a month that ended at least two days ago, and may still be booked on.
    private static let then = Instant.now().adding(seconds: -33 * 86_400)
    private static let month = StatementMonth(at: then, in: .utc)!

    private func close(_ world: World, _ pool: PostgresPool) async throws -> StatementRecord {
        let store = Store(pool: pool)
        _ = try await store.propose(Self.month, of: world.organization, by: "one", at: .now())
        _ = try await store.close(Self.month, of: world.organization, accepting: [], by: "one", at: .now())
        return try #require(
            try await pool.withConnection { try ClosingMonths.finish(Self.month, of: world.organization, at: .now(), on: $0) })
    }

    /// Usage of then that is reported now.
    private func usage(_ world: World) -> Command {
        .book(
            Book(
                id: ReservationID(at: .now()), request: RequestID(project: world.project, text: "usage"),
                content: Array(repeating: 0, count: 32), call: Call(project: world.project, apiKey: world.apiKey, model: World.model),
                report: Report(usage: Usage([("input", 3)])!), occurredAt: Self.then, at: .now()))
    }

    private func withWorld(_ body: (World, PostgresPool) async throws -> Void) async throws {
        try await withDatabase { database in
            let pool = PostgresPool(database, size: 2, logger: testLogger)
            try await body(try await World.create(database), pool)
            await pool.shutdown()
        }
    }

    @Test("a late settlement and late usage land in the open month, and are answered the same when repeated")
    func late() async throws {
        try await withWorld { world, pool in
            let budget = try await world.budget("100", period: .month)
            try await world.withLedger { ledger in
                let before = await ledger.submit(world.book("before", tokens: 1_000_000, at: Self.then), for: world.organization)
                #expect(before.word == "settled")
                let held = await ledger.submit(world.reserve("late", at: Self.then), for: world.organization)
                let id = try #require(held.reservation?.id)
                // Its time is over; then the month can be closed.
                #expect(await ledger.submit(.expire(id, at: .now()), for: world.organization).word == "expired")
                let closed = try await close(world, pool)
                #expect(closed.total == StatementTotal(requests: 1, cost: Amount("1")!))
                for word in ["settled late", "settled again late"] {
                    let settled = await ledger.submit(world.settle(id, tokens: 7), for: world.organization)
                    #expect(settled.word == word)
                    let entry = try #require(settled.reservation?.entry)
                    #expect(entry.cost == Amount("0.000007")! && entry.occurredAt == entry.bookedAt)
                }
                let booked = await ledger.submit(usage(world), for: world.organization)
                #expect(booked.word == "settled")
            }
            // Another replica, which remembers nothing, finds the entry where it is.
            try await world.withLedger { ledger in
                let again = await ledger.submit(usage(world), for: world.organization)
                #expect(again.word == "settled again")
            }
            let rows = try await world.sql([
                "SELECT occurred_at = booked_at, corrects_at FROM ledger_entries WHERE corrects_at IS NOT NULL ORDER BY cost"
            ])[0].rows
            #expect(rows.count == 2)
            for row in rows {
                let (isNow, corrects) = try row.decode(as: (Bool, Instant).self)
                #expect(isNow && corrects == Self.then)
            }
            // What a budget has left is another matter than which month pays: the counters of the call's own period took it.
            #expect(try await world.totals(budget).settled == "1.00001")
            let store = Store(pool: pool)
            let record = try #require(try await store.statement(of: Self.month, in: world.organization))
            let (total, _) = try await store.statementSummary(
                of: StatementSource(
                    organization: world.organization, span: record.span, zone: .utc, frozen: (statement: record.id, edition: 1)))
            #expect(total == record.total && total.requests == 1)
            let report = try await pool.withConnection { try Check.run(world.organization, on: $0) }
            #expect(report.violations == 0, "\(report.findings.flatMap(\.samples))")
        }
    }

    static let statements: [String] = [
        "UPDATE ledger_entries SET cost = cost + 1", "DELETE FROM ledger_entries",
        "INSERT INTO ledger_entries SELECT organization_id, gen_random_uuid(), reservation_id, attribution_id, occurred_at, booked_at, 'x', "
            + "model, requested_model, provider, service_tier, end_user, feature, tags, lines, cost, overage, draws, is_late, outcome, "
            + "provider_request_id, latency_ms, version FROM ledger_entries",
        "UPDATE ledger_entries SET occurred_at = now() + interval '1 day'", "UPDATE statement_lines SET cost = 0",
        "DELETE FROM statement_lines", "TRUNCATE statement_lines",
        "INSERT INTO statement_lines SELECT organization_id, statement_id, edition, line + 1, consumed_at, attribution_id, provider, model, "
            + "feature, usage_kind, price_id, service_tier, context_from, unit_price, list_price, calls, quantity, cost FROM statement_lines",
        "UPDATE attributions SET cost_center = 'CC-9'", "DELETE FROM attributions", "UPDATE statements SET cost = 0",
        "UPDATE statements SET state = 'open'", "UPDATE statements SET state = 'open', reopened_by = 'a', reopened_at = now()",
        "UPDATE statements SET state = 'open', reopen_asked_by = 'a', reopened_by = 'a', reopened_at = now()",
        "UPDATE statements SET state = 'proposed'", "DELETE FROM statements", "UPDATE organizations SET closed_until = NULL",
        "UPDATE organizations SET closed_until = closed_until - interval '1 day'", "UPDATE organizations SET closed_until = now()",
    ]

    @Test("SQL cannot change a closed month", arguments: statements)
    func enforced(statement: String) async throws {
        try await withWorld { world, pool in
            try await world.withLedger { ledger in
                _ = await ledger.submit(world.book("before", tokens: 1_000_000, at: Self.then), for: world.organization)
            }
            _ = try await close(world, pool)
            let connection = try await PostgresConnection.connect(world.configuration, logger: testLogger)
            await #expect(throws: PostgresError.self) { try await connection.script(statement) }
            #expect(try await connection.query("SELECT cost FROM statements").rows[0].decode(as: Amount.self) == Amount("1")!)
            await connection.close()
        }
    }
}
