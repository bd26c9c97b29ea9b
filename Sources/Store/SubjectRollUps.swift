/// What end users and tags cost, by local days. They are as many as callers want, so only so many of a day are kept apart (law 11); what
/// is beyond, and what names none, is the difference to the whole, which the other roll-ups have.
public import Budgets
public import Postgres

/// What calls are attributed to by their callers.
public enum SpendSubject: Hashable, Sendable {
    case endUser
    case tag(String)

    /// As roll-ups and queries spell it: `end_user`, or `tag:` and the tag's key.
    public var name: String {
        switch self {
        case .endUser: "end_user"
        case .tag(let key): "tag:\(key)"
        }
    }

    public init?(_ name: String) {
        if name == "end_user" {
            self = .endUser
        } else if name.hasPrefix("tag:"), name.utf8.count > 4, name.utf8.count <= 200 {
            self = .tag(String(name.dropFirst(4)))
        } else {
            return nil
        }
    }
}

/// What one end user or one tag's value cost.
public struct SubjectRow: Sendable {
    public let value: String
    public let calls: Int64
    public let cost: Money
}

public enum SubjectRollUps {
    /// Values of a local day that are kept apart: so many end users, and as many values of all tags together.
    public static let maximumValues: Int64 = 10_000

    /// Rolls up a stretch of one organization's entries, of those that are in the other roll-ups already.
    /// - Returns: whether there is more to do at once; false also when another replica is at it.
    @discardableResult public static func step(
        _ organization: OrganizationID, maximumEntries: Int64 = RollUps.maximumEntries, maximumValues: Int64 = maximumValues,
        on connection: isolated PostgresConnection
    ) throws -> Bool {
        try connection.transaction { connection in
            let lock: Query = """
                SELECT p.subject_version, p.spend_version, o.time_zone FROM rollup_positions AS p JOIN organizations AS o USING (organization_id)
                WHERE p.organization_id = \(organization) FOR UPDATE OF p SKIP LOCKED
                """
            guard let row = try connection.query(lock).rows.first else { return false }
            let (version, end, zone) = try row.decode(as: (Int64, Int64, String).self)
            guard version < end else { return false }
            let full = try connection.query(
                """
                SELECT version FROM ledger_entries WHERE organization_id = \(organization) AND version > \(version)
                ORDER BY version OFFSET \(maximumEntries - 1) LIMIT 1
                """
            ).rows.first?.decode(as: Int64.self)
            let reached = min(full ?? end, end)
            if let days = try RollUps.days(of: organization, after: version, upTo: reached, in: RollUps.zone(zone), connection) {
                try connection.query(add(organization, days, after: version, upTo: reached, maximumValues))
            }
            try connection.query("UPDATE rollup_positions SET subject_version = \(reached) WHERE organization_id = \(organization)")
            return reached < end
        }
    }

