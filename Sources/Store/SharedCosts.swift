/// What the rules for shared costs come to in a month, as it stands: worked out of the same roll-ups and entries as the statement's lines, in the
/// same snapshot, so that it is the same however often it is asked for.
import Budgets
import Postgres

/// Costs that move between projects. All of them together come to nothing.
struct SharedCosts: Sendable {
    /// What calls of the source are called, and what is taken from them.
    struct Taken: Sendable {
        let split: CostSplitRecord
        let attribution: AttributionID
        let cost: Money
    }

    /// What a project is given; or has to give back, because it is a source itself.
    struct Given: Sendable {
        let split: CostSplitRecord
        let project: ProjectID
        let cost: Money
        let ratio: Amount?
    }

    private(set) var taken: [Taken] = []
    private(set) var given: [Given] = []
    /// The instant whose cost centres receivers are charged at: the last of the span.
    private let until: Instant
    private let organization: OrganizationID

    /// Of an open month; those of a closed one are among its frozen lines, and spans that are no months have none.
    static func asTheyStand(
        _ source: StatementSource, _ position: Int64, on connection: isolated PostgresConnection
    ) throws -> SharedCosts {
        source.frozen == nil ? try SharedCosts(source, position, on: connection) : SharedCosts(none: source)
    }

    private init(none source: StatementSource) {
        (organization, until) = (source.organization, Instant(microseconds: source.span.end.microseconds - 1))
    }

    /// - Throws: `PostgresError`, also when rules run in a circle, which none that was written does.
    init(_ source: StatementSource, _ position: Int64, on connection: isolated PostgresConnection) throws {
        self.init(none: source)
        guard let month = StatementMonth(at: source.span.start, in: source.zone), month.span(in: source.zone) == source.span else { return }
        let splits = try CostSplits.holding(in: month, source.organization, connection)
        guard !splits.isEmpty else { return }
        let sources = Set(splits.map(\.split.source))
        let projects = sources.union(splits.flatMap { $0.split.receivers.map(\.project) })
        var uses: [ProjectID: ProjectUse] = [:]
        var own: [ProjectID: [AttributionID: Money]] = [:]
        for row in try connection.query(SharedCosts.uses(source, position, of: Array(projects))).rows {
            let (project, attribution, kind, quantity, cost) = try row.decode(
                as: (ProjectID, AttributionID, String, Amount, Money).self)
            uses[project, default: ProjectUse()].cost += cost
            if Usage.countsTokens(kind) { uses[project, default: ProjectUse()].tokens += quantity }
            own[project, default: [:]][attribution, default: .zero] += cost
        }
        guard let shares = CostShares(splits.map(\.split), of: uses) else {
            throw PostgresError.decoding("cost splits that run in a circle")
        }
        let records = Dictionary(uniqueKeysWithValues: splits.map { ($0.split.id, $0) })
        let active = Set(shares.shares.map(\.split))
        for split in splits where active.contains(split.split.id) {
            taken += (own[split.split.source] ?? [:]).filter { $0.value != .zero }.map {
                Taken(split: split, attribution: $0.key, cost: -$0.value)
            }
        }
        given = shares.shares.compactMap { share in
            records[share.split].map { Given(split: $0, project: share.project, cost: share.cost, ratio: share.ratio) }
        }
        given += shares.passedOn.compactMap { passed in
            records[passed.split].map { Given(split: $0, project: passed.project, cost: -passed.cost, ratio: nil) }
        }
    }

