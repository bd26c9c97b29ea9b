/// What a lane reads when it does not remember: counters and reservations.
public import Budgets
import JSON
public import Postgres

public enum LedgerReads {
    /// The counters that exist among those asked for. One that is not in the answer has never been used.
    public static func counters(_ counters: [(OrganizationID, CounterID)]) -> Query {
        """
        SELECT p.organization_id, p.budget_id, p.subject, p.period_start, p.settled, p.held, p.burst, p.ceiling, p.overage,
               p.final_calls, p.final_held, p.alerted_version, p.alerted_threshold, p.alerted_amount
        FROM unnest(\(counters.map(\.0)), \(counters.map(\.1.budget)), \(counters.map(\.1.subject)), \(counters.map(\.1.periodStart)))
             AS wanted (organization_id, budget_id, subject, period_start)
        JOIN budget_periods AS p USING (organization_id, budget_id, subject, period_start)
        """
    }

    public static func decodeCounters(_ result: PostgresResult) throws(PostgresError) -> [(OrganizationID, CounterID, Counter)] {
        var counters: [(OrganizationID, CounterID, Counter)] = []
        counters.reserveCapacity(result.rows.count)
        for row in result.rows {
            let (
                organization, budget, subject, start, settled, held, burst, ceiling, overage, finalCalls, finalHeld, version, threshold,
                alerted
            ) = try row.decode(
                as: (
                    OrganizationID, BudgetID, String, Instant, Amount, Amount, Amount, Amount?, Amount, Int64, Amount, Int64, Int64, Amount
                ).self)
            counters.append(
                (
                    organization, CounterID(budget: budget, subject: subject, periodStart: start),
                    Counter(
                        settled: settled, held: held, burst: burst, ceiling: ceiling, overage: overage, finalCalls: finalCalls,
                        finalHeld: finalHeld, alertedVersion: version, alertedThreshold: threshold, alertedAmount: alerted)
                ))
        }
        return counters
    }

    /// What has been drawn on burst grants. All of those asked for exist.
    public static func bursts(_ bursts: [(OrganizationID, BurstID)]) -> Query {
        """
        SELECT b.organization_id, b.id, b.amount, b.settled, b.held
        FROM unnest(\(bursts.map(\.0)), \(bursts.map(\.1))) AS wanted (organization_id, id)
        JOIN bursts AS b USING (organization_id, id)
        """
    }

    public static func decodeBursts(_ result: PostgresResult) throws(PostgresError) -> [(OrganizationID, BurstID, BurstCounter)] {
        var bursts: [(OrganizationID, BurstID, BurstCounter)] = []
        for row in result.rows {
            let (organization, id, amount, settled, held) = try row.decode(
                as: (OrganizationID, BurstID, Amount, Amount, Amount).self)
            bursts.append((organization, id, BurstCounter(amount: amount, settled: settled, held: held)))
        }
        return bursts
    }

    // The entry's time is told by CASE: behind row-level security Postgres takes `coalesce` for something that could leak, uses no index
    // for it, and reads the organization's whole ledger for each reservation.

    /// The reservations that exist among those asked for, each with its entry if it is settled.
    public static func reservations(_ ids: [(OrganizationID, ReservationID)]) -> Query {
        """
        SELECT r.organization_id, r.id, r.project_id, r.request_id, r.request_sha256, r.attribution_id, r.state, r.model,
               r.requested_model, r.provider, r.service_tier, r.end_user, r.feature, r.tags, r.held, r.max_output_tokens, r.draws,
               r.created_at, r.expires_at, r.settle_sha256, e.booked_at, e.lines, e.cost, e.overage, e.draws, e.is_late,
               r.substitutions, e.occurred_at
        FROM unnest(\(ids.map(\.0)), \(ids.map(\.1))) AS wanted (organization_id, id)
        JOIN reservations AS r USING (organization_id, id)
        LEFT JOIN ledger_entries AS e ON e.organization_id = r.organization_id AND e.id = r.id AND e.occurred_at =
            CASE WHEN r.state <> 'settled' THEN NULL WHEN r.entry_at IS NULL THEN r.created_at ELSE r.entry_at END
        """
    }

    /// The reservations that answered these requests before, with their entries.
    public static func reservations(for requests: [(OrganizationID, RequestID)]) -> Query {
        """
        SELECT r.organization_id, r.id, r.project_id, r.request_id, r.request_sha256, r.attribution_id, r.state, r.model,
               r.requested_model, r.provider, r.service_tier, r.end_user, r.feature, r.tags, r.held, r.max_output_tokens, r.draws,
               r.created_at, r.expires_at, r.settle_sha256, e.booked_at, e.lines, e.cost, e.overage, e.draws, e.is_late,
               r.substitutions, e.occurred_at
        FROM unnest(\(requests.map(\.0)), \(requests.map(\.1.project)), \(requests.map(\.1.text)))
             AS wanted (organization_id, project_id, request_id)
        JOIN reservations AS r USING (organization_id, project_id, request_id)
        LEFT JOIN ledger_entries AS e ON e.organization_id = r.organization_id AND e.id = r.id AND e.occurred_at =
            CASE WHEN r.state <> 'settled' THEN NULL WHEN r.entry_at IS NULL THEN r.created_at ELSE r.entry_at END
        """
    }

