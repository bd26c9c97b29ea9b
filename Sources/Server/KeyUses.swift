/// When API keys are used, gathered in memory and written down once a minute: coarse on purpose, because a call must not wait for it.
import Budgets
import Logging
import ServiceLifecycle
import Store
import Synchronization

final class KeyUses: Service {
    /// How much older than the truth `last_used_at` may be.
    static let interval: Duration = .seconds(60)
    /// Keys remembered between two writes (law 11): some megabytes. One beyond them is noted in a later minute.
    static let bound = 50_000

    private struct Key: Hashable {
        let organization: OrganizationID
        let apiKey: APIKeyID
    }

    private let uses = Mutex<[Key: Instant]>([:])
    private let write: @Sendable ([(organization: OrganizationID, apiKey: APIKeyID, at: Instant)]) async throws -> Void
    private let logger: Logger

    init(
        logger: Logger, write: @escaping @Sendable ([(organization: OrganizationID, apiKey: APIKeyID, at: Instant)]) async throws -> Void
    ) {
        self.logger = logger
        self.write = write
    }

    func note(_ credential: Credential, at now: Instant) {
        let key = Key(organization: credential.organization, apiKey: credential.apiKey)
        uses.withLock { uses in
            if uses[key] != nil || uses.count < KeyUses.bound { uses[key] = now }
        }
    }

    /// Writes until it is stopped, and what is left then.
    func run() async {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                // The period of the writing, not a poll for a condition: time passing is what it waits for.
                try? await Task.sleep(for: KeyUses.interval)
                if !Task.isCancelled { await self.flush() }
            }
        }
        await flush()
    }

    private func flush() async {
        let gathered = uses.withLock { uses in
            defer { uses.removeAll(keepingCapacity: true) }
            return uses
        }
        do {
            // In the order of keys, so that replicas which write the same ones do not deadlock.
            try await write(
                gathered.map { ($0.key.organization, $0.key.apiKey, $0.value) }.sorted { ($0.0, $0.1) < ($1.0, $1.1) })
        } catch {
            logger.warning("could not write down when API keys were used", metadata: ["error": "\(Journal.describe(error))"])
        }
    }
}
