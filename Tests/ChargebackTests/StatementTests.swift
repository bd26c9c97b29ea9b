// The file that finance books must equal the ledger to the last digit, whatever is in it.
import Budgets
import JSON
import Postgres
import Store
import Synchronization
import TestSupport
import Testing

@testable import Chargeback

@Suite struct StatementTests {
    private let organization = OrganizationID(high: 1, low: 1)
    private let month = StatementMonth("2026-11")!

    private func withStore(_ entries: [Query], _ body: (StatementExport, Store) async throws -> Void) async throws {
        try await withDatabase { configuration in
            let pool = PostgresPool(configuration, size: 1, logger: testLogger)
            _ = try await pool.withConnection { [organization] connection in
                try connection.flight(
                    [
                        """
                        INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(organization), 'Acme', 'Europe/Berlin')
                        """
                    ] + entries)
            }
            let store = Store(pool: pool)
            try await body(try await StatementExport(store: store, organization: organization), store)
            await pool.shutdown()
        }
    }

    private func attribution(_ low: UInt64, team: String, project: String = "Ranker", costCenter: String? = nil) -> Query {
        """
        INSERT INTO attributions
            (organization_id, id, team_id, team_name, project_id, project_name, cost_center, tier_id, tier_name, api_key_id, api_key_name,
             environment)
        VALUES (\(organization), \(AttributionID(high: 2, low: low)), \(TeamID(high: 3, low: 3)), \(team),
                \(ProjectID(high: 4, low: 4)), \(project), \(costCenter), \(TierID(high: 5, low: 5)), 'Standard',
                \(APIKeyID(high: 6, low: low)), 'ci', 'production')
        """
    }

    /// A call with 1,000 input and 10 output tokens; the output costs 0.0001 of the cost.
    private func entry(
        _ low: UInt64, of attribution: UInt64, at instant: String, feature: String? = nil, lines: String? = nil, cost: String
    ) -> Query {
        let price = "00000000-0000-0000-0000-000000000009"
        let input = Amount(cost)! - Amount("0.0001")!
        let usual =
            #"{"input":{"quantity":1000,"price":"\#(price)","cost":"\#(input)"},"output":{"quantity":10,"price":"\#(price)","cost":"0.0001"}}"#
        return """
            INSERT INTO ledger_entries
                (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model, provider,
                 service_tier, feature, lines, cost, overage, draws, is_late, outcome, version)
            VALUES (\(organization), \(EntryID(high: 7, low: low)), \(ReservationID(high: 7, low: low)),
                    \(AttributionID(high: 2, low: attribution)), \(Instant(rfc3339: instant)!), \(Instant(rfc3339: instant)!), 'r', 'gpt-4o',
                    'gpt-4o', 'openai', 'standard', \(feature), \(JSONB(text: lines ?? usual)), \(Amount(cost)!), \(Amount.zero), '[]', false,
                    'ok', 1)
            """
    }

