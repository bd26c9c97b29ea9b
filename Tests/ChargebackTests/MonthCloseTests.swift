/// A month closes once, as it was proposed, whatever breaks off in between; and opens again only by two.
import Budgets
import Postgres
import Store
import TestSupport
import Testing

@testable import Chargeback

@Suite("Closing months") struct MonthCloseTests {
    private let september = StatementMonth("2025-09")!
    private let october = StatementMonth("2025-10")!
    /// In both months, once with a cost centre and once without.
    private var entries: [ChargebackWorld.Entry] {
        [
            .init(at: "2025-09-30T21:59:59.999999Z", attribution: 1, lines: [("input", 1000, 1)]),
            .init(at: "2025-09-30T22:00:00Z", attribution: 1, feature: "chat", lines: [("input", 3, 1), ("output", 7, 2)]),
            .init(at: "2025-10-15T12:00:00Z", attribution: 2, lines: [("input", 5, 1), ("thought", 11, nil)]),
            .init(at: "2025-10-31T22:59:59Z", attribution: 1, lines: []),
        ]
    }
    private let now = Instant(rfc3339: "2025-11-01T00:00:00Z")!

    private func withWorld(_ body: (ChargebackWorld, Store) async throws -> Void) async throws {
        try await withDatabase { database in
            let world = ChargebackWorld(database: database)
            try await world.create(costCenters: ["CC-1", nil], entries)
            let pool = PostgresPool(database.serving, size: 2, logger: testLogger)
            try await body(world, Store(pool: pool).store(of: world.organization))
            await pool.shutdown()
        }
    }

    private func refusal(_ body: () async throws -> some Sendable) async -> StatementRefusal? {
        do {
            _ = try await body()
            return nil
        } catch AdminRefusal.statement(let refusal) {
            return refusal
        } catch {
            Issue.record("\(error)")
            return nil
        }
    }

    private func names(_ refusal: StatementRefusal?) -> [String] {
        if case .notReady(let points) = refusal { points.map(\.name.rawValue) } else { [] }
    }

    @Test("the checklist names what is not as it should be, in its order")
    func checklist() async throws {
        try await withWorld { world, store in
            let checklist = try await store.checklist(of: october, in: world.organization, at: now)
            #expect(checklist.total == checklist.control && checklist.total.requests == 3)
            let found = checklist.points.map { "\($0.name.rawValue) \($0.count.plain) \($0.amount?.plain ?? "")" }
            #expect(found == ["earlier_month_open 1 ", "unpriced_usage 11 0", "unattributed_spend 1 0.000005", "missing_cost_centers 1 "])
            let early = try await store.checklist(of: october, in: world.organization, at: now.adding(seconds: -1))
            #expect(early.points.first?.name == .monthNotEnded)
        }
    }

