/// The guard rails on bursts, kept with the organization and with each budget.
public import Budgets
import JSON
import Postgres

extension Store {
    /// The rails of a budget, or with nil those of the organization; in their own words, without what comes from elsewhere.
    public func burstRails(of budget: BudgetID?, in organization: OrganizationID) async throws -> BurstRails {
        try await read { connection in try Store.burstRails(of: budget, in: organization, connection) }
    }

    /// Replaces them.
    public func setBurstRails(_ rails: BurstRails, of budget: BudgetID?, in organization: OrganizationID) async throws {
        try await transaction { connection in
            let result =
                if let budget {
                    try connection.query(
                        """
                        UPDATE budgets SET burst_rails = \(rails.column), revision = revision + 1
                        WHERE organization_id = \(organization) AND id = \(budget) RETURNING 1
                        """)
                } else {
                    try connection.query(
                        """
                        UPDATE organizations SET burst_rails = \(rails.column), revision = revision + 1
                        WHERE organization_id = \(organization) RETURNING 1
                        """)
                }
            if result.rows.isEmpty { throw AdminRefusal.notFound }
        }
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
