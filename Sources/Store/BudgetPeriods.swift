/// How full budgets are: their counters, one for each subject and period.
public import Budgets
public import Postgres

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

/// Which counters of a budget a list shows; nil: all.
public struct BudgetPeriodFilter: Sendable {
    public var subject: String?
    /// Periods that start at this moment or later.
    public var from: Instant?
    /// Periods that start before.
    public var to: Instant?

    public init(subject: String? = nil, from: Instant? = nil, to: Instant? = nil) {
        self.subject = subject
        self.from = from
        self.to = to
    }
}

extension Store {
    /// A budget with a page of its counters, and the time zone that says where their periods end.
    public func periods(
        of id: BudgetID, in organization: OrganizationID, _ filter: BudgetPeriodFilter, _ listing: Listing<BudgetPeriodRecord, String>
    ) async throws -> (budget: BudgetRecord, timeZone: String, page: Page<BudgetPeriodRecord, ListPlace<String>>) {
        try await read { connection in
            let budget = try Store.budget(id, of: organization, connection)
            let timeZone = try Store.organization(organization, connection).timeZone
            let result = try connection.query(
                """
                SELECT p.subject, p.period_start, p.settled, p.held, p.burst, p.overage, p.final_calls, s.amount
                FROM budget_periods AS p LEFT JOIN budget_shifts AS s USING (organization_id, budget_id, period_start)
                WHERE p.organization_id = \(organization) AND p.budget_id = \(id) AND \(list: [listing.isAfter("p.subject")])
                  AND (\(filter.subject) IS NULL OR p.subject = \(filter.subject))
                  AND (\(filter.from) IS NULL OR p.period_start >= \(filter.from))
                  AND (\(filter.to) IS NULL OR p.period_start < \(filter.to))
                ORDER BY \(list: [listing.ordering("p.subject")]) LIMIT \(listing.limit + 1)
                """)
            let periods = try result.rows.map { try BudgetPeriodRecord($0, budgetAmount: budget.amount) }
            return (budget, timeZone, listing.page(periods) { $0.subject })
        }
    }
}