    @Test("who stops reading an export keeps neither connection nor snapshot")
    func slowReader() async throws {
        let entries = [
            attribution(1, team: "Search"), entry(1, of: 1, at: "2026-11-05T00:00:00Z", cost: "1"),
        ]
        try await withStore(entries) { export, store in
            var patience = StatementExport.Patience()
            patience.page = .milliseconds(1)
            let slow = try await StatementExport(store: store, organization: organization, patience: patience)
            await #expect(throws: StatementReadTooSlowly.self) {
                var isHeader = true
                _ = try await slow.write(try await slow.plan(.csv, month: month)) { _ in
                    defer { isHeader = false }
                    // The reader stands still until somebody else has had the pool's only connection.
                    if !isHeader { _ = try await store.zone(of: organization) }
                }
            }
            let total = try await csv(export).total
            #expect(total.requests == 1)
        }
    }

    private func csv(_ export: StatementExport) async throws -> (records: [[String]], total: StatementTotal) {
        var bytes: [UInt8] = []
        let (end, _) = try await export.write(try await export.plan(.csv, month: month)) { bytes += $0 }
        let text = String(decoding: bytes, as: UTF8.self)
        // No cell of these tests holds a line break or a comma inside quotes but where they say so.
        return (
            text.split(separator: "\r\n").map { $0.split(separator: ",", omittingEmptySubsequences: false).map(String.init) }, end.total
        )
    }

    @Test("The month is the organization's, rows are grouped by the names of their time, and the total is exact")
    func month() async throws {
        let entries = [
            attribution(1, team: "=Search", costCenter: "CC-1"), attribution(2, team: "=Search", costCenter: "CC-1"),
            attribution(3, team: "Find", costCenter: nil),
            entry(1, of: 1, at: "2026-10-31T22:59:59.999999Z", cost: "100"),
            entry(2, of: 1, at: "2026-10-31T23:00:00Z", cost: "0.000000000001"),
            entry(3, of: 2, at: "2026-11-15T00:00:00Z", cost: "12.34"),
            entry(4, of: 1, at: "2026-11-15T00:00:00Z", feature: "chat", cost: "1"),
            entry(5, of: 3, at: "2026-11-30T22:59:59.999999Z", lines: #"{"thought":{"quantity":7,"price":null,"cost":"0"}}"#, cost: "0"),
            entry(6, of: 3, at: "2026-11-30T23:00:00Z", cost: "100"),
        ]
        try await withStore(entries) { export, _ in
            let (records, total) = try await csv(export)
            #expect(Set(records.map(\.count)) == [19])
            #expect(records.map(\.[0]) == ["row", "line", "line", "line", "total", "rounding", "payable"])
            // The unset cost centre is a row of its own and comes first.
            #expect(records[1][1] == "" && records[1][3] == "Find" && records[1][16] == "thought=7" && records[1][17] == "7")
            #expect(records[2][1] == "CC-1" && records[2][3] == "'=Search" && records[2][8] == "")
            #expect(records[2][10...] == ["2", "2000", "0", "0", "0", "20", "", "0", "12.340000000001"])
            #expect(records[3][8] == "chat" && records[3].last == "1.000000000000")
            #expect(records[4][10...] == ["4", "3000", "0", "0", "0", "30", "thought=7", "7", "13.340000000001"])
            #expect(records[5].last == "-0.000000000001" && records[6].last == "13.340000000000")
            #expect(total == StatementTotal(requests: 4, cost: Amount("13.340000000001")!))
            let summary = try await export.summary(month: month)
            #expect(summary["cost"]?["amount"]?.string == "13.340000000001")
            #expect(summary["payable"]?["amount"]?.string == "13.340000000000")
            #expect(summary["calls"]?.int64 == 4)
            #expect(summary["teams"]?.array?.map { $0["name"]?.string } == ["=Search", "Find"])
        }
    }

    @Test("An empty month has a header and a total of zero")
    func empty() async throws {
        try await withStore([]) { export, _ in
            let (records, total) = try await csv(export)
            #expect(records.map(\.[0]) == ["row", "total", "rounding", "payable"])
            #expect(total == StatementTotal(requests: 0, cost: .zero))
        }
    }

    /// 1,700 features of random amounts: several pages.
    private var many: [Query] {
        [
            attribution(1, team: "Search"),
            """
            INSERT INTO ledger_entries
                (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model, provider,
                 service_tier, feature, lines, cost, overage, draws, is_late, outcome, version)
            SELECT \(organization), gen_random_uuid(), gen_random_uuid(), \(AttributionID(high: 2, low: 1)), '2026-11-10', '2026-11-10', 'r',
                   'gpt-4o', 'gpt-4o', 'openai', 'standard', 'f' || n % 1700,
                   jsonb_build_object('input', jsonb_build_object('quantity', n, 'price', NULL, 'cost', cost::text)), cost, 0, '[]', false, 'ok', 1
            FROM (SELECT n, round((random() * 1000)::numeric, 12) AS cost FROM generate_series(1, 5100) AS n) AS made
            """,
        ]
    }

    @Test("All pages arrive once, and their sum is the ledger's")
    func pages() async throws {
        try await withStore(many) { export, store in
            let (records, total) = try await csv(export)
            let lines = records.filter { $0[0] == "line" }
            #expect(Set(lines.map(\.[8])).count == 1700)
            #expect(lines.count == 1700)
            let sum = try lines.reduce(Amount.zero) { $0 + (try #require(Amount($1[18]))) }
            #expect(sum == total.cost)
            let last = try #require(records.first { $0[0] == "total" })
            #expect(last[18] == total.cost.description)
            #expect(last[11] == String(5100 * 5101 / 2))
        }
    }

    @Test("A reader that goes away ends the export, and its connection is whole")
    func readerGone() async throws {
        struct Gone: Error {}
        try await withStore(many) { export, _ in
            var pages = 0
            await #expect(throws: Gone.self) {
                _ = try await export.write(try await export.plan(.csv, month: month)) { _ in
                    pages += 1
                    if pages == 3 { throw Gone() }
                }
            }
            #expect(pages == 3)
            let whole = try await csv(export)
            #expect(whole.total.requests == 5100)
        }
    }
}
