/// Judges from outside: the vendors' own Python clients, which `make test` installs into `.build/vendors`, and an https receiver.
public import Foundation

public enum Vendors {
    private static let package = URL(fileURLWithPath: #filePath).appending(path: "../../..").standardized
    private static let python = package.appending(path: ".build/vendors/bin/python").path
    private static let scripts = package.appending(path: "Tests/vendors")

    /// Of the repository.
    public static func file(_ path: String) -> URL { package.appending(path: path) }

    public static var areInstalled: Bool { FileManager.default.isExecutableFile(atPath: python) }

    /// Whether there is a Python and an openssl for `TLSReceiver`.
    public static var hasTLS: Bool { systemPython != nil && FileManager.default.isExecutableFile(atPath: openSSL) }

    static let openSSL = "/usr/bin/openssl"
    static var systemPython: String? { ["/usr/bin/python3", python].first(where: FileManager.default.isExecutableFile) }

    /// Runs a subcommand of `judge.py`; returns what it complained of, empty when it is content.
    public static func judge(
        _ command: String, _ argument: String = "", input: String = "", environment: [String: String] = [:]
    ) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: python)
        process.arguments = [scripts.appending(path: "judge.py").path, command, argument]
        process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.lowercased().hasSuffix("_proxy") }
            .merging(environment) { $1 }
        let (into, complaints) = (Pipe(), Pipe())
        process.standardInput = into
        process.standardError = complaints
        process.standardOutput = complaints
        try process.run()
        try into.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try into.fileHandleForWriting.close()
        let text = String(decoding: complaints.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return process.terminationStatus == 0 ? "" : "\(command): \(text)"
    }

    static func run(_ program: String, _ arguments: String, in directory: URL) throws {
        let process = Process()
        process.executableURL = URL(filePath: program)
        process.currentDirectoryURL = directory
        process.arguments = arguments.components(separatedBy: " ")
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
    }

    fileprivate static func script(_ name: String) -> String { scripts.appending(path: name).path }
}

/// An https receiver on 127.0.0.1 with a certificate of its own, for `localhost` or another name.
public final class TLSReceiver {
    public let port: Int
    /// The certificate, which is also what vouches for it.
    public let certificate: String
    private let process = Process()
    private let directory = FileManager.default.temporaryDirectory.appending(path: "bursar-tls-\(UUID().uuidString)")
    private let lines: Lines

    /// - Parameter mode: `ok`, `slow` or `redirect`.
    public init(name: String = "localhost", mode: String = "ok") throws {
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try Vendors.run(
            Vendors.openSSL,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k.pem -out c.pem -days 1 -subj /CN=\(name) -addext subjectAltName=DNS:\(name)",
            in: directory)
        certificate = directory.appending(path: "c.pem").path
        process.executableURL = URL(filePath: Vendors.systemPython ?? "")
        process.arguments = [Vendors.script("tls_receiver.py"), certificate, directory.appending(path: "k.pem").path, mode]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        lines = Lines(output.fileHandleForReading)
        port = Int(lines.next() ?? "") ?? 0
    }

    /// The next request's line: `{"path":…,"body":…}`. Waits for it.
    public func next() -> String? { lines.next() }

    public func stop() {
        process.terminate()
        process.waitUntilExit()
        try? FileManager.default.removeItem(at: directory)
    }

    private final class Lines {
        private let handle: FileHandle
        private var rest = ""
        init(_ handle: FileHandle) { self.handle = handle }

        func next() -> String? {
            while true {
                if let end = rest.firstIndex(of: "\n") {
                    defer { rest = String(rest[rest.index(after: end)...]) }
                    return String(rest[..<end])
                }
                let more = handle.availableData
                guard !more.isEmpty else { return nil }
                rest += String(decoding: more, as: UTF8.self)
            }
        }
    }
}
