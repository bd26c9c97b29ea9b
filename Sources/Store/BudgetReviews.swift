/// What a month's review needs of every team and project, in one snapshot: spend from the roll-ups, what is held from counters, limits as
/// they were at the month's end. No entry that is rolled up is read.
public import Budgets
import Postgres

/// A team or a project in the review.
public struct BudgetReviewRow: Sendable {
    public let team: TeamID
    public let teamName: String
    /// Nil: the row is the team's.
    public let project: ProjectID?
    public let projectName: String?
    public let review: BudgetReview
}

extension Store {
    /// Teams by name, each before its projects by name; nil when there are more rows than a report may have. Where calls were made by a
    /// project before it moved, they are in the former team's row.
    ///
    /// - Parameters:
    ///   - month, previous: of whole quarters of an hour, one after the other.
    ///   - teams: only these and their projects; nil for all.
    public func budgetReview(
        of organization: OrganizationID, month: StatementSpan, previous: StatementSpan, teams: [TeamID]?, at now: Instant
    ) async throws -> [BudgetReviewRow]? {
        try await pool.withConnection { connection in
            try connection.transaction { connection in
                try connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                let spans = [previous, month]
                guard let spend = try Store.spend(of: organization, in: spans, by: [.team, .project], connection) else { return nil }
                let places = try connection.query(BudgetReviewQueries.places(organization, month, teams)).rows
                guard places.count <= Store.maximumSpendRows else { return nil }
                var figures = ReviewFigures(spend)
                for row in try connection.query(BudgetReviewQueries.budgets(organization, month)).rows {
                    let (team, project, allocated, held) = try row.decode(as: (TeamID?, ProjectID?, Money, Money).self)
                    figures.note(BudgetScope(team, project), allocated: allocated, held: held)
                }
                for row in try connection.query(BudgetReviewQueries.bursts(organization, at: now)).rows {
                    let (team, project, open, amount, overdue) = try row.decode(as: (TeamID?, ProjectID?, Int64, Money, Int64).self)
                    figures.bursts[BudgetScope(team, project)] = (open, amount, overdue)
                }
                return try places.compactMap { row in
                    let (team, teamName, project, projectName, wasThere) = try row.decode(
                        as: (TeamID, String, ProjectID?, String?, Bool).self)
                    let review = figures.review(of: project.map { .project($0) } ?? .team(team))
                    // Usage may be told of afterwards: what was spent is shown, whenever its project was made.
                    guard wasThere || review.spent > .zero else { return nil }
                    return BudgetReviewRow(
                        team: team, teamName: teamName, project: project, projectName: projectName, review: review)
                }
            }
        }
    }
}

extension BudgetScope {
    fileprivate init(_ team: TeamID?, _ project: ProjectID?) {
        self = if let team { .team(team) } else if let project { .project(project) } else { .organization }
    }
}

/// What the queries found, by whose it is.
private struct ReviewFigures {
    /// Of the month before and of the month.
    private var spent: [BudgetScope: [Money]] = [:]
    private var budgets: [BudgetScope: (allocated: Money, held: Money)] = [:]
    var bursts: [BudgetScope: (open: Int64, amount: Money, overdue: Int64)] = [:]

    init(_ spend: [SpendRow]) {
        for row in spend {
            let team = TeamID("\(TeamKind.prefix)_\(row.values[0])").map { BudgetScope.team($0) }
            let project = ProjectID("\(ProjectKind.prefix)_\(row.values[1])").map { BudgetScope.project($0) }
            for scope in [team, project].compactMap(\.self) { spent[scope, default: [.zero, .zero]][row.span] += row.cost }
        }
    }

    /// Of several budgets the tightest.
    mutating func note(_ scope: BudgetScope, allocated: Money, held: Money) {
        if let known = budgets[scope], known.allocated <= allocated { return }
        budgets[scope] = (allocated, held)
    }

