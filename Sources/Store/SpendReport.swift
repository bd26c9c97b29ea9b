/// What was spent, by up to two dimensions and a stretch of time: from roll-ups and the entries that are not in them yet, in one
/// snapshot, so the parts always sum to the whole (law 5). No entry that is rolled up is read.
public import Budgets
import Postgres

/// What spend can be grouped by. End users and tags are not rolled up (0007).
public enum SpendDimension: String, Sendable, CaseIterable {
    case team, project, model, provider, feature, environment, tier
    case apiKey = "api_key"
    case costCenter = "cost_center"
}

/// The spend of one group in one of the spans asked for.
public struct SpendRow: Sendable {
    /// Which of the spans, counted from 0.
    public let span: Int
    /// The value of each dimension: an id in hexadecimal for what has one, otherwise the text; empty where the calls had none.
    public let values: [String]
    /// What it is called today; nil for what is its own name.
    public let names: [String?]
    public let calls: Int64
    public let cost: Money
}

extension Store {
    /// Rows that one report may have: some megabytes of JSON.
    public static let maximumSpendRows = 10_000

    /// The spend in each of the spans, in their order and the largest first; nil when there are more rows than a report may have.
    /// - Parameters:
    ///   - spans: of whole quarters of an hour, not overlapping.
    ///   - dimensions: none to two.
    public func spend(
        of organization: OrganizationID, in spans: [StatementSpan], by dimensions: [SpendDimension]
    ) async throws -> [SpendRow]? {
        precondition(dimensions.count <= 2, "a report by more than two dimensions")
        return try await pool.withConnection { connection in
            try connection.transaction { connection in
                try connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                return try Store.spend(of: organization, in: spans, by: dimensions, connection)
            }
        }
    }

    /// The same in the snapshot of a transaction that the connection is in.
    static func spend(
        of organization: OrganizationID, in spans: [StatementSpan], by dimensions: [SpendDimension],
        _ connection: isolated PostgresConnection
    ) throws -> [SpendRow]? {
        let position = try RollUps.position(of: organization, on: connection)
        let rows = try connection.query(SpendReport.query(organization, spans, dimensions, position)).rows
        guard rows.count <= Store.maximumSpendRows else { return nil }
        return try rows.map { row in
            let (span, first, second, firstName, secondName, calls, cost) = try row.decode(
                as: (Int64, String, String, String?, String?, Int64, Money).self)
            return SpendRow(
                span: Int(span), values: Array([first, second].prefix(dimensions.count)),
                names: Array([firstName, secondName].prefix(dimensions.count)), calls: calls, cost: cost)
        }
    }
}

enum SpendReport {
    /// Summed by attribution and by what is asked for first: of a month's rows there are then few left to be looked up.
    static func query(
        _ organization: OrganizationID, _ spans: [StatementSpan], _ dimensions: [SpendDimension],
        _ position: (version: Int64, zone: Zone)
    ) -> Query {
        let pieces = spans.enumerated().flatMap { index, span in span.pieces(in: position.zone).map { (Int64(index), $0) } }
        let places = dimensions.map { dimension in SpendDimension.allCases.firstIndex(of: dimension).map { Int64($0 + 1) } }
        let (first, second) = (places.first ?? nil, places.dropFirst().first ?? nil)
        func asked(_ dimension: SpendDimension, _ column: Query) -> Query {
            "CASE WHEN \(dimensions.contains(dimension)) THEN \(list: [column]) ELSE '' END"
        }
        return """
            WITH spend AS (
                SELECT p.place, s.attribution_id, \(list: [asked(.provider, "s.provider")]) AS provider,
                       \(list: [asked(.model, "s.model")]) AS model, \(list: [asked(.feature, "s.feature")]) AS feature,
                       sum(s.calls) AS calls, sum(s.cost) AS cost
                FROM unnest(
                        \(pieces.map(\.0)), \(pieces.map(\.1.kind.rawValue)), \(pieces.map(\.1.start)), \(pieces.map(\.1.end)))
                     AS p (place, span, starts_at, ends_at)
                CROSS JOIN LATERAL (
                    SELECT * FROM spend_rollups AS r WHERE r.organization_id = \(organization) AND r.span = p.span
                           AND r.starts_at >= p.starts_at AND r.starts_at < p.ends_at OFFSET 0) AS s
                GROUP BY 1, 2, 3, 4, 5
                UNION ALL
                SELECT p.place, tail.attribution_id, tail.provider, tail.model, coalesce(tail.feature, ''), count(*) FILTER (WHERE tail.kind = 'usage'),
                       sum(tail.cost)
                FROM (SELECT * FROM ledger_entries WHERE organization_id = \(organization) AND version > \(position.version)
                      ORDER BY version OFFSET 0) AS tail
                JOIN unnest(\(spans.indices.map(Int64.init)), \(spans.map(\.start)), \(spans.map(\.end))) AS p (place, starts_at, ends_at)
                     ON tail.occurred_at >= p.starts_at AND tail.occurred_at < p.ends_at
                GROUP BY 1, 2, 3, 4, 5
            ), keyed AS (
                -- In the order of SpendDimension.allCases.
                SELECT s.place, s.calls, s.cost,
                       ARRAY[replace(a.team_id::text, '-', ''), replace(a.project_id::text, '-', ''), s.model, s.provider, s.feature,
                             a.environment, replace(a.tier_id::text, '-', ''), replace(a.api_key_id::text, '-', ''),
                             coalesce(a.cost_center, '')] AS keys
                FROM spend AS s JOIN attributions AS a ON a.organization_id = \(organization) AND a.id = s.attribution_id
            ), grouped AS (
                SELECT place, coalesce(keys[\(first)::int], '') AS first, coalesce(keys[\(second)::int], '') AS second, sum(calls)::bigint AS calls,
                       sum(cost) AS cost
                FROM keyed
                GROUP BY 1, 2, 3 HAVING sum(calls) <> 0 OR sum(cost) <> 0
                LIMIT \(Int64(Store.maximumSpendRows) + 1)
            ), names AS (
                SELECT 'team' AS dimension, replace(id::text, '-', '') AS id, name FROM teams WHERE organization_id = \(organization)
                UNION ALL SELECT 'project', replace(id::text, '-', ''), name FROM projects WHERE organization_id = \(organization)
                UNION ALL SELECT 'tier', replace(id::text, '-', ''), name FROM tiers WHERE organization_id = \(organization)
                UNION ALL SELECT 'api_key', replace(id::text, '-', ''), name FROM api_keys WHERE organization_id = \(organization)
            )
            SELECT k.place, k.first, k.second, f.name, s.name, k.calls, k.cost FROM grouped AS k
            LEFT JOIN names AS f ON f.dimension = \(dimensions.first?.rawValue) AND f.id = k.first
            LEFT JOIN names AS s ON s.dimension = \(dimensions.dropFirst().first?.rawValue) AND s.id = k.second
            ORDER BY k.place, k.cost DESC, k.first COLLATE "C", k.second COLLATE "C"
            """
    }
}
