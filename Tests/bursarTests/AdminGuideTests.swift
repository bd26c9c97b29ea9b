/// `docs/admin-guide.md` is true: its commands, run one after the other against the built program, print what it says they print.
import Foundation
import TestSupport
import Testing

@testable import bursar

@Suite("The admin guide", .timeLimit(.minutes(5)))
struct AdminGuideTests {
    /// A block of commands, and the lines that it is said to print.
    private struct Step {
        let commands: String
        let output: [String]
    }

    @Test("every command works and prints what the guide says", .enabled(if: hasCurl, "there is no curl"))
    func tour() async throws {
        let steps = try Self.steps()
        try #require(steps.count >= 10)
        try await withFolder(cluster: true) { folder in
            let options = ["--embedded", "--data-directory", folder]
            let (program, client) = try Place.serve(options)
            let keys = try Program.run(["bootstrap", "--json", "--name", "Acme"] + options)
            #expect(try Program.run(["import-prices"] + options).status == 0)
            let work = URL(filePath: folder).appending(path: "tour")
            try FileManager.default.createDirectory(at: work, withIntermediateDirectories: false)
            try keys.output.write(to: work.appending(path: "acme.json"), atomically: true, encoding: .utf8)
            let marker = "=== end of a step ==="
            let script = steps.map { "\($0.commands)\necho '\(marker)'\n" }.joined()
            let printed = try Self.run(script, in: work, url: "http://127.0.0.1:\(client.port)").components(separatedBy: marker + "\n")
            for (step, printed) in zip(steps, printed) {
                let lines = printed.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
                #expect(lines.map { $0.trimmingCharacters(in: .newlines) } == step.output, "\(step.commands)\n\(printed)")
            }
            #expect(printed.count == steps.count + 1, "the tour broke off: \(printed.last ?? "")")
            program.send(SIGTERM)
            #expect(try program.end() == 0)
            try await client.shutdown()
        }
    }

    private static let hasCurl = ["/usr/bin/curl", "/usr/local/bin/curl", "/opt/homebrew/bin/curl"]
        .contains { FileManager.default.isExecutableFile(atPath: $0) }

    /// The blocks of `sh` in the order of the page, each with the block of `text` right after it.
    private static func steps() throws -> [Step] {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/admin-guide.md").standardized
        let page = try String(contentsOf: file, encoding: .utf8)
        return page.matches(of: /```sh\n(.*?)```\n(?:```text\n(.*?)```\n)?/.dotMatchesNewlines()).map { match in
            let output = match.2.map { $0.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init) } ?? []
            return Step(commands: String(match.1), output: output)
        }
    }

    private static func run(_ script: String, in folder: URL, url: String) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/bash")
        process.arguments = ["-eu", "-c", script]
        process.currentDirectoryURL = folder
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        process.environment = ["PATH": path, "URL": url, "BURSAR": Program.path]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: bytes, as: UTF8.self)
    }
}
