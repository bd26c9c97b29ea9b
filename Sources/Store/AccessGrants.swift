/// Access grants: approved access of a project to a tier or a model. They end on their date, or are revoked before.
public import Budgets
import Postgres

public struct AccessGrantRecord: Sendable {
    public let id: AccessGrantID
    public let request: AccessRequestID
    public let project: ProjectID
    public let subject: AccessSubject
    public let grantedAt: Instant
    /// From this instant on it does not hold.
    public let endsAt: Instant
    public let revokedAt: Instant?
    /// `active`, `expired` or `revoked`.
    public let state: String

    init(_ row: Row) throws(PostgresError) {
        let (tier, model): (TierID?, String?)
        (id, request, project, tier, model, grantedAt, endsAt, revokedAt, state) = try row.decode(
            as: (AccessGrantID, AccessRequestID, ProjectID, TierID?, String?, Instant, Instant, Instant?, String).self)
        subject = try AccessSubject(tier: tier, model: model)
    }
}

extension Store {
    public func accessGrant(_ id: AccessGrantID, of organization: OrganizationID, at now: Instant) async throws -> AccessGrantRecord {
        try await read { connection in try Store.accessGrant(id, of: organization, at: now, connection) }
    }

    public func accessGrants(
        of organization: OrganizationID, _ filter: AccessFilter, at now: Instant, _ listing: Listing<AccessGrantRecord, AccessGrantID>
    ) async throws -> Page<AccessGrantRecord, ListPlace<AccessGrantID>> {
        try await read { connection in
            let result = try connection.query(
                Store.accessGrantQuery(organization, nil, filter, at: now, listing))
            return listing.page(try result.rows.map(AccessGrantRecord.init)) { $0.id }
        }
    }

    /// From the next decision on, every replica refuses what only this grant allowed (law 10). Repeating it changes nothing.
    public func revokeAccessGrant(_ id: AccessGrantID, of organization: OrganizationID, at now: Instant) async throws -> AccessGrantRecord {
        try await configure(organization) { connection in
            try connection.query(
                """
                UPDATE access_grants SET revoked_at = \(now)
                WHERE organization_id = \(organization) AND id = \(id) AND revoked_at IS NULL
                """)
            return try Store.accessGrant(id, of: organization, at: now, connection)
        }
    }

    private static func accessGrant(
        _ id: AccessGrantID, of organization: OrganizationID, at now: Instant, _ connection: isolated PostgresConnection
    ) throws -> AccessGrantRecord {
        let result = try connection.query(accessGrantQuery(organization, id, AccessFilter(), at: now, .one))
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try AccessGrantRecord(row)
    }

    /// The one query for a grant and for lists of them: what state one is in follows from its facts and the time.
    private static func accessGrantQuery(
        _ organization: OrganizationID, _ id: AccessGrantID?, _ filter: AccessFilter, at now: Instant,
        _ listing: Listing<AccessGrantRecord, AccessGrantID>
    ) -> Query {
        """
        SELECT id, access_request_id, project_id, tier_id, model, granted_at, ends_at, revoked_at, state
        FROM (
            SELECT g.*, p.team_id, CASE WHEN g.revoked_at IS NOT NULL THEN 'revoked' WHEN g.ends_at <= \(now) THEN 'expired'
                                        ELSE 'active' END AS state
            FROM access_grants AS g JOIN projects AS p ON p.organization_id = g.organization_id AND p.id = g.project_id
            WHERE g.organization_id = \(organization) AND \(list: [listing.isAfter("g.id")]) AND (\(id) IS NULL OR g.id = \(id))
              AND (\(filter.project) IS NULL OR g.project_id = \(filter.project))) AS facts
        WHERE (\(filter.state) IS NULL OR state = \(filter.state)) AND (\(filter.teams) IS NULL OR team_id = ANY (\(filter.teams)))
        ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
        """
    }
}
