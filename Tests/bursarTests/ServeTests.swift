/// The program as people run it: started, asked, killed, started again, told to stop.
import Foundation
import Glibc
import JSON
import TestSupport
import Testing

@Suite("bursar serve --embedded", .timeLimit(.minutes(3)))
struct ServeTests {
    @Test("it says where it is, bootstraps while it runs, survives kill -9, and ends with 0 on SIGTERM")
    func lifeOfAServer() async throws {
        try await withFolder(cluster: true) { folder in
            let options = ["--embedded", "--data-directory", folder]
            let first = try Program(["serve", "--port", "0"] + options)
            let ready = try #require(try first.line())
            #expect(ready.hasPrefix("Bursar is ready at http://127.0.0.1:"))
            #expect(ready.contains("bootstrap --embedded --data-directory \(folder)"))

            let made = try JSON.parse(Array(Program.run(["bootstrap", "--json", "--name", "Acme"] + options).output.utf8))
            #expect(made["owner_key"]?.string?.hasPrefix("bur_") == true)
            #expect(made["operator_key"]?.string?.hasPrefix("bur_") == true)
            let again = try JSON.parse(Array(Program.run(["bootstrap", "--json", "--name", "Acme"] + options).output.utf8))
            #expect(again["organization"] == made["organization"])
            #expect(again["owner_key"] == .null)

            first.send(SIGKILL)
            #expect(try first.end() != 0)
            let second = try Program(["serve", "--port", "0"] + options)
            let readyAgain = try #require(try second.line())
            #expect(!readyAgain.contains("bootstrap"))
            second.send(SIGTERM)
            #expect(try second.end() == 0)
            #expect(!FileManager.default.fileExists(atPath: folder + "/postgres/postmaster.pid"))
        }
    }

    @Test("without a database it says what to do")
    func noDatabase() throws {
        let (status, output) = try Program.run(["migrate"], keepsErrors: true)
        #expect(status == 1)
        #expect(output.contains("--embedded"))
    }
}

/// The built program beside this test.
private final class Program {
    private let process = Process()
    private let output = Pipe()

    init(_ arguments: [String], keepsErrors: Bool = false) throws {
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "bursar")
        process.arguments = arguments
        process.environment = ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"]
        process.standardOutput = output
        process.standardError = keepsErrors ? output : FileHandle.nullDevice
        try process.run()
    }

    /// Its next line; nil at its end.
    func line() throws -> String? {
        var bytes = Data()
        while let byte = try output.fileHandleForReading.read(upToCount: 1), !byte.isEmpty {
            if byte[0] == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(byte)
        }
        return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
    }

    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

    func end() throws -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    static func run(_ arguments: [String], keepsErrors: Bool = false) throws -> (status: Int32, output: String) {
        let program = try Program(arguments, keepsErrors: keepsErrors)
        let output = try program.output.fileHandleForReading.readToEnd() ?? Data()
        return (try program.end(), String(decoding: output, as: UTF8.self))
    }
}
