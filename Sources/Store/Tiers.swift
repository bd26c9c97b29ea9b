/// Tiers: ranked sets of allowed models with caps. A higher rank includes the lower ones.
public import Budgets
import Postgres

public struct TierRecord: Sendable {
    public let id: TierID
    public var name: String
    public var rank: Int64
    /// Patterns against the catalogue.
    public var models: [String]
    /// Who must approve access: `none`, `team_lead` or `organization_admin`.
    public var approval: String
    public var maxOutputTokens: Int64
    /// Of one call; nil: whatever the model takes.
    public var maxInputTokens: Int64?
    /// Of each project on the tier; nil: no cap.
    public var maxRequestsPerMinute: Int64?
    public let revision: Int64
    public let createdAt: Instant
    public let archivedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        (
            id, name, rank, models, approval, maxOutputTokens, maxInputTokens, maxRequestsPerMinute, revision, createdAt, archivedAt
        ) = try row.decode(
            as: (TierID, String, Int64, [String], String, Int64, Int64?, Int64?, Int64, Instant, Instant?).self)
    }
}

extension Store {
    public func createTier(
        _ id: TierID, of organization: OrganizationID, name: String, rank: Int64, models: [String], approval: String,
        maxOutputTokens: Int64, maxInputTokens: Int64?, maxRequestsPerMinute: Int64?, setBy: APIKeyID
    ) async throws -> TierRecord {
        try await configure(organization) { connection in
            try Bound.tiers.requireRoom(in: organization, connection)
            let result = try connection.query(
                """
                INSERT INTO tiers
                    (organization_id, id, name, rank, models, approval, max_output_tokens, max_input_tokens, max_requests_per_minute)
                VALUES (\(organization), \(id), \(name), \(rank), \(models), \(approval), \(maxOutputTokens), \(maxInputTokens),
                        \(maxRequestsPerMinute))
                RETURNING id, name, rank, models, approval, max_output_tokens, max_input_tokens, max_requests_per_minute, revision,
                          created_at, archived_at
                """)
            let tier = try TierRecord(result.rows[0])
            try Store.keepCap(of: tier, in: organization, setBy: setBy, connection)
            return tier
        }
    }

    public func tier(_ id: TierID, of organization: OrganizationID) async throws -> TierRecord {
        try await read { connection in try Store.tier(id, of: organization, connection) }
    }

