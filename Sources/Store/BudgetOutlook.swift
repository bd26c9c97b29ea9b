/// How budgets stand in the periods that contain a moment: what a forecast of their exhaustion begins with.
public import Budgets
import Postgres

/// A budget in dollars and its counter in one period.
public struct BudgetOutlook: Sendable {
    public let id: BudgetID
    public let name: String
    public let scope: BudgetScope
    public let amount: Money
    /// Of the period that contains the moment.
    public let span: PeriodSpan
    public let settled: Money
    public let held: Money
}

extension Store {
    /// Budgets of one report: the first so many by name.
    static let maximumOutlook = 1000

    /// The living dollar budgets of longer periods than an hour that count everything together.
    public func budgetOutlook(of organization: OrganizationID, at now: Instant) async throws -> [BudgetOutlook] {
        try await read { connection in
            let zone = Zone(try Store.organization(organization, connection).timeZone) ?? .utc
            let rows = try connection.query(
                """
                SELECT id, name, team_id, project_id, period, anchor_day, anchor_month, amount FROM budgets
                WHERE organization_id = \(organization) AND archived_at IS NULL AND unit = 'usd' AND per IS NULL
                      AND period NOT IN ('minute', 'hour') AND (active_from IS NULL OR active_from <= \(now))
                      AND (active_to IS NULL OR active_to > \(now))
                ORDER BY name, id LIMIT \(Int64(Store.maximumOutlook))
                """
            ).rows
            let budgets = try rows.map { row -> (BudgetID, String, BudgetScope, Money, PeriodSpan) in
                let (id, name, team, project, period, day, month, amount) = try row.decode(
                    as: (BudgetID, String, TeamID?, ProjectID?, String, Int64, Int64, Money).self)
                guard let rule = Period(rawValue: period).flatMap({ PeriodRule(period: $0, anchorDay: Int(day), anchorMonth: Int(month)) })
                else { throw PostgresError.decoding("a budget with an unknown word") }
                let scope: BudgetScope = if let team { .team(team) } else if let project { .project(project) } else { .organization }
                return (id, name, scope, amount, rule.span(containing: now, in: zone))
            }
            let counters = try LedgerReads.decodeCounters(
                try connection.query(
                    LedgerReads.counters(budgets.map { (organization, CounterID(budget: $0.0, subject: "", periodStart: $0.4.start)) })))
            let byBudget = Dictionary(counters.map { ($0.1.budget, $0.2) }) { first, _ in first }
            return budgets.map { id, name, scope, amount, span in
                BudgetOutlook(
                    id: id, name: name, scope: scope, amount: amount, span: span, settled: byBudget[id]?.settled ?? .zero,
                    held: byBudget[id]?.held ?? .zero)
            }
        }
    }
}
