/// The audit events of an organization: who changed what, when, from what to what. Written by the triggers of migration 0005 in the
/// transaction of each change; here they are read, and their chain is verified.
public import Budgets
public import Postgres

/// One change of one administered row.
public struct AuditRecord: Sendable {
    /// Counts 1, 2, 3 … in the organization.
    public let sequence: Int64
    public let occurredAt: Instant
    /// `project.created`, `budget.changed`, `api_key.revoked` …
    public let action: String
    /// The id of what was changed, in its text form.
    public let target: String
    /// The user or API key that acted; `bursar` for the service itself.
    public let actor: String
    public let apiKey: APIKeyID?
    public let requestID: String?
    /// The row without secrets; nil when there was none.
    public let before: JSONB?
    public let after: JSONB?
    /// The text that `hash` covers, after the bytes of `previousHash`.
    public let content: String
    public let previousHash: Bytea
    public let hash: Bytea

    init(_ row: Row) throws(PostgresError) {
        (sequence, occurredAt, action, target, actor, apiKey, requestID, before, after, content, previousHash, hash) = try row.decode(
            as: (
                Int64, Instant, String, String, String, APIKeyID?, String?, JSONB?, JSONB?, String, Bytea, Bytea
            ).self)
    }
}

/// What of the audit events is asked for; nil: all.
public struct AuditFilter: Hashable, Sendable {
    public var action: String?
    public var target: String?
    public var actor: String?
    public var from: Instant?
    public var to: Instant?

    public init(action: String? = nil, target: String? = nil, actor: String? = nil, from: Instant? = nil, to: Instant? = nil) {
        self.action = action
        self.target = target
        self.actor = actor
        self.from = from
        self.to = to
    }
}

extension Store {
    /// Those between two sequences, both exclusive.
    public func auditEvents(
        of organization: OrganizationID, _ filter: AuditFilter, after: Int64 = 0, before: Int64 = .max,
        _ listing: Listing<AuditRecord, Int64>
    ) async throws -> Page<AuditRecord, ListPlace<Int64>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT sequence, occurred_at, action, target, actor, api_key_id, request_id, before, after, audit_content(e),
                       previous_hash, hash
                FROM audit_events AS e
                WHERE organization_id = \(organization) AND sequence > \(after) AND sequence < \(before) AND \(list: [listing.isAfter("sequence")])
                  AND (\(filter.action) IS NULL OR action = \(filter.action)) AND (\(filter.target) IS NULL OR target = \(filter.target))
                  AND (\(filter.actor) IS NULL OR actor = \(filter.actor))
                  AND (\(filter.from) IS NULL OR occurred_at >= \(filter.from)) AND (\(filter.to) IS NULL OR occurred_at < \(filter.to))
                ORDER BY \(list: [listing.ordering("sequence")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(AuditRecord.init)) { $0.sequence }
        }
    }
}

extension Fact {
    static let audit: [Fact] = [
        Fact(
            name: "audit_chain", law: nil,
            meaning: "Each audit event is in its place, its hash that of its content and of the hash before; none is cut off at the end"
        ) { organization in
            """
            SELECT count(*) OVER (), format('audit event %s', sequence) FROM (
                SELECT e.sequence FROM (
                    SELECT a.sequence, a.previous_hash, a.hash, audit_content(a) AS content,
                           lag(a.sequence, 1, 0::bigint) OVER chain AS sequence_before, lag(a.hash, 1, ''::bytea) OVER chain AS hash_before
                    FROM audit_events AS a WHERE a.organization_id = \(organization) WINDOW chain AS (ORDER BY a.sequence)) AS e
                WHERE e.sequence <> e.sequence_before + 1 OR e.previous_hash <> e.hash_before
                   OR e.hash <> sha256(e.previous_hash || convert_to(e.content, 'UTF8'))
                UNION
                SELECT h.sequence FROM audit_heads AS h
                WHERE h.organization_id = \(organization) AND h.sequence > 0 AND NOT EXISTS (
                    SELECT FROM audit_events AS a
                    WHERE a.organization_id = h.organization_id AND a.sequence = h.sequence AND a.hash = h.hash)
            ) AS broken ORDER BY sequence LIMIT 5
            """
        }
    ]
}
