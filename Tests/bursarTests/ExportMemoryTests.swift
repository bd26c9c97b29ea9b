/// Exports in the background take as much memory for a large organization as for a small one: measured on the built program, by itself.
import Foundation
import Glibc
import JSON
import Postgres
import Store
import TestSupport
import Testing

@testable import bursar

@Suite("The memory of exports", .serialized, .timeLimit(.minutes(10))) struct ExportMemoryTests {
    /// Lines a month of two closed years. The smaller one's file has several pieces; of the larger one's, 11 MB more, any that were kept would
    /// show.
    private static let years: [(year: String, lines: Int64)] = [("2024", 2000), ("2025", 10_000)]

    @Test("five times the rows take no more of it, and never 100 MiB")
    func constant() async throws {
        try await withDatabase { database in
            try await withFolder { folder in
                try secret(String(repeating: "07", count: 32)).write(toFile: folder + "/key", atomically: true, encoding: .utf8)
                func url(_ user: String) -> [String] {
                    let host = database.hosts[0]
                    return ["--database-url", "host=\(host.name) port=\(host.port) user=\(user) dbname=\(database.database)"]
                }
                let (program, client) = try Place.serve(["--secret-key-file", folder + "/key"] + url(database.asService.user))
                let keys = try JSON.parse(try Program.run(["bootstrap", "--json"] + url(database.user)).output)
                let owner = DemoAPI(client: client, apiKey: try #require(keys["owner_key"]?.string))
                try await fill(database)
                var peaks: [Int64] = []
                for (year, lines) in Self.years {
                    let export = try await made(year, owner)
                    #expect(
                        export["months_done"] == 12 && (export["bytes"]?.int64 ?? 0) > lines * 12 * 90, "what does not compress: \(export)")
                    peaks.append(try program.peakMemory())
                }
                print("exports: at most \(peaks[0] >> 10) KiB for a small year, \(peaks[1] >> 10) KiB for a large one")
                #expect(peaks[1] - peaks[0] < 8 << 20, "\(peaks)")
                #expect(peaks[1] < 100 << 20, "\(peaks)")
                program.send(SIGTERM)
                #expect(try program.end() == 0)
                try await client.shutdown()
            }
        }
    }

    /// Asks for a year, and waits until it is made; nothing but the export itself tells.
    private func made(_ year: String, _ owner: DemoAPI) async throws -> JSON {
        let months: JSON = ["format": "csv", "first_month": .string("\(year)-01"), "last_month": .string("\(year)-12")]
        let asked = try await owner.create("/v1/exports", months)
        while true {
            let export = try JSON.parse(try await owner.read("/v1/exports/\(asked["id"]?.string ?? "")"))
            try #require(["queued", "running", "done"].contains(export["state"]?.string), "\(export)")
            if export["state"] == "done" { return export }
        }
    }

    /// Two closed years of the only organization, each line a record of its own in a text that does not compress: written as a backup is
    /// restored, without the triggers that keep closed months as they are.
    private func fill(_ database: PostgresConfiguration) async throws {
        let connection = try await PostgresConnection.connect(database, logger: testLogger)
        var script = """
            SET session_replication_role = replica; SET statement_timeout = 0;
            CREATE TEMPORARY TABLE own AS SELECT organization_id FROM organizations WHERE organization_id <> '00000000-0000-0000-0000-000000000000';
            INSERT INTO attributions (organization_id, id, team_id, team_name, project_id, project_name, cost_center, tier_id, tier_name,
                                      api_key_id, api_key_name, environment)
            SELECT organization_id, md5('')::uuid, md5('')::uuid, 'Search', md5('')::uuid, 'Ranker', 'CC-1', md5('')::uuid, 'All', md5('')::uuid,
                   'ci', 'production'
            FROM own;
            """
        for (year, lines) in Self.years {
            script += """
                INSERT INTO statements (organization_id, id, month, starts_at, ends_at, state, edition, closing_at, closing_by, closing_version,
                                        organization_name, accounts, closed_at, calls, cost, lines, content_sha256)
                SELECT organization_id, md5(to_char(m, 'YYYY-MM'))::uuid, to_char(m, 'YYYY-MM'), m, m + interval '1 month', 'closed', 1, now(), 't',
                       1, 'Acme', '{"expense":"1","clearing":"2","cost_centers":{}}', now(), \(lines), \(lines) * 0.000001, \(lines), sha256('')
                FROM own, generate_series('\(year)-01-01Z'::timestamptz, '\(year)-12-01Z', '1 month') AS m;
                INSERT INTO statement_lines (organization_id, statement_id, edition, line, consumed_at, attribution_id, provider, model, feature,
                                             usage_kind, price_id, service_tier, context_from, unit_price, list_price, calls, quantity, cost)
                SELECT s.organization_id, s.id, 1, n, s.starts_at, md5('')::uuid, 'openai', 'gpt-4o',
                       (SELECT string_agg(md5(s.month || n || i), '') FROM generate_series(1, 6) AS i), 'input', md5('price')::uuid,
                       'standard', 0, 1, 1, 1, 1, 0.000001
                FROM statements AS s, generate_series(1, \(lines)) AS n WHERE s.month LIKE '\(year)-%';
                """
        }
        try await connection.script(script)
        await connection.close()
    }
}
