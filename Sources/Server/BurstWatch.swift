/// Looks out for bursts that were used up, have ended, or are due for review, and has people told. The only thing about bursts that
/// needs a clock of its own.
import Budgets
import Logging
import ServiceLifecycle
import Store

struct BurstWatch: Service {
    /// How late people may hear of it. Each look reads the few bursts that somebody is still to be told of.
    static let interval: Duration = .seconds(10)

    let store: Store
    let now: @Sendable () -> Instant
    /// Called when there is something to deliver.
    let onNews: @Sendable () -> Void
    let logger: Logger

    func run() async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    if try await store.tellOfBursts(at: now()) > 0 { onNews() }
                } catch {
                    logger.warning("could not look for bursts to tell of", metadata: ["error": "\(Journal.describe(error))"])
                }
                // The period of the watch, not a poll for a condition: time passing is what it waits for.
                try? await Task.sleep(for: BurstWatch.interval)
            }
        }
    }
}
