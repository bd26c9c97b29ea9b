/// Reallocations as they are read: an amount that moves from one budget to another of the same unit and period. How they are asked for
/// and decided is in `ReallocationDecisions`.
public import Budgets
import Postgres

public struct ReallocationRecord: Sendable {
    public let id: ReallocationID
    /// The giving budget and the one that gets the amount.
    public let from: BudgetID
    public let fromName: String
    public let to: BudgetID
    public let toName: String
    /// Of both budgets.
    public let unit: BudgetUnit
    public let amount: Amount
    /// The one period it is for; nil: from then on.
    public let period: PeriodSpan?
    public let reason: String
    /// The requester's `Credential.actor`, and their rank on the giving side at that time.
    public let requestedBy: String
    public let requesterRank: Int64
    public let requestedAt: Instant
    /// Undecided until then, it is over.
    public let lapsesAt: Instant
    /// The team whose leads look after the giving budget; nil: only administrators do.
    public let givingTeam: TeamID?
    /// `requested`, `moved`, `denied`, `withdrawn`, or `lapsed` when nobody decided in time.
    public let state: String
    /// Who gave it away for the giving side.
    public let givenBy: String?
    public let givenAt: Instant?
    /// The administrator who approved it.
    public let approvedBy: String?
    public let approvedAt: Instant?
    public let decidedBy: String?
    public let decidedAt: Instant?
    public let decisionReason: String?

    init(_ row: Row) throws(PostgresError) {
        let unitName: String
        let (start, end): (Instant?, Instant?)
        (
            id, from, fromName, to, toName, unitName, amount, start, end, reason, requestedBy, requesterRank, requestedAt, lapsesAt,
            givingTeam, state, givenBy, givenAt, approvedBy, approvedAt, decidedBy, decidedAt, decisionReason
        ) = try row.decode(
            as: (
                ReallocationID, BudgetID, String, BudgetID, String, String, Amount, Instant?, Instant?, String, String, Int64, Instant,
                Instant, TeamID?, String, String?, Instant?, String?, Instant?, String?, Instant?, String?
            ).self)
        guard let unit = BudgetUnit(rawValue: unitName) else { throw .decoding("a budget with an unknown unit") }
        self.unit = unit
        period = start.map { PeriodSpan(start: $0, end: end) }
    }
}

/// Which reallocations a list has; nil: all.
public struct ReallocationFilter: Sendable {
    /// On either side.
    public var budget: BudgetID?
    public var state: String?
    /// With a budget of these teams and their projects on either side.
    public var teams: [TeamID]?

    public init(budget: BudgetID? = nil, state: String? = nil, teams: [TeamID]? = nil) {
        self.budget = budget
        self.state = state
        self.teams = teams
    }
}

extension Store {
    public func reallocation(_ id: ReallocationID, of organization: OrganizationID, at now: Instant) async throws -> ReallocationRecord {
        try await read { connection in try Store.reallocation(id, of: organization, at: now, connection) }
    }

    public func reallocations(
        of organization: OrganizationID, _ filter: ReallocationFilter, at now: Instant,
        _ listing: Listing<ReallocationRecord, ReallocationID>
    ) async throws -> Page<ReallocationRecord, ListPlace<ReallocationID>> {
        try await read { connection in
            let result = try connection.query(
                Store.reallocationQuery(organization, nil, filter, at: now, listing))
            return listing.page(try result.rows.map(ReallocationRecord.init)) { $0.id }
        }
    }

    static func reallocation(
        _ id: ReallocationID, of organization: OrganizationID, at now: Instant, _ connection: isolated PostgresConnection
    ) throws -> ReallocationRecord {
        let result = try connection.query(reallocationQuery(organization, id, ReallocationFilter(), at: now, .one))
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try ReallocationRecord(row)
    }

    /// The one query for a reallocation and for lists of them: what state one is in follows from its facts and the time.
    private static func reallocationQuery(
        _ organization: OrganizationID, _ id: ReallocationID?, _ filter: ReallocationFilter, at now: Instant,
        _ listing: Listing<ReallocationRecord, ReallocationID>
    ) -> Query {
        """
        SELECT id, from_budget_id, from_name, to_budget_id, to_name, unit, amount, period_start, period_end, reason, requested_by,
               requester_rank, requested_at, lapses_at, giving_team, state, given_by, given_at, approved_by, approved_at, decided_by,
               decided_at, decision_reason
        FROM (
            SELECT r.*, f.name AS from_name, t.name AS to_name, f.unit, coalesce(f.team_id, fp.team_id) AS giving_team,
                   coalesce(t.team_id, tp.team_id) AS taking_team,
                   coalesce(r.decision, CASE WHEN r.lapses_at <= \(now) THEN 'lapsed' ELSE 'requested' END) AS state
            FROM reallocations AS r
            JOIN budgets AS f ON f.organization_id = r.organization_id AND f.id = r.from_budget_id
            JOIN budgets AS t ON t.organization_id = r.organization_id AND t.id = r.to_budget_id
            LEFT JOIN projects AS fp ON fp.organization_id = f.organization_id AND fp.id = f.project_id
            LEFT JOIN projects AS tp ON tp.organization_id = t.organization_id AND tp.id = t.project_id
            WHERE r.organization_id = \(organization) AND \(list: [listing.isAfter("r.id")]) AND (\(id) IS NULL OR r.id = \(id))
              AND (\(filter.budget) IS NULL OR \(filter.budget) IN (r.from_budget_id, r.to_budget_id))) AS facts
        WHERE (\(filter.state) IS NULL OR state = \(filter.state))
          AND (\(filter.teams) IS NULL OR giving_team = ANY (\(filter.teams)) OR taking_team = ANY (\(filter.teams)))
        ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
        """
    }
}
