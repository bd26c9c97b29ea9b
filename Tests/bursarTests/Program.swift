/// The built program beside this test, as people run it.
import Foundation
import Glibc
import Logging
import TestSupport
import Testing

final class Program {
    static let path = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "bursar").path

    private let process = Process()
    private let output = Pipe()
    /// What it logs, unless a test reads that.
    private let log: FileHandle

    /// - Parameter environment: beside `PATH`, which is all that it otherwise gets.
    init(_ arguments: [String], environment: [String: String] = [:], keepsErrors: Bool = false) throws {
        process.executableURL = URL(fileURLWithPath: Self.path)
        process.arguments = arguments
        for (name, value) in environment where name.contains("PASSWORD") || name.contains("KEY") || name.contains("URL") { secret(value) }
        let path = ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"]
        process.environment = path.merging(environment) { _, given in given }
        process.standardOutput = output
        let file = NSTemporaryDirectory() + "/program-\(UUID().uuidString).log"
        _ = FileManager.default.createFile(atPath: file, contents: nil)
        log = try #require(FileHandle(forUpdatingAtPath: file))
        try FileManager.default.removeItem(atPath: file)
        process.standardError = keepsErrors ? output : log
        try process.run()
    }

    // A test that fails must not leave a server behind, which would start Postgres again and again in a folder that is gone.
    deinit { if process.isRunning { send(SIGKILL) } }

    /// Its next line; nil at its end.
    func line() throws -> String? {
        var bytes = Data()
        while let byte = try output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty {
            if byte[0] == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    /// The most memory it has had at a time, in bytes.
    func peakMemory() throws -> Int64 {
        let status = try String(contentsOfFile: "/proc/\(process.processIdentifier)/status", encoding: .utf8)
        return try #require(status.firstMatch(of: /VmHWM:\s*(\d+) kB/).flatMap { Int64($0.1) }) << 10
    }

    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    /// Waits for it to end. Returns its exit status, or the signal that ended it. What it logged goes into the test's log; and nothing that
    /// looks like a key or a webhook's secret must be in it, whoever made it.
    func end() throws -> Int32 {
        process.waitUntilExit()
        try log.seek(toOffset: 0)
        let text = String(decoding: try log.readToEnd() ?? Data(), as: UTF8.self)
        #expect(!Program.showsSecret(text), "a program logged a secret")
        for line in text.split(separator: "\n") { testLogger.info("\(line)") }
        return process.terminationStatus
    }

    /// By how API keys and webhooks' secrets begin.
    static func showsSecret(_ text: String) -> Bool { text.firstMatch(of: /bur_[0-9A-Za-z]{8}|whsec_[0-9A-Za-z]{8}/) != nil }

    static func run(
        _ arguments: [String], environment: [String: String] = [:], keepsErrors: Bool = false
    ) throws -> (status: Int32, output: String) {
        let program = try Program(arguments, environment: environment, keepsErrors: keepsErrors)
        let output = try program.output.fileHandleForReading.readToEnd() ?? Data()
        return (try program.end(), String(decoding: output, as: UTF8.self))
    }
}
