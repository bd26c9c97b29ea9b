/// Expires reservations whose time is over. Each sweep reads on from where the last one stopped; the first of a process starts at the
/// beginning of time, so nothing that a crash left open is forgotten. Beside that each sweep prunes a page of counters of rate limits.
import Budgets
import Logging
import Postgres
import Store

final class Sweeper: Sendable {
    /// Reservations looked at in one read: some ten milliseconds of work, whether any of them is open or not.
    static let maximumPage: Int64 = 5000
    /// How far back a sweep looks again, because a reservation may become visible after others that expire later: a moment each time,
    /// and now and then longer than any commit, retry and difference between clocks can take.
    private static let overlapSeconds: Int64 = 2
    private static let thoroughOverlapSeconds: Int64 = 120
    private static let sweepsPerThorough = 30

    private let configuration: PostgresConfiguration
    private let interval: Duration
    private let now: @Sendable () -> Instant
    private let logger: Logger
    private let submit: @Sendable (OrganizationID, Command) async -> Outcome
    /// Ends when the sweeper is to end.
    private let stops: AsyncStream<Void>
    private let stop: AsyncStream<Void>.Continuation

    init(
        _ configuration: PostgresConfiguration, interval: Duration, now: @escaping @Sendable () -> Instant, logger: Logger,
        submit: @escaping @Sendable (OrganizationID, Command) async -> Outcome
    ) {
        self.configuration = configuration
        self.interval = interval
        self.now = now
        self.logger = logger
        self.submit = submit
        (stops, stop) = AsyncStream.makeStream()
    }

    /// Sweeps until `finish`.
    func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.sweepForever() }
            for await _ in stops {}
            group.cancelAll()
        }
    }

    func finish() { stop.finish() }

    private func sweepForever() async {
        var place = Place()
        while !Task.isCancelled {
            do {
                let connection = try await PostgresConnection.connect(configuration, logger: logger)
                while !Task.isCancelled {
                    try await sweep(&place, on: connection)
                    try await prune(&place, on: connection)
                    // The period of the sweep, not a poll for a condition: time passing is what it waits for.
                    try? await Task.sleep(for: interval)
                }
                await connection.close()
            } catch {
                logger.warning("the sweeper lost Postgres", metadata: ["error": "\(error)"])
                // A pause between attempts: there is no signal for a server that comes back.
                try? await Task.sleep(for: interval)
            }
        }
    }

    /// Where the next quick and the next thorough sweep begin. The first of a process begins at the beginning of time.
    private struct Place {
        var quick = Instant(microseconds: 0)
        var thorough = Instant(microseconds: 0)
        var sweeps = 0
        var pruned = PruneKey.start
    }

    /// Expires everything due, page by page. What could not be expired does not hold up the rest: the next thorough sweep begins there.
    private func sweep(_ place: inout Place, on connection: PostgresConnection) async throws {
        let until = now()
        let isThorough = place.sweeps.isMultiple(of: Sweeper.sweepsPerThorough)
        var key = LedgerReads.SweepKey(from: isThorough ? place.thorough : place.quick)
        var earliestFailure = until
        while !Task.isCancelled {
            let query = LedgerReads.expired(after: key, until: until, maximum: Sweeper.maximumPage)
            let (open, next) = try LedgerReads.decodeExpired(try await connection.query(query))
            earliestFailure = min(earliestFailure, await expire(open, at: until) ?? until)
            guard let next else { break }
            key = next
        }
        place.quick = min(until.adding(seconds: -Sweeper.overlapSeconds), earliestFailure)
        if isThorough { place.thorough = min(until.adding(seconds: -Sweeper.thoroughOverlapSeconds), earliestFailure) }
        place.sweeps += 1
    }

    /// Looks at one page of counters of rate limits, and begins again behind the last.
    private func prune(_ place: inout Place, on connection: PostgresConnection) async throws {
        let query = RateLimitPruning.prune(after: place.pruned, at: now(), maximum: Sweeper.maximumPage)
        let result = try await connection.query(query)
        place.pruned = try RateLimitPruning.decode(result, maximum: Sweeper.maximumPage) ?? .start
    }

    /// Feeds expiries to the lanes; returns the earliest time of those that were not carried out.
    private func expire(_ due: [(OrganizationID, ReservationID, Instant)], at now: Instant) async -> Instant? {
        await withTaskGroup(of: Instant?.self) { group in
            for (organization, reservation, expiresAt) in due {
                group.addTask {
                    if case .expired = await self.submit(organization, .expire(reservation, at: now)) { nil } else { expiresAt }
                }
            }
            return await group.reduce(nil) { earliest, failed in failed.map { min($0, earliest ?? $0) } ?? earliest }
        }
    }
}
