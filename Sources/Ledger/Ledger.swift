/// The engine's front (design §5): hands each command to its organization's lane and returns when the answer is durable.
public import Budgets
public import Logging
public import Postgres
public import ServiceLifecycle
public import Store
import Synchronization
public import Tracing

/// Decides and books. One per process; any number of processes may share a database, and talk only to it.
public final class Ledger: Service {
    private let lanes: [Lane]
    private let sweeper: Sweeper

    /// - Parameters:
    ///   - configuration: Where Postgres is. Each lane holds one connection, the sweeper another.
    ///   - laneCount: Organizations are spread over so many lanes.
    ///   - batchBound: Commands in one Postgres transaction, at most.
    ///   - sweepInterval: How often reservations whose time is over are looked for.
    ///   - now: The clock, for tests to hold.
    ///   - onAlerts: Called after a commit that created deliveries.
    ///   - tracer: Nil unless commands and batches are to be traced: then nothing is spent on it.
    public init(
        _ configuration: PostgresConfiguration, laneCount: Int = 4, batchBound: Int = 512, sweepInterval: Duration = .seconds(1),
        now: @escaping @Sendable () -> Instant = Instant.now, onAlerts: @escaping @Sendable () -> Void = {}, tracer: (any Tracer)? = nil,
        logger: Logger
    ) {
        let platform = PlatformCatalogue()
        let lanes = (0..<max(1, laneCount)).map { _ in
            Lane(configuration.forLane, platform: platform, batchBound: batchBound, onAlerts: onAlerts, tracer: tracer, logger: logger)
        }
        self.lanes = lanes
        sweeper = Sweeper(configuration.forEveryone, interval: sweepInterval, now: now, logger: logger) { organization, command in
            await lanes[Ledger.lane(of: organization, lanes.count)].submit(command, for: organization)
        }
    }

    /// Runs until graceful shutdown; then takes no more commands, serves those that wait, and ends.
    public func run() async throws {
        await withGracefulShutdownHandler {
            await withDiscardingTaskGroup { group in
                for lane in lanes { group.addTask { await lane.run() } }
                group.addTask { await self.sweeper.run() }
            }
        } onGracefulShutdown: {
            self.finish()
        }
    }

    /// Takes no more commands; `run` ends when those that wait are served.
    public func finish() {
        sweeper.finish()
        for lane in lanes { lane.queue.finish() }
    }

    /// Carries the command out. Anything but `overloaded`, `storeUnavailable` and `failed` is durable, or confirmed against what is (law 3).
    public func submit(_ command: Command, for organization: OrganizationID) async -> Outcome {
        await lanes[Ledger.lane(of: organization, lanes.count)].submit(command, for: organization)
    }

    /// Whether every lane has its connection.
    public var isConnected: Bool { lanes.allSatisfy(\.queue.isConnected) }

    /// Why commands cannot be carried out, as far as the lanes know; nil when they can. One organization's trouble is none.
    public var hindrance: String? {
        guard isConnected else { return "The engine has no connection to Postgres." }
        let since = ContinuousClock.now - Ledger.failureStands
        let isFailing = lanes.contains { lane in lane.figures.withLock { $0.unfitAt.map { $0 > since } ?? false } }
        return isFailing ? "Postgres has no room to write, or its disk fails." : nil
    }

    /// How long a lane's failure to write stands, unless it writes again: long enough for load balancers to notice, and then somebody has
    /// to try.
    static let failureStands: Duration = .seconds(10)

    /// What each lane has done since it started, and how many commands wait for it.
    public var laneFigures: [(queued: Int, done: LaneFigures)] {
        lanes.map { lane in (lane.queue.count, lane.figures.withLock { $0 }) }
    }

    /// Everything that was answered since the process started.
    public var answers: AnswerFigures {
        lanes.reduce(into: AnswerFigures()) { sum, lane in sum.add(lane.answers.withLock { $0 }) }
    }

    private static func lane(of organization: OrganizationID, _ count: Int) -> Int {
        // The random half of a UUIDv7; the other half is time.
        Int(organization.low % UInt64(count))
    }
}

extension PostgresConfiguration {
    /// Statements prepared while tables are empty would keep sequential plans as they grow: a lane's plans must not depend on
    /// statistics (design §5, measured). All of its statements find their rows by index.
    var forLane: PostgresConfiguration {
        var lane = self
        lane.planCacheMode = .generic
        // A lane that falls silent between locking fences and committing holds up every other replica: it must lose them before those
        // who wait lose patience. What a lane does meanwhile takes milliseconds; two seconds are for a machine that is out of breath.
        lane.idleInTransactionTimeout = min(idleInTransactionTimeout, max(lockTimeout / 2, .seconds(2)))
        for setting in ["enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"] { lane.settings[setting] = "off" }
        return lane
    }
}
