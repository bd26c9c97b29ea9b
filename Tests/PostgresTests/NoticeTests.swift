// What the server says on the side reaches the log, not stderr.
import Logging
import Postgres
import TestSupport
import Testing

@Suite struct NoticeTests {
    @Test("Notices are logged by severity, in pipelines and in scripts")
    func notices() async throws {
        try await withDatabase { configuration in
            let log = KeptLog()
            let connection = try await PostgresConnection.connect(configuration, logger: Logger(label: "notices") { _ in log })
            try await connection.query("DO $$ BEGIN RAISE WARNING 'watch out'; END $$")
            try await connection.script("DO $$ BEGIN RAISE NOTICE 'by the way'; END $$")
            await connection.close()
            let said = log.lines.map { "\($0.level) \($0.fields["message"]?.description ?? "")" }
            #expect(said == ["warning watch out", "debug by the way"])
        }
    }
}
