/// Roll-ups follow the ledger without loss: an entry carries the fence version that booked it, versions are in the order of commits,
/// so whoever sees a fence at a version sees all its entries up to there. One Postgres transaction adds a stretch of them to the
/// roll-ups and notes how far it came; any number of replicas may try, the lock on the position lets one.
public import Budgets
public import Postgres

public enum RollUps {
    /// Entries added in one Postgres transaction, give or take the batch that the last one belongs to: some 200 ms of work.
    public static let maximumEntries: Int64 = 20_000

    /// Starts a position for each organization that has none yet.
    public static let adopt: Query = """
        INSERT INTO rollup_positions (organization_id, spend_version, rolled_up_at)
        SELECT f.organization_id, 0, 'epoch' FROM fences AS f
        WHERE NOT EXISTS (SELECT FROM rollup_positions AS p WHERE p.organization_id = f.organization_id)
        ON CONFLICT DO NOTHING
        """

    /// Up to which version an organization is rolled up, and whose days its days are: whoever reads the roll-ups adds the entries after it,
    /// in the same snapshot.
    static func position(
        of organization: OrganizationID, on connection: isolated PostgresConnection
    ) throws -> (version: Int64, zone: Zone) {
        let result = try connection.query(
            """
            SELECT coalesce(p.spend_version, 0), o.time_zone FROM organizations AS o LEFT JOIN rollup_positions AS p USING (organization_id)
            WHERE o.organization_id = \(organization)
            """)
        guard let row = result.rows.first else { throw PostgresError.decoding("a position without an organization") }
        let (version, name) = try row.decode(as: (Int64, String).self)
        return (version, try zone(name))
    }

    /// The zone of an organization as it is stored.
    static func zone(_ name: String) throws(PostgresError) -> Zone {
        guard let zone = Zone(name) else { throw .decoding("a time zone that is none") }
        return zone
    }

    /// Organizations looked for at once.
    public static let maximumPage: Int64 = 1000

    /// Organizations with something to roll up that were not served for so long, those that wait longest first.
    public static func behind(idle: Duration) -> Query {
        """
        SELECT p.organization_id FROM rollup_positions AS p JOIN fences AS f USING (organization_id)
        WHERE (f.version > p.spend_version OR p.spend_version > p.subject_version) AND p.rolled_up_at <= now() - \(idle.components.seconds) * interval '1 second'
        ORDER BY p.rolled_up_at LIMIT \(maximumPage)
        """
    }

    /// Rolls up a stretch of one organization's entries.
    /// - Returns: whether there is more to do at once; false also when another replica is at it.
    @discardableResult public static func step(
        _ organization: OrganizationID, maximumEntries: Int64 = maximumEntries, on connection: isolated PostgresConnection
    ) throws -> Bool {
        try connection.transaction { connection in
            // Locked by a statement of its own: what the next ones see is then younger than the position.
            let lock: Query = """
                SELECT p.spend_version, o.time_zone FROM rollup_positions AS p JOIN organizations AS o USING (organization_id)
                WHERE p.organization_id = \(organization) FOR UPDATE OF p SKIP LOCKED
                """
            guard let (version, zone) = try connection.query(lock).rows.first?.decode(as: (Int64, String).self) else { return false }
            let (reached, isAll) = try connection.query(bound(organization, after: version, maximumEntries)).rows[0]
                .decode(as: (Int64, Bool).self)
            guard reached > version else { return false }
            if let days = try days(of: organization, after: version, upTo: reached, in: Self.zone(zone), connection) {
                try connection.pipeline([
                    addSpend(organization, after: version, upTo: reached, days),
                    addUsage(organization, after: version, upTo: reached, days),
                ])
            }
            try connection.query(
                """
                UPDATE rollup_positions SET spend_version = \(reached), rolled_up_at = clock_timestamp()
                WHERE organization_id = \(organization)
                """)
            return !isAll
        }
    }

