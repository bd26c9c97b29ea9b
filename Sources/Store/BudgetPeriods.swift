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
    /// What the budget has in this period now: what was moved for it alone is in it.
    public let amount: Amount

    init(_ row: Row, budgetAmount: Amount) throws(PostgresError) {
        let shift: Amount?
        (subject, periodStart, settled, held, burst, overage, finalCalls, shift) = try row.decode(
            as: (String, Instant, Amount, Amount, Amount, Amount, Int64, Amount?).self)
        amount = max(.zero, budgetAmount + (shift ?? .zero))
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
                SELECT p.subject, p.period_start, p.settled, p.held, p.burst, p.overage, p.final_calls, s.amount
                FROM budget_periods AS p LEFT JOIN budget_shifts AS s USING (organization_id, budget_id, period_start)
                WHERE p.organization_id = \(organization) AND p.budget_id = \(id)
                  AND (\(after?.periodStart)::timestamptz IS NULL OR p.period_start < \(after?.periodStart)
                       OR (p.period_start = \(after?.periodStart) AND p.subject > \(after?.subject)))
                ORDER BY p.period_start DESC, p.subject LIMIT \(limit + 1)
                """)
            let page = Page(try result.rows.map { try BudgetPeriodRecord($0, budgetAmount: budget.amount) }, limit: limit) { period in
                BudgetPeriodCursor(periodStart: period.periodStart, subject: period.subject)
            }
            return (budget, timeZone, page)
        }
    }
}
