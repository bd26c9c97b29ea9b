/// What tests log, and that no secret which they used is shown there (design §10): one log and one register of secrets a test, whatever it
/// is a test of. `withDatabase`, `isolatedPostgres` and `withFolder` bring them along; tests without any say `withTestLog`.
import Foundation
public import Logging
import Synchronization

/// The log of one test, and the secrets it must not show.
public final class TestLog: Sendable {
    /// That of the present test.
    @TaskLocal public static var current: TestLog?
    /// Loggers made where no test would look through what they log.
    fileprivate static let strays = Atomic(0)

    public let secrets = Secrets()
    private let logs = Mutex<[KeptLog]>([])

    fileprivate func add(_ log: KeptLog) { logs.withLock { $0.append(log) } }

    fileprivate func lookThrough() throws {
        let strays = TestLog.strays.exchange(0, ordering: .relaxed)
        guard strays == 0 else { throw LogFault("\(strays) loggers were made where nobody looks for secrets: see withTestLog") }
        let lines = logs.withLock { $0 }.flatMap(\.everything).map(\.description)
        guard secrets.leaks(in: lines).isEmpty else { throw LogFault("secrets were logged") }
    }
}

/// What is wrong with a log. It does not repeat what it says.
public struct LogFault: Error, CustomStringConvertible {
    public let description: String

    fileprivate init(_ description: String) { self.description = description }
}

/// Runs `body` with a log of its own, unless there is one, and looks through it afterwards, also when `body` throws.
public func withTestLog<Value>(
    isolation: isolated (any Actor)? = #isolation, _ body: () async throws -> Value
) async throws -> Value {
    guard TestLog.current == nil else { return try await body() }
    let log = TestLog()
    let result: Result<Value, any Error>
    do { result = .success(try await TestLog.$current.withValue(log, operation: body)) } catch { result = .failure(error) }
    try log.lookThrough()
    return try result.get()
}

/// Keeps all of it for the present test to look through, and shows what is critical.
public var testLogger: Logger {
    guard TestLog.current != nil else {
        TestLog.strays.add(1, ordering: .relaxed)
        return Logger(label: "stray") { StreamLogHandler.standardError(label: $0) }
    }
    return Logger(label: "test") { label in
        var shown = StreamLogHandler.standardError(label: label)
        shown.logLevel = .critical
        return MultiplexLogHandler([KeptLog(), shown])
    }
}

/// Tells the present test of a secret, and gives it back.
@discardableResult
public func secret<Text: StringProtocol>(_ text: Text) -> Text {
    TestLog.current?.secrets.add(text)
    return text
}

/// Keeps what is logged.
public struct KeptLog: LogHandler {
    public struct Line: Sendable, CustomStringConvertible {
        public let level: Logger.Level
        public let message: String
        public let fields: Logger.Metadata

        /// Everything a log could show of it.
        public var description: String { "\(level) \(message) \(fields.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })" }
    }

    private final class Kept: Sendable {
        let lines = Mutex<[Line]>([])
    }

    private let kept = Kept()
    private let shown: Logger.Level
    /// Of the level asked for and above.
    public var lines: [Line] { everything.filter { $0.level >= shown } }
    public var everything: [Line] { kept.lines.withLock { $0 } }
    public var metadata: Logger.Metadata = [:]
    public var metadataProvider: Logger.MetadataProvider?
    public var logLevel = Logger.Level.trace
    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// - Parameter level: from which on `lines` has them; secrets are looked for in all.
    public init(level: Logger.Level = .trace) {
        shown = level
        TestLog.current?.add(self)
    }

    public func log(event: LogEvent) {
        let fields = metadata.merging(metadataProvider?.get() ?? [:]) { _, new in new }.merging(event.metadata ?? [:]) { _, new in new }
        kept.lines.withLock { $0.append(Line(level: event.level, message: "\(event.message)", fields: fields)) }
    }
}
