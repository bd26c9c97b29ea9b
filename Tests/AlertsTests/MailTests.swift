/// Alerts by e-mail: to a real mail server of others, and to one that would have everything in the clear.
import Budgets
import Foundation
import JSON
import Outbound
import Store
import Synchronization
import TestSupport
import Testing

@testable import Alerts

@Suite(.timeLimit(.minutes(2))) struct MailTests {
    @Test("to a server that does not know STARTTLS nothing is said but the greeting")
    func mailNeedsTLS() async throws {
        try await withOutbox { outbox in
            let server = PlainMailServer()
            defer { server.stop() }
            _ = try await outbox.endpoint(.email(to: ["a@acme.example"]))
            try await outbox.post()
            try await outbox.dispatching(mail: MailServer(url: "smtp://127.0.0.1:\(server.port)", sender: "bursar@acme.example")) { _ in
                try await outbox.untilNone(in: ["sending"], attempts: 1)
            }
            #expect(try await outbox.deliveries().first?.error == "TLS failed")
            #expect(!server.heard.contains("MAIL FROM") && server.heard.contains("EHLO"))
        }
    }

    @Test(
        "a mail server of others takes the mail after STARTTLS and a login, and what it refuses is a dead letter or waits",
        .enabled(if: Vendors.areInstalled && Certificate.areThere, "the vendors' Python packages are not installed: make vendors"))
    func accepted() async throws {
        try await withOutbox { outbox in
            let certificate = try await Certificate()
            let server = try MailServerOfOthers(certificate)
            defer { server.stop() }
            for recipients in [["a@acme.example", "b@acme.example"], ["nobody@acme.example"], ["later@acme.example"]] {
                _ = try await outbox.endpoint(.email(to: recipients))
            }
            let event = try #require(try await outbox.post().first)
            let mail = MailServer(
                url: "smtp://localhost:\(server.port)", user: "bursar", password: secret("s3cret-of-the-mail-server"),
                sender: "bursar@acme.example")
            try await outbox.dispatching(mail: mail, authorities: certificate.path) { _ in
                try await outbox.untilNone(in: ["sending"], attempts: 1)
            }
            let fates = try await outbox.deliveries().map { "\($0.state) \($0.error ?? "")" }
            #expect(fates.sorted() == ["delivered ", "failed SMTP 550", "pending SMTP 451"])
            let accepted = try server.accepted().map { try JSON.parse($0) }
            try #require(accepted.count == 1)
            #expect(accepted[0]["tls"] == true && accepted[0]["from"] == "bursar@acme.example")
            #expect(accepted[0]["to"] == ["a@acme.example", "b@acme.example"])
            let message = try #require(accepted[0]["data"]?.string)
            #expect(message.contains("\r\nMessage-ID: <\(event)@acme.example>\r\n"))
            let encoded = try #require(message.components(separatedBy: "\r\n\r\n").last).replacing("\r\n", with: "")
            let text = String(decoding: try #require(Data(base64Encoded: encoded)), as: UTF8.self)
            #expect(text.contains("$4,561.99 of $5,000.00 used") && text.contains(event.description))
        }
    }
}

/// A mail server that offers no TLS and writes down what it hears.
private final class PlainMailServer: Sendable {
    let port: UInt16
    private let listener: Int32
    private let text = Mutex("")
    var heard: String { text.withLock { $0 } }

    init() {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                precondition(bind(descriptor, pointer, length) == 0 && listen(descriptor, 8) == 0)
                precondition(getsockname(descriptor, pointer, &length) == 0)
            }
        }
        port = UInt16(bigEndian: address.sin_port)
        Thread { [self] in serve() }.start()
    }

    func stop() { _ = shutdown(listener, Int32(SHUT_RDWR)) }

    private func serve() {
        while true {
            let descriptor = accept(listener, nil, nil)
            guard descriptor >= 0 else { break }
            say(descriptor, "220 stub\r\n")
            var bytes = [UInt8](repeating: 0, count: 1024)
            while true {
                let count = recv(descriptor, &bytes, bytes.count, 0)
                guard count > 0 else { break }
                text.withLock { $0 += String(decoding: bytes.prefix(count), as: UTF8.self) }
                say(descriptor, "250 stub\r\n")
            }
            close(descriptor)
        }
        close(listener)
    }

    private func say(_ descriptor: Int32, _ line: String) { _ = line.withCString { send(descriptor, $0, strlen($0), Int32(MSG_NOSIGNAL)) } }
}
