/// TLS on loopback: certificates made on the spot, TLS in front of a `Receiver`, and a real mail server.
public import Foundation

/// A certificate for one name, which vouches for itself, and its key.
public final class Certificate: Sendable {
    /// Whether certificates can be made and used here.
    public static var areThere: Bool { Helper.python != nil && OpenSSL.isThere }

    private let folder: URL
    /// PEM; also what vouches for it.
    public var path: String { folder.appending(path: "c.pem").path }
    var key: String { folder.appending(path: "k.pem").path }

    public init(for name: String = "localhost") async throws {
        folder = try Helper.temporaryFolder()
        let arguments =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k.pem -out c.pem -days 1 -subj /CN=\(name) -addext subjectAltName=DNS:\(name)"
        let (status, output) = try await Helper.run(OpenSSL.program, arguments.components(separatedBy: " "), in: folder)
        guard status == 0 else { throw HelperFailed(what: output) }
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
}

/// The program: makes certificates, and verifies what Swift Crypto has signed.
public enum OpenSSL {
    static let program = "/usr/bin/openssl"
    public static var isThere: Bool { FileManager.default.isExecutableFile(atPath: program) }

    /// Whether the signature is the message's by that ed25519 key (32 bytes).
    public static func verifies(_ signature: Data, of message: Data, ed25519 publicKey: Data) async throws -> Bool {
        let folder = try Helper.temporaryFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        // RFC 8410: what stands before the key's bytes in DER.
        let prefix: [UInt8] = [0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00]
        try (Data(prefix) + publicKey).write(to: folder.appending(path: "key"))
        try signature.write(to: folder.appending(path: "signature"))
        try message.write(to: folder.appending(path: "message"))
        let arguments = "pkeyutl -verify -pubin -inkey key -keyform DER -rawin -in message -sigfile signature"
        return try await Helper.run(program, arguments.components(separatedBy: " "), in: folder).status == 0
    }
}

/// A helper did not do what it is for.
public struct HelperFailed: Error { let what: String }

/// https at `localhost`, and behind it a receiver, which gets what came through TLS.
public final class TLSFront {
    public let port: UInt16
    private let process: Process

    public init(_ receiver: Receiver, _ certificate: Certificate) throws {
        (process, port) = try Helper.serve(
            Helper.python ?? "", "tls_front.py", [certificate.path, certificate.key, "\(receiver.port)"])
    }

    public func url(_ path: String = "/") -> String { "https://localhost:\(port)\(path)" }
    public func stop() { process.terminate() }
}

/// A mail server of others (aiosmtpd) at `localhost`: requires STARTTLS, then the login `bursar` with the password `s3cret-of-the-mail-server`.
/// It does not know recipients called `nobody`, and has no time for those called `later`.
public final class MailServerOfOthers {
    public let port: UInt16
    private let process: Process
    private let folder: URL

    public init(_ certificate: Certificate) throws {
        folder = try Helper.temporaryFolder()
        (process, port) = try Helper.serve(
            Vendors.python, "mail_server.py", [certificate.path, certificate.key, folder.appending(path: "mailbox").path])
    }

    /// What it has accepted so far, each a JSON object with `tls`, `from`, `to` and `data`.
    public func accepted() throws -> [String] {
        guard let text = try? String(contentsOf: folder.appending(path: "mailbox"), encoding: .utf8) else { return [] }
        return text.split(separator: "\n").map(String.init)
    }

    public func stop() {
        process.terminate()
        try? FileManager.default.removeItem(at: folder)
    }
}
