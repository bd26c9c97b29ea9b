/// Makes the exports that were asked for, one at a time on each replica, and says in the log what became of them.
import Chargeback
import Logging
import Store

struct ExportWatch: Sendable {
    let worker: ExportWorker
    let logger: Logger

    /// Makes all that there are.
    func look() async throws {
        while !Task.isCancelled {
            switch try await worker.work() {
            case .idle: return
            case .made(let claimed): log(.info, "an export was made", claimed)
            case .lost(let claimed): log(.info, "an export was taken back, or begun again elsewhere", claimed)
            case .failed(let claimed, let error):
                log(error is ExportTooLarge ? .info : .error, "an export cannot be made: \(error)", claimed)
            case .brokeOff(let claimed, let error):
                // Whoever stops leaves it to the others: that is no trouble.
                guard !Task.isCancelled else { return }
                log(.warning, "an export broke off, and will be begun again: \(Journal.describe(error))", claimed)
            }
        }
    }

    private func log(_ level: Logger.Level, _ message: String, _ claimed: ClaimedExport) {
        logger.log(
            level: level, "\(message)",
            metadata: [
                "organization": "\(claimed.organization)", "export": "\(claimed.export.id)", "attempt": "\(claimed.attempt)",
            ])
    }
}
