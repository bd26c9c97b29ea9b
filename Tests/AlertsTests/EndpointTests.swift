/// What endpoints ask for and what becomes of them: filters, rates, pauses, rotation, failing, disabling, and sending again.
import Budgets
import Foundation
import JSON
import Outbound
import Postgres
import Store
import Synchronization
import TestSupport
import Testing

@testable import Alerts

@Suite(.timeLimit(.minutes(2))) struct EndpointTests {
    @Test("only endpoints that ask for the team, project or budget, and for the severity, are told")
    func filters() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            let (team, budget) = (TeamID(high: 1, low: 7), BudgetID(high: 1, low: 8))
            try await outbox.run("INSERT INTO teams (organization_id, id, name) VALUES (\(Outbox.organization), \(team), 'Search')")
            try await outbox.run(
                """
                INSERT INTO budgets (organization_id, id, name, unit, period, amount)
                VALUES (\(Outbox.organization), \(budget), 'B', 'usd', 'month', 10)
                """)
            func slack(_ path: String, _ about: [Concern], _ severity: Severity = .info) async throws {
                _ = try await outbox.endpoint(.slack(url: receiver.url(path)), about: about, minSeverity: severity)
            }
            try await slack("/all", [])
            try await slack("/team", [.team(team)])
            try await slack("/budget", [.budget(budget)])
            try await slack("/either", [.team(team), .budget(budget)])
            try await slack("/loud", [], .critical)
            try await outbox.post(threshold: 90, about: .init(team: team))
            try await outbox.post(threshold: 100, about: .init(budget: budget))
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 7) }
            let paths = receiver.received.map { $0.requestLine.split(separator: " ")[1] }.sorted()
            #expect(paths == ["/all", "/all", "/budget", "/either", "/either", "/loud", "/team"])
            await #expect(throws: AdminRefusal.unknownReference(pointer: "/about/0")) {
                try await slack("/x", [.project(ProjectID(high: 9, low: 9))])
            }
        }
    }

    @Test("an endpoint's rate is kept, by all replicas together")
    func rate() async throws {
        try await withOutbox { outbox in
            _ = try await outbox.endpoint(.slack(url: "http://127.0.0.1:9/x"), ratePerMinute: nil)
            try await outbox.post(40)
            let start = Instant.now()
            func claimed(by replica: UInt64, after seconds: Int64) async throws -> Int {
                try await outbox.store.claimDeliveries(
                    .fresh, owner: ID(high: replica, low: 1), atMost: 32, load: DeliveryLoad(),
                    bounds: DeliveryBounds(perEndpoint: 2, perOrganization: 8, lease: .seconds(45)), now: start.adding(seconds: seconds)
                ).count
            }
            // Slack takes one message a second; two at once, and then none for two seconds.
            var counts: [Int] = []
            for second in 0...6 as ClosedRange<Int64> {
                for replica in 1...3 as ClosedRange<UInt64> { counts.append(try await claimed(by: replica, after: second)) }
            }
            #expect(counts == [2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 2, 0, 0])
            // Several at the same moment get no more together.
            let together = try await withThrowingTaskGroup(of: Int.self) { group in
                for replica in 1...4 as ClosedRange<UInt64> { group.addTask { try await claimed(by: replica, after: 60) } }
                return try await group.reduce(0, +)
            }
            #expect((1...2).contains(together))
        }
    }

    @Test("a paused endpoint's deliveries wait, and are given up after three days")
    func pause() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            let paused = try await outbox.webhook(receiver, "/paused")
            _ = try await outbox.store.changeEndpoint(paused, of: Outbox.organization, ifRevision: nil) { $0.settings.isPaused = true }
            _ = try await outbox.webhook(receiver, "/open")
            try await outbox.post(2)
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 2) }
            #expect(receiver.received.allSatisfy { $0.requestLine.contains("/open") })
            let old = try #require(try await outbox.run("SELECT min(event_id::text) FROM deliveries").rows.first).decode(as: String.self)
            try await outbox.run(
                "UPDATE deliveries SET created_at = now() - interval '73 hours' WHERE event_id::text = \(old) AND state = 'pending'")
            try await outbox.store.giveUpPaused()
            _ = try await outbox.store.changeEndpoint(paused, of: Outbox.organization, ifRevision: nil) { $0.settings.isPaused = false }
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 3) }
            #expect(try await outbox.deliveries().map(\.state).sorted() == ["delivered", "delivered", "delivered", "failed"])
        }
    }

    @Test("a disabled endpoint's failed deliveries are told of elsewhere, listed, and recovered once it is enabled")
    func disabledAndRecovered() async throws {
        try await withOutbox { outbox in
            let isGone = Atomic(true)
            let receiver = Receiver { $0.requestLine.contains("/gone") && isGone.load(ordering: .relaxed) ? .answer(410) : .ok }
            defer { receiver.stop() }
            let gone = try await outbox.webhook(receiver, "/gone")
            _ = try await outbox.endpoint(.slack(url: receiver.url("/other")), events: ["endpoint.*"])
            let before = Instant.now().adding(seconds: -60)
            try await outbox.post(5)
            try await outbox.dispatching { _ in
                _ = try await receiver.received(atLeast: 2)
                try await outbox.until { try await !outbox.store.endpoint(gone, of: Outbox.organization).isEnabled }
                try await outbox.untilNone(in: ["pending", "sending"])
            }
            let notice = try #require(receiver.received.first { $0.requestLine.contains("/other") })
            #expect(notice.text.contains("Endpoint disabled") && notice.text.contains("HTTP 410"))
            let dead = try await outbox.store.deliveries(
                of: Outbox.organization, DeliveryFilter(state: "failed", endpoint: gone),
                Listing(DeliveryRecord.orders[0], isDescending: true, limit: 10))
            #expect(dead.items.count == 5)
            await #expect(throws: AdminRefusal.self) {
                _ = try await outbox.store.recoverEndpoint(gone, of: Outbox.organization, since: before)
            }
            isGone.store(false, ordering: .relaxed)
            _ = try await outbox.store.changeEndpoint(gone, of: Outbox.organization, ifRevision: nil) { $0.isEnabled = true }
            // Events that were made while it was disabled are missing too: they have no delivery at all.
            #expect(try await outbox.store.recoverEndpoint(gone, of: Outbox.organization, since: before) == 5)
            #expect(try await outbox.store.recoverEndpoint(gone, of: Outbox.organization, since: before) == 0)
            let count = receiver.received.count
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: count + 5) }
            #expect(try await outbox.deliveries().allSatisfy { $0.state == "delivered" })
        }
    }

    @Test("what happened before an endpoint was made, or while it was disabled, can be sent to it")
    func recoveredFromNothing() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            let before = Instant.now().adding(seconds: -60)
            try await outbox.post(threshold: 80)
            try await outbox.post(threshold: 90)
            let late = try await outbox.endpoint(.slack(url: receiver.url()), minPercent: 90)
            #expect(try await outbox.store.recoverEndpoint(late, of: Outbox.organization, since: Instant.now().adding(seconds: 60)) == 0)
            #expect(try await outbox.store.recoverEndpoint(late, of: Outbox.organization, since: before) == 1)
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) }
            #expect(receiver.received.first?.text.contains("Budget 90% used") == true)
        }
    }

    @Test("a dead letter sent again begins its schedule anew")
    func retried() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver { $0.number == 1 ? .answer(404) : .answer(503) }
            defer { receiver.stop() }
            _ = try await outbox.endpoint(.pagerduty(url: receiver.url(), routingKey: "R"))
            try await outbox.post()
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) }
            let newest: Listing<DeliveryRecord, EndpointID> = Listing(DeliveryRecord.orders[0], isDescending: true, limit: 1)
            let page = try await outbox.store.deliveries(of: Outbox.organization, DeliveryFilter(), newest)
            let dead = try #require(page.items.first)
            #expect(dead.state == "failed" && dead.attempts == 1)
            #expect(try await outbox.store.retryDelivery(dead.id, of: Outbox.organization).state == "pending")
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 2) }
            let delivery = try #require(try await outbox.deliveries().first)
            #expect(delivery.state == "pending" && delivery.attempts == 2 && (3...7).contains(delivery.wait))
            let (_, log) = try await outbox.store.delivery(dead.id, of: Outbox.organization)
            #expect(log.map(\.status) == [404, 503])
        }
    }

    @Test("five days of nothing but failures disable an endpoint; one success, or less, does not")
    func fiveDays() async throws {
        for (failures, hours, isDisabled) in [(10, 120, true), (9, 120, false), (10, 119, false), (500, 1, false)] as [(Int64, Int, Bool)] {
            #expect((AlertDispatcher.disables(EndpointHealth(failures: failures, failingFor: .hours(hours))) != nil) == isDisabled)
        }
        try await withOutbox { outbox in
            let receiver = Receiver { _ in .answer(503) }
            defer { receiver.stop() }
            let id = try await outbox.webhook(receiver)
            try await outbox.run("UPDATE endpoints SET failures = 9, failing_since = now() - interval '5 days 1 hour'")
            try await outbox.post()
            try await outbox.dispatching { _ in
                _ = try await receiver.received(atLeast: 1)
                try await outbox.until { try await !outbox.store.endpoint(id, of: Outbox.organization).isEnabled }
            }
            #expect(try await outbox.store.endpoint(id, of: Outbox.organization).disabledReason == "every attempt failed for 5 days")
        }
    }

    @Test("incidents are resolved by the routing key that triggered them, also after it was rotated")
    func pagerDuty() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver { _ in .answer(202, body: "{}") }
            defer { receiver.stop() }
            let id = try await outbox.endpoint(.pagerduty(url: receiver.url(), routingKey: "R1"))
            let budget = try await outbox.budget()
            try await outbox.alert(budget, threshold: 90)
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) }
            _ = try await outbox.store.rotateEndpoint(id, of: Outbox.organization, sealer: outbox.sealer) { _ in
                .pagerduty(url: receiver.url(), routingKey: "R2")
            }
            try await outbox.alert(budget, threshold: 100)
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 2) }
            // The period ends.
            #expect(try await outbox.store.reviewAlerts(at: .now().adding(seconds: 40 * 86_400)) == 1)
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 4) }
            let sent = try receiver.received.map { request in
                let event = try JSON.parse(request.body)
                let key = event["dedup_key"]?.string ?? ""
                return
                    "\(event["event_action"]?.string ?? "") \(event["routing_key"]?.string ?? "") \(key.split(separator: "/").last ?? "")"
            }
            #expect(sent.prefix(2) == ["trigger R1 warn", "trigger R2 block"])
            #expect(sent.dropFirst(2).sorted() == ["resolve R1 warn", "resolve R2 block"])
            let keys = try Set(receiver.received.map { try JSON.parse($0.body)["dedup_key"]?.string })
            #expect(keys.count == 2)
        }
    }

    @Test("an alert that has not arrived is replaced by a later one of the same counter, at the endpoints that get that one")
    func superseded() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            let budget = try await outbox.budget()
            _ = try await outbox.webhook(receiver, "/all")
            _ = try await outbox.endpoint(
                .webhook(url: receiver.url("/warnings"), secrets: [Outbox.secret]), events: ["budget.threshold_reached"])
            try await outbox.alert(budget, threshold: 90)
            try await outbox.alert(budget, threshold: 100)
            try await outbox.dispatching { _ in
                _ = try await receiver.received(atLeast: 2)
                try await outbox.untilNone(in: ["pending", "sending"])
            }
            let arrived = try receiver.received.map { request in
                "\(request.requestLine.split(separator: " ")[1]) \(try JSON.parse(request.body)["data"]?["threshold"]?.int64 ?? 0)"
            }
            #expect(arrived.sorted() == ["/all 100", "/warnings 90"])
            #expect(try await outbox.deliveries().compactMap(\.error) == ["superseded by a later event"])
        }
    }
}
