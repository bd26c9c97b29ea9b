/// Whose a thing is: what scoped roles are held against. One look-up for every kind of id that a path can name.
public import Budgets
import Postgres

/// Where in the tree a thing hangs.
public enum Owner: Hashable, Sendable {
    case organization
    /// One team; a user may have roles on several.
    case teams(Set<TeamID>)
}

extension Store {
    /// Where the thing with this id hangs; nil when the organization has none such.
    public func owner(ofID text: String, in organization: OrganizationID) async throws -> Owner? {
        guard let query = Store.ownerQuery(text, organization) else { return nil }
        return try await read { connection in
            let rows = try connection.query(query).rows
            guard !rows.isEmpty else { return nil }
            let teams = try rows.compactMap { try $0.decode(as: TeamID?.self) }
            return teams.isEmpty ? .organization : .teams(Set(teams))
        }
    }

    /// Where a project hangs; nil when there is none such.
    public func owner(of project: ProjectID, in organization: OrganizationID) async throws -> Owner? {
        try await owner(ofID: project.description, in: organization)
    }

    /// A row for each team; a row of NULL for what is the organization's own.
    private static func ownerQuery(_ text: String, _ organization: OrganizationID) -> Query? {
        if let id = TeamID(text) { return "SELECT id FROM teams WHERE organization_id = \(organization) AND id = \(id)" }
        if let id = ProjectID(text) { return "SELECT team_id FROM projects WHERE organization_id = \(organization) AND id = \(id)" }
        if let id = BudgetID(text) {
            return """
                SELECT coalesce(b.team_id, p.team_id) FROM budgets AS b
                LEFT JOIN projects AS p ON p.organization_id = b.organization_id AND p.id = b.project_id
                WHERE b.organization_id = \(organization) AND b.id = \(id)
                """
        }
        if let id = BurstID(text) {
            return """
                SELECT coalesce(b.team_id, p.team_id) FROM bursts AS r
                JOIN budgets AS b ON b.organization_id = r.organization_id AND b.id = r.budget_id
                LEFT JOIN projects AS p ON p.organization_id = b.organization_id AND p.id = b.project_id
                WHERE r.organization_id = \(organization) AND r.id = \(id)
                """
        }
        if let id = ReallocationID(text) {
            return """
                SELECT coalesce(b.team_id, p.team_id) FROM reallocations AS r
                JOIN budgets AS b ON b.organization_id = r.organization_id AND b.id IN (r.from_budget_id, r.to_budget_id)
                LEFT JOIN projects AS p ON p.organization_id = b.organization_id AND p.id = b.project_id
                WHERE r.organization_id = \(organization) AND r.id = \(id)
                """
        }
        if let id = AccessRequestID(text) {
            return """
                SELECT p.team_id FROM access_requests AS r
                JOIN projects AS p ON p.organization_id = r.organization_id AND p.id = r.project_id
                WHERE r.organization_id = \(organization) AND r.id = \(id)
                """
        }
        if let id = AccessGrantID(text) {
            return """
                SELECT p.team_id FROM access_grants AS g
                JOIN projects AS p ON p.organization_id = g.organization_id AND p.id = g.project_id
                WHERE g.organization_id = \(organization) AND g.id = \(id)
                """
        }
        if let id = ReservationID(text) {
            return """
                SELECT p.team_id FROM reservations AS r
                JOIN projects AS p ON p.organization_id = r.organization_id AND p.id = r.project_id
                WHERE r.organization_id = \(organization) AND r.id = \(id)
                """
        }
        if let id = APIKeyID(text) {
            return """
                SELECT coalesce(k.team_id, p.team_id, u.team_id) FROM api_keys AS k
                LEFT JOIN projects AS p ON p.organization_id = k.organization_id AND p.id = k.project_id
                LEFT JOIN user_teams AS u ON u.organization_id = k.organization_id AND u.user_id = k.user_id
                WHERE k.organization_id = \(organization) AND k.id = \(id)
                """
        }
        if let id = UserID(text) {
            return """
                SELECT t.team_id FROM users AS u
                LEFT JOIN user_teams AS t ON t.organization_id = u.organization_id AND t.user_id = u.id
                WHERE u.organization_id = \(organization) AND u.id = \(id)
                """
        }
        return nil
    }
}
