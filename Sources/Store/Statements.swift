/// A month's chargeback: what was booked, grouped by what finance charges it to, from the roll-ups and the entries that are not in
/// them yet. Rows leave Postgres through a cursor in one snapshot, so memory stays constant; their total is asked of the ledger itself,
/// which the roll-ups must equal to the last digit (law 5).
public import Budgets
import JSON
import Postgres

/// The calls of one cost centre, team, project, model, feature and environment, by the names they had then (law 6).
public struct StatementRow: Sendable {
    /// Empty: none was set.
    public let costCenter: String
    public let team: TeamID
    public let teamName: String
    public let project: ProjectID
    public let projectName: String
    public let provider: String
    public let model: String
    /// Empty: the calls named none.
    public let feature: String
    public let environment: String
    public let requests: Int64
    public let cost: Money
    /// Units that no price was known for; they cost nothing here and are not free (law 9).
    public let unpricedUnits: Amount
    /// Units by kind, sorted by kind; whole numbers.
    public let usage: [(kind: UsageKind, quantity: Amount)]
}

/// What a statement sums to, by a query of its own.
public struct StatementTotal: Hashable, Sendable {
    public let requests: Int64
    public let cost: Money

    public init(requests: Int64, cost: Money) {
        self.requests = requests
        self.cost = cost
    }
}

/// One team's part in a statement.
public struct StatementTeam: Sendable {
    public let team: TeamID
    public let name: String
    public let costCenter: String
    public let total: StatementTotal
}

/// Instants from `start` up to, not including, `end`.
public struct StatementSpan: Hashable, Sendable {
    public let start: Instant
    public let end: Instant

    public init(start: Instant, end: Instant) {
        self.start = start
        self.end = end
    }
}

extension Store {
    /// Rows sent at once: some 100 kB, and few enough round trips that they do not matter.
    static let statementPage: Int64 = 500

    /// The organization's zone; nil when there is no such organization.
    public func zone(of organization: OrganizationID) async throws -> Zone? {
        try await read { connection in
            try connection.query("SELECT time_zone FROM organizations WHERE organization_id = \(organization)")
                .rows.first.flatMap { Zone(try $0.decode(as: String.self)) }
        }
    }

    /// Sends the rows of a span in a fixed order, page by page, and returns the total that a second query found in the same snapshot.
    /// Waiting for `page` keeps a connection and a snapshot; the session's idle timeout bounds that.
    /// - Throws: `PostgresError`, or what `page` throws.
    public func statementRows(
        of organization: OrganizationID, in span: StatementSpan, page: @Sendable ([StatementRow]) async throws -> Void
    ) async throws -> StatementTotal {
        try await pool.withConnection { connection in
            try connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            do {
                let total = try Statements.decodeTotal(try connection.query(Statements.total(organization, span)))
                let position = try RollUps.decodePosition(try connection.query(RollUps.position(organization)))
                try connection.query(Statements.declareRows(organization, span, position))
                while true {
                    let rows = try connection.query("FETCH 500 FROM statement_rows").rows.map { row in try StatementRow(row) }
                    if !rows.isEmpty { try await page(rows) }
                    if rows.count < Store.statementPage { break }
                }
                try connection.query("COMMIT")
                return total
            } catch {
                // A failing ROLLBACK must not hide the error; the pool closes a connection that is left inside a transaction.
                _ = try? connection.query("ROLLBACK")
                throw error
            }
        }
    }

