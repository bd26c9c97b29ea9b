/// Months as finance sees them: open, proposed, closing, closed. A month without a row is open.
public import Budgets
public import Postgres

/// How far a month has come.
public enum StatementState: String, Sendable, CaseIterable {
    case open
    /// Finance has seen what it sums to and means to close that.
    case proposed
    /// Nothing more is booked on it; its lines are being frozen.
    case closing
    case closed
}

/// A month's statement.
public struct StatementRecord: Sendable {
    public let id: StatementID
    public let month: StatementMonth
    public let span: StatementSpan
    public let state: StatementState
    /// How often the month was closed, this time included.
    public let edition: Int64
    public let proposedAt: Instant?
    /// The `actor` who proposed it.
    public let proposedBy: String?
    /// What the proposal summed to.
    public let proposed: StatementTotal?
    /// Points of the checklist that were taken as they are.
    public let accepted: [String]
    /// When the last entry could be booked on it, and who said so.
    public let closingAt: Instant?
    public let closingBy: String?
    public let closedAt: Instant?
    /// What it summed to when it was closed, and the number of its lines.
    public let total: StatementTotal?
    public let lineCount: Int64?
    /// SHA-256 of the frozen lines, in hexadecimal.
    public let contentHash: String?
    public let reopenAskedAt: Instant?
    public let reopenAskedBy: String?
    public let reopenReason: String?
    public let reopenedAt: Instant?
    public let reopenedBy: String?
    public let revision: Int64
    /// What the organization was called, and where its finance booked, when the month was closed.
    public let organizationName: String?
    public let accounts: JournalAccounts?

    /// What finance calls it, once it is closed: `2026-10-1` is the first edition of October's.
    public var number: String? { state == .closed ? "\(month)-\(edition)" : nil }

    init(_ row: Row) throws(PostgresError) {
        let (
            id, month, startsAt, endsAt, state, edition, proposedAt, proposedBy, proposedCalls, proposedCost, accepted, closingAt,
            closingBy,
            closedAt, calls, cost, lines, hash, askedAt, askedBy, reason, reopenedAt, reopenedBy, revision,
            name, accounts
        ) = try row.decode(
            as: (
                StatementID, String, Instant, Instant, String, Int64, Instant?, String?, Int64?, Money?, [String], Instant?, String?,
                Instant?, Int64?, Money?, Int64?, Bytea?, Instant?, String?, String?, Instant?, String?, Int64, String?, JSONB?
            ).self)
        guard let month = StatementMonth(month), let state = StatementState(rawValue: state) else {
            throw .decoding("a statement with an unknown word")
        }
        (self.id, self.month, self.state, self.edition) = (id, month, state, edition)
        span = StatementSpan(start: startsAt, end: endsAt)
        (self.proposedAt, self.proposedBy, self.accepted) = (proposedAt, proposedBy, accepted)
        proposed = if let proposedCalls, let proposedCost { StatementTotal(requests: proposedCalls, cost: proposedCost) } else { nil }
        (self.closingAt, self.closingBy, self.closedAt) = (closingAt, closingBy, closedAt)
        total = if let calls, let cost { StatementTotal(requests: calls, cost: cost) } else { nil }
        lineCount = lines
        contentHash = hash.map(\.hexadecimal)
        (reopenAskedAt, reopenAskedBy, reopenReason) = (askedAt, askedBy, reason)
        (self.reopenedAt, self.reopenedBy, self.revision) = (reopenedAt, reopenedBy, revision)
        organizationName = name
        self.accounts = try accounts.map { (column) throws(PostgresError) in try JournalAccounts(column: column) }
    }
}

extension Store {
    /// The statement of a month; nil while nobody has proposed it.
    public func statement(of month: StatementMonth, in organization: OrganizationID) async throws -> StatementRecord? {
        try await read { connection in try Store.statement(of: month, in: organization, connection) }
    }

    public func statements(
        of organization: OrganizationID, state: StatementState? = nil, _ listing: Listing<StatementRecord, String>
    ) async throws -> Page<StatementRecord, ListPlace<String>> {
        try await read { connection in
            let result = try connection.query(
                """
                SELECT id, month, starts_at, ends_at, state, edition, proposed_at, proposed_by, proposed_calls, proposed_cost, accepted,
                       closing_at, closing_by, closed_at, calls, cost, lines, content_sha256, reopen_asked_at, reopen_asked_by,
                       reopen_reason, reopened_at, reopened_by, revision, organization_name, accounts
                FROM statements
                WHERE organization_id = \(organization) AND \(list: [listing.isAfter("month")])
                  AND (\(state?.rawValue) IS NULL OR state = \(state?.rawValue))
                ORDER BY \(list: [listing.ordering("month")]) LIMIT \(listing.limit + 1)
                """)
            return listing.page(try result.rows.map(StatementRecord.init)) { $0.month.description }
        }
    }

    static func statement(
        of month: StatementMonth, in organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> StatementRecord? {
        try connection.query(
            """
            SELECT id, month, starts_at, ends_at, state, edition, proposed_at, proposed_by, proposed_calls, proposed_cost, accepted,
                   closing_at, closing_by, closed_at, calls, cost, lines, content_sha256, reopen_asked_at, reopen_asked_by,
                   reopen_reason, reopened_at, reopened_by, revision, organization_name, accounts
            FROM statements WHERE organization_id = \(organization) AND month = \(month.description)
            """
        ).rows.first.map(StatementRecord.init)
    }
}
