/// Teams own projects and give them a cost centre.
public import Budgets
import Postgres

public struct TeamRecord: Sendable {
    public let id: TeamID
    public var name: String
    public var costCenter: CostCenter
    public let revision: Int64
    public let createdAt: Instant
    public let archivedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let (present, next, from): (String?, String?, Instant?)
        (id, name, present, next, from, revision, createdAt, archivedAt) = try row.decode(
            as: (TeamID, String, String?, String?, Instant?, Int64, Instant, Instant?).self)
        costCenter = CostCenter(present, next: next, from: from)
    }
}

extension Store {
    public func createTeam(
        _ id: TeamID, of organization: OrganizationID, name: String, costCenter: String?
    ) async throws -> TeamRecord {
        try await configure(organization) { connection in
            try Bound.teams.requireRoom(in: organization, connection)
            let result = try connection.query(
                """
                INSERT INTO teams (organization_id, id, name, cost_center)
                VALUES (\(organization), \(id), \(name), \(costCenter))
                RETURNING id, name, cost_center, next_cost_center, next_cost_center_from, revision, created_at, archived_at
                """)
            return try TeamRecord(result.rows[0])
        }
    }

    public func team(_ id: TeamID, of organization: OrganizationID) async throws -> TeamRecord {
        try await read { connection in try Store.team(id, of: organization, connection) }
    }

    /// - Parameter teams: only these; nil for all.
    public func teams(
        of organization: OrganizationID, teams: [TeamID]?, _ filter: ListFilter, _ listing: Listing<TeamRecord, TeamID>
    ) async throws -> Page<TeamRecord, ListPlace<TeamID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, name, cost_center, next_cost_center, next_cost_center_from, revision, created_at, archived_at FROM teams
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter("id")]) AND \(list: [filter.holds])
                  AND (\(teams) IS NULL OR id = ANY (\(teams)))
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(TeamRecord.init)) { $0.id }
        }
    }

    public func changeTeam(
        _ id: TeamID, of organization: OrganizationID, ifRevision: Int64?, _ change: @Sendable (inout TeamRecord) throws -> Void
    ) async throws -> TeamRecord {
        try await configure(organization) { connection in
            var team = try Store.team(id, of: organization, connection)
            try Store.check(revision: team.revision, archivedAt: team.archivedAt, against: ifRevision)
            try change(&team)
            let result = try connection.query(
                """
                UPDATE teams
                SET name = \(team.name), cost_center = \(team.costCenter.present), next_cost_center = \(team.costCenter.next),
                    next_cost_center_from = \(team.costCenter.nextFrom), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                RETURNING id, name, cost_center, next_cost_center, next_cost_center_from, revision, created_at, archived_at
                """)
            return try TeamRecord(result.rows[0])
        }
    }

    /// Puts a team away. It must have no projects left; what it spent stays on record (law 6).
    public func archiveTeam(_ id: TeamID, of organization: OrganizationID, ifRevision: Int64?) async throws {
        try await configure(organization) { connection in
            let team = try Store.team(id, of: organization, connection)
            try Store.check(revision: team.revision, archivedAt: team.archivedAt, against: ifRevision)
            let projects = try connection.query(
                """
                SELECT id FROM projects
                WHERE organization_id = \(organization) AND team_id = \(id) AND archived_at IS NULL LIMIT 1
                """)
            guard projects.rows.isEmpty else { throw AdminRefusal.inUse("The team still has projects.") }
            try connection.query(
                """
                UPDATE teams SET archived_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
        }
    }

    /// Brings an archived team back; a living one stays as it is.
    public func restoreTeam(_ id: TeamID, of organization: OrganizationID) async throws -> TeamRecord {
        try await configure(organization) { connection in
            let team = try Store.team(id, of: organization, connection)
            guard team.archivedAt != nil else { return team }
            try Bound.teams.requireRoom(in: organization, connection)
            try connection.query(
                """
                UPDATE teams SET archived_at = NULL, revision = revision + 1 WHERE organization_id = \(organization) AND id = \(id)
                """)
            return try Store.team(id, of: organization, connection)
        }
    }

    static func team(
        _ id: TeamID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> TeamRecord {
        let result = try connection.query(
            """
            SELECT id, name, cost_center, next_cost_center, next_cost_center_from, revision, created_at, archived_at FROM teams
            WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try TeamRecord(row)
    }

    /// The team a body refers to: one that lives.
    static func requireTeam(
        _ id: TeamID, of organization: OrganizationID, at pointer: String, _ connection: isolated PostgresConnection
    ) throws {
        let result = try connection.query(
            "SELECT id FROM teams WHERE organization_id = \(organization) AND id = \(id) AND archived_at IS NULL")
        guard !result.rows.isEmpty else { throw AdminRefusal.unknownReference(pointer: pointer) }
    }
}