    /// The total of a span and each team's part, largest first, in one snapshot. Bounded by the number of teams.
    public func statementSummary(
        of organization: OrganizationID, in span: StatementSpan
    ) async throws -> (total: StatementTotal, teams: [StatementTeam]) {
        try await pool.withConnection { connection in
            try connection.transaction { connection in
                try connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                let position = try RollUps.decodePosition(try connection.query(RollUps.position(organization)))
                let teams = try connection.query(Statements.teams(organization, span, position)).rows.map { row in
                    let (team, name, costCenter, requests, cost) = try row.decode(as: (TeamID, String, String, Int64, Money).self)
                    return StatementTeam(
                        team: team, name: name, costCenter: costCenter, total: StatementTotal(requests: requests, cost: cost))
                }
                let total = teams.reduce(into: StatementTotal(requests: 0, cost: .zero)) { total, team in
                    total = StatementTotal(requests: total.requests + team.total.requests, cost: total.cost + team.total.cost)
                }
                return (total, teams)
            }
        }
    }
}

private enum Statements {
    static func total(_ organization: OrganizationID, _ span: StatementSpan) -> Query {
        """
        SELECT count(*) FILTER (WHERE kind = 'usage'), coalesce(sum(cost), 0) FROM ledger_entries
        WHERE organization_id = \(organization) AND occurred_at >= \(span.start) AND occurred_at < \(span.end)
        """
    }

    static func decodeTotal(_ result: PostgresResult) throws(PostgresError) -> StatementTotal {
        guard let row = result.rows.first else { throw .decoding("a total without a row") }
        let (requests, cost) = try row.decode(as: (Int64, Money).self)
        return StatementTotal(requests: requests, cost: cost)
    }

    static func teams(_ organization: OrganizationID, _ span: StatementSpan, _ position: Int64) -> Query {
        let pieces = span.pieces
        return """
            WITH spend AS (
                SELECT s.attribution_id, sum(p.sign * s.calls) AS requests, sum(p.sign * s.cost) AS cost
                FROM unnest(\(pieces.map(\.kind.rawValue)), \(pieces.map(\.start)), \(pieces.map(\.end)), \(pieces.map(\.sign)))
                     AS p (span, starts_at, ends_at, sign)
                CROSS JOIN LATERAL (
                    SELECT * FROM spend_rollups AS r WHERE r.organization_id = \(organization) AND r.span = p.span
                           AND r.starts_at >= p.starts_at AND r.starts_at < p.ends_at OFFSET 0) AS s
                GROUP BY 1
                UNION ALL
                SELECT attribution_id, count(*) FILTER (WHERE kind = 'usage'), sum(cost)
                FROM (SELECT * FROM ledger_entries WHERE organization_id = \(organization) AND version > \(position)
                      ORDER BY version OFFSET 0) AS tail
                WHERE occurred_at >= \(span.start) AND occurred_at < \(span.end) GROUP BY 1
            )
            SELECT a.team_id, a.team_name, coalesce(a.cost_center, ''), sum(s.requests)::bigint, sum(s.cost)
            FROM spend AS s JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = s.attribution_id
            GROUP BY a.team_id, a.team_name, a.cost_center
            HAVING sum(s.requests) <> 0 OR sum(s.cost) <> 0
            ORDER BY sum(s.cost) DESC, a.team_name COLLATE "C", a.cost_center COLLATE "C", a.team_id
            """
    }

