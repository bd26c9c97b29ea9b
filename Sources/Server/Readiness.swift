/// `/health/ready`: whether calls can be decided and booked here, found out by committing and not by asking.
import Hummingbird
import Logging
import Postgres
import Store

/// Asked by load balancers every few seconds; works at most once a second, on a connection of its own, so that it tells of Postgres
/// and not of the pool.
actor Readiness {
    /// How long an answer stands. Many balancers ask; Postgres is written to once a second at most.
    static let freshness: Duration = .seconds(1)
    /// A probe under way for longer is taken for a failure by those who ask meanwhile.
    static let patience: Duration = .seconds(2)

    private let configuration: PostgresConfiguration
    private let schemaVersion: Int
    private let engineHindrance: @Sendable () -> String?
    private let logger: Logger
    private var connection: PostgresConnection?
    private var latest: (hindrance: String?, at: ContinuousClock.Instant)?
    private var probe: (task: Task<String?, Never>, since: ContinuousClock.Instant)?

    /// - Parameter engineHindrance: Why the engine cannot commit, by its own experience; nil when it can.
    init(
        _ configuration: PostgresConfiguration, schemaVersion: Int = Migration.all.count,
        engineHindrance: @escaping @Sendable () -> String?, logger: Logger
    ) {
        var own = configuration
        own.applicationName = "bursar readiness"
        own.connectTimeout = .seconds(2)
        own.statementTimeout = .seconds(1)
        self.configuration = own
        self.schemaVersion = schemaVersion
        self.engineHindrance = engineHindrance
        self.logger = logger
    }

    /// Why calls cannot be served, in words for an operator and fit for anyone to see; nil when they can.
    func hindrance() async -> String? {
        if let hindrance = engineHindrance() { return hindrance }
        if let latest, ContinuousClock.now - latest.at < Readiness.freshness { return latest.hindrance }
        if let probe {
            guard ContinuousClock.now - probe.since < Readiness.patience else { return "Postgres does not answer in time." }
            return await probe.task.value
        }
        let task = Task { await probeNow() }
        probe = (task, .now)
        return await task.value
    }

    private func probeNow() async -> String? {
        let hindrance: String?
        do {
            let version = try await commit()
            hindrance = version < schemaVersion ? "The schema is older than this Bursar: run bursar migrate." : nil
        } catch {
            connection = nil
            let state = (error as? PostgresError)?.sqlState.map { " (SQLSTATE \($0))" } ?? ""
            hindrance = "Postgres takes no writes\(state)."
            logger.warning("cannot commit", metadata: ["error": "\(Journal.describe(error))"])
        }
        latest = (hindrance, .now)
        probe = nil
        return hindrance
    }

    private func commit() async throws -> Int {
        let open: PostgresConnection
        if let connection { open = connection } else { open = try await PostgresConnection.connect(configuration, logger: logger) }
        connection = open
        return try await CommitProbe.run(on: open)
    }
}

extension API {
    /// The process answers. True also while Postgres is away: a restart would not bring that back.
    @Sendable func live(_ exchange: Exchange) async throws -> Response { .text("text/plain; charset=utf-8", Array("ok\n".utf8)) }

    @Sendable func ready(_ exchange: Exchange) async throws -> Response {
        if let hindrance = await hindrance() { throw Problem(.storeUnavailable, hindrance) }
        return .text("text/plain; charset=utf-8", Array("ready\n".utf8))
    }
}