    @Test("open → proposed → closing → closed → open: each step needs the one before, and what was proposed is what is closed")
    func steps() async throws {
        try await withWorld { world, store in
            let organization = world.organization
            #expect(names(await refusal { try await store.propose(october, of: organization, by: "a", at: now) }) == ["earlier_month_open"])
            #expect(
                await refusal { try await store.close(september, of: organization, accepting: [], by: "a", at: now) } == .notInState(.open))
            try await world.close(september, store, at: now)
            let proposed = try await store.propose(october, of: organization, by: "a", at: now)
            #expect(proposed.state == .proposed && proposed.proposed?.requests == 3 && proposed.number == nil)
            #expect(
                names(await refusal { try await store.close(october, of: organization, accepting: [], by: "b", at: now) })
                    == ["unpriced_usage", "unattributed_spend", "missing_cost_centers"])
            let all = Set(StatementPoint.Name.allCases)
            try await world.book(.init(at: "2025-10-20T00:00:00Z", attribution: 1, lines: [("input", 1, 1)]))
            #expect(
                await refusal { try await store.close(october, of: organization, accepting: all, by: "b", at: now) }
                    == .changedSinceProposed)
            _ = try await store.propose(october, of: organization, by: "a", at: now)
            let closing = try await store.close(october, of: organization, accepting: all, by: "b", at: now)
            #expect(closing.state == .closing && closing.edition == 1)
            #expect(await refusal { try await store.propose(october, of: organization, by: "a", at: now) } == .notInState(.closing))
            let closed = try #require(try await world.finish(october, at: now))
            #expect(closed.state == .closed && closed.number == "2025-10-1" && closed.total?.requests == 4 && closed.lineCount == 6)
            #expect(try await world.finish(october, at: now) == nil, "done once")

            func reopen(_ month: StatementMonth, by actor: String) async throws -> StatementRecord {
                try await store.reopen(month, of: organization, by: actor, reason: "wrong price", at: now) { $0.actor == actor }
            }
            #expect(await refusal { try await reopen(september, by: "a") } == .laterMonthClosed)
            let asked = try await reopen(october, by: "a")
            #expect(asked.state == .closed && asked.reopenAskedBy == "a")
            #expect(await refusal { try await reopen(october, by: "a") } == .sameAdmin)
            let opened = try await reopen(october, by: "b")
            #expect(opened.state == .open && opened.reopenedBy == "b")
            try await world.book(.init(at: "2025-10-21T00:00:00Z", attribution: 1, lines: [("input", 1, 1)]))
            await #expect(throws: PostgresError.self, "September stays closed") {
                try await world.book(.init(at: "2025-09-21T00:00:00Z", attribution: 1, lines: [("input", 1, 1)]))
            }
            let again = try await world.close(october, store, at: now)
            #expect(again.number == "2025-10-2" && again.total?.requests == 5)
        }
    }

    @Test("a closed month is told of, once, and audited at every step")
    func told() async throws {
        try await withWorld { world, store in
            try await world.close(september, store, at: now)
            let connection = try await PostgresConnection.connect(world.database, logger: testLogger)
            let events = try await connection.query("SELECT type, body -> 'statement' ->> 'number' FROM events").rows
            #expect(events.count == 1)
            let (type, number) = try #require(events.first).decode(as: (String, String).self)
            #expect(type == "statement.closed" && number == "2025-09-1")
            let steps = try await connection.query(
                "SELECT after ->> 'state' FROM audit_events WHERE action LIKE 'statement.%' ORDER BY sequence"
            ).rows.map { try $0.decode(as: String.self) }
            #expect(steps == ["proposed", "closing", "closed"])
            await connection.close()
        }
    }

    @Test("closing that breaks off is taken up again and ends the same; the file of the open month is that of the closed one, for ever")
    func crash() async throws {
        try await withWorld { world, store in
            let organization = world.organization
            try await world.close(september, store, at: now)
            let export = try await StatementExport(store: store, organization: organization)
            func files() async throws -> [[UInt8]] {
                var files: [[UInt8]] = []
                for format in StatementFormat.allCases {
                    var bytes: [UInt8] = []
                    try await export.write(try await export.plan(format, month: october)) { bytes += $0 }
                    files.append(bytes)
                }
                return files
            }
            _ = try await store.propose(october, of: organization, by: "a", at: now)
            _ = try await store.close(october, of: organization, accepting: Set(StatementPoint.Name.allCases), by: "a", at: now)
            let open = try await files()
            // Whoever freezes the lines is interrupted: while it reads, and after all is written but not committed.
            for point in ["SELECT pg_sleep(30)", "RAISE 'interrupted'"] {
                let connection = try await PostgresConnection.connect(world.database, logger: testLogger)
                try await connection.script(
                    """
                    CREATE OR REPLACE FUNCTION interrupt() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                        \(point.replacing("SELECT", with: "PERFORM")); RETURN NULL; END $$;
                    CREATE TRIGGER interrupt AFTER \(point.hasPrefix("SELECT") ? "INSERT ON statement_lines" : "UPDATE ON statements")
                    FOR EACH STATEMENT EXECUTE FUNCTION interrupt()
                    """)
                await #expect(throws: PostgresError.self) { try await world.finish(october, at: now, timeout: .milliseconds(200)) }
                try await connection.script(
                    "DROP TRIGGER interrupt ON \(point.hasPrefix("SELECT") ? "statement_lines" : "statements")")
                let left = try await connection.query(
                    "SELECT count(*) FROM statement_lines AS l JOIN statements AS s ON s.id = l.statement_id AND month = '2025-10'")
                #expect(try left.rows[0].decode(as: Int64.self) == 0)
                await connection.close()
            }
            let finished = try await withThrowingTaskGroup(of: Bool.self) { group in
                // Several replicas at once: one does it.
                for _ in 0..<4 { group.addTask { try await world.finish(october, at: now) != nil } }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(finished == 1)
            let closed = try await files()
            #expect(closed == open)
            // Renamed, moved, priced anew: the past is what it was (law 6).
            try await world.renameEverything()
            #expect(try await files() == closed)
        }
    }
}
