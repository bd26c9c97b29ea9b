/// How a month closes: proposed, then closed, each by somebody's word. Saying so ends the booking on the month at once; its lines are
/// frozen afterwards, outside of any request, so that calls go on meanwhile (`ClosingMonths`).
public import Budgets
import Postgres

/// Why a month does not go where somebody wants it: expected, and told to the caller.
public enum StatementRefusal: Hashable, Sendable {
    /// Points of the checklist stand in the way.
    case notReady([StatementPoint])
    /// The month sums to something else than what was proposed.
    case changedSinceProposed
    /// It is in another state than that needs.
    case notInState(StatementState)
    /// Only the last closed month can be opened again.
    case laterMonthClosed
    /// Opening a month again takes two people.
    case sameAdmin
}

extension Store {
    /// Proposes a month: writes down what it sums to. It may be proposed again, and then sums to what it does by then.
    public func propose(
        _ month: StatementMonth, of organization: OrganizationID, by actor: String, at now: Instant
    ) async throws -> StatementRecord {
        try await transaction { connection in
            let checklist = try Store.checked(month, of: organization, at: now, connection)
            let hindrances = checklist.hindrances(accepting: Set(StatementPoint.Name.allCases)).filter { $0.name != .openReservations }
            guard hindrances.isEmpty else { throw AdminRefusal.statement(.notReady(hindrances)) }
            let before = try Store.statement(of: month, in: organization, connection)
            guard before.map({ $0.state == .open || $0.state == .proposed }) ?? true else {
                throw AdminRefusal.statement(.notInState(before?.state ?? .open))
            }
            try connection.query(
                """
                INSERT INTO statements AS s
                    (organization_id, id, month, starts_at, ends_at, state, proposed_at, proposed_by, proposed_calls, proposed_cost)
                VALUES (\(organization), \(StatementID(at: now)), \(month.description), \(checklist.span.start), \(checklist.span.end),
                        'proposed', \(now), \(actor), \(checklist.total.requests), \(checklist.total.cost))
                ON CONFLICT ON CONSTRAINT statements_month
                DO UPDATE SET state = 'proposed', starts_at = EXCLUDED.starts_at, ends_at = EXCLUDED.ends_at,
                              proposed_at = EXCLUDED.proposed_at, proposed_by = EXCLUDED.proposed_by,
                              proposed_calls = EXCLUDED.proposed_calls, proposed_cost = EXCLUDED.proposed_cost, revision = s.revision + 1
                """)
            return try Store.known(month, of: organization, connection)
        }
    }

    /// Ends the booking on a proposed month. From then on everything that becomes known of it is a correction in an open one.
    ///
    /// - Parameter accepted: the points of the checklist that may stay as they are.
    public func close(
        _ month: StatementMonth, of organization: OrganizationID, accepting accepted: Set<StatementPoint.Name>, by actor: String,
        at now: Instant
    ) async throws -> StatementRecord {
        try await transaction { connection in
            let version = try connection.query("SELECT version FROM fences WHERE organization_id = \(organization)").rows.first
                .map { try $0.decode(as: Int64.self) }
            let checklist = try Store.checked(month, of: organization, at: now, connection)
            let hindrances = checklist.hindrances(accepting: accepted)
            // All that takes long comes before the fence, which keeps calls waiting. Once this is committed no lane books on the month
            // any more, and none that has not seen it commits.
            try connection.query(Fences.raiseConfiguration(organization))
            let before = try Store.statement(of: month, in: organization, connection)
            guard let before, before.state == .proposed else { throw AdminRefusal.statement(.notInState(before?.state ?? .open)) }
            guard hindrances.isEmpty else { throw AdminRefusal.statement(.notReady(hindrances)) }
            guard checklist.total == before.proposed, try !Store.hasEntries(of: before, after: version ?? 0, in: organization, connection)
            else { throw AdminRefusal.statement(.changedSinceProposed) }
            let name = try Store.organization(organization, connection).name
            let accounts = try Store.journalAccounts(of: organization, connection)
            try connection.query(
                """
                UPDATE statements
                SET state = 'closing', edition = edition + 1, accepted = \(accepted.map(\.rawValue).sorted()), closing_at = \(now),
                    closing_by = \(actor), closing_version = (SELECT version FROM fences WHERE organization_id = \(organization)),
                    organization_name = \(name), accounts = \(accounts.column), closed_at = NULL, calls = NULL, cost = NULL, lines = NULL, content_sha256 = NULL, reopen_asked_at = NULL,
                    reopen_asked_by = NULL, reopen_reason = NULL, reopened_at = NULL, reopened_by = NULL, revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(before.id)
                """)
            try connection.query(
                "UPDATE organizations SET closed_until = \(before.span.end) WHERE organization_id = \(organization)")
            return try Store.known(month, of: organization, connection)
        }
    }