    /// Calls (`kind` is NULL) and units of usage are grouped by the narrow attribution id first, then together by the names behind it,
    /// which several attributions share: no join of large halves, so the cost stays linear whatever Postgres estimates.
    static func declareRows(_ organization: OrganizationID, _ span: StatementSpan, _ position: Int64) -> Query {
        let pieces = span.pieces
        return """
            DECLARE statement_rows NO SCROLL CURSOR FOR
            WITH pieces AS (
                SELECT * FROM unnest(\(pieces.map(\.kind.rawValue)), \(pieces.map(\.start)), \(pieces.map(\.end)), \(pieces.map(\.sign)))
                    AS p (span, starts_at, ends_at, sign)
            ), tail AS MATERIALIZED (
                SELECT * FROM (SELECT * FROM ledger_entries WHERE organization_id = \(organization) AND version > \(position)
                               ORDER BY version OFFSET 0) AS tail
                WHERE occurred_at >= \(span.start) AND occurred_at < \(span.end)
            ), parts AS (
                SELECT s.attribution_id, s.provider, s.model, s.feature, NULL AS kind, sum(p.sign * s.calls) AS requests,
                       sum(p.sign * s.cost) AS cost, NULL::numeric AS quantity, NULL::numeric AS unpriced
                FROM pieces AS p CROSS JOIN LATERAL (
                    SELECT * FROM spend_rollups AS r WHERE r.organization_id = \(organization) AND r.span = p.span
                           AND r.starts_at >= p.starts_at AND r.starts_at < p.ends_at OFFSET 0) AS s
                GROUP BY 1, 2, 3, 4
                UNION ALL
                SELECT u.attribution_id, u.provider, u.model, u.feature, u.usage_kind, NULL, NULL, sum(p.sign * u.quantity),
                       sum(p.sign * u.quantity) FILTER (WHERE u.price_id = '00000000-0000-0000-0000-000000000000')
                FROM pieces AS p CROSS JOIN LATERAL (
                    SELECT * FROM usage_rollups AS r WHERE r.organization_id = \(organization) AND r.span = p.span
                           AND r.starts_at >= p.starts_at AND r.starts_at < p.ends_at OFFSET 0) AS u
                GROUP BY 1, 2, 3, 4, 5
                UNION ALL
                SELECT attribution_id, provider, model, coalesce(feature, ''), NULL, count(*) FILTER (WHERE kind = 'usage'), sum(cost), NULL, NULL
                FROM tail GROUP BY 1, 2, 3, 4
                UNION ALL
                SELECT e.attribution_id, e.provider, e.model, coalesce(e.feature, ''), line.key, NULL, NULL,
                       sum((line.value ->> 'quantity')::numeric),
                       sum((line.value ->> 'quantity')::numeric) FILTER (WHERE line.value ->> 'price' IS NULL)
                FROM tail AS e CROSS JOIN LATERAL jsonb_each(e.lines) AS line
                GROUP BY 1, 2, 3, 4, 5
            ), kinds AS (
                SELECT coalesce(a.cost_center, '') AS cost_center, a.team_id, a.team_name, a.project_id, a.project_name, p.provider,
                       p.model, p.feature, a.environment, p.kind, sum(p.requests) AS requests, sum(p.cost) AS cost,
                       sum(p.quantity) AS quantity, sum(p.unpriced) AS unpriced
                FROM parts AS p JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = p.attribution_id
                GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
            )
            SELECT cost_center, team_id, team_name, project_id, project_name, provider, model, feature, environment,
                   sum(requests)::bigint, sum(cost), coalesce(sum(unpriced), 0),
                   coalesce(jsonb_object_agg(kind, quantity::text) FILTER (WHERE quantity <> 0), '{}')
            FROM kinds GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
            HAVING sum(requests) <> 0 OR sum(cost) <> 0
            ORDER BY cost_center COLLATE "C", team_name COLLATE "C", project_name COLLATE "C", model COLLATE "C", feature COLLATE "C",
                     environment COLLATE "C", team_id, project_id, provider COLLATE "C"
            """
    }
}

extension StatementRow {
    fileprivate init(_ row: Row) throws(PostgresError) {
        let quantities: JSONB
        (
            costCenter, team, teamName, project, projectName, provider, model, feature, environment, requests, cost, unpricedUnits,
            quantities
        ) = try row.decode(
            as: (
                String, TeamID, String, ProjectID, String, String, String, String, String, Int64, Money, Amount, JSONB
            ).self)
        guard let members = (try? JSON.parse(Array(quantities.text.utf8)))?.object else { throw .decoding("usage that is no JSON object") }
        var usage: [(kind: UsageKind, quantity: Amount)] = []
        for member in members {
            guard let quantity = member.value.string.flatMap({ Amount($0) }) else { throw .decoding("a usage that is no number") }
            usage.append((member.name, quantity))
        }
        self.usage = usage.sorted { $0.kind < $1.kind }
    }
}
