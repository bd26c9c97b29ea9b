/// TLS on loopback: certificates made on the spot, TLS in front of a `Receiver`, and a real mail server.
import Foundation

/// A certificate for one name, which vouches for itself, and its key.
public final class Certificate: Sendable {
    private static let openSSL = "/usr/bin/openssl"

    /// Whether certificates can be made and used here.
    public static var areThere: Bool { Helper.python != nil && FileManager.default.isExecutableFile(atPath: openSSL) }

    private let folder: URL
    /// PEM; also what vouches for it.
    public var path: String { folder.appending(path: "c.pem").path }
    var key: String { folder.appending(path: "k.pem").path }

    public init(for name: String = "localhost") async throws {
        folder = try Helper.temporaryFolder()
        let arguments =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout k.pem -out c.pem -days 1 -subj /CN=\(name) -addext subjectAltName=DNS:\(name)"
        let (status, output) = try await Helper.run(Certificate.openSSL, arguments.components(separatedBy: " "), in: folder)
        guard status == 0 else { throw HelperFailed(what: output) }
    }

    deinit { try? FileManager.default.removeItem(at: folder) }
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

/// A mail server of others (aiosmtpd) at `localhost`: requires STARTTLS, then the login `bursar` with the password `s3cret`. It does not
/// know recipients called `nobody`, and has no time for those called `later`.
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
