/// What Bursar sends, judged by the vendors' own clients and by verifiers of others; and first the receivers of these tests, by the
/// same clients. They are installed by `make test`; without them these tests say that they are skipped.
import Budgets
import Foundation
import JSON
import Store
import TestSupport
import Testing

@testable import Alerts

@Suite(.timeLimit(.minutes(2)), .enabled(if: Vendors.areInstalled, "the vendors' Python clients are not installed: make vendors"))
struct VendorTests {
    @Test("slack_sdk takes our receiver for Slack, and its 429 for Slack's")
    func slackReceiver() async throws {
        let receiver = Receiver()
        defer { receiver.stop() }
        #expect(try await Vendors.judge("slack-client", receiver.url("/services/T/B/x")) == "")
        let limited = Receiver { $0.number == 1 ? .answer(429, headers: ["Retry-After": "1"]) : .ok }
        defer { limited.stop() }
        #expect(try await Vendors.judge("slack-client-limited", limited.url("/services/T/B/x")) == "")
        #expect(limited.received.count == 2)
    }

    @Test("pagerduty takes our https receiver for PagerDuty, and sends what we would", .enabled(if: Certificate.areThere, "no openssl"))
    func pagerDutyReceiver() async throws {
        let receiver = Receiver { _ in
            .answer(202, body: #"{"status":"success","message":"Event processed","dedup_key":"key"}"#)
        }
        defer { receiver.stop() }
        let certificate = try await Certificate()
        let front = try TLSFront(receiver, certificate)
        defer { front.stop() }
        #expect(
            try await Vendors.judge("pagerduty-client", front.url(""), environment: ["SSL_CERT_FILE": certificate.path]) == "")
        let requests = receiver.received
        try #require(requests.count == 2)
        #expect(requests.allSatisfy { $0.requestLine == "POST /v2/enqueue HTTP/1.1" })
        let (theirs, resolved) = (try JSON.parse(requests[0].body), try JSON.parse(requests[1].body))
        let body = eventBody()
        let ours = PagerDutyMessage.trigger(try #require(Notice(body)), body, routingKey: "R0")
        let end = PagerDutyMessage.resolve(try #require(BudgetNews(eventBody(reason: "new_period"))), isExceeded: true, routingKey: "R0")
        func names(_ json: JSON?) -> Set<String> { Set((json?.object ?? JSON.Object()).map(\.name)) }
        // Every member they send, we send.
        #expect(names(theirs).isSubset(of: names(ours)) && names(theirs["payload"]).isSubset(of: names(ours["payload"])))
        #expect(names(resolved) == names(end))
    }

    @Test("PagerDuty's schema of events, and the lengths it documents, hold for ours", arguments: [1, 1000, .max])
    func pagerDutyEvents(length: Int) async throws {
        let name = String(nastyName.prefix(length))
        var circumstances = Circumstances()
        circumstances.publicURL = "https://bursar.example"
        let ended = eventBody(name: name, subject: name, reason: "new_period")
        let bodies: [JSON] = [
            eventBody(name: name, subject: name), eventBody(threshold: 100, name: name), ended,
            [
                "id": "evt_1", "type": "x.y", "occurred_at": "2026-11-21T08:00:00Z", "organization": ["id": "org_1"],
                "summary": .string(name),
            ],
        ]
        let routingKey = String(repeating: "0", count: 32)
        var events = try bodies.map { body in
            PagerDutyMessage.trigger(try #require(Notice(body, circumstances)), body, routingKey: routingKey)
        }
        events += try [true, false].map { isExceeded in
            PagerDutyMessage.resolve(try #require(BudgetNews(ended)), isExceeded: isExceeded, routingKey: routingKey)
        }
        #expect(try await Vendors.judge("pagerduty", input: JSON.array(events).text) == "")
    }

    @Test("slack_sdk's models of Block Kit find nothing wrong with our messages", arguments: [1, 150, .max])
    func slackMessages(length: Int) async throws {
        let name = String(nastyName.prefix(length))
        var circumstances = Circumstances()
        circumstances.publicURL = "https://bursar.example"
        circumstances.muted = 3
        circumstances.age = .hours(2)
        for body in [
            eventBody(name: name, subject: name), eventBody(threshold: 100, name: name), eventBody(name: name, reason: "limit_raised"),
            [
                "id": "evt_1", "type": "x.y", "occurred_at": "2026-11-21T08:00:00Z", "organization": ["id": "org_1"],
                "summary": .string(name),
            ],
        ] {
            let message = SlackMessage.make(try #require(Notice(body, circumstances)))
            #expect(try await Vendors.judge("slack", input: message.text) == "")
        }
    }

    @Test("standardwebhooks, svix and the sample of the documentation verify what arrives, during a rotation too")
    func webhooks() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver { _ in .answer(204) }
            defer { receiver.stop() }
            let endpoint = try await outbox.webhook(receiver)
            try await outbox.post()
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) }
            var generator = SystemRandomNumberGenerator()
            let new = WebhookSecret(.hmac, using: &generator)
            _ = try await outbox.store.rotateEndpoint(endpoint, of: Outbox.organization, sealer: outbox.sealer) { old in
                guard case .webhook(let url, let secrets) = old else { return old }
                return .webhook(url: url, secrets: [new, secrets[0].expiring(at: Instant.now().adding(seconds: 600))])
            }
            try await outbox.post()
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 2) }
            for (request, secrets) in zip(receiver.received, [[Outbox.secret], [new, Outbox.secret]]) {
                for secret in secrets {
                    let headers = request.headers.filter { $0.key.hasPrefix("webhook-") }.map { ($0.key, JSON.string($0.value)) }
                    let input: JSON = [
                        "headers": .object(headers), "body": .string(Data(request.body).base64EncodedString()),
                        "secret": .string(secret.revealed),
                    ]
                    #expect(try await Vendors.judge("webhook", secret.revealed, input: input.text) == "")
                    #expect(try await Vendors.judge("sample", Vendors.file("docs/webhooks.md").path, input: input.text) == "")
                }
            }
        }
    }
}
