/// How full budgets are: their counters, one for each subject and period.
public import Budgets
import Postgres

public struct BudgetPeriodRecord: Sendable {
    public let subject: String
    public let periodStart: Instant
    public let settled: Amount
    public let held: Amount
    /// How much of settled and held is drawn on bursts.
    public let burst: Amount
    public let overage: Amount
    public let finalCalls: Int64

    init(_ row: Row) throws(PostgresError) {
        (subject, periodStart, settled, held, burst, overage, finalCalls) = try row.decode(
            as: (String, Instant, Amount, Amount, Amount, Amount, Int64).self)
    }
}

/// Where a page of counters ends: the newest period first, subjects in their order.
public struct BudgetPeriodCursor: Hashable, Sendable {
    public let periodStart: Instant
    public let subject: String

    public init(periodStart: Instant, subject: String) {
        self.periodStart = periodStart
        self.subject = subject
    }
}

extension Store {
    /// A budget with a page of its counters, and the time zone that says where their periods end.
    public func periods(
        of id: BudgetID, in organization: OrganizationID, after: BudgetPeriodCursor?, limit: Int
    ) async throws -> (budget: BudgetRecord, timeZone: String, page: Page<BudgetPeriodRecord, BudgetPeriodCursor>) {
        try await read { connection in
            let budget = try Store.budget(id, of: organization, connection)
            let timeZone = try Store.organization(organization, connection).timeZone
            let result = try connection.query(
                """
                SELECT subject, period_start, settled, held, burst, overage, final_calls FROM budget_periods
                WHERE organization_id = \(organization) AND budget_id = \(id)
                  AND (\(after?.periodStart)::timestamptz IS NULL OR period_start < \(after?.periodStart)
                       OR (period_start = \(after?.periodStart) AND subject > \(after?.subject)))
                ORDER BY period_start DESC, subject LIMIT \(limit + 1)
                """)
            let page = Page(try result.rows.map(BudgetPeriodRecord.init), limit: limit) { period in
                BudgetPeriodCursor(periodStart: period.periodStart, subject: period.subject)
            }
            return (budget, timeZone, page)
        }
    }
}