    public static func decodeReservations(_ result: PostgresResult) throws(PostgresError) -> [(OrganizationID, Reservation)] {
        var reservations: [(OrganizationID, Reservation)] = []
        for row in result.rows { reservations.append(try decodeReservation(row)) }
        return reservations
    }

    private static func decodeReservation(_ row: Row) throws(PostgresError) -> (OrganizationID, Reservation) {
        let columns = try row.decode(
            as: (
                OrganizationID, ReservationID, ProjectID, String, Bytea, AttributionID, String, String,
                String, String, String, String?, String?, JSONB?, Amount, Int64, JSONText,
                Instant, Instant, Bytea?, Instant?, JSONB?, Amount?, Amount?, JSONB?, Bool?, JSONB?, Instant?
            ).self)
        let id = columns.1
        var entry: Entry?
        if let bookedAt = columns.20, let lines = columns.21, let cost = columns.22, let overage = columns.23, let draws = columns.24 {
            entry = Entry(
                id: EntryID(high: id.high, low: id.low), occurredAt: columns.27 ?? columns.17, bookedAt: bookedAt,
                lines: try EntryLine.decode(lines), cost: cost,
                overage: overage, draws: try Draw.decode(draws.bytes), isLate: columns.25 ?? false, report: nil)
        }
        guard let state = Reservation.State(rawValue: columns.6) else { throw PostgresError.decoding("an unknown reservation state") }
        let reservation = Reservation(
            id: id, request: RequestID(project: columns.2, text: columns.3), content: columns.4.bytes, attribution: columns.5,
            state: state, model: columns.7, requestedModel: columns.8, substitutions: try Substitution.decode(columns.26),
            provider: columns.9, serviceTier: columns.10,
            endUser: columns.11, feature: columns.12, tags: columns.13?.text, held: columns.14, maxOutputTokens: columns.15,
            draws: try Draw.decode(columns.16.bytes), createdAt: columns.17, expiresAt: columns.18, settleContent: columns.19?.bytes,
            entry: entry)
        return (columns.0, reservation)
    }

    /// Where a sweep stands: behind the reservation of this key, in the order of expiry.
    public struct SweepKey: Sendable {
        public let expiresAt: Instant
        public let organization: OrganizationID
        public let reservation: ReservationID

        /// Behind everything that expires before the instant.
        public init(from instant: Instant) {
            expiresAt = instant
            organization = OrganizationID(high: 0, low: 0)
            reservation = ReservationID(high: 0, low: 0)
        }

        init(_ expiresAt: Instant, _ organization: OrganizationID, _ reservation: ReservationID) {
            self.expiresAt = expiresAt
            self.organization = organization
            self.reservation = reservation
        }
    }

    /// One page of a sweep: of the next `maximum` reservations in the order of expiry those still open, and the last of all, so that
    /// a page costs the same whether it finds anything or not.
    public static func expired(after key: SweepKey, until: Instant, maximum: Int64) -> Query {
        """
        WITH page AS MATERIALIZED (
            SELECT expires_at, organization_id, id, state = 'held' AS is_open FROM reservations
            WHERE expires_at >= \(key.expiresAt) AND expires_at <= \(until)
              AND (expires_at, organization_id, id) > (\(key.expiresAt), \(key.organization), \(key.reservation))
            ORDER BY expires_at, organization_id, id LIMIT \(maximum))
        SELECT expires_at, organization_id, id, is_open FROM page WHERE is_open
        UNION ALL
        (SELECT expires_at, organization_id, id, false FROM page ORDER BY expires_at DESC, organization_id DESC, id DESC LIMIT 1)
        """
    }

    /// The open ones, and where the next page begins; nil when there was nothing.
    public static func decodeExpired(
        _ result: PostgresResult
    ) throws(PostgresError) -> (open: [(OrganizationID, ReservationID, Instant)], next: SweepKey?) {
        var open: [(OrganizationID, ReservationID, Instant)] = []
        var next: SweepKey?
        for row in result.rows {
            let (expiresAt, organization, id, isOpen) = try row.decode(as: (Instant, OrganizationID, ReservationID, Bool).self)
            if isOpen { open.append((organization, id, expiresAt)) } else { next = SweepKey(expiresAt, organization, id) }
        }
        return (open, next)
    }
}