    func review(of scope: BudgetScope) -> BudgetReview {
        let (money, budget, burst) = (spent[scope] ?? [.zero, .zero], budgets[scope], bursts[scope])
        return BudgetReview(
            allocated: budget?.allocated, spent: money[1], held: budget?.held, previous: money[0], openBursts: burst?.open ?? 0,
            openBurstAmount: burst?.amount ?? .zero, overdueReviews: burst?.overdue ?? 0)
    }
}

private enum BudgetReviewQueries {
    /// Every team and project that was not archived before the month, and whether it was made before its end.
    static func places(_ organization: OrganizationID, _ month: StatementSpan, _ teams: [TeamID]?) -> Query {
        """
        SELECT team_id, team_name, project_id, project_name, created_at < \(month.end) FROM (
            SELECT t.id AS team_id, t.name AS team_name, NULL::uuid AS project_id, NULL::text AS project_name, t.created_at, t.archived_at
            FROM teams AS t WHERE t.organization_id = \(organization)
            UNION ALL
            SELECT t.id, t.name, p.id, p.name, p.created_at, p.archived_at
            FROM projects AS p JOIN teams AS t ON t.organization_id = p.organization_id AND t.id = p.team_id
            WHERE p.organization_id = \(organization)) AS places
        WHERE (archived_at IS NULL OR archived_at >= \(month.start))
          AND (\(teams) IS NULL OR team_id = ANY (\(teams)))
        ORDER BY team_name COLLATE "C", team_id, project_id IS NOT NULL, project_name COLLATE "C", project_id
        LIMIT \(Int64(Store.maximumSpendRows) + 1)
        """
    }

    /// Budgets of dollars by the calendar month that count all of a team or project, with their limit as it was when the month ended.
    static func budgets(_ organization: OrganizationID, _ month: StatementSpan) -> Query {
        """
        SELECT b.team_id, b.project_id, greatest(0, l.amount + coalesce(s.amount, 0)), coalesce(p.held, 0)
        FROM budgets AS b
        CROSS JOIN LATERAL (
            SELECT l.amount FROM budget_limits AS l
            WHERE l.organization_id = b.organization_id AND l.budget_id = b.id AND l.period_start IS NULL AND l.set_at < \(month.end)
            ORDER BY l.limit_version DESC LIMIT 1) AS l
        LEFT JOIN budget_shifts AS s ON s.organization_id = b.organization_id AND s.budget_id = b.id AND s.period_start = \(month.start)
        LEFT JOIN budget_periods AS p ON p.organization_id = b.organization_id AND p.budget_id = b.id AND p.subject = ''
             AND p.period_start = \(month.start)
        WHERE b.organization_id = \(organization) AND (b.team_id IS NOT NULL OR b.project_id IS NOT NULL) AND b.unit = 'usd'
          AND b.period = 'month' AND b.anchor_day = 1 AND b.per IS NULL AND b.match = '{}' AND b.enforcement <> 'shadow'
          AND b.tier_id IS NULL AND (b.archived_at IS NULL OR b.archived_at >= \(month.end))
        """
    }

    static func bursts(_ organization: OrganizationID, at now: Instant) -> Query {
        """
        SELECT g.team_id, g.project_id,
               count(*) FILTER (WHERE b.open),
               coalesce(sum(b.amount) FILTER (WHERE b.open AND g.unit = 'usd'), 0),
               count(*) FILTER (WHERE b.reviewed_at IS NULL AND b.settled > 0 AND b.review_due_at <= \(now))
        FROM (SELECT *, revoked_at IS NULL AND ends_at > \(now) AS open FROM bursts
              WHERE organization_id = \(organization) AND approved_at IS NOT NULL) AS b
        JOIN budgets AS g ON g.organization_id = b.organization_id AND g.id = b.budget_id
        WHERE g.team_id IS NOT NULL OR g.project_id IS NOT NULL
        GROUP BY 1, 2
        """
    }
}
