/// Expires reservations whose time is over. Each sweep reads on from where the last one stopped; the first of a process starts at the
/// beginning of time, so nothing that a crash left open is forgotten.
import Budgets
import Logging
import Postgres
import Store
import Synchronization

final class Sweeper: Sendable {
    /// Reservations of one read.
    static let maximumPage: Int64 = 500
    /// How far each sweep reads back: longer than any commit may take (`statement_timeout`), because a reservation may become
    /// visible after others that expire later.
    static let overlapSeconds: Int64 = 15

    private let configuration: PostgresConfiguration
    private let interval: Duration
    private let now: @Sendable () -> Instant
    private let logger: Logger
    private let submit: @Sendable (OrganizationID, Command) async -> Outcome
    private let task = Mutex<(isFinished: Bool, cancel: (@Sendable () -> Void)?)>((false, nil))

    init(
        _ configuration: PostgresConfiguration, interval: Duration, now: @escaping @Sendable () -> Instant, logger: Logger,
        submit: @escaping @Sendable (OrganizationID, Command) async -> Outcome
    ) {
        self.configuration = configuration
        self.interval = interval
        self.now = now
        self.logger = logger
        self.submit = submit
    }

    func run() async {
        await withTaskGroup(of: Void.self) { group in
            let isFinished = task.withLock { state in
                // A task group cannot be cancelled from outside; a stream's end can be signalled from anywhere.
                state.isFinished
            }
            guard !isFinished else { return }
            let (stops, stop) = AsyncStream.makeStream(of: Void.self)
            task.withLock { $0.cancel = { stop.finish() } }
            if task.withLock({ $0.isFinished }) { stop.finish() }
            group.addTask { await self.sweepForever() }
            for await _ in stops {}
            group.cancelAll()
        }
    }

    func finish() {
        let cancel = task.withLock { state in
            state.isFinished = true
            return state.cancel
        }
        cancel?()
    }

    private func sweepForever() async {
        var after = Instant(microseconds: 0)
        while !Task.isCancelled {
            do {
                let connection = try await PostgresConnection.connect(configuration, logger: logger)
                while !Task.isCancelled {
                    after = try await sweep(after: after, on: connection)
                    // The period of the sweep, not a poll for a condition: time passing is what it waits for.
                    try? await Task.sleep(for: interval)
                }
                await connection.close()
            } catch {
                logger.debug("the sweeper lost Postgres", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: interval)
            }
        }
    }

    /// Expires everything due, page by page. Returns where the next sweep begins.
    private func sweep(after: Instant, on connection: PostgresConnection) async throws -> Instant {
        var after = after
        let until = now()
        while !Task.isCancelled {
            let query = LedgerReads.expired(after: after, until: until, maximum: Sweeper.maximumPage)
            let due = try LedgerReads.decodeExpired(try await connection.query(query))
            let isUnanswered = await withTaskGroup(of: Bool.self) { group in
                for (organization, reservation, _) in due {
                    group.addTask {
                        if case .expired = await self.submit(organization, .expire(reservation, at: until)) { false } else { true }
                    }
                }
                return await group.contains(true)
            }
            // What could not be expired now is due again at the next sweep.
            guard !isUnanswered else { return after }
            guard due.count == Sweeper.maximumPage, let last = due.last else { break }
            after = last.2
        }
        return max(after, until.adding(seconds: -Sweeper.overlapSeconds))
    }
}