    public func tiers(
        of organization: OrganizationID, _ filter: ListFilter, _ listing: Listing<TierRecord, TierID>
    ) async throws -> Page<TierRecord, ListPlace<TierID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, name, rank, models, approval, max_output_tokens, max_input_tokens, max_requests_per_minute, revision,
                          created_at, archived_at FROM tiers
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter("id")]) AND \(list: [filter.holds])
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(TierRecord.init)) { $0.id }
        }
    }

    /// The models that each tier's patterns and those of the lower tiers resolve to today, in order.
    public func modelsByTier(of organization: OrganizationID) async throws -> [TierID: [String]] {
        let (tiers, names) = try await read { connection in
            let tiers = try Store.livingTiers(of: organization, connection)
            let names = try connection.query(
                """
                SELECT DISTINCT name FROM models
                WHERE organization_id IN (\(organization), \(OrganizationID.platform)) AND archived_at IS NULL
                """)
            return (tiers, try names.rows.map { try $0.decode(as: String.self) })
        }
        var allowed: Set<String> = []
        var result: [TierID: [String]] = [:]
        for tier in tiers {
            let patterns = tier.models.compactMap { Pattern($0) }
            allowed.formUnion(names.filter { name in patterns.contains { $0.matches(name) } })
            result[tier.id] = allowed.sorted()
        }
        return result
    }

    public func changeTier(
        _ id: TierID, of organization: OrganizationID, ifRevision: Int64?, setBy: APIKeyID,
        _ change: @Sendable (inout TierRecord) throws -> Void
    ) async throws -> TierRecord {
        try await configure(organization) { connection in
            var tier = try Store.tier(id, of: organization, connection)
            try Store.check(revision: tier.revision, archivedAt: tier.archivedAt, against: ifRevision)
            try change(&tier)
            let result = try connection.query(
                """
                UPDATE tiers
                SET name = \(tier.name), rank = \(tier.rank), models = \(tier.models), approval = \(tier.approval),
                    max_output_tokens = \(tier.maxOutputTokens), max_input_tokens = \(tier.maxInputTokens),
                    max_requests_per_minute = \(tier.maxRequestsPerMinute), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                RETURNING id, name, rank, models, approval, max_output_tokens, max_input_tokens, max_requests_per_minute, revision,
                          created_at, archived_at
                """)
            let changed = try TierRecord(result.rows[0])
            try Store.keepCap(of: changed, in: organization, setBy: setBy, connection)
            return changed
        }
    }

    /// Puts a tier away. No project may have it any more.
    public func archiveTier(_ id: TierID, of organization: OrganizationID, ifRevision: Int64?) async throws {
        try await configure(organization) { connection in
            let tier = try Store.tier(id, of: organization, connection)
            try Store.check(revision: tier.revision, archivedAt: tier.archivedAt, against: ifRevision)
            let projects = try connection.query(
                """
                SELECT id FROM projects
                WHERE organization_id = \(organization) AND tier_id = \(id) AND archived_at IS NULL LIMIT 1
                """)
            guard projects.rows.isEmpty else { throw AdminRefusal.inUse("Projects still have this tier.") }
            guard try Store.organization(organization, connection).defaultTier != id else {
                throw AdminRefusal.inUse("It is the organization's default tier.")
            }
            try connection.query(
                """
                UPDATE tiers SET archived_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            try connection.query(
                """
                UPDATE budgets SET archived_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND tier_id = \(id) AND archived_at IS NULL
                """)
        }
    }

    /// Brings an archived tier back, with its cap on requests; a living one stays as it is. Its name and its rank must be free.
    public func restoreTier(_ id: TierID, of organization: OrganizationID, setBy: APIKeyID) async throws -> TierRecord {
        try await configure(organization) { connection in
            let tier = try Store.tier(id, of: organization, connection)
            guard tier.archivedAt != nil else { return tier }
            try Bound.tiers.requireRoom(in: organization, connection)
            try connection.query(
                """
                UPDATE tiers SET archived_at = NULL, revision = revision + 1 WHERE organization_id = \(organization) AND id = \(id)
                """)
            try Store.keepCap(of: tier, in: organization, setBy: setBy, connection)
            return try Store.tier(id, of: organization, connection)
        }
    }

    /// The lowest rank first.
    static func livingTiers(of organization: OrganizationID, _ connection: isolated PostgresConnection) throws -> [TierRecord] {
        let result = try connection.query(
            """
            SELECT id, name, rank, models, approval, max_output_tokens, max_input_tokens, max_requests_per_minute, revision,
                   created_at, archived_at
            FROM tiers WHERE organization_id = \(organization) AND archived_at IS NULL ORDER BY rank
            """)
        return try result.rows.map(TierRecord.init)
    }

    static func tier(
        _ id: TierID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> TierRecord {
        let result = try connection.query(
            """
            SELECT id, name, rank, models, approval, max_output_tokens, max_input_tokens, max_requests_per_minute, revision,
                          created_at, archived_at FROM tiers
            WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try TierRecord(row)
    }

    /// The tier a body refers to: one that lives.
    static func requireTier(
        _ id: TierID, of organization: OrganizationID, at pointer: String, _ connection: isolated PostgresConnection
    ) throws {
        let result = try connection.query(
            "SELECT id FROM tiers WHERE organization_id = \(organization) AND id = \(id) AND archived_at IS NULL")
        guard !result.rows.isEmpty else { throw AdminRefusal.unknownReference(pointer: pointer) }
    }
}
