/// Freezes the months that somebody has closed: work for minutes, so it is nobody's request. Whatever breaks off is begun again.
import Budgets
import Logging
import Postgres
import Store

struct ClosingWatch: Sendable {
    /// For everyone, and patient.
    let pool: PostgresPool
    let now: @Sendable () -> Instant
    /// Called when there is something to deliver.
    let onNews: @Sendable () -> Void
    let logger: Logger

    /// Freezes all months that are closing.
    func look() async throws {
        try await pool.withConnection { connection in
            for (organization, month) in try ClosingMonths.find(on: connection) { finish(month, of: organization, on: connection) }
        }
    }

    /// One month's trouble is not another's.
    private func finish(_ month: StatementMonth, of organization: OrganizationID, on connection: isolated PostgresConnection) {
        do {
            guard let closed = try ClosingMonths.finish(month, of: organization, at: now(), on: connection) else { return }
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
