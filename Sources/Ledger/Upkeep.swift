/// What keeps the books usable as they grow: roll-ups follow the ledger, its months are added ahead of time, and each night everything
/// is held against the laws. Every replica runs this; Postgres says who does what.
public import Budgets
public import Logging
public import Postgres
public import ServiceLifecycle
public import Store
import Synchronization

/// Runs beside the engine and shares nothing with it but the database: where it lags, answers stay exact and get slower.
public final class Upkeep: Service {
    /// How often an organization's roll-ups move on: reports read the entries of so long one by one.
    static let interval: Duration = .seconds(1)
    /// How often new organizations, the months and the nightly check are looked after.
    static let turnsPerRound = 60
    /// The check is made with the first look after this hour, UTC.
    static let checkHour: Int64 = 3
    /// So long may one fact about one organization take.
    static let checkStatementTimeout: Duration = .seconds(3600)

    private let configuration: PostgresConfiguration
    private let now: @Sendable () -> Instant
    private let logger: Logger
    private let last = Mutex<CheckRuns.Run?>(nil)

    public init(_ configuration: PostgresConfiguration, now: @escaping @Sendable () -> Instant = Instant.now, logger: Logger) {
        self.configuration = configuration
        self.now = now
        self.logger = logger
    }

    /// The last nightly check that any replica finished, as far as is known here.
    public var lastCheck: CheckRuns.Run? { last.withLock { $0 } }

    /// Runs until graceful shutdown.
    public func run() async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    let connection = try await PostgresConnection.connect(self.configuration.forLane, logger: self.logger)
                    try await self.work(on: connection)
                    await connection.close()
                } catch {
                    self.logger.warning("upkeep was interrupted; trying again", metadata: ["error": "\(error)"])
                    // A pause between attempts: there is no signal for a server that comes back.
                    try? await Task.sleep(for: Self.interval)
                }
            }
        }
    }

    private func work(on connection: PostgresConnection) async throws {
        var turn = 0
        while !Task.isCancelled {
            if turn.isMultiple(of: Self.turnsPerRound) {
                try await connection.query(RollUps.adopt)
                try await addMonths(on: connection)
                let found = try await CheckRuns.decode(connection.query(CheckRuns.last))
                last.withLock { $0 = found }
                // Nobody waits for it at shutdown: a statement on its way cannot be called back, and nothing is lost with it.
                if try await claimsCheck(on: connection) { Task { await self.check() } }
            }
            try await rollUp(on: connection)
            turn += 1
            // The period of the work, not a wait for something that could signal.
            try? await Task.sleep(for: Self.interval)
        }
    }

    private func rollUp(on connection: PostgresConnection) async throws {
        let behind = try await connection.query(RollUps.behind(idle: Self.interval)).rows.map { try $0.decode(as: OrganizationID.self) }
        for organization in behind {
            while !Task.isCancelled, try await RollUps.step(organization, on: connection) {}
            while !Task.isCancelled, try await SubjectRollUps.step(organization, on: connection) {}
        }
    }

    private func addMonths(on connection: PostgresConnection) async throws {
        for offset in -LedgerMonths.monthsBefore...LedgerMonths.monthsAhead {
            let isNew = try await connection.query(LedgerMonths.add(offset, from: now())).rows[0].decode(as: Bool.self)
            if isNew { logger.info("a month was added to the ledger", metadata: ["months_ahead": "\(offset)"]) }
        }
    }

    private func claimsCheck(on connection: PostgresConnection) async throws -> Bool {
        let now = now()
        guard now.seconds % 86_400 >= Self.checkHour * 3600 else { return false }
        return try await connection.query(CheckRuns.claim(at: now)).affected == 1
    }

    /// Makes the day's check on a connection of its own, and says loudly what it finds. One that breaks off is not made again before
    /// the next day; the age of the last one tells.
    private func check() async {
        let claimedAt = now()
        var patient = configuration
        patient.statementTimeout = Self.checkStatementTimeout
        do {
            let connection = try await PostgresConnection.connect(patient, logger: logger)
            let report = try await Check.run(on: connection)
            for finding in report.findings where finding.count > 0 {
                logger.critical(
                    "the books contradict a law",
                    metadata: [
                        "fact": "\(finding.fact.name)", "count": "\(finding.count)",
                        "organizations": "\(Set(finding.samples.map(\.organization.description)).sorted().joined(separator: " "))",
                    ])
            }
            try await connection.query(CheckRuns.finish(claimedAt: claimedAt, at: now(), violations: report.violations))
            await connection.close()
            logger.info("checked", metadata: ["violations": "\(report.violations)", "organizations": "\(report.organizations)"])
        } catch {
            logger.error("the nightly check broke off", metadata: ["error": "\(error)"])
        }
    }
}
