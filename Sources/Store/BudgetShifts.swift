/// What was moved between budgets for one period alone: their amounts differ in it and in no other.
import Budgets
import Postgres

enum BudgetShifts {
    /// By budget and the period's start; negative where it was moved away.
    typealias ByBudget = [BudgetID: [Instant: Amount]]

    static func query(of budgets: [BudgetID], in organization: OrganizationID) -> Query {
        """
        SELECT budget_id, period_start, amount FROM budget_shifts
        WHERE organization_id = \(organization) AND budget_id = ANY (\(budgets))
        """
    }

    static func decode(_ result: PostgresResult) throws(PostgresError) -> ByBudget {
        var shifts: ByBudget = [:]
        for row in result.rows {
            let (budget, start, amount) = try row.decode(as: (BudgetID, Instant, Amount).self)
            shifts[budget, default: [:]][start] = amount
        }
        return shifts
    }
}

extension BudgetRecord {
    /// What it has in the period that starts then.
    func amount(from periodStart: Instant, _ shifts: [Instant: Amount]?) -> Amount {
        max(.zero, amount + (shifts?[periodStart] ?? .zero))
    }
}
