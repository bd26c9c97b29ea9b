/// Budgets and how full they are. A change of amount or thresholds is a new limit version, and the old one stays on record.
public import Budgets
public import Postgres

public struct BudgetRecord: Sendable {
    public let id: BudgetID
    public var name: String
    public let scope: BudgetScope
    /// `{"models":["gpt-*"],…}`.
    public var match: JSONB
    public let per: BudgetPer?
    public let unit: BudgetUnit
    public let rule: PeriodRule
    public var amount: Amount
    public var thresholds: [Int64]
    /// Amounts in the budget's unit at which people are told too, ascending.
    public var thresholdAmounts: [Amount]
    public let limitVersion: Int64
    public var enforcement: Enforcement
    public var activeFrom: Instant?
    public var activeTo: Instant?
    /// `{"from_percent":80,"models":{"gpt-4o":"gpt-4o-mini"}}`.
    public var degrade: JSONB?
    /// `{"calls":3,"model":"gpt-4o-mini","max_output_tokens":200}`.
    public var finalCall: JSONB?
    /// The tier whose cap on requests a minute this is; it changes with the tier.
    public let tier: TierID?
    /// The budget whose amount this one's follows, and by how many percent.
    public let share: (of: BudgetID, percent: Amount)?
    public let revision: Int64
    public let createdAt: Instant
    public let archivedAt: Instant?

    init(_ row: Row) throws(PostgresError) {
        let team: TeamID?
        let project: ProjectID?
        let words: (per: String?, unit: String, period: String, enforcement: String)
        let anchor: (day: Int64, month: Int64)
        let shared: (of: BudgetID?, percent: Amount?)
        (
            id, name, team, project, match, words.per, words.unit, words.period, anchor.day, anchor.month, amount, thresholds,
            limitVersion, words.enforcement, activeFrom, activeTo, degrade, finalCall, tier, shared.of, shared.percent, revision,
            createdAt, archivedAt,
            thresholdAmounts
        ) = try row.decode(
            as: (
                BudgetID, String, TeamID?, ProjectID?, JSONB, String?, String, String, Int64, Int64, Amount, [Int64],
                Int64, String, Instant?, Instant?, JSONB?, JSONB?, TierID?, BudgetID?, Amount?, Int64, Instant, Instant?, [Amount]
            ).self)
        guard let unit = BudgetUnit(rawValue: words.unit), let period = Period(rawValue: words.period),
            let enforcement = Enforcement(rawValue: words.enforcement)
        else { throw .decoding("a budget with an unknown word") }
        self.unit = unit
        self.enforcement = enforcement
        guard let rule = PeriodRule(period: period, anchorDay: Int(anchor.day), anchorMonth: Int(anchor.month)) else {
            throw .decoding("a budget with an impossible anchor")
        }
        self.rule = rule
        per = words.per.flatMap(BudgetPer.init)
        share = if let of = shared.of, let percent = shared.percent { (of, percent) } else { nil }
        scope = if let team { .team(team) } else if let project { .project(project) } else { .organization }
    }
}

/// A budget about to be written.
public struct NewBudget: Sendable {
    public let id: BudgetID
    public let name: String
    public let scope: BudgetScope
    public let match: JSONB
    public let per: BudgetPer?
    public let unit: BudgetUnit
    public let rule: PeriodRule
    public let amount: Amount
    public let thresholds: [Int64]
    public let thresholdAmounts: [Amount]
    public let enforcement: Enforcement
    public let activeFrom: Instant?
    public let activeTo: Instant?
    public let degrade: JSONB?
    public let finalCall: JSONB?

    public init(
        id: BudgetID, name: String, scope: BudgetScope, match: JSONB, per: BudgetPer?, unit: BudgetUnit, rule: PeriodRule,
        amount: Amount, thresholds: [Int64], thresholdAmounts: [Amount], enforcement: Enforcement, activeFrom: Instant?, activeTo: Instant?,
        degrade: JSONB?, finalCall: JSONB?
    ) {
        self.id = id
        self.name = name
        self.scope = scope
        self.match = match
        self.per = per
        self.unit = unit
        self.rule = rule
        self.amount = amount
        self.thresholds = thresholds
        self.thresholdAmounts = thresholdAmounts
        self.enforcement = enforcement
        self.activeFrom = activeFrom
        self.activeTo = activeTo
        self.degrade = degrade
        self.finalCall = finalCall
    }
}

extension Store {
    /// A new budget with the first version of its limit, set by `setBy`.
    public func createBudget(_ budget: NewBudget, of organization: OrganizationID, setBy: APIKeyID) async throws -> BudgetRecord {
        try await configure(organization) { connection in
            try Bound.budgets.requireRoom(in: organization, connection)
            var team: TeamID?
            var project: ProjectID?
            switch budget.scope {
            case .organization: break
            case .team(let id):
                try Store.requireTeam(id, of: organization, at: "/scope/team", connection)
                team = id
            case .project(let id):
                try Store.requireProject(id, of: organization, at: "/scope/project", connection)
                project = id
            }
            try connection.query(
                """
                INSERT INTO budgets
                    (organization_id, id, name, team_id, project_id, match, per, unit, period, anchor_day, anchor_month, amount,
                     thresholds, threshold_amounts, enforcement, active_from, active_to, degrade, final_call)
                VALUES (\(organization), \(budget.id), \(budget.name), \(team), \(project), \(budget.match), \(budget.per?.rawValue),
                        \(budget.unit.rawValue), \(budget.rule.period.rawValue), \(budget.rule.anchorDay), \(budget.rule.anchorMonth),
                        \(budget.amount), \(budget.thresholds), \(budget.thresholdAmounts), \(budget.enforcement.rawValue), \(budget.activeFrom),
                        \(budget.activeTo), \(budget.degrade), \(budget.finalCall))
                """)
            try connection.query(Store.limit(of: budget.id, in: organization, setBy: setBy))
            return try Store.budget(budget.id, of: organization, connection)
        }
    }

