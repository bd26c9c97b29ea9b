/// A month's chargeback straight from the ledger: what was booked, grouped by what finance charges it to. Rows leave Postgres through
/// a cursor in one snapshot, so memory stays constant and the rows and the total cannot disagree.
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
                try connection.query(Statements.declareRows(organization, span))
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
        try await read { connection in
            let results = try connection.flight([
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", Statements.total(organization, span),
                Statements.teams(organization, span),
            ])
            let teams = try results[2].rows.map { row in
                let (team, name, costCenter, requests, cost) = try row.decode(as: (TeamID, String, String, Int64, Money).self)
                return StatementTeam(
                    team: team, name: name, costCenter: costCenter, total: StatementTotal(requests: requests, cost: cost))
            }
            return (try Statements.decodeTotal(results[1]), teams)
        }
    }
}

private enum Statements {
    static func total(_ organization: OrganizationID, _ span: StatementSpan) -> Query {
        """
        SELECT count(*), coalesce(sum(cost), 0) FROM ledger_entries
        WHERE organization_id = \(organization) AND occurred_at >= \(span.start) AND occurred_at < \(span.end)
        """
    }

    static func decodeTotal(_ result: PostgresResult) throws(PostgresError) -> StatementTotal {
        guard let row = result.rows.first else { throw .decoding("a total without a row") }
        let (requests, cost) = try row.decode(as: (Int64, Money).self)
        return StatementTotal(requests: requests, cost: cost)
    }

    static func teams(_ organization: OrganizationID, _ span: StatementSpan) -> Query {
        """
        SELECT a.team_id, a.team_name, coalesce(a.cost_center, ''), sum(e.requests)::bigint, sum(e.cost)
        FROM (
            SELECT attribution_id, count(*) AS requests, sum(cost) AS cost FROM ledger_entries
            WHERE organization_id = \(organization) AND occurred_at >= \(span.start) AND occurred_at < \(span.end)
            GROUP BY attribution_id
        ) AS e
        JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = e.attribution_id
        GROUP BY a.team_id, a.team_name, a.cost_center
        ORDER BY sum(e.cost) DESC, a.team_name COLLATE "C", a.cost_center COLLATE "C", a.team_id
        """
    }

    /// Calls (`kind` is NULL) and units of usage are grouped by the narrow attribution id first, then together by the names behind it,
    /// which several attributions share: no join of large halves, so the cost stays linear whatever Postgres estimates.
    static func declareRows(_ organization: OrganizationID, _ span: StatementSpan) -> Query {
        """
        DECLARE statement_rows NO SCROLL CURSOR FOR
        WITH parts AS (
            SELECT attribution_id, provider, model, feature, NULL AS kind, count(*) AS requests, sum(cost) AS cost,
                   NULL::numeric AS quantity, NULL::numeric AS unpriced
            FROM ledger_entries
            WHERE organization_id = \(organization) AND occurred_at >= \(span.start) AND occurred_at < \(span.end)
            GROUP BY attribution_id, provider, model, feature
            UNION ALL
            SELECT e.attribution_id, e.provider, e.model, e.feature, line.key, NULL, NULL, sum((line.value ->> 'quantity')::numeric),
                   sum((line.value ->> 'quantity')::numeric) FILTER (WHERE line.value ->> 'price' IS NULL)
            FROM ledger_entries AS e CROSS JOIN LATERAL jsonb_each(e.lines) AS line
            WHERE e.organization_id = \(organization) AND e.occurred_at >= \(span.start) AND e.occurred_at < \(span.end)
            GROUP BY e.attribution_id, e.provider, e.model, e.feature, line.key
        ), kinds AS (
            SELECT coalesce(a.cost_center, '') AS cost_center, a.team_id, a.team_name, a.project_id, a.project_name, p.provider, p.model,
                   coalesce(p.feature, '') AS feature, a.environment, p.kind, sum(p.requests) AS requests, sum(p.cost) AS cost,
                   sum(p.quantity) AS quantity, sum(p.unpriced) AS unpriced
            FROM parts AS p JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = p.attribution_id
            GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
        )
        SELECT cost_center, team_id, team_name, project_id, project_name, provider, model, feature, environment, sum(requests)::bigint,
               sum(cost), coalesce(sum(unpriced), 0),
               coalesce(jsonb_object_agg(kind, quantity::text) FILTER (WHERE kind IS NOT NULL), '{}')
        FROM kinds GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
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
