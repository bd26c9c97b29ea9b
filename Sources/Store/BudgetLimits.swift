/// What a budget's limit was, when and by whom; and by how much less than what is committed it may be now.
public import Budgets
public import Postgres

public struct BudgetLimitRecord: Sendable {
    public let version: Int64
    public let amount: Amount
    public let thresholds: [Int64]
    public let setAt: Instant
    /// The API key that set it, and its name as it is now.
    public let setBy: APIKeyID
    public let setByName: String?
    /// The start of the one period that it is for; nil: it holds until another one is set.
    public let periodStart: Instant?

    init(_ row: Row) throws(PostgresError) {
        (version, amount, thresholds, setAt, setBy, setByName, periodStart) = try row.decode(
            as: (Int64, Amount, [Int64], Instant, APIKeyID, String?, Instant?).self)
    }
}

extension Store {
    /// The versions of a budget's limit, with the budget's unit.
    public func limits(
        of id: BudgetID, in organization: OrganizationID, _ listing: Listing<BudgetLimitRecord, Int64>
    ) async throws -> (unit: BudgetUnit, page: Page<BudgetLimitRecord, ListPlace<Int64>>) {
        try await read { connection in
            let budget = try Store.budget(id, of: organization, connection)
            let result = try connection.query(
                """
                SELECT l.limit_version, l.amount, l.thresholds, l.set_at, l.set_by, k.name, l.period_start
                FROM budget_limits AS l LEFT JOIN api_keys AS k ON k.organization_id = l.organization_id AND k.id = l.set_by
                WHERE l.organization_id = \(organization) AND l.budget_id = \(id) AND \(list: [listing.isAfter("l.limit_version")])
                ORDER BY \(list: [listing.ordering("l.limit_version")]) LIMIT \(listing.limit + 1)
                """)
            return (budget.unit, listing.page(try result.rows.map(BudgetLimitRecord.init)) { $0.version })
        }
    }

    /// By how much what is settled and held passes each budget's amount in the period of the instant: not zero after its amount was lowered,
    /// after overage, and where it does not block. Budgets that count per something have no single figure and are left out: each of
    /// their periods has its own.
    public func overCommitted(
        _ budgets: [BudgetRecord], of organization: OrganizationID, at now: Instant
    ) async throws -> [BudgetID: Amount] {
        let single = budgets.filter { $0.per == nil }
        guard !single.isEmpty else { return [:] }
        return try await read { connection in
            let zone = Zone(try Store.organization(organization, connection).timeZone) ?? .utc
            let starts = single.map { $0.rule.span(containing: now, in: zone).start }
            let shifts = try BudgetShifts.decode(connection.query(BudgetShifts.query(of: single.map(\.id), in: organization)))
            let result = try connection.query(
                """
                SELECT p.budget_id, p.settled + p.held - p.burst FROM unnest(\(single.map(\.id)), \(starts)) AS now (budget_id, period_start)
                JOIN budget_periods AS p ON p.organization_id = \(organization) AND p.budget_id = now.budget_id AND p.subject = ''
                     AND p.period_start = now.period_start
                """)
            var committed: [BudgetID: Amount] = [:]
            for row in result.rows {
                let (id, amount) = try row.decode(as: (BudgetID, Amount).self)
                committed[id] = amount
            }
            return Dictionary(
                uniqueKeysWithValues: zip(single, starts).map { budget, start in
                    (budget.id, max(.zero, (committed[budget.id] ?? .zero) - budget.amount(from: start, shifts[budget.id])))
                })
        }
    }
}
