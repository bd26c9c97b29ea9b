/// Burst grants as people handle them: asked for, decided, looked at, reviewed. What calls draw on them is the engine's (`LedgerWrites`).
public import Budgets
public import Postgres

public struct BurstRecord: Sendable {
    public let id: BurstID
    public let budget: BudgetID
    public let budgetName: String
    public let unit: BudgetUnit
    public let scope: BudgetScope
    /// The budget's team, or its project's; nil for a budget of the organization.
    public let team: TeamID?
    public let amount: Amount
    /// `{"features":["launch*"],…}`.
    public let match: JSONB
    public let startsAt: Instant
    public let endsAt: Instant
    public let reason: String
    /// The requester's `Credential.actor` and rank at that time.
    public let requestedBy: String
    public let requesterRank: Int64
    public let requestedAt: Instant
    /// `requested`, `lapsed` (nobody decided in time), `denied`, `withdrawn`, `scheduled`, `active`, `exhausted`, `ended`, `revoked`.
    public let state: String
    public let decidedBy: String?
    public let decidedAt: Instant?
    public let decisionReason: String?
    public let settled: Amount
    public let held: Amount
    public let reviewDueAt: Instant
    public let review: BurstReview?

    init(_ row: Row) throws(PostgresError) {
        let (unitName, team, project): (String, TeamID?, ProjectID?)
        let (reviewedAt, reviewedBy): (Instant?, String?)
        let (purpose, result, worthIt, lessons): (String?, String?, Bool?, String?)
        (
            id, budget, budgetName, unitName, team, project, self.team, amount, match, startsAt, endsAt, reason, requestedBy, requesterRank,
            requestedAt, state, decidedBy, decidedAt, decisionReason, settled, held, reviewDueAt, reviewedAt, reviewedBy, purpose, result,
            worthIt, lessons
        ) = try row.decode(
            as: (
                BurstID, BudgetID, String, String, TeamID?, ProjectID?, TeamID?, Amount, JSONB, Instant, Instant, String, String, Int64,
                Instant, String, String?, Instant?, String?, Amount, Amount, Instant, Instant?, String?, String?, String?,
                Bool?, String?
            ).self)
        guard let unit = BudgetUnit(rawValue: unitName) else { throw .decoding("a budget with an unknown unit") }
        self.unit = unit
        scope = if let team { .team(team) } else if let project { .project(project) } else { .organization }
        if let reviewedAt, let reviewedBy, let purpose, let result, let worthIt {
            review = BurstReview(
                purpose: purpose, result: result, worthIt: worthIt, lessons: lessons, reviewedBy: reviewedBy, reviewedAt: reviewedAt)
        } else {
            review = nil
        }
    }
}

/// What people made of a burst once it was over.
public struct BurstReview: Sendable {
    /// What it was for.
    public let purpose: String
    public let result: String
    public let worthIt: Bool
    public let lessons: String?
    public let reviewedBy: String
    public let reviewedAt: Instant

    public init(purpose: String, result: String, worthIt: Bool, lessons: String?, reviewedBy: String, reviewedAt: Instant) {
        self.purpose = purpose
        self.result = result
        self.worthIt = worthIt
        self.lessons = lessons
        self.reviewedBy = reviewedBy
        self.reviewedAt = reviewedAt
    }
}

/// A burst about to be asked for.
public struct NewBurst: Sendable {
    public let id: BurstID
    public let budget: BudgetID
    public let amount: Amount
    public let match: JSONB
    public let startsAt: Instant
    public let endsAt: Instant
    public let reason: String

    public init(id: BurstID, budget: BudgetID, amount: Amount, match: JSONB, startsAt: Instant, endsAt: Instant, reason: String) {
        self.id = id
        self.budget = budget
        self.amount = amount
        self.match = match
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.reason = reason
    }
}

/// Which bursts a list has; nil: all.
public struct BurstFilter: Sendable {
    public var budget: BudgetID?
    public var state: String?
    /// Of budgets of these teams and their projects.
    public var teams: [TeamID]?

    public init(budget: BudgetID? = nil, state: String? = nil, teams: [TeamID]? = nil) {
        self.budget = budget
        self.state = state
        self.teams = teams
    }
}

extension Store {
    /// From this much on, settled, a burst counts as used up: the crumbs that are left are smaller than the holds that would need them.
    static let exhaustedPercent: Int64 = 99

    public func burst(_ id: BurstID, of organization: OrganizationID, at now: Instant) async throws -> BurstRecord {
        try await read { connection in try Store.burst(id, of: organization, at: now, connection) }
    }

    public func bursts(
        of organization: OrganizationID, _ filter: BurstFilter, at now: Instant, _ listing: Listing<BurstRecord, BurstID>
    ) async throws -> Page<BurstRecord, ListPlace<BurstID>> {
        try await read { connection in
            if let budget = filter.budget { _ = try Store.budget(budget, of: organization, connection) }
            let result = try connection.query(
                Store.burstQuery(organization, nil, filter, at: now, listing))
            return listing.page(try result.rows.map(BurstRecord.init)) { $0.id }
        }
    }

    static func burst(
        _ id: BurstID, of organization: OrganizationID, at now: Instant, _ connection: isolated PostgresConnection
    ) throws -> BurstRecord {
        let result = try connection.query(Store.burstQuery(organization, id, BurstFilter(), at: now, .one))
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try BurstRecord(row)
    }

    /// The one query for a burst and for lists of them: what state one is in follows from its facts and the time.
    private static func burstQuery(
        _ organization: OrganizationID, _ id: BurstID?, _ filter: BurstFilter, at now: Instant,
        _ listing: Listing<BurstRecord, BurstID>
    ) -> Query {
        """
        SELECT id, budget_id, name, unit, team_id, project_id, owning_team, amount, match, starts_at, ends_at, reason, requested_by,
               requester_rank, requested_at, state, decided_by, decided_at, decision_reason, settled, held, review_due_at, reviewed_at,
               reviewed_by, purpose, result, worth_it, lessons
        FROM (
            SELECT b.*, g.name, g.unit, g.team_id, g.project_id, coalesce(g.team_id, p.team_id) AS owning_team,
                   coalesce(b.revoked_at, b.approved_at, b.denied_at, b.withdrawn_at) AS decided_at,
                   CASE WHEN b.denied_at IS NOT NULL THEN 'denied'
                        WHEN b.withdrawn_at IS NOT NULL THEN 'withdrawn'
                        WHEN b.revoked_at IS NOT NULL THEN 'revoked'
                        WHEN b.approved_at IS NULL THEN CASE WHEN b.ends_at <= \(now) THEN 'lapsed' ELSE 'requested' END
                        WHEN b.ends_at <= \(now) THEN 'ended'
                        WHEN b.settled * 100 >= b.amount * \(exhaustedPercent) THEN 'exhausted'
                        WHEN b.starts_at > \(now) THEN 'scheduled'
                        ELSE 'active' END AS state
            FROM bursts AS b
            JOIN budgets AS g ON g.organization_id = b.organization_id AND g.id = b.budget_id
            LEFT JOIN projects AS p ON p.organization_id = g.organization_id AND p.id = g.project_id
            WHERE b.organization_id = \(organization) AND \(list: [listing.isAfter("b.id")]) AND (\(id) IS NULL OR b.id = \(id))
              AND (\(filter.budget) IS NULL OR b.budget_id = \(filter.budget))) AS facts
        WHERE (\(filter.state) IS NULL OR state = \(filter.state)) AND (\(filter.teams) IS NULL OR owning_team = ANY (\(filter.teams)))
        ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
        """
    }
}