    private static func add(
        _ organization: OrganizationID, _ days: LocalDays, after version: Int64, upTo reached: Int64, _ maximumValues: Int64
    ) -> Query {
        """
        INSERT INTO subject_rollups AS r (organization_id, starts_at, dimension, value, calls, cost)
        WITH entries AS MATERIALIZED (
            SELECT \(list: [days.start(of: "occurred_at")]) AS day, end_user, tags, cost, kind = 'usage' AS is_call FROM ledger_entries
            WHERE organization_id = \(organization) AND version > \(version) AND version <= \(reached)
        ), found AS (
            SELECT day, false AS is_tag, 'end_user' AS dimension, end_user AS value, count(*) FILTER (WHERE is_call) AS calls, sum(cost) AS cost
            FROM entries WHERE end_user IS NOT NULL GROUP BY day, end_user
            UNION ALL
            SELECT day, true, 'tag:' || tag.key, tag.value, count(*) FILTER (WHERE is_call), sum(cost)
            FROM entries CROSS JOIN LATERAL jsonb_each_text(tags) AS tag WHERE tags IS NOT NULL AND tag.value IS NOT NULL
            GROUP BY day, tag.key, tag.value
        ), taken AS (
            SELECT d.day, d.is_tag, count(k.value) AS count
            FROM (SELECT DISTINCT day, is_tag FROM found) AS d
            LEFT JOIN subject_rollups AS k
                   ON k.organization_id = \(organization) AND k.starts_at = d.day AND (k.dimension <> 'end_user') = d.is_tag
            GROUP BY 1, 2
        ), placed AS (
            SELECT f.*, k.value IS NOT NULL AS is_known,
                   t.count + row_number() OVER (
                       PARTITION BY f.day, f.is_tag, k.value IS NULL ORDER BY f.cost DESC, f.dimension COLLATE "C", f.value COLLATE "C") AS place
            FROM found AS f JOIN taken AS t USING (day, is_tag)
            LEFT JOIN subject_rollups AS k ON k.organization_id = \(organization) AND k.starts_at = f.day AND k.dimension = f.dimension
                                          AND k.value = f.value
        )
        SELECT \(organization), day, dimension, value, calls, cost FROM placed WHERE is_known OR place <= \(maximumValues)
        ON CONFLICT (organization_id, starts_at, dimension, value) DO UPDATE SET calls = r.calls + EXCLUDED.calls, cost = r.cost + EXCLUDED.cost
        """
    }
}

extension Store {
    /// The largest values of a subject in a span of whole local days, the largest first; and what all values together cost, as far as
    /// they are kept apart.
    public func topSubjects(
        of organization: OrganizationID, _ subject: SpendSubject, in span: StatementSpan, limit: Int
    ) async throws -> (rows: [SubjectRow], all: StatementTotal, whole: StatementTotal) {
        try await pool.withConnection { connection in
            try connection.transaction { connection in
                try connection.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                let position = try RollUps.position(of: organization, on: connection)
                let source = StatementSource(organization: organization, span: span, zone: position.zone)
                let whole = try StatementTeam.read(source, position.version, on: connection).sum
                let found = try connection.query(Store.subjects(organization, subject, span, limit)).rows
                var all = StatementTotal()
                let rows = try found.map { row in
                    let (value, calls, cost, allCalls, allCost) = try row.decode(as: (String, Int64, Money, Int64, Money).self)
                    all = StatementTotal(requests: allCalls, cost: allCost)
                    return SubjectRow(value: value, calls: calls, cost: cost)
                }
                return (rows, all, whole)
            }
        }
    }

    private static func subjects(_ organization: OrganizationID, _ subject: SpendSubject, _ span: StatementSpan, _ limit: Int) -> Query {
        let key: String? = if case .tag(let key) = subject { key } else { nil }
        return """
            WITH sums AS (
                SELECT value, sum(calls)::bigint AS calls, sum(cost) AS cost FROM (
                    SELECT value, calls, cost FROM subject_rollups
                    WHERE organization_id = \(organization) AND dimension = \(subject.name) AND starts_at >= \(span.start)
                          AND starts_at < \(span.end)
                    UNION ALL
                    SELECT CASE WHEN \(key)::text IS NULL THEN end_user ELSE tags ->> \(key)::text END, (kind = 'usage')::int, cost
                    FROM (SELECT * FROM ledger_entries WHERE organization_id = \(organization) AND version > coalesce(
                              (SELECT subject_version FROM rollup_positions WHERE organization_id = \(organization)), 0)
                          ORDER BY version OFFSET 0) AS tail
                    WHERE occurred_at >= \(span.start) AND occurred_at < \(span.end)
                ) AS parts WHERE value IS NOT NULL GROUP BY value
            )
            SELECT value, calls, cost, (sum(calls) OVER ())::bigint, sum(cost) OVER () FROM sums
            ORDER BY cost DESC, value COLLATE "C" LIMIT \(Int64(limit))
            """
    }
}
