/// A receiver down for a day, with the clock in the test's hand: the schedule is what the documentation says.
import Budgets
import JSON
import Postgres
import Store
import Synchronization
import TestSupport
import Testing

@testable import Alerts

@Suite(.timeLimit(.minutes(2))) struct OutageTests {
    @Test("a 24-hour outage: attempts come when the documentation says, the alert arrives after it, late, once")
    func day() async throws {
        try await withOutbox { outbox in
            let start = Instant.now()
            let clock = HeldClock(start)
            let times = Mutex<[Int64]>([])
            let receiver = Receiver { _ in
                let elapsed = clock.now.seconds - start.seconds
                times.withLock { $0.append(elapsed) }
                return elapsed < 86_400 ? .answer(503) : .ok
            }
            defer { receiver.stop() }
            _ = try await outbox.webhook(receiver)
            try await outbox.post(at: start)
            try await outbox.dispatching(heldClock: clock.read) { dispatcher in
                var attempts: Int64 = 0
                while true {
                    attempts += 1
                    dispatcher.wake()
                    _ = try await receiver.received(atLeast: Int(attempts))
                    try await outbox.untilNone(in: ["sending"], attempts: attempts)
                    let row = try await outbox.run("SELECT state, next_attempt_at FROM deliveries").rows[0]
                    let (state, next) = try row.decode(as: (String, Instant).self)
                    guard state == "pending" else { break }
                    // Not a moment earlier.
                    clock.set(Instant(microseconds: next.microseconds - 1))
                    dispatcher.wake()
                    clock.set(next)
                }
            }
            let seconds = times.withLock { $0 }
            let gaps = zip(seconds.dropFirst(), seconds).map { $0 - $1 }
            for (index, gap) in gaps.enumerated() {
                let scheduled = Double(RetrySchedule.delays[index + 1].components.seconds)
                #expect((scheduled * 0.8 - 1...scheduled * 1.2 + 1).contains(Double(gap)), "attempt \(index + 2): \(gap) s")
            }
            // 22 h 42 min 35 s are over before the tenth attempt, and 12 h come after it.
            #expect((9...11).contains(seconds.count))
            #expect(try await outbox.deliveries().map(\.state) == ["delivered"])
            let last = try JSON.parse(try #require(receiver.received.last).body)
            #expect(last["delivery"]?["late"] == true && last["delivery"]?["attempt"]?.int64 == Int64(seconds.count))
        }
    }

    @Test("a clock that jumps: an engine an hour ahead or behind delays nothing, and a jump of ours only shortens or lengthens waits")
    func jumps() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            _ = try await outbox.webhook(receiver)
            for hours in [-1, 1, 24] as [Int64] { try await outbox.post(at: Instant.now().adding(seconds: hours * 3600)) }
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 3) }
            #expect(try await outbox.deliveries().allSatisfy { $0.state == "delivered" && $0.attempts == 1 })
        }
        try await withOutbox { outbox in
            let clock = HeldClock()
            let receiver = Receiver { $0.number == 1 ? .answer(503) : .ok }
            defer { receiver.stop() }
            _ = try await outbox.webhook(receiver)
            try await outbox.post(at: clock.now)
            try await outbox.dispatching(heldClock: clock.read) { dispatcher in
                _ = try await receiver.received(atLeast: 1)
                try await outbox.untilNone(in: ["sending"], attempts: 1)
                clock.advance(seconds: -3600)
                dispatcher.wake()
                clock.advance(seconds: 7200)
                dispatcher.wake()
                _ = try await receiver.received(atLeast: 2)
            }
            #expect(try await outbox.deliveries().map(\.state) == ["delivered"])
            #expect(receiver.received.count == 2)
        }
    }

    @Test("what an exhausted organization muted is counted in the message that tells of it")
    func muted() async throws {
        try await withOutbox { outbox in
            let receiver = Receiver()
            defer { receiver.stop() }
            _ = try await outbox.endpoint(.slack(url: receiver.url()))
            try await outbox.post(threshold: 100, about: .init(budget: BudgetID(high: 1, low: 1)), mutesUntil: .distantFuture)
            for number in 2...4 as ClosedRange<UInt64> {
                try await outbox.post(
                    threshold: 90, about: .init(team: TeamID(high: 1, low: number), budget: BudgetID(high: 1, low: number)))
            }
            try await outbox.dispatching { _ in _ = try await receiver.received(atLeast: 1) }
            #expect(receiver.received.count == 1)
            #expect(receiver.received.first?.text.contains("3 alerts of teams and projects not sent here") == true)
            #expect(try await outbox.deliveries().map(\.state) == ["delivered", "muted", "muted", "muted"])
        }
    }
}
