/// How an amount moves between two budgets: which budgets fit each other, what the giving one can spare, and the new limits of both.
import Budgets
import Postgres

extension BudgetRecord {
    /// Why nothing can move from this budget to that one; nil when it can.
    func misfit(with other: BudgetRecord) -> AdminRefusal? {
        for (budget, pointer) in [(self, "/from"), (other, "/to")] {
            if budget.tier != nil { return .unfit(pointer: pointer, "keeps a cap of a tier, which is changed at the tier") }
            if let per = budget.per { return .unfit(pointer: pointer, "counts for each \(per.rawValue) apart: change its amount") }
        }
        if id == other.id { return .unfit(pointer: "/to", "must be another budget") }
        if unit != other.unit { return .unfit(pointer: "/to", "must have the unit of the giving budget, \(unit.rawValue)") }
        if rule != other.rule { return .unfit(pointer: "/to", "must have the period of the giving budget, \(rule.period.rawValue)") }
        return nil
    }
}

extension Store {
    /// The budget a body refers to: one that lives.
    static func livingBudget(
        _ id: BudgetID, of organization: OrganizationID, at pointer: String, _ connection: isolated PostgresConnection
    ) throws -> BudgetRecord {
        do {
            let budget = try budget(id, of: organization, connection)
            if budget.archivedAt == nil { return budget }
        } catch AdminRefusal.notFound {}
        throw AdminRefusal.unknownReference(pointer: pointer)
    }

    /// Refuses to take more than what is neither spent nor held in the period that runs, and more than later periods have.
    static func requireFree(
        _ amount: Amount, on budget: BudgetRecord, isForThisPeriod: Bool, in organization: OrganizationID, at now: Instant,
        _ connection: isolated PostgresConnection
    ) throws {
        let zone = Zone(try Store.organization(organization, connection).timeZone) ?? .utc
        let start = budget.rule.span(containing: now, in: zone).start
        let shifts = try BudgetShifts.decode(connection.query(BudgetShifts.query(of: [budget.id], in: organization)))
        let counter = try connection.query(
            """
            SELECT settled + held - burst FROM budget_periods
            WHERE organization_id = \(organization) AND budget_id = \(budget.id) AND subject = '' AND period_start = \(start)
            """)
        let committed = try counter.rows.first?.decode(as: Amount.self) ?? .zero
        let now = budget.amount(from: start, shifts[budget.id]) - committed
        let free = max(.zero, isForThisPeriod ? now : min(now, budget.amount))
        guard amount <= free else { throw AdminRefusal.committed(free: free, unit: budget.unit) }
    }

    /// Gives both budgets their new limits.
    static func move(
        _ reallocation: ReallocationRecord, in organization: OrganizationID, setBy: APIKeyID, at now: Instant,
        _ connection: isolated PostgresConnection
    ) throws {
        let from = try budget(reallocation.from, of: organization, connection)
        let to = try budget(reallocation.to, of: organization, connection)
        guard from.archivedAt == nil, to.archivedAt == nil else { throw AdminRefusal.archived }
        try requireFree(
            reallocation.amount, on: from, isForThisPeriod: reallocation.period != nil, in: organization, at: now, connection)
        // For one period the budgets' own amounts stay: the reallocation itself is what the view of shifts reads.
        let change = reallocation.period == nil ? reallocation.amount : .zero
        try connection.query(
            """
            UPDATE budgets
            SET amount = amount + CASE WHEN id = \(to.id) THEN \(change)::numeric ELSE -\(change)::numeric END,
                limit_version = limit_version + 1, revision = revision + 1
            WHERE organization_id = \(organization) AND id IN (\(from.id), \(to.id))
            """)
        try connection.query(
            """
            INSERT INTO budget_limits (organization_id, budget_id, limit_version, amount, thresholds, set_by, period_start)
            SELECT b.organization_id, b.id, b.limit_version,
                   b.amount + coalesce(s.amount, 0) + CASE
                       WHEN \(reallocation.period?.start)::timestamptz IS NULL THEN 0
                       WHEN b.id = \(to.id) THEN \(reallocation.amount)::numeric ELSE -\(reallocation.amount)::numeric END,
                   b.thresholds, \(setBy), \(reallocation.period?.start)
            FROM budgets AS b LEFT JOIN budget_shifts AS s ON s.organization_id = b.organization_id AND s.budget_id = b.id
                 AND s.period_start = \(reallocation.period?.start)
            WHERE b.organization_id = \(organization) AND b.id IN (\(from.id), \(to.id))
            """)
        for budget in [from.id, to.id] { try connection.query(Store.reviewAlerts(of: budget, in: organization)) }
    }
}
