/// Databases of before 0007 keep every entry, by month and rolled up, and months are added whatever lies in the default partition.
import Budgets
import Postgres
import TestSupport
import Testing

@testable import Store

@Suite("The ledger by month")
struct GrowthMigrationTests {
    private let organization = OrganizationID(high: 1, low: 1)

    private func entries(_ count: Int64, from start: String, minutes: Int64) -> Query {
        """
        INSERT INTO ledger_entries
            (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model, provider,
             service_tier, feature, lines, cost, overage, draws, is_late, outcome)
        SELECT \(organization), id, id, \(AttributionID(high: 2, low: 2)), at, at, 'r' || n, 'm' || n % 3, 'm', 'p', 'standard',
               CASE WHEN n % 2 = 0 THEN 'chat' END,
               jsonb_build_object('input', jsonb_build_object('quantity', n, 'price', NULL, 'cost', (n * 0.000000000007)::text)),
               n * 0.000000000007, 0, '[]', false, 'ok'
        FROM (SELECT n, gen_random_uuid() AS id, \(Instant(rfc3339: start)!) + n * \(minutes) * interval '1 minute' AS at
              FROM generate_series(1, \(count)) AS n) AS made
        """
    }

    @Test("a database with entries is converted: nothing is lost, all is rolled up")
    func converts() async throws {
        try await withDatabase(migrated: false) { database in
            _ = try await Migrator(database, migrations: Array(Migration.all.prefix(6)), logger: testLogger).migrate()
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            try await connection.flight([
                "INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(organization), 'Acme', 'Asia/Kolkata')",
                "INSERT INTO fences (organization_id, version) VALUES (\(organization), 77)",
                entries(3000, from: "2025-12-30T23:50:00Z", minutes: 41),
            ])
            _ = try await Migrator(database, logger: testLogger).migrate()
            let (count, cost, partitions) = try await connection.query(
                "SELECT count(*), sum(cost), count(DISTINCT tableoid) FROM ledger_entries WHERE version = 0"
            ).rows[0].decode(as: (Int64, Amount, Int64).self)
            #expect(count == 3000 && partitions == 4)
            #expect(cost == Amount("0.000031510500")!)
            let report = try await Check.run(organization, on: connection)
            // These entries have neither reservations nor counters; what concerns roll-ups must hold.
            for finding in report.findings where finding.fact.name.contains("_ledger") || finding.fact.name.contains("_quarters") {
                #expect(finding.count == 0, "\(finding.fact.name): \(finding.samples)")
            }
            let rolled = try await connection.query("SELECT sum(cost), sum(calls) FROM spend_rollups WHERE span = 'day'").rows[0]
            #expect(try rolled.decode(as: (Amount, Amount).self) == (cost, Amount(whole: 3000)))
            // Made as UTC's days by 0007, and the organization's by 0027.
            let places = try await connection.query(
                "SELECT count(*), count(*) FILTER (WHERE starts_at = date_trunc('day', starts_at, 'Asia/Kolkata')) FROM usage_rollups WHERE span = 'day'"
            ).rows[0].decode(as: (Int64, Int64).self)
            #expect(places.0 > 80 && places.0 == places.1)
            await connection.close()
        }
    }

    @Test("an entry without a month waits in the default partition and moves when its month is added, by one of many")
    func addsMonths() async throws {
        try await withDatabase { database in
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            let at = try #require(Instant(rfc3339: "2031-02-28T23:59:59.999999Z"))
            for instant in [at, Instant(microseconds: at.microseconds + 1)] {
                let id = EntryID(at: instant)
                try await connection.query(
                    """
                    INSERT INTO ledger_entries
                        (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model,
                         provider, service_tier, lines, cost, overage, draws, is_late, outcome, version)
                    VALUES (\(organization), \(id), \(id), \(id), \(instant), \(instant), 'r', 'm', 'm', 'p', 'standard', '{}', 0, 0, '[]',
                            false, 'ok', 1)
                    """)
            }
            let places: Query = "SELECT tableoid::regclass::text FROM ledger_entries ORDER BY occurred_at"
            func found() async throws -> [String] { try await connection.query(places).rows.map { try $0.decode(as: String.self) } }
            #expect(try await found() == ["ledger_entries_default", "ledger_entries_default"])
            let added = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let own = try await PostgresConnection.connect(database, logger: testLogger)
                        defer { Task { await own.close() } }
                        return try await own.query(LedgerMonths.add(0, from: at)).rows[0].decode(as: Bool.self)
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(added == 1)
            #expect(try await found() == ["ledger_entries_2031_02", "ledger_entries_default"])
            #expect(try await connection.query(LedgerMonths.add(1, from: at)).rows[0].decode(as: Bool.self))
            #expect(try await found() == ["ledger_entries_2031_02", "ledger_entries_2031_03"])
            await connection.close()
        }
    }

    @Test("a month leaves when it is old, the oldest, and rolled up; the check then asks no more of it")
    func detaches() async throws {
        try await withDatabase { database in
            let connection = try await PostgresConnection.connect(database, logger: testLogger)
            try await connection.flight([
                "INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(organization), 'Acme', 'UTC')",
                "INSERT INTO fences (organization_id, version) VALUES (\(organization), 9)", RollUps.adopt,
                """
                INSERT INTO ledger_entries
                    (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model,
                     provider, service_tier, lines, cost, overage, draws, is_late, outcome, version)
                VALUES (\(organization), \(EntryID(high: 5, low: 5)), \(EntryID(high: 5, low: 5)), \(AttributionID(high: 2, low: 2)),
                        '2020-03-05', '2020-03-05', 'r', 'm', 'm', 'p', 'standard', '{"input":{"quantity":1,"price":null,"cost":"2"}}', 2, 0, '[]',
                        false, 'ok', 9)
                """, "SELECT add_ledger_month('2020-03-01')", "SELECT add_ledger_month('2020-04-01')",
            ])
            await #expect(throws: PostgresError.self) { try await connection.query("SELECT detach_ledger_month(now())") }
            await #expect(throws: PostgresError.self) { try await connection.query("SELECT detach_ledger_month('2020-04-10')") }
            await #expect(throws: PostgresError.self, "not rolled up yet") {
                try await connection.query("SELECT detach_ledger_month('2020-03-10')")
            }
            try await RollUps.step(organization, on: connection)
            try await connection.query("SELECT detach_ledger_month('2020-03-10')")
            #expect(try await connection.query("SELECT count(*) FROM ledger_entries").rows[0].decode(as: Int64.self) == 0)
            let report = try await Check.run(organization, on: connection)
            #expect(report.violations == 0, "\(report.findings.flatMap(\.samples))")
            #expect(
                try await connection.query("SELECT sum(cost) FROM spend_rollups WHERE span = 'day'").rows[0].decode(as: Amount.self)
                    == Amount("2")!)
            await connection.close()
        }
    }
}
