/// What one connection of a replay does: take the next call, reserve, settle what was admitted, count.
import Budgets
import Histogram
import JSON
import NIOCore
import Synchronization

/// What all connections of a replay share.
final class ReplayWork: Sendable {
    let calls: [ReplayCall]
    /// One for each key of the plan.
    let heads: [RequestHead]
    /// Nanoseconds between two calls per microsecond of the trace; nil: as fast as the connections go.
    private let nanosecondsPerMicrosecond: Double?
    private let start: NIODeadline
    private let claimed = Atomic(0)
    private let finished = Atomic(0)

    /// - Parameter speed: how many times faster than the trace; nil: as fast as possible.
    init(calls: [ReplayCall], heads: [RequestHead], speed: Double?, start: NIODeadline) {
        self.calls = calls
        self.heads = heads
        self.start = start
        nanosecondsPerMicrosecond = speed.map { 1000 / $0 }
    }

    /// How many calls have their last answer.
    var done: Int { finished.load(ordering: .relaxed) }

    fileprivate func claim() -> Int? {
        let index = claimed.wrappingAdd(1, ordering: .relaxed).oldValue
        return index < calls.count ? index : nil
    }

    fileprivate func finish() { finished.wrappingAdd(1, ordering: .relaxed) }

    /// When a call is meant to be sent; nil when there is no pace.
    fileprivate func due(_ index: Int) -> NIODeadline? {
        nanosecondsPerMicrosecond.map { start + .nanoseconds(Int64(Double(calls[index].trace.offset) * $0)) }
    }
}

/// Reserves and settles calls, one after another, until none is left.
struct ReplayDriver: LoadDriver {
    /// A server without its database says 503 and is asked again: for a minute, so that a restart of Postgres loses no call.
    private static let (pause, attempts) = (TimeAmount.milliseconds(100), 600)

    private enum State {
        case free
        case reserve(Int, attempt: Int)
        case settle(Int, path: String, attempt: Int)
    }

    private let work: ReplayWork
    private var state = State.free
    private var notBefore: NIODeadline?
    /// When the present request was meant to be sent, or was sent first.
    private var began: NIODeadline?
    private var tally = ReplayTally()

    init(work: ReplayWork) { self.work = work }

    mutating func next(now: NIODeadline) -> LoadStep {
        if case .free = state {
            guard let index = work.claim() else { return .stop }
            state = .reserve(index, attempt: 1)
            began = work.due(index)
            notBefore = began
        }
        if let notBefore, notBefore > now { return .wait(until: notBefore) }
        switch state {
        case .free: preconditionFailure("a call was claimed above")
        case .reserve(let index, _):
            let call = work.calls[index]
            return .send(work.heads[call.key].request("POST", "/v1/reservations", body: call.reserveBody))
        case .settle(let index, let path, _):
            let call = work.calls[index]
            return .send(work.heads[call.key].request("POST", path, body: call.settleBody))
        }
    }

    mutating func answered(status: Int, body: ByteBuffer, sentAt: NIODeadline, now: NIODeadline) {
        let started = began ?? sentAt
        began = started
        switch state {
        case .free: break
        case .reserve(let index, let attempt):
            if status == 503, attempt < Self.attempts { return again(.reserve(index, attempt: attempt + 1), now) }
            tally.reserve.record(Self.microseconds(from: started, to: now))
            let answer = Self.parse(body)
            if (200...201).contains(status), let id = answer?["id"]?.string {
                tally.admitted += 1
                proceed(.settle(index, path: "/v1/reservations/\(id)/settle", attempt: 1))
            } else {
                tally.refused[Self.code(status, answer), default: 0] += 1
                end()
            }
        case .settle(let index, let path, let attempt):
            if status == 503, attempt < Self.attempts { return again(.settle(index, path: path, attempt: attempt + 1), now) }
            tally.settle.record(Self.microseconds(from: started, to: now))
            let answer = Self.parse(body)
            if status == 200, let cost = answer?["cost"]?["amount"]?.string.flatMap({ Amount($0) }) {
                tally.settled += 1
                tally.cost = tally.cost + cost
            } else {
                tally.unsettled[Self.code(status, answer), default: 0] += 1
            }
            end()
        }
    }

    func finish() -> ReplayTally { tally }

    private mutating func again(_ state: State, _ now: NIODeadline) {
        tally.repeated += 1
        self.state = state
        notBefore = now + Self.pause
    }

    private mutating func proceed(_ state: State) {
        self.state = state
        began = nil
        notBefore = nil
    }

    private mutating func end() {
        work.finish()
        proceed(.free)
    }

    private static func parse(_ body: ByteBuffer) -> JSON? { try? JSON.parse(Array(body.readableBytesView)) }

    private static func code(_ status: Int, _ answer: JSON?) -> String { answer?["code"]?.string ?? "status_\(status)" }

    private static func microseconds(from start: NIODeadline, to end: NIODeadline) -> UInt64 {
        UInt64(max(0, (end - start).nanoseconds / 1000))
    }
}
