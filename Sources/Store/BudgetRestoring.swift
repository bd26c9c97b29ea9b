/// Archived budgets come back. While they were away they neither counted nor blocked, and nothing of that is made up for.
public import Budgets
import Postgres

extension Store {
    /// Brings an archived budget back, and the shares that went with it; a living one stays as it is. Its counter goes on from where it
    /// stood. The limit is a new version, because people were told that the old one no longer held.
    /// - Throws: `AdminRefusal.inUse` when its team, its project or the budget it is a share of is archived, when too little of that
    ///   one is left, and for a tier's cap.
    public func restoreBudget(_ id: BudgetID, of organization: OrganizationID, setBy: APIKeyID) async throws -> BudgetRecord {
        try await configure(organization) { connection in
            let budget = try Store.budget(id, of: organization, connection)
            guard budget.archivedAt != nil else { return budget }
            guard budget.tier == nil else { throw AdminRefusal.inUse("It keeps a cap of a tier: set that at the tier.") }
            try Bound.budgets.requireRoom(in: organization, connection)
            try Store.requireLiving(budget.scope, of: organization, connection)
            if let share = budget.share {
                guard try Store.budget(share.of, of: organization, connection).archivedAt == nil else {
                    throw AdminRefusal.inUse("The budget that it is a share of is archived: restore that first.")
                }
                let left = try Store.percentLeft(of: share.of, in: organization, connection)
                guard share.percent <= left else {
                    throw AdminRefusal.inUse("It is \(share.percent.plain) % of its budget, and the other shares leave \(left.plain) %.")
                }
            }
            try connection.query(
                """
                WITH restored AS (
                    UPDATE budgets SET archived_at = NULL, limit_version = limit_version + 1, revision = revision + 1
                    WHERE organization_id = \(organization) AND (id = \(id) OR share_of = \(id))
                      AND archived_at = (SELECT archived_at FROM budgets WHERE organization_id = \(organization) AND id = \(id))
                    RETURNING organization_id, id, limit_version, amount, thresholds, threshold_amounts
                )
                INSERT INTO budget_limits (organization_id, budget_id, limit_version, amount, thresholds, threshold_amounts, set_by)
                SELECT organization_id, id, limit_version, amount, thresholds, threshold_amounts, \(setBy) FROM restored
                """)
            if let share = budget.share { try connection.query(Store.followShares(of: share.of, in: organization, setBy: setBy)) }
            try connection.query(Store.reviewAlerts(of: id, in: organization))
            return try Store.budget(id, of: organization, connection)
        }
    }

    private static func requireLiving(
        _ scope: BudgetScope, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws {
        switch scope {
        case .organization: break
        case .team(let id):
            guard try team(id, of: organization, connection).archivedAt == nil else {
                throw AdminRefusal.inUse("Its team is archived: restore that first.")
            }
        case .project(let id):
            guard try project(id, of: organization, connection).archivedAt == nil else {
                throw AdminRefusal.inUse("Its project is archived: restore that first.")
            }
        }
    }
}
