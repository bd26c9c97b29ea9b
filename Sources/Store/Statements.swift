/// A month's chargeback, read: its lines through a cursor in one snapshot, so memory stays constant; and its total, asked of the ledger
/// itself, which the lines must equal to the last digit (law 5).
public import Budgets
public import Postgres

/// What a statement sums to, by a query of its own.
public struct StatementTotal: Hashable, Sendable {
    public var requests: Int64
    public var cost: Money

    public init(requests: Int64 = 0, cost: Money = .zero) {
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
    /// Lines sent at once: some 200 kB, and few enough round trips that they do not matter.
    static let statementPage = 500

    /// The organization's zone; nil when there is no such organization.
    public func zone(of organization: OrganizationID) async throws -> Zone? {
        try await read { connection in
            try connection.query("SELECT time_zone FROM organizations WHERE organization_id = \(organization)")
                .rows.first.flatMap { Zone(try $0.decode(as: String.self)) }
        }
    }

    /// Sends the lines in their order, page by page, and returns the total that a second query found in the same snapshot.
    /// Waiting for `page` keeps a connection and a snapshot; the session's idle timeout bounds that.
    /// - Throws: `PostgresError`, or what `page` throws.
    public func statementLines(
        of source: StatementSource, page: @Sendable ([StatementLine]) async throws -> Void
    ) async throws -> StatementTotal {
        try await pool.withConnection { connection in
            try await Statements.read(source, on: connection, page: page)
        }
    }

    /// The total of a source and each team's part, largest first, in one snapshot. Bounded by the number of teams.
    public func statementSummary(of source: StatementSource) async throws -> (total: StatementTotal, teams: [StatementTeam]) {
        try await pool.withConnection { connection in
            try connection.transaction { connection in
                try connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                let position = try RollUps.decodePosition(try connection.query(RollUps.position(source.organization)))
                let teams = try StatementTeam.read(source, position, on: connection)
                return (teams.sum, teams)
            }
        }
    }
}

extension StatementTeam {
    static func read(
        _ source: StatementSource, _ position: Int64, on connection: isolated PostgresConnection
    ) throws -> [StatementTeam] {
        let shared = try SharedCosts.asTheyStand(source, position, on: connection)
        return try connection.query(Statements.teams(source, position, shared)).rows.map { row in
            let (team, name, costCenter, requests, cost) = try row.decode(as: (TeamID, String, String, Int64, Money).self)
            return StatementTeam(team: team, name: name, costCenter: costCenter, total: StatementTotal(requests: requests, cost: cost))
        }
    }
}

extension [StatementTeam] {
    var sum: StatementTotal {
        reduce(into: StatementTotal()) { total, team in
            total.requests += team.total.requests
            total.cost += team.total.cost
        }
    }
}

public enum Statements {
    /// The lines of a source in their order, page by page, on a connection that has no transaction open.
    /// - Returns: what the ledger itself sums to, in the same snapshot; of a closed month, what it summed to then.
    public static func read(
        _ source: StatementSource, on connection: isolated PostgresConnection, page: @Sendable ([StatementLine]) async throws -> Void
    ) async throws -> StatementTotal {
        try connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        do {
            let total = try decodeTotal(try connection.query(control(source)))
            let position = try RollUps.decodePosition(try connection.query(RollUps.position(source.organization)))
            let shared = try SharedCosts.asTheyStand(source, position, on: connection)
            try connection.query(StatementLines.cursor(source, position: position, shared))
            while true {
                let lines = try connection.query("FETCH 500 FROM statement_page").rows.map { row in try StatementLine(row) }
                if !lines.isEmpty { try await page(lines) }
                if lines.count < Store.statementPage { break }
            }
            try connection.query("COMMIT")
            return total
        } catch {
            // A failing ROLLBACK must not hide the error; the pool closes a connection that is left inside a transaction.
            _ = try? connection.query("ROLLBACK")
            throw error
        }
    }

    /// What the lines must sum to, by another way: the ledger's own sum, which was written down when the month closed.
    private static func control(_ source: StatementSource) -> Query {
        guard let (statement, edition) = source.frozen else { return booked(source.organization, source.span) }
        return """
            SELECT calls, cost FROM statements
            WHERE organization_id = \(source.organization) AND id = \(statement) AND edition = \(edition) AND calls IS NOT NULL
            """
    }

    /// What the ledger sums to: no roll-up has a part in it.
    static func booked(_ organization: OrganizationID, _ span: StatementSpan) -> Query {
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

    static func teams(_ source: StatementSource, _ position: Int64, _ shared: SharedCosts) -> Query {
        if let (statement, edition) = source.frozen {
            return """
                SELECT a.team_id, a.team_name, coalesce(a.cost_center, ''), sum(s.requests)::bigint, sum(s.cost)
                FROM (SELECT attribution_id, sum(calls) AS requests, sum(cost) AS cost FROM statement_lines
                      WHERE organization_id = \(source.organization) AND statement_id = \(statement) AND edition = \(edition)
                      GROUP BY 1) AS s
                JOIN attributions AS a ON a.organization_id = \(source.organization) AND a.id = s.attribution_id
                GROUP BY a.team_id, a.team_name, a.cost_center
                ORDER BY sum(s.cost) DESC, a.team_name COLLATE "C", a.cost_center COLLATE "C", a.team_id
                """
        }
        let (organization, span, pieces) = (source.organization, source.span, source.span.pieces)
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
                UNION ALL
                SELECT m.attribution_id, 0, m.cost FROM \(list: [shared.takenRows]) AS m (split_id, name, method, attribution_id, cost)
            ), named AS (
                SELECT a.team_id, a.team_name, a.cost_center, s.requests, s.cost
                FROM spend AS s JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = s.attribution_id
                UNION ALL
                SELECT team_id, team_name, cost_center, 0, cost FROM (\(list: [shared.givenRows])) AS m
            )
            SELECT team_id, team_name, coalesce(cost_center, ''), sum(requests)::bigint, sum(cost)
            FROM named GROUP BY team_id, team_name, cost_center
            HAVING sum(requests) <> 0 OR sum(cost) <> 0
            ORDER BY sum(cost) DESC, team_name COLLATE "C", cost_center COLLATE "C", team_id
            """
    }
}