    /// The days that the entries of a stretch lie on; nil when there are none.
    static func days(
        of organization: OrganizationID, after version: Int64, upTo reached: Int64, in zone: Zone, _ connection: isolated PostgresConnection
    ) throws -> LocalDays? {
        let result = try connection.query(
            """
            SELECT min(occurred_at), max(occurred_at) FROM ledger_entries
            WHERE organization_id = \(organization) AND version > \(version) AND version <= \(reached)
            """)
        guard let (first, last) = try result.rows.first?.decode(as: (Instant?, Instant?).self), let first, let last else { return nil }
        return LocalDays(from: first, through: last, in: zone)
    }

    /// The fence's version, or an earlier one up to which there are about as many entries as one step may add.
    private static func bound(_ organization: OrganizationID, after version: Int64, _ maximumEntries: Int64) -> Query {
        """
        SELECT coalesce(full_step.version, f.version), full_step.version IS NULL
        FROM fences AS f LEFT JOIN LATERAL (
            SELECT e.version FROM ledger_entries AS e WHERE e.organization_id = f.organization_id AND e.version > \(version)
            ORDER BY e.version OFFSET \(maximumEntries - 1) LIMIT 1) AS full_step ON true
        WHERE f.organization_id = \(organization)
        """
    }

    private static func addSpend(
        _ organization: OrganizationID, after version: Int64, upTo reached: Int64, _ days: LocalDays
    ) -> Query {
        """
        INSERT INTO spend_rollups AS r (organization_id, span, starts_at, attribution_id, provider, model, feature, calls, cost)
        WITH quarters AS MATERIALIZED (
            SELECT date_bin('15 minutes', occurred_at, 'epoch') AS starts_at, attribution_id, provider, model,
                   coalesce(feature, '') AS feature, count(*) FILTER (WHERE kind = 'usage') AS calls, sum(cost) AS cost
            FROM ledger_entries WHERE organization_id = \(organization) AND version > \(version) AND version <= \(reached)
            GROUP BY 1, 2, 3, 4, 5
        )
        SELECT \(organization), 'quarter', q.* FROM quarters AS q
        UNION ALL
        SELECT \(organization), 'day', \(list: [days.start(of: "starts_at")]), attribution_id, provider, model, feature, sum(calls), sum(cost)
        FROM quarters GROUP BY 3, 4, 5, 6, 7
        ON CONFLICT (organization_id, span, starts_at, attribution_id, provider, model, feature)
        DO UPDATE SET calls = r.calls + EXCLUDED.calls, cost = r.cost + EXCLUDED.cost
        """
    }

    private static func addUsage(
        _ organization: OrganizationID, after version: Int64, upTo reached: Int64, _ days: LocalDays
    ) -> Query {
        """
        INSERT INTO usage_rollups AS r
            (organization_id, span, starts_at, attribution_id, provider, model, feature, usage_kind, price_id, quantity, cost)
        WITH quarters AS MATERIALIZED (
            SELECT date_bin('15 minutes', e.occurred_at, 'epoch') AS starts_at, e.attribution_id, e.provider, e.model,
                   coalesce(e.feature, '') AS feature, line.key AS usage_kind,
                   coalesce((line.value ->> 'price')::uuid, '00000000-0000-0000-0000-000000000000') AS price_id,
                   sum((line.value ->> 'quantity')::numeric) AS quantity, sum((line.value ->> 'cost')::numeric) AS cost
            FROM ledger_entries AS e CROSS JOIN LATERAL jsonb_each(e.lines) AS line
            WHERE e.organization_id = \(organization) AND e.version > \(version) AND e.version <= \(reached)
            GROUP BY 1, 2, 3, 4, 5, 6, 7
        )
        SELECT \(organization), 'quarter', q.* FROM quarters AS q
        UNION ALL
        SELECT \(organization), 'day', \(list: [days.start(of: "starts_at")]), attribution_id, provider, model, feature, usage_kind, price_id,
               sum(quantity), sum(cost)
        FROM quarters GROUP BY 3, 4, 5, 6, 7, 8, 9
        ON CONFLICT (organization_id, span, starts_at, attribution_id, provider, model, feature, usage_kind, price_id)
        DO UPDATE SET quantity = r.quantity + EXCLUDED.quantity, cost = r.cost + EXCLUDED.cost
        """
    }
}
