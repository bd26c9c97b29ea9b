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

/// What a statement ends with.
public struct StatementEnd: Sendable {
    /// By a query of its own.
    public let total: StatementTotal
    /// Those that have a part in the month, in the order of their making.
    public let commitments: [CommitmentMonth]

    /// The exact sum of what is billed: what was used, without what was paid for in advance; and what was bought in advance.
    public var billed: Money { commitments.reduce(total.cost) { $0 + $1.billed } }

    public init(total: StatementTotal, commitments: [CommitmentMonth]) { (self.total, self.commitments) = (total, commitments) }
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

    /// Sends the lines in their order, page by page, and returns the total that a second query found in the same snapshot, with the
    /// commitments.
    /// Waiting for `page` keeps a connection and a snapshot; the session's idle timeout bounds that.
    /// - Throws: `PostgresError`, or what `page` throws.
    public func statementLines(
        of source: StatementSource, page: @Sendable ([StatementLine]) async throws -> Void
    ) async throws -> StatementEnd {
        try await pool.withConnection { connection in
            try await Statements.read(source, on: connection, page: page)
        }
    }
}

public enum Statements {
    /// The lines of a source in their order, page by page, on a connection that has no transaction open.
    /// - Returns: what the ledger itself sums to, in the same snapshot; of a closed month, what it summed to then. And its commitments.
    public static func read(
        _ source: StatementSource, on connection: isolated PostgresConnection, page: @Sendable ([StatementLine]) async throws -> Void
    ) async throws -> StatementEnd {
        try connection.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        do {
            let total = try decodeTotal(try connection.query(control(source)))
            let position = try RollUps.position(of: source.organization, on: connection).version
            let shared = try SharedCosts.asTheyStand(source, position, on: connection)
            let commitments = try CommitmentMonths.read(source, position, shared, on: connection)
            try connection.query(StatementLines.cursor(source, position: position, shared))
            while true {
                let lines = try connection.query("FETCH 500 FROM statement_page").rows.map { row in
                    var line = try StatementLine(row)
                    line.commitments = commitments.about(line)
                    return line
                }
                if !lines.isEmpty { try await page(lines) }
                if lines.count < Store.statementPage { break }
            }
            try connection.query("COMMIT")
            return StatementEnd(total: total, commitments: commitments.all)
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
}
