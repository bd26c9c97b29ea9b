/// Work that goes on beside requests: looked for again and again, on every replica. Postgres says who does what.
import Logging
import ServiceLifecycle

struct Watch: Service {
    /// What it does, for the log: `make exports`.
    let purpose: String
    /// How late at most a look finds something.
    let interval: Duration
    let logger: Logger
    /// One look. What it throws is logged, and the next one tries again.
    let look: @Sendable () async throws -> Void

    init(to purpose: String, every interval: Duration, logger: Logger, _ look: @escaping @Sendable () async throws -> Void) {
        (self.purpose, self.interval, self.logger, self.look) = (purpose, interval, logger, look)
    }

    func run() async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await look()
                } catch {
                    guard !Task.isCancelled else { return }
                    logger.warning("could not \(purpose)", metadata: ["error": "\(Journal.describe(error))"])
                }
                // The period of the watch, not a poll for a condition: time passing is what it waits for.
                try? await Task.sleep(for: interval)
            }
        }
    }
}
