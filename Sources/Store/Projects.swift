/// Projects: what calls are made for. Each has one team and one tier.
public import Budgets
public import Postgres

public struct ProjectRecord: Sendable {
    public let id: ProjectID
    public var team: TeamID
    public var tier: TierID
    public var name: String
    /// Nil: the team's.
    public var costCenter: CostCenter
    public var isSuspended: Bool
    /// A JSON object that Bursar keeps and does not interpret.
    public var settings: JSONB
    public let revision: Int64
    public let createdAt: Instant
    public let archivedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let (present, next, from): (String?, String?, Instant?)
        (id, team, tier, name, present, next, from, isSuspended, settings, revision, createdAt, archivedAt) = try row.decode(
            as: (
                ProjectID, TeamID, TierID, String, String?, String?, Instant?, Bool, JSONB, Int64, Instant, Instant?
            ).self)
        costCenter = CostCenter(present, next: next, from: from)
    }
}

extension Store {
    /// - Parameter tier: nil for the organization's default.
    public func createProject(
        _ id: ProjectID, of organization: OrganizationID, team: TeamID, tier: TierID?, name: String, costCenter: String?, settings: JSONB
    ) async throws -> ProjectRecord {
        try await configure(organization) { connection in
            try Bound.projects.requireRoom(in: organization, connection)
            try Store.requireTeam(team, of: organization, at: "/team", connection)
            guard let tier = try tier ?? Store.organization(organization, connection).defaultTier else { throw AdminRefusal.tierMissing }
            try Store.requireTier(tier, of: organization, at: "/tier", connection)
            let result = try connection.query(
                """
                INSERT INTO projects (organization_id, id, team_id, tier_id, name, cost_center, settings)
                VALUES (\(organization), \(id), \(team), \(tier), \(name), \(costCenter), \(settings))
                RETURNING id, team_id, tier_id, name, cost_center, next_cost_center, next_cost_center_from, is_suspended, settings, revision,
                          created_at, archived_at
                """)
            return try ProjectRecord(result.rows[0])
        }
    }

    public func project(_ id: ProjectID, of organization: OrganizationID) async throws -> ProjectRecord {
        try await read { connection in try Store.project(id, of: organization, connection) }
    }

    /// - Parameter teams: only the projects of these; nil for all.
    public func projects(
        of organization: OrganizationID, teams: [TeamID]?, tier: TierID? = nil, isSuspended: Bool? = nil,
        _ filter: ListFilter,
        _ listing: Listing<ProjectRecord, ProjectID>
    ) async throws -> Page<ProjectRecord, ListPlace<ProjectID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, team_id, tier_id, name, cost_center, next_cost_center, next_cost_center_from, is_suspended, settings, revision,
                       created_at, archived_at
                FROM projects
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter("id")]) AND \(list: [filter.holds])
                  AND (\(teams) IS NULL OR team_id = ANY (\(teams))) AND (\(tier) IS NULL OR tier_id = \(tier))
                  AND (\(isSuspended) IS NULL OR is_suspended = \(isSuspended))
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(ProjectRecord.init)) { $0.id }
        }
    }

    public func changeProject(
        _ id: ProjectID, of organization: OrganizationID, ifRevision: Int64?, _ change: @Sendable (inout ProjectRecord) throws -> Void
    ) async throws -> ProjectRecord {
        try await configure(organization) { connection in
            let before = try Store.project(id, of: organization, connection)
            try Store.check(revision: before.revision, archivedAt: before.archivedAt, against: ifRevision)
            var project = before
            try change(&project)
            if project.team != before.team { try Store.requireTeam(project.team, of: organization, at: "/team", connection) }
            if project.tier != before.tier { try Store.requireTier(project.tier, of: organization, at: "/tier", connection) }
            let result = try connection.query(
                """
                UPDATE projects
                SET team_id = \(project.team), tier_id = \(project.tier), name = \(project.name), cost_center = \(project.costCenter.present),
                    next_cost_center = \(project.costCenter.next), next_cost_center_from = \(project.costCenter.nextFrom),
                    is_suspended = \(project.isSuspended), settings = \(project.settings), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                RETURNING id, team_id, tier_id, name, cost_center, next_cost_center, next_cost_center_from, is_suspended, settings, revision,
                          created_at, archived_at
                """)
            return try ProjectRecord(result.rows[0])
        }
    }

    /// Puts a project away and revokes its API keys.
    public func archiveProject(_ id: ProjectID, of organization: OrganizationID, ifRevision: Int64?) async throws {
        try await configure(organization) { connection in
            let project = try Store.project(id, of: organization, connection)
            try Store.check(revision: project.revision, archivedAt: project.archivedAt, against: ifRevision)
            try connection.query(
                """
                UPDATE projects SET archived_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            try connection.query(
                """
                UPDATE api_keys SET revoked_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND project_id = \(id) AND revoked_at IS NULL
                """)
        }
    }

    /// Brings an archived project back to its team, which must live. Its API keys stay revoked: new ones are made.
    public func restoreProject(_ id: ProjectID, of organization: OrganizationID) async throws -> ProjectRecord {
        try await configure(organization) { connection in
            let project = try Store.project(id, of: organization, connection)
            guard project.archivedAt != nil else { return project }
            try Bound.projects.requireRoom(in: organization, connection)
            guard try Store.team(project.team, of: organization, connection).archivedAt == nil else {
                throw AdminRefusal.inUse("Its team is archived: restore that first.")
            }
            guard try Store.tier(project.tier, of: organization, connection).archivedAt == nil else {
                throw AdminRefusal.inUse("Its tier is archived.")
            }
            try connection.query(
                """
                UPDATE projects SET archived_at = NULL, revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            return try Store.project(id, of: organization, connection)
        }
    }

    static func project(
        _ id: ProjectID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> ProjectRecord {
        let result = try connection.query(
            """
            SELECT id, team_id, tier_id, name, cost_center, next_cost_center, next_cost_center_from, is_suspended, settings, revision,
                       created_at, archived_at
                FROM projects
            WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try ProjectRecord(row)
    }

    /// The project a body refers to: one that lives.
    static func requireProject(
        _ id: ProjectID, of organization: OrganizationID, at pointer: String, _ connection: isolated PostgresConnection
    ) throws {
        let result = try connection.query(
            "SELECT id FROM projects WHERE organization_id = \(organization) AND id = \(id) AND archived_at IS NULL")
        guard !result.rows.isEmpty else { throw AdminRefusal.unknownReference(pointer: pointer) }
    }
}
