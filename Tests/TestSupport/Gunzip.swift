/// What gzip compressed, by the system's own program: what compressed it must not be its only judge.
import Foundation

/// Why `gunzip` could not read it: the program's exit code.
public struct NotGzip: Error {
    public let status: Int32
}

/// The plain bytes. By way of a file, because a pipe at either end could fill up.
/// - Throws: `NotGzip`, and what Foundation throws when the program cannot be run.
public func gunzip(_ bytes: [UInt8]) throws -> [UInt8] {
    let file = FileManager.default.temporaryDirectory.appending(path: "bursar-\(UUID().uuidString).gz")
    try Data(bytes).write(to: file)
    defer { try? FileManager.default.removeItem(at: file) }
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["gzip", "-dc", file.path]
    let output = Pipe()
    process.standardOutput = output
    try process.run()
    let plain = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw NotGzip(status: process.terminationStatus) }
    return Array(plain)
}
