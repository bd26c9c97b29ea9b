/// From the `Authorization` field to a credential (design §10).
import Budgets
import Crypto
import HTTPTypes
import Outbound
import Store
import Synchronization

/// Finds out who asks. Administrative routes read the credential from Postgres each time, so a revoked key is refused at once.
/// Call routes may take it from memory: the engine checks revocation and expiry itself, against fenced configuration (law 10).
final class Authenticator: Sendable {
    /// What a project's key stands for never changes, so entries do not age; the bound is on memory only (law 11): about 2 MiB.
    static let cacheBound = 10_000

    private struct Memory {
        /// Of project's keys, by hash.
        var credentials: [SHA256Digest: Credential] = [:]
        var throttle: LoginThrottle
    }

    private let lookUp: @Sendable (_ sha256: SHA256Digest) async throws -> Credential?
    private let memory: Mutex<Memory>

    /// - Parameters:
    ///   - badKeysPerMinute: `ServerSettings.badKeysPerMinute`.
    ///   - lookUp: Finds a valid key by its hash. Keys are compared by an index over hashes, so the time it takes says nothing of how much
    ///     of a key is right.
    init(badKeysPerMinute: Int, lookUp: @escaping @Sendable (_ sha256: SHA256Digest) async throws -> Credential?) {
        memory = Mutex(Memory(throttle: LoginThrottle(failuresPerAddress: badKeysPerMinute)))
        self.lookUp = lookUp
    }

    /// - Parameters:
    ///   - header: The field `Authorization`.
    ///   - address: Where the request came from.
    /// - Throws: `Problem`: 401, or 429 after too many keys that were none; what `lookUp` throws.
    func credential(of header: String?, from address: IPAddress?, at now: Instant, cached: Bool) async throws -> Credential {
        guard let header else { throw Problem(.unauthenticated, "Send an API key as «Authorization: Bearer bur_…».") }
        guard let hash = Authenticator.bearer(header).flatMap({ APIKeySecret($0) })?.sha256 else {
            throw failure("The API key is not one of Bursar's: check that it was copied whole.", address, nil, now)
        }
        let (known, wait) = memory.withLock { memory -> (Credential?, Int64?) in
            if cached, let known = memory.credentials[hash] { return (known, nil) }
            return (nil, memory.throttle.wait(key: hash, at: now))
        }
        if let known { return known }
        if let wait { throw Problem(tooManyAttempts: wait) }
        guard let found = try await lookUp(hash) else { throw failure("The API key is unknown, revoked or expired.", address, hash, now) }
        if cached, found.project != nil {
            memory.withLock { memory in
                // Emptying it all is simple, and refilling costs one look-up a key.
                if memory.credentials.count >= Authenticator.cacheBound { memory.credentials.removeAll() }
                memory.credentials[hash] = found
            }
        }
        return found
    }

    private func failure(_ detail: String, _ address: IPAddress?, _ key: SHA256Digest?, _ now: Instant) -> Problem {
        let wait = memory.withLock { $0.throttle.failed(address: address?.description ?? "", key: key, at: now) }
        return wait.map { Problem(tooManyAttempts: $0) } ?? Problem(.unauthenticated, detail)
    }

    /// What stands behind the word `Bearer`.
    private static func bearer(_ header: String) -> Substring? {
        guard header.utf8.count < 100, let space = header.firstIndex(of: " "), header[..<space].lowercased() == "bearer" else { return nil }
        return header[header.index(after: space)...]
    }
}

extension Problem {
    fileprivate init(tooManyAttempts wait: Int64) {
        self.init(.tooManyAttempts, "Too many API keys from here were none. Good ones are served all the same.")
        headers = [("retry-after", String(wait))]
    }
}

extension Credential {
    /// Stands in on routes that anyone may use.
    static let nobody = Credential(organization: .platform, apiKey: APIKeyID(high: 0, low: 0))
}
