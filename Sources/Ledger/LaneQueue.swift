/// Where commands wait for their lane: bounded, in arrival order (law 11).
import Budgets
import Synchronization
import Tracing

/// A command and whoever waits for its outcome.
struct QueuedCommand: Sendable {
    let organization: OrganizationID
    let command: Command
    /// The caller's span, when requests are traced.
    var span: ServiceContext?
    let answer: CheckedContinuation<Outcome, Never>
}

final class LaneQueue: Sendable {
    /// More than a lane commits in a second: whoever would wait longer is better told `overloaded` at once.
    static let maximumQueued = 8192

    /// What stands between the queue and Postgres. While the first connection is being made commands wait for it; once Postgres is
    /// known to be away they are turned away at once.
    private enum Link { case connecting, connected, away }

    private struct State {
        var commands: [QueuedCommand] = []
        var waiter: CheckedContinuation<Void, Never>?
        var link = Link.connecting
        var isFinished = false
    }

    private let state = Mutex(State())

    /// Queues a command and waits for its outcome. Answers at once when Postgres is away or the queue is full.
    func submit(_ command: Command, for organization: OrganizationID, span: ServiceContext? = nil) async -> Outcome {
        await withCheckedContinuation { answer in
            let (refusal, waiter) = state.withLock { state -> (Outcome?, CheckedContinuation<Void, Never>?) in
                guard state.link != .away, !state.isFinished else { return (.storeUnavailable, nil) }
                guard state.commands.count < LaneQueue.maximumQueued else { return (.overloaded, nil) }
                state.commands.append(QueuedCommand(organization: organization, command: command, span: span, answer: answer))
                return (nil, state.waiter.take())
            }
            if let refusal { answer.resume(returning: refusal) }
            waiter?.resume()
        }
    }

    /// The next batch, as soon as there is one; nil when the queue is finished and empty. Stays on the caller's executor, so that a
    /// lane that waits for work costs one thread hop a batch.
    nonisolated(nonsending) func next(atMost maximum: Int) async -> [QueuedCommand]? {
        while true {
            let (batch, isFinished) = state.withLock { state -> ([QueuedCommand], Bool) in
                let batch = Array(state.commands.prefix(maximum))
                state.commands.removeFirst(batch.count)
                return (batch, state.isFinished)
            }
            if !batch.isEmpty { return batch }
            if isFinished { return nil }
            await withCheckedContinuation { waiter in
                let isReady = state.withLock { state in
                    guard state.commands.isEmpty, !state.isFinished else { return true }
                    state.waiter = waiter
                    return false
                }
                if isReady { waiter.resume() }
            }
        }
    }

    /// Lets commands in: the lane has its connection.
    func connected() { state.withLock { $0.link = .connected } }

    /// Turns new commands away and answers those that wait: Postgres is away.
    func disconnected() {
        let commands = state.withLock { state in
            state.link = .away
            defer { state.commands = [] }
            return state.commands
        }
        for command in commands { command.answer.resume(returning: .storeUnavailable) }
    }

    /// Takes no more; what is queued is still served.
    func finish() {
        let waiter = state.withLock { state in
            state.isFinished = true
            return state.waiter.take()
        }
        waiter?.resume()
    }

    var isFinished: Bool { state.withLock { $0.isFinished } }
    var isConnected: Bool { state.withLock { $0.link == .connected } }
    var count: Int { state.withLock { $0.commands.count } }
}
