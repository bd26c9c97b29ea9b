/// What a month comes to without its lines: summed by whoever pays, and by what lacks somebody who does. Bounded by teams and projects.
public import Budgets
import Postgres

/// One team's part in a statement.
public struct StatementTeam: Sendable {
    public let team: TeamID
    public let name: String
    public let costCenter: String
    public let total: StatementTotal
}

/// The part of one project that lacks something: a cost centre, or the tags that calls must carry.
public struct UnattributedSpend: Sendable {
    public let team: TeamID
    public let teamName: String
    public let project: ProjectID
    public let projectName: String
    public let lacksCostCenter: Bool
    public let lacksTags: Bool
    public let total: StatementTotal
}

extension Store {
    /// Projects named in one answer; the total counts all.
    static let maximumUnattributed: Int64 = 1_000

    /// The total of a source and each team's part, largest first, in one snapshot.
    public func statementSummary(of source: StatementSource) async throws -> (total: StatementTotal, teams: [StatementTeam]) {
        try await snapshot(source) { position, connection in
            let teams = try StatementTeam.read(source, position, on: connection)
            return (teams.sum, teams)
        }
    }

    /// What of a source nobody can be charged for as it stands, after shared costs were split; the largest first, and its total, in one
    /// snapshot.
    public func unattributedSpend(of source: StatementSource) async throws -> (total: StatementTotal, parts: [UnattributedSpend]) {
        try await snapshot(source) { position, connection in
            let shared = try SharedCosts.asTheyStand(source, position, on: connection)
            var total = StatementTotal()
            let parts = try connection.query(StatementSpend.unattributed(source, position, shared)).rows.map { row in
                let (team, teamName, project, projectName, costCenter, tags, requests, cost, allRequests, allCost) = try row.decode(
                    as: (TeamID, String, ProjectID, String, Bool, Bool, Int64, Money, Int64, Money).self)
                total = StatementTotal(requests: allRequests, cost: allCost)
                return UnattributedSpend(
                    team: team, teamName: teamName, project: project, projectName: projectName, lacksCostCenter: costCenter,
                    lacksTags: tags, total: StatementTotal(requests: requests, cost: cost))
            }
            return (total, parts)
        }
    }

    func snapshot<Value: Sendable>(
        _ source: StatementSource, _ body: @Sendable (_ position: Int64, isolated PostgresConnection) throws -> Value
    ) async throws -> Value {
        try await pool.withConnection { connection in
            try connection.transaction { connection in
                try connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                return try body(try RollUps.position(of: source.organization, on: connection).version, connection)
            }
        }
    }
}

extension StatementTeam {
    static func read(
        _ source: StatementSource, _ position: Int64, on connection: isolated PostgresConnection
    ) throws -> [StatementTeam] {
        let shared = try SharedCosts.asTheyStand(source, position, on: connection)
        return try connection.query(StatementSpend.teams(source, position, shared)).rows.map { row in
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

private enum StatementSpend {
    static func teams(_ source: StatementSource, _ position: Int64, _ shared: SharedCosts) -> Query {
        """
        SELECT team_id, team_name, coalesce(cost_center, ''), sum(requests)::bigint, sum(cost)
        FROM (\(list: [charged(source, position, shared)])) AS charged GROUP BY team_id, team_name, cost_center
        HAVING sum(requests) <> 0 OR sum(cost) <> 0
        ORDER BY sum(cost) DESC, team_name COLLATE "C", cost_center COLLATE "C", team_id
        """
    }

    static func unattributed(_ source: StatementSource, _ position: Int64, _ shared: SharedCosts) -> Query {
        """
        WITH parts AS (
            SELECT team_id, team_name, project_id, project_name, cost_center IS NULL AS lacks_cost_center, lacks_tags,
                   sum(requests)::bigint AS requests, sum(cost) AS cost
            FROM (\(list: [charged(source, position, shared)])) AS charged WHERE cost_center IS NULL OR lacks_tags
            GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(requests) <> 0 OR sum(cost) <> 0
        )
        SELECT team_id, team_name, project_id, project_name, lacks_cost_center, lacks_tags, requests, cost,
               (sum(requests) OVER ())::bigint, sum(cost) OVER ()
        FROM parts ORDER BY cost DESC, project_id, lacks_cost_center, lacks_tags, team_id, team_name COLLATE "C", project_name COLLATE "C"
        LIMIT \(Store.maximumUnattributed)
        """
    }

    /// What is charged by attribution, as rows `(team_id, team_name, project_id, project_name, cost_center, lacks_tags, requests, cost)`.
    private static func charged(_ source: StatementSource, _ position: Int64, _ shared: SharedCosts) -> Query {
        let organization = source.organization
        if let (statement, edition) = source.frozen {
            return """
                SELECT a.team_id, a.team_name, a.project_id, a.project_name, a.cost_center, a.lacks_tags, s.requests, s.cost
                FROM (SELECT attribution_id, sum(calls) AS requests, sum(cost) AS cost FROM statement_lines
                      WHERE organization_id = \(organization) AND statement_id = \(statement) AND edition = \(edition) GROUP BY 1) AS s
                JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = s.attribution_id
                """
        }
        let (span, pieces) = (source.span, source.pieces)
        return """
            SELECT a.team_id, a.team_name, a.project_id, a.project_name, a.cost_center, a.lacks_tags, s.requests, s.cost
            FROM (
                SELECT s.attribution_id, sum(s.calls) AS requests, sum(s.cost) AS cost
                FROM unnest(\(pieces.map(\.kind.rawValue)), \(pieces.map(\.start)), \(pieces.map(\.end)))
                     AS p (span, starts_at, ends_at)
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
            ) AS s JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = s.attribution_id
            UNION ALL
            SELECT team_id, team_name, project_id, project_name, cost_center, false, 0, cost FROM (\(list: [shared.givenRows])) AS m
            """
    }
}
