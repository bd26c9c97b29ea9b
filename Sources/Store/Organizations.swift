/// Organizations: the tenants. Each is created with its fence and the first API key of its owner.
public import Budgets
import Postgres

public struct OrganizationRecord: Sendable {
    public let id: OrganizationID
    public var name: String
    /// IANA identifier; decides when periods begin.
    public var timeZone: String
    public let currency: String
    /// Of new projects that name none.
    public var defaultTier: TierID?
    public let revision: Int64
    public let createdAt: Instant
    public let archivedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        (id, name, timeZone, currency, defaultTier, revision, createdAt, archivedAt) = try row.decode(
            as: (OrganizationID, String, String, String, TierID?, Int64, Instant, Instant?).self)
    }
}

extension Store {
    /// A new organization with its fence and an owner's API key.
    public func createOrganization(
        _ id: OrganizationID, name: String, timeZone: String, ownerKey: NewAPIKey
    ) async throws -> OrganizationRecord {
        try await transaction { connection in
            // The operator's own side of the wall is the platform's.
            try connection.query(Tenants.everyone.statement)
            // A change of the platform's catalogue either sees the new fence, or is done before it is made.
            try connection.query(Fences.lock([.platform]))
            let result = try connection.query(
                """
                INSERT INTO organizations (organization_id, name, time_zone) VALUES (\(id), \(name), \(timeZone))
                RETURNING organization_id, name, time_zone, currency, default_tier_id, revision, created_at, archived_at
                """)
            try connection.query("INSERT INTO fences (organization_id) VALUES (\(id))")
            try connection.query(Store.insert(ownerKey, into: id))
            return try OrganizationRecord(result.rows[0])
        }
    }

    public func organization(_ id: OrganizationID) async throws -> OrganizationRecord {
        try await read { connection in try Store.organization(id, connection) }
    }

    /// All tenants, for operators; the platform itself is none.
    public func organizations(
        _ filter: ListFilter, _ listing: Listing<OrganizationRecord, OrganizationID>
    ) async throws -> Page<OrganizationRecord, ListPlace<OrganizationID>> {
        try await read { connection in
            let list: Query =
                """
                SELECT organization_id, name, time_zone, currency, default_tier_id, revision, created_at, archived_at FROM organizations
                WHERE \(list: [listing.isAfter("organization_id")]) AND organization_id <> \(OrganizationID.platform)
                  AND \(list: [filter.holds])
                ORDER BY \(list: [listing.ordering("organization_id")]) LIMIT \(listing.limit + 1)
                """
            let result = try connection.pipeline([Tenants.everyone.statement, list])[1]
            return listing.page(try result.rows.map(OrganizationRecord.init)) { $0.id }
        }
    }

    public func changeOrganization(
        _ id: OrganizationID, ifRevision: Int64?, _ change: @Sendable (inout OrganizationRecord) throws -> Void
    ) async throws -> OrganizationRecord {
        try await configure(id) { connection in
            var organization = try Store.organization(id, connection)
            try Store.check(revision: organization.revision, archivedAt: organization.archivedAt, against: ifRevision)
            let timeZone = organization.timeZone
            try change(&organization)
            if let tier = organization.defaultTier { try Store.requireTier(tier, of: id, at: "/default_tier", connection) }
            if organization.timeZone != timeZone, try Store.hasCounted(id, connection) {
                throw AdminRefusal.inUse("The time zone decides when days and periods begin, and money is counted by them already.")
            }
            let result = try connection.query(
                """
                UPDATE organizations
                SET name = \(organization.name), time_zone = \(organization.timeZone), default_tier_id = \(organization.defaultTier),
                    revision = revision + 1
                WHERE organization_id = \(id)
                RETURNING organization_id, name, time_zone, currency, default_tier_id, revision, created_at, archived_at
                """)
            return try OrganizationRecord(result.rows[0])
        }
    }

    /// Whether anything is counted by the organization's calendar: in periods, statements, or days of roll-ups (0027).
    private static func hasCounted(_ id: OrganizationID, _ connection: isolated PostgresConnection) throws -> Bool {
        let result = try connection.query(
            """
            SELECT EXISTS (SELECT FROM budget_periods WHERE organization_id = \(id))
                OR EXISTS (SELECT FROM statements WHERE organization_id = \(id))
                OR EXISTS (SELECT FROM ledger_entries WHERE organization_id = \(id))
                OR EXISTS (SELECT FROM spend_rollups WHERE organization_id = \(id))
            """)
        return try result.rows[0].decode(as: Bool.self)
    }

    static func organization(_ id: OrganizationID, _ connection: isolated PostgresConnection) throws -> OrganizationRecord {
        let result = try connection.query(
            """
            SELECT organization_id, name, time_zone, currency, default_tier_id, revision, created_at, archived_at FROM organizations
            WHERE organization_id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try OrganizationRecord(row)
    }

    /// A change needs a living row, and the revision that its author has seen, if one was named.
    static func check(revision: Int64, archivedAt: Instant?, against expected: Int64?) throws(AdminRefusal) {
        if let expected, expected != revision { throw .revisionMismatch(current: revision) }
        guard archivedAt == nil else { throw .archived }
    }
}
