/// From the `Authorization` field to a credential (design §10).
import Budgets
import HTTPTypes
import Store
import Synchronization

/// Finds out who asks. Administrative routes read the credential from Postgres each time, so a revoked key is refused at once.
/// Call routes may take it from memory: the engine checks revocation and expiry itself, against fenced configuration (law 10).
final class Authenticator: Sendable {
    /// What a project's key stands for never changes, so entries do not age; the bound is on memory only (law 11): about 1 MiB.
    static let cacheBound = 10_000

    private let lookUp: @Sendable (_ sha256: [UInt8]) async throws -> Credential?
    private let cache = Mutex<[[UInt8]: Credential]>([:])

    init(lookUp: @escaping @Sendable (_ sha256: [UInt8]) async throws -> Credential?) { self.lookUp = lookUp }

    func credential(of header: String?, cached: Bool) async throws -> Credential {
        guard let header else { throw Problem(.unauthenticated, "Send an API key as «Authorization: Bearer bur_…».") }
        guard header.count < 100, let space = header.firstIndex(of: " "), header[..<space].lowercased() == "bearer",
            let secret = APIKeySecret(header[header.index(after: space)...])
        else { throw Problem(.unauthenticated, "The API key is not one of Bursar's: check that it was copied whole.") }
        let hash = secret.sha256
        if cached, let known = cache.withLock({ $0[hash] }) { return known }
        guard let found = try await lookUp(hash) else { throw Problem(.unauthenticated, "The API key is unknown, revoked or expired.") }
        if cached, found.project != nil {
            cache.withLock { cache in
                // Emptying it all is simple, and refilling costs one look-up a key.
                if cache.count >= Authenticator.cacheBound { cache.removeAll() }
                cache[hash] = found
            }
        }
        return found
    }
}

extension Credential {
    /// Stands in on routes that anyone may use.
    static let nobody = Credential(organization: .platform, apiKey: APIKeyID(high: 0, low: 0))
}
