/// The guard rails on bursts, kept with the organization and with each budget.
public import Budgets
import JSON
import Postgres

extension Store {
    /// The rails of a budget, or with nil those of the organization, in their own words, without what comes from elsewhere; and the
    /// revision of what they belong to.
    public func burstRails(of budget: BudgetID?, in organization: OrganizationID) async throws -> (BurstRails, revision: Int64) {
        try await read { connection in
            let revision = try Store.revision(of: budget, in: organization, connection).revision
            return (try Store.burstRails(of: budget, in: organization, connection), revision)
        }
    }

    /// Replaces them, and returns the new revision of what they belong to.
    public func setBurstRails(
        _ rails: BurstRails, of budget: BudgetID?, in organization: OrganizationID, ifRevision: Int64?
    ) async throws -> Int64 {
        try await transaction { connection in
            let (revision, archivedAt) = try Store.revision(of: budget, in: organization, isLocked: true, connection)
            try Store.check(revision: revision, archivedAt: archivedAt, against: ifRevision)
            if let budget {
                try connection.query(
                    """
                    UPDATE budgets SET burst_rails = \(rails.column), revision = revision + 1
                    WHERE organization_id = \(organization) AND id = \(budget)
                    """)
            } else {
                try connection.query(
                    """
                    UPDATE organizations SET burst_rails = \(rails.column), revision = revision + 1
                    WHERE organization_id = \(organization)
                    """)
            }
            return revision + 1
        }
    }

    /// Of the budget or organization that rails belong to.
    private static func revision(
        of budget: BudgetID?, in organization: OrganizationID, isLocked: Bool = false, _ connection: isolated PostgresConnection
    ) throws -> (revision: Int64, archivedAt: Instant?) {
        // All other changes of either hold the fence.
        if isLocked { try connection.query("SELECT organization_id FROM fences WHERE organization_id = \(organization) FOR UPDATE") }
        guard let budget else { return (try Store.organization(organization, connection).revision, nil) }
        let record = try Store.budget(budget, of: organization, connection)
        return (record.revision, record.archivedAt)
    }

    static func burstRails(
        of budget: BudgetID?, in organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> BurstRails {
        let result =
            if let budget {
                try connection.query("SELECT burst_rails FROM budgets WHERE organization_id = \(organization) AND id = \(budget)")
            } else {
                try connection.query("SELECT burst_rails FROM organizations WHERE organization_id = \(organization)")
            }
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try BurstRails(column: try row.decode(as: JSONB.self))
    }
}

extension BurstRails {
    fileprivate var column: JSONB {
        var writer = JSONWriter()
        writer.object { writer in
            if let largestPercent { writer.field("largest_percent", largestPercent) }
            if let largestOpen { writer.field("largest_open", largestOpen) }
            if let largestPerQuarter { writer.field("largest_per_quarter", largestPerQuarter) }
            if let shortestNoticeSeconds { writer.field("shortest_notice_seconds", shortestNoticeSeconds) }
            if let adminAbove { writer.field("admin_above", adminAbove.plain) }
            if let ownerAbove { writer.field("owner_above", ownerAbove.plain) }
            if let blocksWhileReviewOverdue { writer.field("blocks_while_review_overdue", blocksWhileReviewOverdue) }
            if let reviewDays { writer.field("review_days", reviewDays) }
        }
        return JSONB(bytes: writer.bytes)
    }

    fileprivate init(column: JSONB) throws(PostgresError) {
        guard let json = try? JSON.parse(column.bytes), json.object != nil else { throw .decoding("burst rails that are no object") }
        self.init()
        largestPercent = json["largest_percent"]?.int64
        largestOpen = json["largest_open"]?.int64
        largestPerQuarter = json["largest_per_quarter"]?.int64
        shortestNoticeSeconds = json["shortest_notice_seconds"]?.int64
        adminAbove = json["admin_above"]?.string.flatMap { Amount($0) }
        ownerAbove = json["owner_above"]?.string.flatMap { Amount($0) }
        blocksWhileReviewOverdue = json["blocks_while_review_overdue"]?.bool
        reviewDays = json["review_days"]?.int64
    }
}
