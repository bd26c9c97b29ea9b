/// Forgetting the counters of rate limits: a budget of requests a minute with a million subjects makes as many rows a minute, and none
/// of them matters an hour later. The ledger keeps every entry; only counters go.
public import Budgets
public import Postgres

/// Where pruning stands: behind this counter, in the order of organization, budget, subject and period.
public struct PruneKey: Hashable, Sendable {
    let organization: OrganizationID
    let budget: BudgetID
    let subject: String
    let periodStart: Instant

    /// Before everything.
    public static let start = PruneKey(
        organization: OrganizationID(high: 0, low: 0), budget: BudgetID(high: 0, low: 0), subject: "", periodStart: Instant(microseconds: 0)
    )
}

public enum RateLimitPruning {
    /// How long after the beginning of its period a counter goes: its hour at most, the time in which the decision may still count in
    /// it (`Budget.rateLimitKeptSeconds`), and as an allowance for clocks an hour more.
    static let keptSeconds: Int64 = 3600 + Budget.rateLimitKeptSeconds + 3600

    /// Deletes among the next `maximum` counters of one rate limit those that are over and hold nothing. No fence is raised: no decision
    /// rests on them any more.
    ///
    /// Returns one row, with what was looked at and where the next page begins; none when there is no rate limit from `key` on.
    public static func prune(after key: PruneKey, at now: Instant, maximum: Int64) -> Query {
        """
        WITH budget AS MATERIALIZED (
            SELECT organization_id, id FROM budgets
            WHERE period IN ('minute', 'hour') AND (organization_id, id) >= (\(key.organization), \(key.budget))
            ORDER BY organization_id, id LIMIT 1
        ), page AS MATERIALIZED (
            SELECT p.organization_id, p.budget_id, p.subject, p.period_start
            FROM budget_periods AS p JOIN budget AS b ON p.organization_id = b.organization_id AND p.budget_id = b.id
            WHERE (p.organization_id, p.budget_id, p.subject, p.period_start)
                  > (\(key.organization), \(key.budget), \(key.subject), \(key.periodStart))
            ORDER BY p.organization_id, p.budget_id, p.subject, p.period_start LIMIT \(maximum)
        ), gone AS (
            DELETE FROM budget_periods AS p USING page
            WHERE p.organization_id = page.organization_id AND p.budget_id = page.budget_id AND p.subject = page.subject
              AND p.period_start = page.period_start AND p.held = 0
              AND p.period_start < \(now.adding(seconds: -keptSeconds))
        )
        SELECT b.organization_id, b.id, (SELECT count(*) FROM page), l.subject, l.period_start
        FROM budget AS b LEFT JOIN LATERAL (
            SELECT subject, period_start FROM page ORDER BY subject DESC, period_start DESC LIMIT 1) AS l ON true
        """
    }

    /// Where the next page begins; nil when this was the last.
    public static func decode(_ result: PostgresResult, maximum: Int64) throws(PostgresError) -> PruneKey? {
        guard let row = result.rows.first else { return nil }
        let (organization, budget, count, subject, start) = try row.decode(as: (OrganizationID, BudgetID, Int64, String?, Instant?).self)
        if count == maximum, let subject, let start {
            return PruneKey(organization: organization, budget: budget, subject: subject, periodStart: start)
        }
        let (low, carry) = budget.low.addingReportingOverflow(1)
        return PruneKey(
            organization: organization, budget: BudgetID(high: budget.high &+ (carry ? 1 : 0), low: low), subject: "",
            periodStart: Instant(microseconds: 0))
    }
}
