/// A tier's `max_requests_per_minute`, kept as what it is: a budget of requests a minute with a counter for each project on the tier
/// (design §4: a rate limit is a row, not a feature). It is read like any budget and changes only with its tier.
import Budgets
import Postgres

extension Store {
    /// Makes the tier's budget say what the tier says: creates, changes or archives it.
    static func keepCap(
        of tier: TierRecord, in organization: OrganizationID, setBy: APIKeyID, _ connection: isolated PostgresConnection
    ) throws {
        let found = try connection.query(
            """
            SELECT id, amount FROM budgets
            WHERE organization_id = \(organization) AND tier_id = \(tier.id) AND archived_at IS NULL
            """)
        let kept = try found.rows.first?.decode(as: (BudgetID, Amount).self)
        let name = "\(tier.name): requests a minute"
        guard let cap = tier.maxRequestsPerMinute.map({ Amount(whole: $0) }) else {
            guard let kept else { return }
            try connection.query(
                """
                UPDATE budgets SET archived_at = now(), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(kept.0)
                """)
            return
        }
        let id = kept?.0 ?? BudgetID(at: .now())
        if let kept {
            let isNewLimit = kept.1 != cap
            try connection.query(
                """
                UPDATE budgets
                SET name = left(\(name), 200), amount = \(cap), limit_version = limit_version + \(Int64(isNewLimit ? 1 : 0)),
                    revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            guard isNewLimit else { return }
        } else {
            try connection.query(
                """
                INSERT INTO budgets (organization_id, id, name, tier_id, per, unit, period, amount, thresholds)
                VALUES (\(organization), \(id), left(\(name), 200), \(tier.id), 'project', 'requests', 'minute', \(cap), '{}')
                """)
        }
        try connection.query(Store.limit(of: id, in: organization, setBy: setBy))
    }
}
