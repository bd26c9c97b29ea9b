/// `bursar growth`, continued: how long closing a month takes, how calls fare meanwhile, and a FOCUS export beside a plain copy of the same
/// entries.
import Budgets
import Chargeback
import Postgres
import Store
import Synchronization

extension Growth {
    /// Calls a second that go on meanwhile.
    private static let rate = 100.0

    /// Closes the months that are over, the oldest first, and exports the last of them, and tells how long that took and how calls fared.
    static func closeMonths(
        of organization: OrganizationID, _ database: PostgresConfiguration, calling client: LoadClient, _ head: RequestHead, seconds: Int
    ) async throws {
        var patient = database
        patient.statementTimeout = .seconds(1800)
        let pool = PostgresPool(patient, size: 2, logger: quiet)
        let store = Store(pool: pool)
        let zone = try await store.zone(of: organization) ?? .utc
        var start = try await pool.withConnection { connection in
            try connection.query("SELECT min(occurred_at) FROM ledger_entries WHERE organization_id = \(organization)").rows[0]
                .decode(as: Instant.self)
        }
        var last: StatementMonth?
        tell("reservations at \(fixed(rate, 0))/s", try await client.paced([head], perSecond: rate, seconds: seconds))
        while let month = StatementMonth(at: start, in: zone), isOver(month, zone) {
            try await whileCalling(client, head, "while \(month) was closed") { try await close(month, of: organization, store) }
            last = month
            start = month.span(in: zone).end
        }
        if let last {
            try await whileCalling(client, head, "while \(last) was copied") {
                try await copy(last.span(in: zone), of: organization, store)
            }
            try await whileCalling(client, head, "while \(last) was exported") { try await export(last, of: organization, store) }
        }
        await pool.shutdown()
    }

    /// Does something while calls go on at a fixed rate, and tells how long these took.
    private static func whileCalling(
        _ client: LoadClient, _ head: RequestHead, _ what: String, _ body: () async throws -> Void
    ) async throws {
        let isDone = Atomic(false)
        async let calls = client.paced([head], perSecond: rate) { _ in isDone.load(ordering: .relaxed) }
        defer { isDone.store(true, ordering: .relaxed) }
        try await body()
        isDone.store(true, ordering: .relaxed)
        tell("  reservations at \(fixed(rate, 0))/s \(what)", try await calls)
    }

    private static func isOver(_ month: StatementMonth, _ zone: Zone) -> Bool {
        month.span(in: zone).end.adding(seconds: Store.closingGrace) < .now()
    }

    private static func close(_ month: StatementMonth, of organization: OrganizationID, _ store: Store) async throws {
        let begin = ContinuousClock.now
        let points = Set(StatementPoint.Name.allCases)
        _ = try await store.propose(month, of: organization, by: "bursar", at: .now())
        _ = try await store.close(month, of: organization, accepting: points, by: "bursar", at: .now())
        let booked = ContinuousClock.now
        // The server looks for such months too: whoever is first freezes the lines.
        var record = try await store.statement(of: month, in: organization)
        while record?.state == .closing {
            _ = try await store.pool.withConnection { connection in
                try ClosingMonths.finish(month, of: organization, at: .now(), on: connection)
            }
            record = try await store.statement(of: month, in: organization)
        }
        let (before, whole) = ((booked - begin) / .seconds(1), (ContinuousClock.now - begin) / .seconds(1))
        Terminal.say(
            "closing \(month): \(record?.total?.requests ?? 0) calls, \(record?.lineCount ?? 0) lines in \(fixed(whole, 1)) s, "
                + "\(fixed(before, 1)) s of it until the books were closed")
    }

    private static func copy(_ span: StatementSpan, of organization: OrganizationID, _ store: Store) async throws {
        let begin = ContinuousClock.now
        try await store.pool.withConnection { connection in
            try connection.script(
                """
                COPY (SELECT * FROM ledger_entries WHERE organization_id = '\(organization.hexadecimal)'
                      AND occurred_at >= '\(span.start.rfc3339)' AND occurred_at < '\(span.end.rfc3339)') TO '/dev/null'
                """)
        }
        Terminal.say("COPY of its entries to nowhere: \(fixed((ContinuousClock.now - begin) / .seconds(1), 1)) s")
    }

    private static func export(_ month: StatementMonth, of organization: OrganizationID, _ store: Store) async throws {
        let begin = ContinuousClock.now
        let statement = try await StatementExport(store: store, organization: organization)
        let (end, file) = try await statement.write(try await statement.plan(.focus14, month: month)) { _ in }
        Terminal.say(
            "export of \(month): \(end.total.requests) calls as \(file.rowCount) FOCUS rows, \(file.byteCount >> 20) MiB, in "
                + "\(fixed((ContinuousClock.now - begin) / .seconds(1), 1)) s")
    }
}
