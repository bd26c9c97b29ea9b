/// What models were used for what, in two spans to compare: from roll-ups and the entries that are not in them yet, in one snapshot.
public import Budgets
import Postgres

/// One model's use in one of the spans asked for.
public struct ModelUse: Sendable {
    /// Which of the spans, counted from 0.
    public let span: Int
    public let provider: String
    public let model: String
    public let calls: Int64
    public let cost: Money
    /// Units by kind.
    public let usage: [UsageKind: Amount]
}

extension Store {
    /// Each model's use in each of the spans, which are of whole quarters of an hour and do not overlap. Bounded by the models there are.
    public func modelUse(of organization: OrganizationID, in spans: [StatementSpan]) async throws -> [ModelUse] {
        try await pool.withConnection { connection in
            try connection.transaction { connection in
                try connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                let position = try RollUps.position(of: organization, on: connection)
                return try connection.query(Store.modelUse(organization, spans, position)).rows.map { row in
                    let (span, provider, model, calls, cost, kinds, quantities) = try row.decode(
                        as: (Int64, String, String, Int64, Money, [String], [Amount]).self)
                    return ModelUse(
                        span: Int(span), provider: provider, model: model, calls: calls, cost: cost,
                        usage: Dictionary(zip(kinds, quantities)) { first, _ in first })
                }
            }
        }
    }

    private static func modelUse(
        _ organization: OrganizationID, _ spans: [StatementSpan], _ position: (version: Int64, zone: Zone)
    ) -> Query {
        let pieces = spans.enumerated().flatMap { index, span in span.pieces(in: position.zone).map { (Int64(index), $0) } }
        return """
            WITH pieces AS (
                SELECT * FROM unnest(
                        \(pieces.map(\.0)), \(pieces.map(\.1.kind.rawValue)), \(pieces.map(\.1.start)), \(pieces.map(\.1.end)))
                     AS p (place, span, starts_at, ends_at)
            ), tail AS MATERIALIZED (
                SELECT p.place, t.* FROM (SELECT * FROM ledger_entries WHERE organization_id = \(organization) AND version > \(position.version)
                                          ORDER BY version OFFSET 0) AS t
                JOIN unnest(\(spans.indices.map(Int64.init)), \(spans.map(\.start)), \(spans.map(\.end))) AS p (place, starts_at, ends_at)
                     ON t.occurred_at >= p.starts_at AND t.occurred_at < p.ends_at
            ), calls AS (
                SELECT place, provider, model, sum(calls)::bigint AS calls, sum(cost) AS cost FROM (
                    SELECT p.place, s.provider, s.model, s.calls, s.cost
                    FROM pieces AS p CROSS JOIN LATERAL (
                        SELECT * FROM spend_rollups AS r WHERE r.organization_id = \(organization) AND r.span = p.span
                               AND r.starts_at >= p.starts_at AND r.starts_at < p.ends_at OFFSET 0) AS s
                    UNION ALL SELECT place, provider, model, (kind = 'usage')::int, cost FROM tail
                ) AS parts GROUP BY 1, 2, 3
            ), kinds AS (
                SELECT place, provider, model, usage_kind, sum(quantity) AS quantity FROM (
                    SELECT p.place, u.provider, u.model, u.usage_kind, u.quantity
                    FROM pieces AS p CROSS JOIN LATERAL (
                        SELECT * FROM usage_rollups AS r WHERE r.organization_id = \(organization) AND r.span = p.span
                               AND r.starts_at >= p.starts_at AND r.starts_at < p.ends_at OFFSET 0) AS u
                    UNION ALL
                    SELECT t.place, t.provider, t.model, line.key, (line.value ->> 'quantity')::numeric
                    FROM tail AS t CROSS JOIN LATERAL jsonb_each(t.lines) AS line
                ) AS parts GROUP BY 1, 2, 3, 4 HAVING sum(quantity) <> 0
            )
            SELECT c.place, c.provider, c.model, c.calls, c.cost, coalesce(array_agg(k.usage_kind) FILTER (WHERE k.usage_kind IS NOT NULL), '{}'),
                   coalesce(array_agg(k.quantity) FILTER (WHERE k.usage_kind IS NOT NULL), '{}')
            FROM calls AS c LEFT JOIN kinds AS k USING (place, provider, model)
            WHERE c.calls <> 0 OR c.cost <> 0
            GROUP BY c.place, c.provider, c.model, c.calls, c.cost
            ORDER BY c.place, c.cost DESC, c.model COLLATE "C", c.provider COLLATE "C"
            """
    }
}