    public func budget(_ id: BudgetID, of organization: OrganizationID) async throws -> BudgetRecord {
        try await read { connection in try Store.budget(id, of: organization, connection) }
    }

    /// - Parameter teams: only the budgets of these and of their projects; nil for all.
    public func budgets(
        of organization: OrganizationID, teams: [TeamID]?, project: ProjectID? = nil, unit: BudgetUnit? = nil, period: Period? = nil,
        _ filter: ListFilter, _ listing: Listing<BudgetRecord, BudgetID>
    ) async throws -> Page<BudgetRecord, ListPlace<BudgetID>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, name, team_id, project_id, match, per, unit, period, anchor_day, anchor_month, amount, thresholds,
                       limit_version, enforcement, active_from, active_to, degrade, final_call, tier_id, share_of, share_percent, revision,
                       created_at, archived_at,
                       threshold_amounts
                FROM budgets
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter("id")]) AND \(list: [filter.holds])
                  AND (\(project) IS NULL OR project_id = \(project)) AND (\(unit?.rawValue) IS NULL OR unit = \(unit?.rawValue))
                  AND (\(period?.rawValue) IS NULL OR period = \(period?.rawValue))
                  AND (\(teams) IS NULL OR team_id = ANY (\(teams)) OR project_id IN (
                           SELECT id FROM projects WHERE organization_id = \(organization) AND team_id = ANY (\(teams))))
                ORDER BY \(list: [listing.ordering("id")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(BudgetRecord.init)) { $0.id }
        }
    }

    public func changeBudget(
        _ id: BudgetID, of organization: OrganizationID, ifRevision: Int64?, setBy: APIKeyID,
        _ change: @Sendable (inout BudgetRecord) throws -> Void
    ) async throws -> BudgetRecord {
        try await configure(organization) { connection in
            let before = try Store.budget(id, of: organization, connection)
            try Store.check(revision: before.revision, archivedAt: before.archivedAt, against: ifRevision)
            guard before.tier == nil else { throw AdminRefusal.inUse("It keeps a cap of a tier: change that at the tier.") }
            var budget = before
            try change(&budget)
            guard budget.share == nil || budget.amount == before.amount else {
                throw AdminRefusal.inUse("Its amount is a share of another budget's: change that one's.")
            }
            let isNewLimit =
                budget.amount != before.amount || budget.thresholds != before.thresholds
                || budget.thresholdAmounts != before.thresholdAmounts
            try connection.query(
                """
                UPDATE budgets
                SET name = \(budget.name), match = \(budget.match), amount = \(budget.amount), thresholds = \(budget.thresholds),
                    threshold_amounts = \(budget.thresholdAmounts),
                    enforcement = \(budget.enforcement.rawValue), active_from = \(budget.activeFrom), active_to = \(budget.activeTo),
                    degrade = \(budget.degrade), final_call = \(budget.finalCall),
                    limit_version = limit_version + \(Int64(isNewLimit ? 1 : 0)), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            if isNewLimit {
                try connection.query(Store.limit(of: id, in: organization, setBy: setBy))
                try connection.query(Store.followShares(of: id, in: organization, setBy: setBy))
            }
            try connection.query(Store.reviewAlerts(of: id, in: organization))
            return try Store.budget(id, of: organization, connection)
        }
    }

    /// Puts a budget away, and its shares with it: from the next decision on they neither count nor block. Their counters stay on record.
    public func archiveBudget(_ id: BudgetID, of organization: OrganizationID, ifRevision: Int64?) async throws {
        try await configure(organization) { connection in
            let budget = try Store.budget(id, of: organization, connection)
            try Store.check(revision: budget.revision, archivedAt: budget.archivedAt, against: ifRevision)
            guard budget.tier == nil else { throw AdminRefusal.inUse("It keeps a cap of a tier: take that away at the tier.") }
            try connection.query(
                """
                UPDATE budgets SET archived_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND (id = \(id) OR share_of = \(id)) AND archived_at IS NULL
                """)
            try connection.query(Store.reviewAlerts(of: id, in: organization))
        }
    }

    static func budget(
        _ id: BudgetID, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> BudgetRecord {
        let result = try connection.query(
            """
            SELECT id, name, team_id, project_id, match, per, unit, period, anchor_day, anchor_month, amount, thresholds,
                   limit_version, enforcement, active_from, active_to, degrade, final_call, tier_id, share_of, share_percent, revision,
                       created_at, archived_at,
                   threshold_amounts
            FROM budgets WHERE organization_id = \(organization) AND id = \(id)
            """)
        guard let row = result.rows.first else { throw AdminRefusal.notFound }
        return try BudgetRecord(row)
    }

    /// Records the limit as the budget's row now has it, for good.
    static func limit(of id: BudgetID, in organization: OrganizationID, setBy: APIKeyID) -> Query {
        """
        INSERT INTO budget_limits (organization_id, budget_id, limit_version, amount, thresholds, threshold_amounts, set_by)
        SELECT organization_id, id, limit_version, amount, thresholds, threshold_amounts, \(setBy) FROM budgets
        WHERE organization_id = \(organization) AND id = \(id)
        """
    }
}
