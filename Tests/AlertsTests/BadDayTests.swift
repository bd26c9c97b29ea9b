/// From the outbox to real receivers, on bad days: failing receivers, dying senders, Postgres away.
import Budgets
import JSON
import Outbound
import Postgres
import Store
import TestSupport
import Testing

@testable import Alerts

@Suite(.timeLimit(.minutes(2))) struct BadDayTests {
    @Test("a receiver that is down for two days gets eleven attempts, spaced as documented, and then no more")
    func outage() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver { _ in .answer(503) }
            defer { receiver.stop() }
            _ = try await outbox.webhook(receiver)
            try await outbox.post()
            for attempt in 1...11 {
                try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: attempt) }
                let delivery = try #require(try await outbox.deliveries().first)
                #expect(delivery.attempts == attempt && delivery.error == "HTTP 503")
                if attempt < 11 {
                    let scheduled = Double(RetrySchedule.delays[attempt].components.seconds)
                    #expect(delivery.state == "pending")
                    #expect(
                        ((scheduled * 0.8 - 1)...(scheduled * 1.2 + 1)).contains(Double(delivery.wait)),
                        "attempt \(attempt): \(delivery.wait)")
                } else {
                    #expect(delivery.state == "failed")
                }
                try await outbox.makeDue()
            }
            let ids = receiver.received.map { $0.headers["webhook-id"] }
            #expect(ids.count == 11 && Set(ids).count == 1)
            #expect(try await outbox.run("SELECT attempt FROM delivery_attempts WHERE status = 503").rows.count == 11)
        }
    }

    @Test(
        "every way to fail is followed by a success",
        arguments: [
            .answer(500), .answer(429, headers: ["Retry-After": "0"]), .reset, .raw(""), .raw("garbage\r\n\r\n"),
            .flood("HTTP/1.1 500 X\r\n\r\n"), .flood("HTTP/1.1 200 OK\r\nX: "), .raw("\u{0}\u{1}\u{2}"),
            .answer(301, headers: ["Location": "http://169.254.169.254/latest/meta-data"]),
        ]
            as [Reply])
    func recovery(reply: Reply) async throws {
        try await withOutbox { outbox in
            let receiver = Receiver { $0.number == 1 ? reply : .ok }
            defer { receiver.stop() }
            _ = try await outbox.webhook(receiver)
            try await outbox.post()
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) }
            #expect(try await outbox.deliveries().first?.state == "pending")
            try await outbox.makeDue()
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 2) }
            #expect(try await outbox.deliveries().first?.state == "delivered")
            let bodies = try receiver.received.map { try JSON.parse($0.body) }
            for member in ["type", "timestamp", "data"] { #expect(bodies[0][member] == bodies[1][member], "\(member)") }
            #expect(bodies.map { $0["delivery"]?["attempt"]?.int64 } == [1, 2])
        }
    }

    @Test("Retry-After is heeded")
    func retryAfter() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver { _ in .answer(429, headers: ["Retry-After": "600"]) }
            defer { receiver.stop() }
            _ = try await outbox.endpoint(.slack(url: receiver.url()))
            try await outbox.post()
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) }
            #expect((599...601).contains(try #require(try await outbox.deliveries().first).wait))
        }
    }

    @Test(
        "what can never arrive disables the endpoint, in words fit for the tenant",
        arguments: [(410, "127.0.0.0/8", "HTTP 410"), (200, "10.255.0.0/16", "address not allowed")])
    func disabling(status: Int, allow: String, reason: String) async throws {
        try await withOutbox { outbox in
            let receiver = Receiver { _ in .answer(status) }
            defer { receiver.stop() }
            let id = try await outbox.endpoint(.webhook(url: receiver.url(host: "localhost"), secrets: [Outbox.secret]))
            try await outbox.post(5)
            try await outbox.dispatching(allow: [allow]) { _ in try await outbox.untilNone(in: ["pending", "sending"]) }
            let endpoint = try await outbox.store.endpoint(id, of: Outbox.organization)
            #expect(!endpoint.isEnabled && endpoint.disabledReason == reason)
            #expect(receiver.received.count <= AlertDispatcher.mostPerEndpoint)
            let again = try await outbox.store.changeEndpoint(id, of: Outbox.organization, ifRevision: nil) { $0.isEnabled = true }
            #expect(again.isEnabled && again.disabledReason == nil)
        }
    }

    @Test("a sender that dies loses its claim when the lease ends, and its late word no longer counts")
    func deadSender() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            _ = try await outbox.webhook(receiver)
            try await outbox.post()
            let dead = ID<SenderKind>(high: 1, low: 1)
            let claim = { @Sendable in
                try await outbox.store.claimDeliveries(
                    .fresh, owner: dead, atMost: 10, load: DeliveryLoad(),
                    bounds: DeliveryBounds(perEndpoint: 2, perOrganization: 8, lease: .seconds(60)))
            }
            let claimed = try #require(try await claim().first)
            #expect(try await claim().isEmpty)
            try await outbox.makeDue()
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) }
            let log = AttemptRecord(duration: .seconds(1), status: 500, outcome: "HTTP 500", response: nil, isWell: false)
            let isOurs = try await outbox.store.finishDelivery(claimed, owner: dead, fate: .failed, attempt: log, reason: "HTTP 500")
            #expect(isOurs == nil)
            let delivery = try #require(try await outbox.deliveries().first)
            #expect(delivery.state == "delivered" && delivery.attempts == 2)
            #expect(try await outbox.run("SELECT 1 FROM delivery_attempts").rows.count == 2)
        }
    }

    @Test(
        "while a second claim is under way, the first has no say, whoever made it",
        arguments: [ID<SenderKind>(high: 1, low: 1), ID(high: 2, low: 2)])
    func fence(second: ID<SenderKind>) async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            _ = try await outbox.webhook(receiver)
            try await outbox.post()
            let first = ID<SenderKind>(high: 1, low: 1)
            let claim = { @Sendable (owner: ID<SenderKind>) in
                try #require(
                    try await outbox.store.claimDeliveries(
                        .fresh, owner: owner, atMost: 10, load: DeliveryLoad(),
                        bounds: DeliveryBounds(perEndpoint: 2, perOrganization: 8, lease: .seconds(60))
                    ).first)
            }
            let lost = try await claim(first)
            try await outbox.makeDue()
            let held = try await claim(second)
            #expect(lost.attempt == 1 && held.attempt == 2)
            #expect(try await outbox.store.finishDelivery(lost, owner: first, fate: .failed, attempt: nil, reason: "x") == nil)
            #expect(try await outbox.deliveries().first?.state == "sending")
            #expect(try await outbox.store.finishDelivery(held, owner: second, fate: .delivered, attempt: nil, reason: nil) != nil)
            #expect(try await outbox.store.finishDelivery(held, owner: second, fate: .failed, attempt: nil, reason: "x") == nil)
            #expect(try await outbox.deliveries().first?.state == "delivered")
        }
    }

    @Test("shutting down lets an attempt under way finish")
    func gracefulShutdown() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver { _ in .hold(.ok) }
            defer { receiver.stop() }
            _ = try await outbox.webhook(receiver)
            try await outbox.post()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) } }
                _ = try await receiver.received(atLeast: 1)
                // Shutdown has begun or is about to: either way the answer comes only now.
                receiver.release()
                try await group.waitForAll()
            }
            #expect(try await outbox.deliveries().first?.state == "delivered")
        }
    }

    @Test("with another master key nothing is sent and nothing is lost")
    func otherMasterKey() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            _ = try await outbox.webhook(receiver)
            try await outbox.post()
            let other = try Sealer(masterKey: Array(repeating: 1, count: 32))
            try await outbox.dispatching(sealer: other) { _ in try await outbox.untilNone(in: ["sending"], attempts: 1) }
            #expect(receiver.connections == 0)
            let delivery = try #require(try await outbox.deliveries().first)
            #expect(delivery.state == "pending" && delivery.error == "endpoint cannot be opened: otherMasterKey")
            try await outbox.makeDue()
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) }
            #expect(try await outbox.deliveries().first?.state == "delivered")
        }
    }

    @Test("Postgres dies while a receiver answers: the answer is recorded when it is back, and the rest goes out")
    func postgresAway() async throws {
        try await isolatedPostgres { postgres in
            let outbox = try await Outbox(postgres.configuration)
            let receiver = Receiver { $0.number == 1 ? .hold(.ok) : .ok }
            defer { receiver.stop() }
            _ = try await outbox.webhook(receiver)
            try await outbox.post()
            try await outbox.dispatching { dispatcher in
                _ = try await receiver.received(atLeast: 1)
                postgres.kill()
                receiver.release()
                dispatcher.wake()
                try await postgres.start()
                try await outbox.untilNone(in: ["pending", "sending"])
                try await outbox.post(3)
                _ = try await receiver.received(atLeast: 4)
            }
            #expect(receiver.received.count == 4)
            #expect(try await outbox.deliveries().allSatisfy { $0.state == "delivered" && $0.attempts == 1 })
            await outbox.close()
        }
    }
}
