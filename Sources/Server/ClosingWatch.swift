/// Freezes the months that somebody has closed: work for minutes, so it is nobody's request. Every replica looks; Postgres says who does
/// it, and whatever breaks off is begun again.
import Budgets
import Logging
import Postgres
import ServiceLifecycle
import Store

struct ClosingWatch: Service {
    /// How long a month waits at most until somebody begins.
    static let interval: Duration = .seconds(1)
    /// So long may one statement about one month take.
    static let statementTimeout: Duration = .seconds(1800)

    let database: PostgresConfiguration
    let now: @Sendable () -> Instant
    /// Called when there is something to deliver.
    let onNews: @Sendable () -> Void
    let logger: Logger

    func run() async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    let connection = try await PostgresConnection.connect(patient, logger: logger)
                    while !Task.isCancelled {
                        for (organization, month) in try await ClosingMonths.find(on: connection) {
                            await finish(month, of: organization, on: connection)
                        }
                        // The period of the watch, not a poll for a condition: time passing is what it waits for.
                        try? await Task.sleep(for: ClosingWatch.interval)
                    }
                    await connection.close()
                } catch {
                    logger.warning("could not look for months to close", metadata: ["error": "\(Journal.describe(error))"])
                    // A pause between attempts: there is no signal for a server that comes back.
                    try? await Task.sleep(for: ClosingWatch.interval)
                }
            }
        }
    }

    private var patient: PostgresConfiguration {
        var patient = database
        patient.statementTimeout = ClosingWatch.statementTimeout
        return patient
    }

    /// One month's trouble is not another's.
    private func finish(_ month: StatementMonth, of organization: OrganizationID, on connection: PostgresConnection) async {
        do {
            guard let closed = try await ClosingMonths.finish(month, of: organization, at: now(), on: connection) else { return }
            logger.info(
                "a month was closed",
                metadata: ["organization": "\(organization)", "month": "\(month)", "number": "\(closed.number ?? "")"])
            onNews()
        } catch let error as StatementDisagrees {
            logger.critical(
                "a month cannot be closed: \(error)", metadata: ["organization": "\(organization)", "month": "\(month)"])
        } catch {
            logger.error(
                "closing a month broke off",
                metadata: ["organization": "\(organization)", "month": "\(month)", "error": "\(Journal.describe(error))"])
        }
    }
}