    /// What each project of the splits used: by attribution and kind, from roll-ups and the entries that are not in them yet.
    private static func uses(_ source: StatementSource, _ position: Int64, of projects: [ProjectID]) -> Query {
        let (organization, span, pieces) = (source.organization, source.span, source.pieces)
        return """
            SELECT a.project_id, a.id, u.usage_kind, sum(u.quantity), sum(u.cost) FROM (
                SELECT u.attribution_id, u.usage_kind, u.quantity, u.cost
                FROM unnest(\(pieces.map(\.kind.rawValue)), \(pieces.map(\.start)), \(pieces.map(\.end)))
                     AS p (span, starts_at, ends_at)
                CROSS JOIN LATERAL (
                    SELECT * FROM usage_rollups AS r WHERE r.organization_id = \(organization) AND r.span = p.span
                           AND r.starts_at >= p.starts_at AND r.starts_at < p.ends_at OFFSET 0) AS u
                UNION ALL
                SELECT tail.attribution_id, line.key, (line.value ->> 'quantity')::numeric, (line.value ->> 'cost')::numeric
                FROM (SELECT * FROM ledger_entries WHERE organization_id = \(organization) AND version > \(position)
                      ORDER BY version OFFSET 0) AS tail CROSS JOIN LATERAL jsonb_each(tail.lines) AS line
                WHERE tail.occurred_at >= \(span.start) AND tail.occurred_at < \(span.end)
            ) AS u
            JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = u.attribution_id
            WHERE a.project_id = ANY (\(projects)) GROUP BY 1, 2, 3
            """
    }

    // MARK: for longer statements

    /// Rows `(split_id, name, method, attribution_id, cost)`.
    var takenRows: Query {
        """
        unnest(\(taken.map(\.split.split.id)), \(taken.map(\.split.name)), \(taken.map(\.split.split.method.rawValue)),
               \(taken.map(\.attribution)), \(taken.map(\.cost)))
        """
    }

    /// Rows `(split_id, name, method, ratio, cost)`, and the receiver as calls of the project are attributed at the end of the span. The
    /// id is made of the content, as all attributions' are.
    var givenRows: Query {
        """
        SELECT g.split_id, g.name, g.method, g.ratio, g.cost,
               md5(jsonb_build_array(t.id, t.name, p.id, p.name, c.cost_center, r.id, r.name, k.id, k.name, k.environment)::text)::uuid
                   AS attribution_id,
               t.id AS team_id, t.name AS team_name, p.id AS project_id, p.name AS project_name, c.cost_center, r.id AS tier_id,
               r.name AS tier_name, k.id AS api_key_id, k.name AS api_key_name, k.environment
        FROM unnest(\(given.map(\.split.split.id)), \(given.map(\.split.name)), \(given.map(\.split.split.method.rawValue)),
                    \(given.map(\.split.setBy)), \(given.map(\.project)), \(given.map(\.ratio)), \(given.map(\.cost)))
             AS g (split_id, name, method, api_key_id, project_id, ratio, cost)
        JOIN projects AS p ON p.organization_id = \(organization) AND p.id = g.project_id
        JOIN teams AS t ON t.organization_id = \(organization) AND t.id = p.team_id
        JOIN tiers AS r ON r.organization_id = \(organization) AND r.id = p.tier_id
        JOIN api_keys AS k ON k.organization_id = \(organization) AND k.id = g.api_key_id
        CROSS JOIN LATERAL (SELECT coalesce(
            CASE WHEN p.next_cost_center_from <= \(until) THEN p.next_cost_center ELSE p.cost_center END,
            CASE WHEN t.next_cost_center_from <= \(until) THEN t.next_cost_center ELSE t.cost_center END) AS cost_center) AS c
        """
    }

    /// Writes the receivers' attributions down, for lines that are to be frozen.
    var keepAttributions: Query {
        """
        INSERT INTO attributions
            (organization_id, id, team_id, team_name, project_id, project_name, cost_center, tier_id, tier_name, api_key_id,
             api_key_name, environment)
        SELECT DISTINCT \(organization), attribution_id, team_id, team_name, project_id, project_name, cost_center, tier_id, tier_name,
               api_key_id, api_key_name, environment
        FROM (\(list: [givenRows])) AS g
        ON CONFLICT DO NOTHING
        """
    }
}
