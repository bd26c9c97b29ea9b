/// A bounded number of connections shared by many callers. A thin shell: `PoolState` decides under a lock, this acts after it.
public import Logging
public import ServiceLifecycle
import Synchronization

/// Lends connections, first come first served. Opens them on demand, and anew when the server was away, without a restart.
///
/// Works without `run()`; then call `shutdown()` in the end.
public final class PostgresPool: Sendable, Service {
    /// A connection older than this is closed instead of lent again: what its session has piled up, and hosts that were
    /// failed over from, go with it.
    public static let maximumAge: Duration = .seconds(30 * 60)

    private typealias State = PoolState<PostgresConnection, CheckedContinuation<PoolGrant<PostgresConnection>, any Error>>

    private struct Shared {
        var state: State
        var number: UInt64 = 0
        var exhausted = 0
        var whenReturned: [CheckedContinuation<Void, Never>] = []
    }

    private let configuration: PostgresConfiguration
    private let logger: Logger
    private let shared: Mutex<Shared>

    /// Makes a pool of at most `size` connections, each with a thread; opens none yet.
    public init(_ configuration: PostgresConfiguration, size: Int, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
        shared = Mutex(Shared(state: State(size: size, maximumAge: PostgresPool.maximumAge)))
    }

    /// How it stands, for metrics.
    public var figures: PoolFigures {
        shared.withLock { shared in
            PoolFigures(
                size: shared.state.size, lent: shared.state.lent, idle: shared.state.idle.count, waiting: shared.state.waiterCount,
                exhausted: shared.exhausted)
        }
    }

    /// Waits for graceful shutdown (or cancellation), then closes: see `shutdown()`.
    public func run() async throws {
        // A cancelled wait ends in the same way as a graceful one: by closing.
        try? await gracefulShutdown()
        await shutdown()
    }

    /// Refuses new callers and those who wait (`.connection`), and returns when every lent connection has come back and is closed.
    public func shutdown() async {
        let consequences = shared.withLock { $0.state.shutDown() }
        await act(consequences)
        await withCheckedContinuation { continuation in
            let isDone = shared.withLock { shared in
                if shared.state.lent > 0 { shared.whenReturned.append(continuation) }
                return shared.state.lent == 0
            }
            if isDone { continuation.resume() }
        }
    }

    /// Runs `body` on a connection, on that connection's own thread, and takes the connection back afterwards.
    ///
    /// `deadline` bounds the wait for a connection, not `body`. Throws `.poolExhausted` when it passes or too many wait,
    /// `.cancelled` when the task is cancelled while it waits, `.connection` at once when the server cannot be reached;
    /// otherwise what `body` throws. A connection that `body` leaves inside a transaction is closed.
    public func withConnection<T: Sendable>(
        deadline: Duration = .seconds(5), _ body: @Sendable (isolated PostgresConnection) async throws -> T
    ) async throws -> T {
        let end = ContinuousClock.now + deadline
        var lent: State.Idle
        if case .connection(let idle) = try await acquire(until: end) { lent = idle } else { lent = try await open(until: end) }
        while true {
            switch await lent.connection.lend(body) {
            case .stale:
                // Its slot stays ours, so a fresh one can take its place.
                shared.withLock { $0.state.reopening() }
                lent = try await open(until: end)
            case .returned(let result, let isFit):
                let returned = isFit ? lent : nil
                await act(shared.withLock { $0.state.giveBack(returned, at: .now) })
                return try result.get()
            }
        }
    }

    private func open(until end: ContinuousClock.Instant) async throws -> State.Idle {
        var configuration = configuration
        configuration.connectTimeout = min(configuration.connectTimeout, max(ContinuousClock.now.duration(to: end), .milliseconds(100)))
        do {
            let connection = try await PostgresConnection.connect(configuration, logger: logger)
            await act(shared.withLock { $0.state.opened(at: .now) })
            return State.Idle(connection: connection, openedAt: .now)
        } catch {
            await act(shared.withLock { $0.state.failedToOpen(error, at: .now) })
            throw error
        }
    }

