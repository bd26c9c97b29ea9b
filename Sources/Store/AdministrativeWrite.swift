/// One administrative request is one Postgres transaction: its author for the audit events, its effect, and its answer under the
/// caller's idempotency key are committed together or not at all.
public import Budgets
import Crypto
import Postgres

/// Who makes a change, for the audit events of everything it touches.
public struct Author: Hashable, Sendable {
    public let organization: OrganizationID
    /// The credential's `actor`.
    public let actor: String
    public let apiKey: APIKeyID
    public let requestID: String

    public init(organization: OrganizationID, actor: String, apiKey: APIKeyID, requestID: String) {
        self.organization = organization
        self.actor = actor
        self.apiKey = apiKey
        self.requestID = requestID
    }

    /// For the rest of this transaction: the audit triggers read it.
    fileprivate var statement: Query {
        """
        SELECT set_config('bursar.actor', \(actor), true), set_config('bursar.api_key', \(apiKey.hexadecimal), true),
               set_config('bursar.request_id', \(requestID), true)
        """
    }
}

/// A request that may be repeated, and its answer in a form that can be kept.
public struct RepeatableRequest: Sendable {
    /// How long an answer is kept: as long as that to a call (law 4), and a day's grace.
    static let keptFor = "36 days"
    /// How many outdated answers a write clears away: more than it adds, and no more than it can afford (law 11).
    static let cleared = 20

    /// The caller's idempotency key.
    public let key: String
    /// Of method, path and body, which may hold secrets: comparing it takes the same time whatever is different.
    let content: SHA256Digest

    public init(key: String, content: [UInt8]) {
        self.key = key
        self.content = SHA256.hash(data: content)
    }
}

/// What became of a write.
public enum Written<Answer: Sendable>: Sendable {
    case done(Answer)
    /// The sealed answer to the first of these requests; nothing was done again.
    case repeated(sealed: [UInt8])
}

extension Store {
    /// Runs `body` with a store all of whose reads and changes are one transaction.
    ///
    /// - Parameters:
    ///   - repeatable: nil when the caller gave no idempotency key.
    ///   - seal: the answer as it is kept for repetitions.
    /// - Throws: what `body` throws, with everything undone and the key unused; `AdminRefusal.requestInFlight` and `.keyReused`.
    public func write<Answer: Sendable>(
        by author: Author, _ repeatable: RepeatableRequest?, _ body: @Sendable (Store) async throws -> Answer,
        seal: @Sendable (Answer) async throws -> [UInt8]
    ) async throws -> Written<Answer> {
        try await refusing {
            try await pool.withConnection { connection in
                try await connection.heldTransaction { connection in
                    try connection.query(author.statement)
                    if let repeatable, let sealed = try Store.first(repeatable, by: author, connection) { return .repeated(sealed: sealed) }
                    let answer = try await body(Store(pool: self.pool, bound: connection, tracer: self.tracer))
                    if let repeatable { try Store.keep(try await seal(answer), of: repeatable, by: author, connection) }
                    return .done(answer)
                }
            }
        }
    }

    /// The kept answer to this request; nil when it is the first. Until the end of the transaction nobody else gets past here with
    /// the same key.
    private static func first(
        _ request: RepeatableRequest, by author: Author, _ connection: isolated PostgresConnection
    ) throws -> [UInt8]? {
        let name = "\(author.organization) \(author.actor) \(request.key)"
        let lock = try connection.query("SELECT pg_try_advisory_xact_lock(hashtextextended(\(name), 0))")
        guard try lock.rows[0].decode(as: Bool.self) else { throw AdminRefusal.requestInFlight }
        let kept = try connection.query(
            """
            SELECT request_sha256, sealed_answer FROM idempotent_requests
            WHERE organization_id = \(author.organization) AND actor = \(author.actor) AND key = \(request.key)
            """)
        guard let row = kept.rows.first else { return nil }
        let (content, sealed) = try row.decode(as: (Bytea, Bytea).self)
        guard request.content == content.bytes else { throw AdminRefusal.keyReused }
        return sealed.bytes
    }

    private static func keep(
        _ sealed: [UInt8], of request: RepeatableRequest, by author: Author, _ connection: isolated PostgresConnection
    ) throws {
        try connection.pipeline([
            """
            DELETE FROM idempotent_requests WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM idempotent_requests
                WHERE organization_id = \(author.organization) AND created_at < now() - \(RepeatableRequest.keptFor)::text::interval
                LIMIT \(RepeatableRequest.cleared) FOR UPDATE SKIP LOCKED))
            AND organization_id = \(author.organization)
            """,
            """
            INSERT INTO idempotent_requests (organization_id, actor, key, request_sha256, sealed_answer)
            VALUES (\(author.organization), \(author.actor), \(request.key), \(Bytea(Array(request.content))), \(Bytea(sealed)))
            """,
        ])
    }
}
