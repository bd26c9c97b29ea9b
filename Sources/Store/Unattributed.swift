/// Spend that finance cannot charge to anybody as it stands: of projects without a cost centre, or of calls that broke the tag policy.
public import Budgets
import Postgres

/// The spend of one project that lacks something.
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

    /// What was unattributed in a span when it was spent, the largest first, and its total, in one snapshot.
    public func unattributedSpend(
        of organization: OrganizationID, in span: StatementSpan
    ) async throws -> (total: StatementTotal, parts: [UnattributedSpend]) {
        try await pool.withConnection { connection in
            try connection.transaction { connection in
                try connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                let position = try RollUps.decodePosition(try connection.query(RollUps.position(organization)))
                let rows = try connection.query(Unattributed.query(organization, span, position)).rows
                var total = StatementTotal(requests: 0, cost: .zero)
                let parts = try rows.map { row in
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
    }
}

private enum Unattributed {
    static func query(_ organization: OrganizationID, _ span: StatementSpan, _ position: Int64) -> Query {
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
            ), parts AS (
                SELECT a.team_id, a.team_name, a.project_id, a.project_name, a.cost_center IS NULL AS lacks_cost_center, a.lacks_tags,
                       sum(s.requests)::bigint AS requests, sum(s.cost) AS cost
                FROM spend AS s JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = s.attribution_id
                WHERE a.cost_center IS NULL OR a.lacks_tags
                GROUP BY 1, 2, 3, 4, 5, 6 HAVING sum(s.requests) <> 0 OR sum(s.cost) <> 0
            )
            SELECT team_id, team_name, project_id, project_name, lacks_cost_center, lacks_tags, requests, cost,
                   (sum(requests) OVER ())::bigint, sum(cost) OVER ()
            FROM parts ORDER BY cost DESC, project_id, lacks_cost_center, lacks_tags, team_id, team_name COLLATE "C",
                                project_name COLLATE "C"
            LIMIT \(Store.maximumUnattributed)
            """
    }
}