    private func acquire(until end: ContinuousClock.Instant) async throws -> State.Grant {
        let (aged, demand, number) = shared.withLock { shared in
            shared.number += 1
            return (shared.state.dropAged(at: .now), shared.state.demand(at: .now), shared.number)
        }
        for connection in aged { await connection.close() }
        switch demand {
        case .granted(let grant): return grant
        case .refused(let error): throw counted(error)
        case .wait: break
        }
        // Cancelled and awaited by the compiler when this function leaves.
        async let _ = expire(number, at: end)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                // Asked again, as the lock was let go: from here on it is decided and queued in one step.
                let demand = shared.withLock { shared in
                    if Task.isCancelled { return State.Demand.refused(.waitWasCancelled) }
                    let demand = shared.state.demand(at: .now)
                    if case .wait = demand { shared.state.enqueue(continuation, number: number) }
                    return demand
                }
                switch demand {
                case .granted(let grant): continuation.resume(returning: grant)
                case .refused(let error): continuation.resume(throwing: counted(error))
                case .wait: break
                }
            }
        } onCancel: {
            leave(number, .waitWasCancelled)
        }
    }

    private func expire(_ number: UInt64, at end: ContinuousClock.Instant) async {
        // A deadline, not a poll: one sleep a waiter, ended early by cancellation when the wait is over.
        guard (try? await Task.sleep(until: end, clock: .continuous)) != nil else { return }
        leave(number, PostgresError(.poolExhausted, "no connection became free in time"))
    }

    private func leave(_ number: UInt64, _ error: PostgresError) {
        shared.withLock { $0.state.leave(number: number) }?.resume(throwing: counted(error))
    }

    private func counted(_ error: PostgresError) -> PostgresError {
        if error.kind == .poolExhausted { shared.withLock { $0.exhausted += 1 } }
        return error
    }

    private func act(_ consequences: State.Consequences) async {
        for (waiter, grant) in consequences.granted { waiter.resume(returning: grant) }
        for (waiter, error) in consequences.refused { waiter.resume(throwing: error) }
        for connection in consequences.close { await connection.close() }
        let returned = shared.withLock { shared in
            guard shared.state.isShutDown, shared.state.lent == 0 else { return [CheckedContinuation<Void, Never>]() }
            defer { shared.whenReturned = [] }
            return shared.whenReturned
        }
        for continuation in returned { continuation.resume() }
    }
}

extension PostgresError {
    fileprivate static let waitWasCancelled = PostgresError(.cancelled, "cancelled while waiting for a connection")
}

/// A pool's connections and callers at one moment.
public struct PoolFigures: Sendable {
    /// The most connections that it opens.
    public let size: Int
    /// Connections in use, or being opened for a caller.
    public let lent: Int
    public let idle: Int
    /// Callers that wait for a connection.
    public let waiting: Int
    /// Callers that got none in time since the pool was made; it only grows.
    public let exhausted: Int
}

/// How a loan ended.
enum Lending<T: Sendable>: Sendable {
    /// The connection had died while idle; the body was not run.
    case stale
    case returned(Result<T, any Error>, isFit: Bool)
}

extension PostgresConnection {
    /// Runs a borrower's body unless the connection has died in the meantime. Only one between transactions is fit for the next.
    func lend<T: Sendable>(_ body: @Sendable (isolated PostgresConnection) async throws -> T) async -> Lending<T> {
        guard let wire, wire.isIdle, !wire.isStale() else {
            close()
            return .stale
        }
        let result: Result<T, any Error>
        do { result = .success(try await body(self)) } catch { result = .failure(error) }
        preamble = nil
        let isFit = self.wire?.isIdle ?? false
        if !isFit {
            if isUsable { logger.error("a borrower left its connection inside a transaction; closed") }
            close()
        }
        return .returned(result, isFit: isFit)
    }
}
