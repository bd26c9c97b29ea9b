/// What all tests log is looked through for every secret they used (`TestSupport/TestLog.swift`): here it is shown that nothing gets past.
import Foundation
import Logging
import Postgres
import Store
import TestSupport
import Testing

@Suite("The suite's log") struct SuiteLogTests {
    private struct Mishap: Error {}

    /// How a careless line of log shows a secret.
    private static let careless: [(name: String, line: @Sendable (String) -> String)] = [
        ("whole", { "asked with \($0)" }), ("a piece", { "…\($0.dropFirst(9).prefix(15))…" }), ("its end", { "…\($0.suffix(12))" }),
    ]

    @Test("a secret that is logged is found, in whatever log of the test, and also when the test fails", arguments: careless.indices)
    func found(index: Int) async throws {
        let key = APIKeySecret()
        let line = Self.careless[index].line(key.text)
        func log(_ place: String, fails: Bool) async throws {
            try await withTestLog {
                switch place {
                case "message": testLogger.debug("\(line)")
                case "field": testLogger.trace("asked", metadata: ["by": .array(["\(line)"])])
                default: Logger(label: "another") { _ in KeptLog(level: .critical) }.info("\(line)")
                }
                // Told afterwards is early enough.
                secret(key.text)
                if fails { throw Mishap() }
            }
        }
        for place in ["message", "field", "another log"] {
            for fails in [false, true] {
                await #expect(throws: LogFault.self, "\(place)") { try await log(place, fails: fails) }
            }
        }
    }

    @Test("what is no secret may be logged, and a test that fails does so for its own reason")
    func harmless() async throws {
        let key = APIKeySecret()
        try await withTestLog {
            secret(key.text)
            testLogger.info("asked with \(key.hint)")
        }
        await #expect(throws: Mishap.self) { try await withTestLog { throw Mishap() } }
    }

    @Test("databases, private servers and folders bring a log along, with the password of the database among the secrets")
    func everywhere() async throws {
        await #expect(throws: LogFault.self) {
            try await withDatabase { testLogger.warning("cannot connect with \($0.password ?? "")") }
        }
        await #expect(throws: LogFault.self) {
            try await withFolder { _ in testLogger.warning("read \(APIKeySecret.ofTest().text)") }
        }
    }

    @Test("no test logs anywhere else")
    func nowhereElse() throws {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let files = FileManager.default.enumerator(at: tests, includingPropertiesForKeys: nil)?.compactMap { $0 as? URL } ?? []
        let sources = files.filter { $0.pathExtension == "swift" && !$0.path.contains("/TestSupport/") && $0.path != #filePath }
        #expect(sources.count > 100)
        for file in sources {
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") where line.contains("Logger(label:") {
                // One that only hands on messages to a test that waits for them.
                let isKept = line.contains("_ in log }") || line.contains("served.log") || line.contains("MessageStream(")
                #expect(isKept, "\(file.lastPathComponent): \(line)")
            }
        }
    }
}
