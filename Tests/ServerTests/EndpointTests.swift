/// Endpoints and deliveries as administrators and receivers meet them: over HTTP, with a real receiver.
import Foundation
import JSON
import Outbound
import Store
import TestSupport
import Testing

@testable import Server

@Suite("Endpoints over HTTP", .timeLimit(.minutes(2))) struct EndpointTests {
    /// Asks until the delivery is in that state, and returns it with its log; nothing signals it.
    private func delivery(_ id: JSON?, until state: JSON, _ served: Served) async throws -> JSON {
        let path = "/v1/deliveries/\(try #require(id?.string))"
        while true {
            let answer = try await served.owner.get(path).body
            if answer["state"] == state { return answer }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    @Test(
        "a webhook by ed25519 shows its public key once, and OpenSSL verifies what arrives by it; after a rotation by both keys",
        .enabled(if: OpenSSL.isThere, "no openssl"))
    func ed25519() async throws {
        try await withServer { served in
            let receiver = Receiver { _ in .answer(204) }
            defer { receiver.stop() }
            let made = try await served.owner.post(
                "/v1/endpoints", ["kind": "webhook", "url": .string(receiver.url()), "signing": "ed25519"])
            #expect(made.status == 201 && made.body["secret"] == nil, "\(made)")
            #expect(try await served.owner.get("/v1/endpoints/\(made.id)").text.contains("whpk_") == false)
            #expect(try await served.owner.post("/v1/endpoints/\(made.id)/test").status == 202)
            _ = try await receiver.received(atLeast: 1)
            let rotated = try await served.owner.post("/v1/endpoints/\(made.id)/rotate-secret", ["overlap_seconds": 600])
            #expect(rotated.status == 200 && rotated.body["public_key"] != made.body["public_key"], "\(rotated)")
            #expect(try await served.owner.post("/v1/endpoints/\(made.id)/test").status == 202)
            let requests = try await receiver.received(atLeast: 2)
            for (request, answers) in zip(requests, [[made], [rotated, made]]) {
                let signatures = try #require(request.headers["webhook-signature"]).split(separator: " ")
                try #require(signatures.count == answers.count)
                for (signature, answer) in zip(signatures, answers) {
                    let key = try #require(answer.body["public_key"]?.string)
                    try #require(signature.hasPrefix("v1a,") && key.hasPrefix("whpk_"))
                    let code = try #require(Data(base64Encoded: String(signature.dropFirst(4))))
                    let head = "\(request.headers["webhook-id"] ?? "").\(request.headers["webhook-timestamp"] ?? "")."
                    let publicKey = try #require(Data(base64Encoded: String(key.dropFirst(5))))
                    let message = Data(head.utf8) + Data(request.body)
                    #expect(try await OpenSSL.verifies(code, of: message, ed25519: publicKey))
                    #expect(try await !OpenSSL.verifies(code, of: message + Data([0]), ed25519: publicKey))
                }
            }
        }
    }

    @Test("what cannot be delivered disables the endpoint and is a dead letter, with the log of its attempts, until it is sent again")
    func deadLetters() async throws {
        try await withServer { served in
            let receiver = Receiver { $0.number == 1 ? .answer(410, body: "gone \u{1B}[1m to \u{0}") : .ok }
            defer { receiver.stop() }
            let made = try await served.owner.post("/v1/endpoints", ["kind": "webhook", "url": .string(receiver.url("/hook-of-mine"))])
            let tested = try await served.owner.post("/v1/endpoints/\(made.id)/test")
            let dead = try await delivery(tested.body["delivery"], until: "failed", served)
            let log = try #require(dead["log"]?.array)
            #expect(log.count == 1 && log[0]["status"]?.int64 == 410 && log[0]["response"] == "gone  [1m to  ", "\(dead)")
            let id = try #require(dead["id"]?.string)
            // The endpoint is disabled right after.
            while try await served.owner.get("/v1/endpoints/\(made.id)").body["enabled"] != false {
                try await Task.sleep(for: .milliseconds(10))
            }
            let disabled = try await served.owner.get("/v1/endpoints/\(made.id)")
            #expect(disabled.body["disabled_reason"] == "HTTP 410" && disabled.body["health"]?["failures"]?.int64 == 1, "\(disabled)")
            #expect(try await served.owner.get("/v1/deliveries?state=failed&endpoint=\(made.id)").body["data"]?[0]?["id"]?.string == id)
            #expect(try await served.owner.get("/v1/deliveries?state=delivered").body["data"] == [])
            #expect(try await served.owner.post("/v1/deliveries/\(id)/retry").code == "in_use")
            #expect(try await served.owner.patch("/v1/endpoints/\(made.id)", ["enabled": true]).status == 200)
            #expect(try await served.owner.post("/v1/deliveries/\(id)/retry").status == 202)
            let delivered = try await delivery(dead["id"], until: "delivered", served)
            #expect(delivered["log"]?.array?.count == 2 && delivered["attempts"]?.int64 == 2, "\(delivered)")
            // What it missed is the news that it was disabled; a test is nobody's.
            let since = Date(timeIntervalSinceNow: -60).formatted(.iso8601)
            let recovered = try await served.owner.post("/v1/endpoints/\(made.id)/recover?since=\(since)")
            #expect(recovered.status == 202 && recovered.body["deliveries"]?.int64 == 1, "\(recovered)")
            let tooOld = try await served.owner.post("/v1/endpoints/\(made.id)/recover?since=2020-01-01T00:00:00Z")
            #expect(tooOld.status == 422 || tooOld.status == 400, "\(tooOld)")
        }
    }

    @Test("e-mail needs a mail server; what a kind does not have cannot be rotated")
    func kinds() async throws {
        try await withServer { served in
            let mail = try await served.owner.post("/v1/endpoints", ["kind": "email", "to": ["a@acme.example"]])
            #expect(mail.faults == ["/kind invalid_value"], "\(mail)")
            let slack = try await served.owner.post("/v1/endpoints", ["kind": "slack", "url": "https://hooks.example.com/x"])
            #expect(try await served.owner.post("/v1/endpoints/\(slack.id)/rotate-secret").faults == ["/url missing"])
        }
        let mailServer = MailServer(url: "smtp://127.0.0.1:9", sender: "bursar@acme.example")
        @Sendable func adjust(_ settings: inout ServerSettings) { settings.mail = mailServer }
        try await withServer(adjusting: adjust) { served in
            let mail = try await served.owner.post("/v1/endpoints", ["kind": "email", "to": ["a@acme.example"]])
            #expect(mail.status == 201 && !mail.text.contains("a@acme"), "\(mail)")
            let wrong = try await served.owner.post("/v1/endpoints", ["kind": "email", "to": ["a@b@c", "x\r\nRCPT TO:<y@z>"]])
            #expect(wrong.status == 422 && wrong.faults.count == 2, "\(wrong)")
        }
    }
}
