/// Logs for machines: one JSON object a line on standard error, so that standard output stays what was asked for.
import Budgets
import Foundation
import JSON
import Logging
import Store

/// Writes `{"at":…,"level":…,"message":…,"logger":…}` and the metadata as further fields, values as text.
struct JSONLog: LogHandler {
    let label: String
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel = Logger.Level.info

    init(label: String) { self.label = label }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var fields = metadata
        fields.merge(metadataProvider?.get() ?? [:]) { _, new in new }
        fields.merge(event.metadata ?? [:]) { _, new in new }
        if let error = event.error { fields["error"] = "\(error)" }
        var line = JSONWriter()
        line.object { line in
            line.field("at", Instant.now().rfc3339)
            line.field("level", event.level.rawValue)
            line.field("message", event.message.description)
            line.field("logger", label)
            for (name, value) in fields.sorted(by: { $0.key < $1.key }) {
                line.name(name)
                line.string(value.description)
            }
        }
        // One write, so that lines of several threads do not mix; a log that cannot be written must not stop the server.
        try? FileHandle.standardError.write(contentsOf: Data(line.bytes + [UInt8(ascii: "\n")]))
    }
}

/// The logger of a subcommand that is not a server: says only what a person must know.
func commandLogger() -> Logger {
    Logger(label: "bursar") { label in
        var log = JSONLog(label: label)
        log.logLevel = .warning
        return log
    }
}
