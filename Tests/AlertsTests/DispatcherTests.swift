/// From the outbox to real receivers on loopback, on good days.
import Budgets
import Crypto
import Foundation
import JSON
import Outbound
import Postgres
import Store
import TestSupport
import Testing

@testable import Alerts

@Suite(.timeLimit(.minutes(2))) struct DispatcherTests {
    @Test("an event reaches Slack, PagerDuty and a signed webhook, once each, and the log says so")
    func everyKind() async throws {
        try await withOutbox { outbox in
            let slack = Receiver { _ in .ok }
            let pagerDuty = Receiver { _ in .answer(202, body: #"{"status":"success"}"#) }
            let webhook = Receiver { _ in .answer(204) }
            defer { for receiver in [slack, pagerDuty, webhook] { receiver.stop() } }
            _ = try await outbox.endpoint(.slack(url: slack.url("/services/T/B/x")))
            _ = try await outbox.endpoint(.pagerduty(url: pagerDuty.url("/v2/enqueue"), routingKey: "R0123"))
            _ = try await outbox.webhook(webhook)
            let event = try #require(try await outbox.post().first)
            try await outbox.dispatching { dispatcher in
                dispatcher.wake()
                for receiver in [slack, pagerDuty, webhook] { _ = try await receiver.received(atLeast: 1) }
            }
            #expect(try await outbox.deliveries().map(\.state) == ["delivered", "delivered", "delivered"])
            for receiver in [slack, pagerDuty, webhook] { #expect(receiver.received.count == 1) }
            try SlackLimits.check(JSON.parse(try #require(slack.received.first).body))
            #expect(try JSON.parse(try #require(pagerDuty.received.first).body)["routing_key"]?.string == "R0123")
            try verify(try #require(webhook.received.first), event: event)
            let log = try await outbox.run("SELECT attempt, status, outcome, response FROM delivery_attempts ORDER BY status").rows
                .map { try $0.decode(as: (Int64, Int64?, String, String?).self) }
            #expect(log.map(\.1) == [200, 202, 204] && log.allSatisfy { $0.0 == 1 && $0.2 == "delivered" })
            #expect(log.map(\.3) == ["ok", #"{"status":"success"}"#, ""])
        }
    }

    /// As a receiver would, from the specification alone.
    private func verify(_ request: ReceivedRequest, event: EventID) throws {
        #expect(request.headers["content-type"] == "application/json")
        #expect(request.headers["webhook-id"] == event.description)
        let timestamp = try #require(request.headers["webhook-timestamp"])
        #expect(abs(try #require(Int64(timestamp)) - Instant.now().seconds) < 60)
        let signature = try #require(request.headers["webhook-signature"])
        let code = try #require(Data(base64Encoded: String(signature.dropFirst(3))))
        let signed = Data("\(event).\(timestamp).".utf8) + Data(request.body)
        #expect(signature.hasPrefix("v1,"))
        #expect(HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: signed, using: SymmetricKey(data: Outbox.secretBytes)))
        #expect(try JSON.parse(request.body)["data"]?["id"]?.string == event.description)
    }

    @Test("only endpoints that subscribe to the type and the percentage are told")
    func subscriptions() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            _ = try await outbox.endpoint(.slack(url: receiver.url("/from-90")), minPercent: 90)
            _ = try await outbox.endpoint(.slack(url: receiver.url("/other")), events: ["statement.*", "budget"])
            _ = try await outbox.endpoint(.slack(url: receiver.url("/exact")), events: ["budget.threshold_reached"])
            try await outbox.post(threshold: 80)
            try await outbox.post(threshold: 90)
            try await outbox.post(threshold: 100)
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 4) }
            let paths = receiver.received.map { $0.requestLine.split(separator: " ")[1] }.sorted()
            #expect(paths == ["/exact", "/exact", "/from-90", "/from-90"])
        }
    }

    @Test("two dispatchers at once deliver each of a hundred once")
    func twoDispatchers() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            for index in 1...4 { _ = try await outbox.webhook(receiver, "/\(index)") }
            try await outbox.post(25)
            try await outbox.dispatching { _ in
                try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 100) }
            }
            #expect(receiver.received.count == 100)
            #expect(Set(receiver.received.map { $0.requestLine + ($0.headers["webhook-id"] ?? "") }).count == 100)
            #expect(try await outbox.deliveries().allSatisfy { $0.state == "delivered" && $0.attempts == 1 })
        }
    }

    @Test("a receiver that hangs holds two places, and others are served meanwhile")
    func fairness() async throws {
        try await withOutbox { outbox in
            let hanging = Receiver { _ in .hold(.ok) }
            let healthy = Receiver()
            defer { for receiver in [hanging, healthy] { receiver.stop() } }
            _ = try await outbox.webhook(hanging)
            try await outbox.post(50)
            _ = try await outbox.webhook(healthy)
            try await outbox.dispatching { dispatcher in
                _ = try await hanging.received(atLeast: 2)
                try await outbox.post(20)
                dispatcher.wake()
                _ = try await healthy.received(atLeast: 20)
                #expect(hanging.received.count == AlertDispatcher.mostPerEndpoint)
                hanging.release(1000)
                _ = try await hanging.received(atLeast: 70)
            }
            #expect(try await outbox.deliveries().allSatisfy { $0.state == "delivered" })
        }
    }

    /// How fast, `bursar bench-alerts` measures.
    @Test("with ten thousand waiting for a receiver that hangs, another is told before they are tried")
    func backlog() async throws {
        try await withOutbox { outbox in
            let hanging = Receiver { _ in .hold(.ok) }
            let healthy = Receiver()
            defer { for receiver in [hanging, healthy] { receiver.stop() } }
            let dead = try await outbox.webhook(hanging)
            try await outbox.post(10_000)
            _ = try await outbox.webhook(healthy)
            try await outbox.dispatching { dispatcher in
                _ = try await hanging.received(atLeast: 2)
                try await outbox.post()
                dispatcher.wake()
                _ = try await healthy.received(atLeast: 1)
                #expect(hanging.received.count < 100)
                try await outbox.store.archiveEndpoint(dead, of: Outbox.organization, ifRevision: nil)
                hanging.release(2)
            }
        }
    }

    @Test("an organization with many hanging receivers holds eight places")
    func organizationBound() async throws {
        try await withOutbox { outbox in
            let hanging = Receiver { _ in .hold(.ok) }
            defer { hanging.stop() }
            for index in 1...10 { _ = try await outbox.webhook(hanging, "/\(index)") }
            try await outbox.post(5)
            try await outbox.dispatching { dispatcher in
                _ = try await hanging.received(atLeast: 8)
                // What is claimed now shows how many places were left: none.
                dispatcher.wake()
                let claimed = try await outbox.run("SELECT count(*) FROM deliveries WHERE state = 'sending'").rows[0].decode(as: Int64.self)
                #expect(claimed == Int64(AlertDispatcher.mostPerOrganization))
                hanging.release(1000)
                _ = try await hanging.received(atLeast: 50)
            }
        }
    }

    @Test("what waits for an archived endpoint is cancelled, and for a disabled one too")
    func unwanted() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            let archived = try await outbox.webhook(receiver, "/archived")
            let disabled = try await outbox.webhook(receiver, "/disabled")
            _ = try await outbox.webhook(receiver, "/wanted")
            try await outbox.post()
            try await outbox.store.archiveEndpoint(archived, of: Outbox.organization, ifRevision: 1)
            _ = try await outbox.store.changeEndpoint(disabled, of: Outbox.organization, ifRevision: 1) { $0.isEnabled = false }
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) }
            #expect(receiver.received.map(\.requestLine) == ["POST /wanted HTTP/1.1"])
            #expect(try await outbox.deliveries().map(\.state) == ["cancelled", "cancelled", "delivered"])
        }
    }

    @Test("endpoints are kept, listed, changed and put away, and their rows never hold a secret in the clear")
    func endpoints() async throws {
        try await withOutbox { outbox in
            let store = outbox.store
            let id = try await outbox.endpoint(.pagerduty(url: EndpointCredentials.pagerDutyURL, routingKey: "R-secret"))
            #expect(try await store.endpoint(id, of: Outbox.organization).kind == .pagerduty)
            let changed = try await store.changeEndpoint(id, of: Outbox.organization, ifRevision: 1) {
                $0.settings.name = "on call"
                $0.settings.minPercent = 90
            }
            #expect(changed.settings.name == "on call" && changed.settings.minPercent == 90 && changed.revision == 2)
            await #expect(throws: AdminRefusal.revisionMismatch(current: 2)) {
                _ = try await store.changeEndpoint(id, of: Outbox.organization, ifRevision: 1) { $0.settings.name = "x" }
            }
            let stranger = OrganizationID(high: 9, low: 9)
            await #expect(throws: AdminRefusal.notFound) { _ = try await store.store(of: stranger).endpoint(id, of: stranger) }
            #expect(
                try await store.endpoints(
                    of: Outbox.organization, ListFilter(), Listing(EndpointRecord.orders[0], isDescending: false, limit: 10)
                ).items
                    .map(\.id) == [id])
            let sealed = try await outbox.run("SELECT sealed FROM endpoints").rows[0].decode(as: Bytea.self).bytes
            for word in ["R-secret", "pagerduty"] { #expect(sealed.firstRange(of: Array(word.utf8)) == nil) }
            try await store.archiveEndpoint(id, of: Outbox.organization, ifRevision: 2)
            #expect(
                try await store.endpoints(
                    of: Outbox.organization, ListFilter(), Listing(EndpointRecord.orders[0], isDescending: false, limit: 10)
                ).items
                    .isEmpty)
        }
    }
}
