/// Budgets that follow another: 40 % for chat, 30 % for code. Each is a budget like any other, but for its amount, which is a share of the
/// other's and changes with it.
public import Budgets
public import Postgres

/// A share about to be written.
public struct NewShare: Sendable {
    public let id: BudgetID
    public let of: BudgetID
    public let name: String
    /// Above 0, 100 at most, with four fractional digits at most.
    public let percent: Amount
    /// Which of the calls that the other budget counts, beside its own match.
    public let match: JSONB
    public let thresholds: [Int64]
    public let enforcement: Enforcement

    public init(
        id: BudgetID, of: BudgetID, name: String, percent: Amount, match: JSONB, thresholds: [Int64], enforcement: Enforcement
    ) {
        self.id = id
        self.of = of
        self.name = name
        self.percent = percent
        self.match = match
        self.thresholds = thresholds
        self.enforcement = enforcement
    }
}

/// Why a budget cannot have such a share.
public enum ShareRefusal: Error, Hashable, Sendable {
    /// All shares together would be more than the whole; what is left.
    case tooMuch(left: Amount)
    /// Both say which calls count by the same kind of name: then one of the two would count for nothing.
    case matchTwice(String)
}

extension Store {
    /// A budget with the scope, unit, period and dates of another and a share of its amount, rounded down: to whole tokens and requests.
    /// - Throws: `ShareRefusal`; `AdminRefusal.inUse` for a share of a share, or of a tier's cap.
    public func createShare(_ share: NewShare, in organization: OrganizationID, setBy: APIKeyID) async throws -> BudgetRecord {
        try await configure(organization) { connection in
            try Bound.budgets.requireRoom(in: organization, connection)
            let whole = try Store.budget(share.of, of: organization, connection)
            guard whole.archivedAt == nil else { throw AdminRefusal.archived }
            guard whole.share == nil, whole.tier == nil else {
                throw AdminRefusal.inUse("Only a budget with an amount of its own has shares.")
            }
            let left = try Store.percentLeft(of: share.of, in: organization, connection)
            guard share.percent <= left else { throw ShareRefusal.tooMuch(left: left) }
            let both = try connection.query(
                "SELECT key FROM jsonb_object_keys(\(share.match)) AS key WHERE \(whole.match) ? key LIMIT 1")
            if let twice = try both.rows.first?.decode(as: String.self) { throw ShareRefusal.matchTwice(twice) }
            try connection.query(
                """
                INSERT INTO budgets
                    (organization_id, id, name, team_id, project_id, match, per, unit, period, anchor_day, anchor_month, amount, thresholds,
                     enforcement, active_from, active_to, share_of, share_percent)
                SELECT organization_id, \(share.id), \(share.name), team_id, project_id, match || \(share.match), per, unit, period, anchor_day,
                       anchor_month, trunc(amount * \(share.percent) / 100, CASE unit WHEN 'usd' THEN 12 ELSE 0 END), \(share.thresholds),
                       \(share.enforcement.rawValue), active_from, active_to, id, \(share.percent)
                FROM budgets WHERE organization_id = \(organization) AND id = \(share.of)
                """)
            try connection.query(Store.limit(of: share.id, in: organization, setBy: setBy))
            return try Store.budget(share.id, of: organization, connection)
        }
    }

    /// What the living shares of a budget leave of it.
    static func percentLeft(
        of whole: BudgetID, in organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> Amount {
        let given = try connection.query(
            """
            SELECT coalesce(sum(share_percent), 0) FROM budgets
            WHERE organization_id = \(organization) AND share_of = \(whole) AND archived_at IS NULL
            """)
        return Amount(whole: 100) - (try given.rows[0].decode(as: Amount.self))
    }

    /// Lets the shares follow: each whose amount changes gets a new limit version.
    static func followShares(of whole: BudgetID, in organization: OrganizationID, setBy: APIKeyID) -> Query {
        """
        WITH followed AS (
            UPDATE budgets AS s
            SET amount = trunc(w.amount * s.share_percent / 100, CASE s.unit WHEN 'usd' THEN 12 ELSE 0 END),
                limit_version = s.limit_version + 1, revision = s.revision + 1
            FROM budgets AS w
            WHERE w.organization_id = \(organization) AND w.id = \(whole) AND s.organization_id = \(organization) AND s.share_of = \(whole)
              AND s.archived_at IS NULL
              AND s.amount <> trunc(w.amount * s.share_percent / 100, CASE s.unit WHEN 'usd' THEN 12 ELSE 0 END)
            RETURNING s.organization_id, s.id, s.limit_version, s.amount, s.thresholds, s.threshold_amounts
        )
        INSERT INTO budget_limits (organization_id, budget_id, limit_version, amount, thresholds, threshold_amounts, set_by)
        SELECT organization_id, id, limit_version, amount, thresholds, threshold_amounts, \(setBy) FROM followed
        """
    }
}
