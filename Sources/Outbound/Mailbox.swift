/// How tasks and the thread that owns curl's handles talk: only `Sendable` values cross, under one lock (no C pointer ever does).

import CCurl
import Synchronization

/// The one call that curl allows from any thread. An address is all that crosses; it is used under the mailbox's lock, and withdrawn
/// under the same lock before the handle goes.
struct Wakeup: Sendable {
    private let address: UInt

    init(_ multi: UnsafeMutableRawPointer) {
        address = UInt(bitPattern: multi)
    }

    func signal() {
        unsafe curl_multi_wakeup(UnsafeMutableRawPointer(bitPattern: address))
    }
}

typealias Outcome = Result<OutboundResponse, OutboundError>

/// A request on its way in, with the task that waits for it.
struct Submission: Sendable {
    let id: UInt64
    let outgoing: Outgoing
    let expires: ContinuousClock.Instant
    let waiter: CheckedContinuation<Outcome, Never>
}

final class Mailbox: Sendable {
    /// What the owner thread takes out at once.
    struct Delivery {
        var submissions: [Submission] = []
        var cancellations: [UInt64] = []
        var isStopping = false
    }

    private struct State {
        var delivery = Delivery()
        var unanswered = 0
        var nextID: UInt64 = 0
        var wakeup: Wakeup?
        var hasEnded = false
    }

    /// Requests accepted and not yet answered. Beyond it a caller is told `overloaded`: an outbox keeps the work, memory need not.
    static let longestQueue = 1024

    private let state = Mutex(State())

    func newID() -> UInt64 {
        state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
    }

    /// Hands a request over, or says why not; the waiter is then the caller's to resume.
    func submit(_ submission: Submission) -> OutboundError? {
        state.withLock { state in
            guard !state.delivery.isStopping, !state.hasEnded else { return .stopped }
            guard state.unanswered < Mailbox.longestQueue else { return .overloaded }
            state.unanswered += 1
            state.delivery.submissions.append(submission)
            state.wakeup?.signal()
            return nil
        }
    }

    func cancel(_ id: UInt64) {
        state.withLock { state in
            guard !state.hasEnded else { return }
            state.delivery.cancellations.append(id)
            state.wakeup?.signal()
        }
    }

    func stop() {
        state.withLock { state in
            state.delivery.isStopping = true
            state.wakeup?.signal()
        }
    }

    /// For the owner thread: from now on it is woken through `wakeup`.
    func open(_ wakeup: Wakeup) {
        state.withLock { $0.wakeup = wakeup }
    }

    /// For the owner thread: everything that came in since.
    func take() -> Delivery {
        state.withLock { state in
            let delivery = state.delivery
            state.delivery = Delivery(isStopping: delivery.isStopping)
            return delivery
        }
    }

    /// For the owner thread: a waiter is about to be resumed.
    func answered() {
        state.withLock { $0.unanswered -= 1 }
    }

    /// For the owner thread, as its last word: nobody will take anything out again. Returns what had come in meanwhile.
    func close() -> [Submission] {
        state.withLock { state in
            state.wakeup = nil
            state.hasEnded = true
            return state.delivery.submissions
        }
    }
}
