/// Freezing the lines of a month that is closing: whatever breaks off here begins again from the start, on any replica, and ends the same.
public import Budgets
import JSON
public import Postgres

public enum ClosingMonths {
    /// Months looked for at once.
    static let maximumPage: Int64 = 100

    /// Months that are closing: whoever said so waits for this.
    public static func find(on connection: isolated PostgresConnection) throws -> [(OrganizationID, StatementMonth)] {
        try connection.query(
            "SELECT organization_id, month FROM statements WHERE state = 'closing' ORDER BY organization_id, id LIMIT \(maximumPage)"
        ).rows.map { row in
            let (organization, month) = try row.decode(as: (OrganizationID, String).self)
            guard let month = StatementMonth(month) else { throw PostgresError.decoding("a month that is none") }
            return (organization, month)
        }
    }

    /// Brings a month to its end: rolls up what was booked before the books closed, freezes the lines, holds them against the ledger, and
    /// tells people. The connection should allow for minutes.
    ///
    /// - Returns: the statement as it then is; nil when another replica is at it or has done it.
    /// - Throws: `StatementDisagrees`: the books are wrong, and the month stays as it is.
    public static func finish(
        _ month: StatementMonth, of organization: OrganizationID, at now: Instant, on connection: isolated PostgresConnection
    ) throws -> StatementRecord? {
        try connection.query(RollUps.adopt)
        while try RollUps.step(organization, on: connection) {}
        return try connection.transaction { connection in
            guard let id = try claim(month, of: organization, connection),
                let record = try Store.statement(of: month, in: organization, connection),
                let zone = Zone(try Store.organization(organization, connection).timeZone)
            else { return nil }
            let frozen = StatementSource(
                organization: organization, span: record.span, zone: zone, frozen: (statement: id, edition: record.edition))
            // Nothing of the month is left to be rolled up, so there is no tail: the position is the last there can be.
            let shared = try SharedCosts(frozen, .max, on: connection)
            try connection.pipeline([shared.keepAttributions, freeze(frozen, shared)])
            try CommitmentMonths.freeze(frozen, .max, on: connection)
            let control = try Statements.decodeTotal(try connection.query(Statements.booked(organization, record.span)))
            let (lines, calls, cost, hash) = try connection.query(content(organization, id, edition: record.edition)).rows[0].decode(
                as: (Int64, Int64, Money, Bytea).self)
            let total = StatementTotal(requests: calls, cost: cost)
            guard total == control else { throw StatementDisagrees(lines: total, control: control) }
            try connection.query(
                """
                UPDATE statements SET state = 'closed', closed_at = \(now), calls = \(calls), cost = \(cost), lines = \(lines),
                                      content_sha256 = \(hash), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(id)
                """)
            guard let closed = try Store.statement(of: month, in: organization, connection) else { return nil }
            try Store.append(closed.news(at: now), of: organization, connection)
            return closed
        }
    }

    /// The month's statement, locked, if it is closing and everything booked on it is rolled up.
    private static func claim(
        _ month: StatementMonth, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> StatementID? {
        try connection.query(
            """
            SELECT s.id FROM statements AS s
            WHERE s.organization_id = \(organization) AND s.month = \(month.description) AND s.state = 'closing'
              AND s.closing_version <= (SELECT p.spend_version FROM rollup_positions AS p WHERE p.organization_id = \(organization))
            FOR UPDATE SKIP LOCKED
            """
        ).rows.first.map { try $0.decode(as: StatementID.self) }
    }

    private static func freeze(_ source: StatementSource, _ shared: SharedCosts) -> Query {
        """
        INSERT INTO statement_lines
            (organization_id, statement_id, edition, line, consumed_at, attribution_id, provider, model, feature, usage_kind, price_id,
             service_tier, context_from, unit_price, list_price, calls, quantity, cost, split_id, split_ratio)
        SELECT organization_id, statement_id, edition, line, consumed_at, attribution_id, provider, model, feature, usage_kind, price_id,
               service_tier, context_from, unit_price, list_price, calls, quantity, cost, split_id, split_ratio
        FROM (\(list: [StatementLines.open(source, position: .max, shared)])) AS lines
        """
    }

    /// Count, sums and hash of the frozen lines. The hash is of the lines' own hashes in their order, so that memory stays small.
    private static func content(_ organization: OrganizationID, _ id: StatementID, edition: Int64) -> Query {
        """
        SELECT count(*), coalesce(sum(calls), 0)::bigint, coalesce(sum(cost), 0),
               sha256(coalesce(string_agg(sha256(convert_to((jsonb_build_array(
                   line, extract(epoch FROM consumed_at)::bigint, attribution_id, provider, model, feature, usage_kind, price_id, service_tier,
                   context_from, unit_price, list_price, calls, quantity, cost)
                   || CASE WHEN split_id IS NULL THEN '[]' ELSE jsonb_build_array(split_id, split_ratio) END)::text, 'UTF8')),
                   ''::bytea ORDER BY line), ''))
        FROM statement_lines WHERE organization_id = \(organization) AND statement_id = \(id) AND edition = \(edition)
        """
    }
}

extension StatementRecord {
    func news(at now: Instant) -> NewEvent {
        let sums = total ?? StatementTotal()
        let details = JSON.Object([
            (
                "statement",
                [
                    "id": .string(id.description), "month": .string(month.description), "number": number.map { .string($0) } ?? .null,
                    "calls": .number(sums.requests), "cost": .string(sums.cost.description),
                    "sha256": contentHash.map { .string($0) } ?? .null, "closed_by": closingBy.map { .string($0) } ?? .null,
                ]
            ),
            ("links", ["statement": .string("/v1/statements/\(month)")]),
        ])
        return NewEvent(
            .statementClosed, severity: .info, title: "Statement closed: \(month)",
            summary: "\(month) is closed with $\(sums.cost.plain) in \(sums.requests) calls, as statement \(number ?? "").",
            details: details, at: now)
    }
}