    /// Opens the last closed month again: asked for by one, done by another.
    ///
    /// - Parameter isSame: whether who asked first is no other person than who asks now.
    public func reopen(
        _ month: StatementMonth, of organization: OrganizationID, by actor: String, reason: String, at now: Instant,
        isSame: @Sendable (Speaker) -> Bool
    ) async throws -> StatementRecord {
        try await configure(organization) { connection in
            let before = try Store.statement(of: month, in: organization, connection)
            guard let before, before.state == .closed else { throw AdminRefusal.statement(.notInState(before?.state ?? .open)) }
            let later = try connection.query(
                """
                SELECT EXISTS (SELECT FROM statements WHERE organization_id = \(organization) AND state IN ('closing', 'closed')
                               AND month > \(month.description))
                """)
            guard try !later.rows[0].decode(as: Bool.self) else { throw AdminRefusal.statement(.laterMonthClosed) }
            guard let first = before.reopenAskedBy else {
                try connection.query(
                    """
                    UPDATE statements SET reopen_asked_at = \(now), reopen_asked_by = \(actor), reopen_reason = \(reason),
                                          revision = revision + 1
                    WHERE organization_id = \(organization) AND id = \(before.id)
                    """)
                return try Store.known(month, of: organization, connection)
            }
            guard !isSame(try Store.speaker(first, of: organization, connection)) else { throw AdminRefusal.statement(.sameAdmin) }
            try connection.query(
                """
                UPDATE statements SET state = 'open', reopened_at = \(now), reopened_by = \(actor), revision = revision + 1
                WHERE organization_id = \(organization) AND id = \(before.id)
                """)
            // Back to the end of the month before, which is closed, or else to where nothing is.
            try connection.query(
                """
                UPDATE organizations SET closed_until = (
                    SELECT max(ends_at) FROM statements WHERE organization_id = \(organization) AND state IN ('closing', 'closed'))
                WHERE organization_id = \(organization)
                """)
            return try Store.known(month, of: organization, connection)
        }
    }

    /// Whether anything was booked on the month after that version of the fence.
    private static func hasEntries(
        of statement: StatementRecord, after version: Int64, in organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> Bool {
        try connection.query(
            """
            SELECT EXISTS (SELECT FROM ledger_entries WHERE organization_id = \(organization) AND version > \(version)
                           AND occurred_at >= \(statement.span.start) AND occurred_at < \(statement.span.end))
            """
        ).rows[0].decode(as: Bool.self)
    }

    /// The checklist, with the two totals held against each other.
    private static func checked(
        _ month: StatementMonth, of organization: OrganizationID, at now: Instant, _ connection: isolated PostgresConnection
    ) throws -> StatementChecklist {
        let checklist = try checklist(of: month, in: organization, at: now, connection)
        guard checklist.total == checklist.control else { throw StatementDisagrees(lines: checklist.total, control: checklist.control) }
        return checklist
    }

    private static func known(
        _ month: StatementMonth, of organization: OrganizationID, _ connection: isolated PostgresConnection
    ) throws -> StatementRecord {
        guard let record = try statement(of: month, in: organization, connection) else { throw AdminRefusal.notFound }
        return record
    }
}
