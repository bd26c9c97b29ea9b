/// Programs that help a test: run to their end, or serving on a socket for as long as the test lasts. Nothing here blocks one of the few
/// threads that tests share, and nothing waits without a bound.
public import Foundation

public enum Helper {
    /// No helper takes longer, on a loaded machine either.
    static let patience: Duration = .seconds(60)

    /// A Python without packages; nil: there is none.
    static var python: String? { ["/usr/bin/python3", Vendors.python].first(where: FileManager.default.isExecutableFile) }

    /// Runs a program to its end, and ends it after `patience`. What it says goes to a file: a pipe would stay open for as long as any
    /// process that was started meanwhile holds an end of it.
    public static func run(
        _ program: String, _ arguments: [String], input: String = "", environment: [String: String] = [:], in directory: URL? = nil
    ) async throws -> (status: Int32, output: String) {
        let folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let (question, answer) = (folder.appending(path: "in"), folder.appending(path: "out"))
        try Data(input.utf8).write(to: question)
        try Data().write(to: answer)
        let output = try FileHandle(forWritingTo: answer)
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.currentDirectoryURL = directory
        // Helpers speak to loopback only, whatever proxy is set here.
        process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.lowercased().hasSuffix("_proxy") }
            .merging(environment) { $1 }
        process.standardInput = try FileHandle(forReadingFrom: question)
        process.standardOutput = output
        process.standardError = output
        let (ends, end) = AsyncStream<Int32>.makeStream()
        process.terminationHandler = { process in
            end.yield(process.terminationStatus)
            end.finish()
        }
        try process.run()
        let pid = process.processIdentifier
        let deadline = Task {
            try await Task.sleep(for: patience)
            kill(pid, SIGKILL)
        }
        defer { deadline.cancel() }
        var status: Int32 = -1
        for await code in ends { status = code }
        return (status, String(decoding: try Data(contentsOf: answer), as: UTF8.self))
    }

    /// Starts a script that serves on a listening socket of 127.0.0.1, which it gets as its standard input: the port is known before it
    /// runs, and who connects early waits in the socket's queue.
    static func serve(_ python: String, _ script: String, _ arguments: [String]) throws -> (process: Process, port: UInt16) {
        let (descriptor, port) = Sockets.listen()
        let process = Process()
        process.executableURL = URL(filePath: python)
        process.arguments = [Vendors.file("Tests/vendors/\(script)").path] + arguments
        process.standardInput = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return (process, port)
    }

    static func temporaryFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appending(path: "bursar-helper-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }
}
