// What the server says on the side reaches the log, not stderr.
import Logging
import Postgres
import Synchronization
import TestSupport
import Testing

@Suite struct NoticeTests {
    /// Keeps what is logged.
    struct Recorder: LogHandler {
        final class Lines: Sendable { let all = Mutex<[String]>([]) }

        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            let message = event.metadata?["message"].map { "\($0)" } ?? ""
            lines.all.withLock { $0.append("\(event.level) \(message)") }
        }
    }

    @Test("Notices are logged by severity, in pipelines and in scripts")
    func notices() async throws {
        let lines = Recorder.Lines()
        try await withDatabase { configuration in
            let logger = Logger(label: "notices") { _ in Recorder(lines: lines) }
            let connection = try await PostgresConnection.connect(configuration, logger: logger)
            try await connection.query("DO $$ BEGIN RAISE WARNING 'watch out'; END $$")
            try await connection.script("DO $$ BEGIN RAISE NOTICE 'by the way'; END $$")
            await connection.close()
        }
        #expect(lines.all.withLock(\.self) == ["warning watch out", "debug by the way"])
    }
}
