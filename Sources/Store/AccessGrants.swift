/// Access grants: approved access of a project to a tier or a model. They end on their date, or are revoked before.
public import Budgets
import Postgres

public struct AccessGrantRecord: Sendable {
    public let id: AccessGrantID
    public let request: AccessRequestID
    public let project: ProjectID
    public let subject: AccessSubject
    public let grantedAt: Instant
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
    public func accessGrant(_ id: AccessGrantID, of organization: OrganizationID) async throws -> AccessGrantRecord {
        try await read { connection in try Store.accessGrant(id, of: organization, connection) }
    }

    /// The newest first.
    /// - Parameters:
    ///   - teams: only those for projects of these; nil for all.
    ///   - state: `active` and so on; nil for all.
    public func accessGrants(
        of organization: OrganizationID, teams: [TeamID]?, project: ProjectID?, state: String?, before: AccessGrantID, limit: Int
    ) async throws -> Page<AccessGrantRecord, AccessGrantID> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT * FROM (
                    SELECT g.id, g.access_request_id, g.project_id, g.tier_id, g.model, g.granted_at, g.ends_at, g.revoked_at,
                           CASE WHEN g.revoked_at IS NOT NULL THEN 'revoked' WHEN g.ends_at <= now() THEN 'expired' ELSE 'active' END
                               AS state
                    FROM access_grants AS g JOIN projects AS p ON p.organization_id = g.organization_id AND p.id = g.project_id
                    WHERE g.organization_id = \(organization) AND g.id < \(before)
                      AND (\(teams) IS NULL OR p.team_id = ANY (\(teams))) AND (\(project) IS NULL OR g.project_id = \(project))
                    ORDER BY g.id DESC) AS found
                WHERE \(state) IS NULL OR state = \(state) LIMIT \(limit + 1)
                """)
            return Page(try result.rows.map(AccessGrantRecord.init), limit: limit, cursor: \.id)
        }
    }

    /// From the next decision on, every replica refuses what only this grant allowed (law 10). Repeating it changes nothing.
    public func revokeAccessGrant(_ id: AccessGrantID, of organization: OrganizationID) async throws -> AccessGrantRecord {
        try await configure(organization) { connection in
            try connection.query(
                """
                UPDATE access_grants SET revoked_at = now()
                WHERE organization_id = \(organization) AND id = \(id) AND revoked_at IS NULL
                """)
            return try Store.accessGrant(id, of: organization, connection)
        }
    }

    private static func accessGrant(
        _ id: AccessGrantID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> AccessGrantRecord {
        let result = try connection.query(
            """
            SELECT id, access_request_id, project_id, tier_id, model, granted_at, ends_at, revoked_at,
                   CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN ends_at <= now() THEN 'expired' ELSE 'active' END
            FROM access_grants WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try AccessGrantRecord(row)
    }
}
