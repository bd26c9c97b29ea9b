/// What a lane writes (design §5): one statement, whatever the size of the batch. Postgres spends more on each statement of a small
/// transaction than on its rows, so everything that a batch of calls changes is one, and what it does not change is left out: an insert of
/// no rows still costs a tenth of a millisecond.
public import Budgets
import JSON
public import Postgres

/// A reservation to be written as it now stands: open, or ended by the batch that made it.
public struct NewReservation: Sendable {
    public let organization: OrganizationID
    public let reservation: Reservation
    /// Its end, if the same batch ended it.
    public let resolution: Resolution?

    public init(organization: OrganizationID, reservation: Reservation, resolution: Resolution?) {
        self.organization = organization
        self.reservation = reservation
        self.resolution = resolution
    }
}

/// Everything that a batch of decisions changes.
public struct LedgerRows: Sendable {
    /// Sorted by organization: fences are taken in this order.
    public var fences: [(organization: OrganizationID, version: Int64)] = []
    /// Counters as they now stand: absolute values, because the fence makes what the lane remembers exact.
    public var counters: [(OrganizationID, CounterID, Counter)] = []
    public var reservations: [NewReservation] = []
    /// The ends of reservations written before.
    public var resolutions: [(OrganizationID, Resolution)] = []
    public var entries: [(OrganizationID, Reservation, Entry)] = []

    public init() {}
}

public enum LedgerWrites {
    /// Raises the fences from the versions given and writes the rows, or fails whole: with `Fences.staleState` when another
    /// transaction was first, with `usedBefore` when a `request_id` was.
    ///
    /// Dividing by the number of fences raised is the one way for plain SQL to fail on a missing row. The main query reads `raised`
    /// before the other parts run, so the fences are locked first, in the order of the array (lane connections know no other join).
    public static func commit(_ rows: LedgerRows) -> Query {
        var parts = [raised(rows.fences)]
        if !rows.counters.isEmpty { parts.append(counters(rows.counters)) }
        if !rows.reservations.isEmpty { parts.append(made(rows.reservations)) }
        if !rows.resolutions.isEmpty { parts.append(ended(rows.resolutions)) }
        if !rows.entries.isEmpty { parts.append(booked(rows.entries, rows.fences)) }
        return "WITH \(list: parts) SELECT 1 / (count(*) = \(Int64(rows.fences.count)))::int FROM raised"
    }

    private static func raised(_ fences: [(organization: OrganizationID, version: Int64)]) -> Query {
        """
        raised AS (
            UPDATE fences AS f SET version = f.version + 1
            FROM unnest(\(fences.map(\.organization)), \(fences.map(\.version))) AS seen (organization_id, version)
            WHERE f.organization_id = seen.organization_id AND f.version = seen.version RETURNING 1
        )
        """
    }

    private static func counters(_ counters: [(OrganizationID, CounterID, Counter)]) -> Query {
        """
        counters AS (
            INSERT INTO budget_periods
                (organization_id, budget_id, subject, period_start, settled, held, burst, ceiling, overage, final_calls, final_held,
                 alerted_version, alerted_threshold, alerted_amount)
            SELECT * FROM unnest(
                \(counters.map(\.0)), \(counters.map(\.1.budget)), \(counters.map(\.1.subject)), \(counters.map(\.1.periodStart)),
                \(counters.map(\.2.settled)), \(counters.map(\.2.held)), \(counters.map(\.2.burst)), \(counters.map(\.2.ceiling)),
                \(counters.map(\.2.overage)), \(counters.map(\.2.finalCalls)), \(counters.map(\.2.finalHeld)),
                \(counters.map(\.2.alertedVersion)), \(counters.map(\.2.alertedThreshold)), \(counters.map(\.2.alertedAmount)))
            ON CONFLICT (organization_id, budget_id, subject, period_start) DO UPDATE SET
                settled = EXCLUDED.settled, held = EXCLUDED.held, burst = EXCLUDED.burst, ceiling = EXCLUDED.ceiling,
                overage = EXCLUDED.overage, final_calls = EXCLUDED.final_calls, final_held = EXCLUDED.final_held,
                alerted_version = EXCLUDED.alerted_version, alerted_threshold = EXCLUDED.alerted_threshold,
                alerted_amount = EXCLUDED.alerted_amount
        )
        """
    }

    private static func made(_ new: [NewReservation]) -> Query {
        """
        made AS (
            INSERT INTO reservations
                (organization_id, id, project_id, request_id, request_sha256, attribution_id, state, model, requested_model,
                 provider, service_tier, end_user, feature, tags, held, max_output_tokens, draws, created_at, expires_at,
                 resolved_at, settle_sha256, substitutions)
            SELECT * FROM unnest(
                \(new.map(\.organization)), \(new.map(\.reservation.id)), \(new.map(\.reservation.request.project)),
                \(new.map(\.reservation.request.text)), \(new.map { Bytea($0.reservation.content) }),
                \(new.map(\.reservation.attribution)), \(new.map { ($0.resolution?.state ?? $0.reservation.state).rawValue }),
                \(new.map(\.reservation.model)), \(new.map(\.reservation.requestedModel)), \(new.map(\.reservation.provider)),
                \(new.map(\.reservation.serviceTier)), \(new.map(\.reservation.endUser)), \(new.map(\.reservation.feature)),
                \(new.map { $0.reservation.tags.map { JSONB(text: $0) } }), \(new.map(\.reservation.held)),
                \(new.map(\.reservation.maxOutputTokens)), \(new.map { Draw.encode($0.reservation.draws) }),
                \(new.map(\.reservation.createdAt)), \(new.map(\.reservation.expiresAt)), \(new.map(\.resolution?.at)),
                \(new.map { $0.resolution?.content.map { Bytea($0) } }), \(new.map { Substitution.encode($0.reservation.substitutions) }))
        )
        """
    }

    private static func ended(_ resolutions: [(OrganizationID, Resolution)]) -> Query {
        """
        ended AS (
            UPDATE reservations AS r SET state = e.state, resolved_at = e.resolved_at, settle_sha256 = e.settle_sha256
            FROM unnest(
                \(resolutions.map(\.0)), \(resolutions.map(\.1.reservation)), \(resolutions.map { $0.1.state.rawValue }),
                \(resolutions.map(\.1.at)), \(resolutions.map { $0.1.content.map { Bytea($0) } }))
                AS e (organization_id, id, state, resolved_at, settle_sha256)
            WHERE r.organization_id = e.organization_id AND r.id = e.id
        )
        """
    }

    /// Entries carry the version that their batch raises the fence to.
    private static func booked(
        _ entries: [(OrganizationID, Reservation, Entry)], _ fences: [(organization: OrganizationID, version: Int64)]
    ) -> Query {
        let raised = Dictionary(fences.map { ($0.organization, $0.version + 1) }) { first, _ in first }
        return """
            booked AS (
                INSERT INTO ledger_entries
                    (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model,
                     provider, service_tier, end_user, feature, tags, lines, cost, overage, draws, is_late, outcome,
                     provider_request_id, latency_ms, version, substitutions, provider_usage)
                SELECT * FROM unnest(
                    \(entries.map(\.0)), \(entries.map(\.2.id)), \(entries.map(\.1.id)), \(entries.map(\.1.attribution)),
                    \(entries.map(\.1.createdAt)), \(entries.map(\.2.bookedAt)), \(entries.map(\.1.request.text)),
                    \(entries.map(\.1.model)), \(entries.map(\.1.requestedModel)), \(entries.map(\.1.provider)),
                    \(entries.map { $0.2.report?.serviceTier ?? $0.1.serviceTier }), \(entries.map(\.1.endUser)), \(entries.map(\.1.feature)),
                    \(entries.map { $0.1.tags.map { JSONB(text: $0) } }), \(entries.map { EntryLine.encode($0.2.lines) }),
                    \(entries.map(\.2.cost)), \(entries.map(\.2.overage)), \(entries.map { Draw.encode($0.2.draws) }),
                    \(entries.map(\.2.isLate)), \(entries.map { $0.2.report?.outcome ?? "ok" }),
                    \(entries.map { $0.2.report?.providerRequestID }), \(entries.map { $0.2.report?.latencyMilliseconds }),
                    \(entries.map { raised[$0.0] }), \(entries.map { Substitution.encode($0.1.substitutions) }),
                    \(entries.map { $0.2.report?.providerUsage.map { JSONB(text: $0) } }))
            )
            """
    }

    /// Burst grants as they now stand. Of its own, because most batches draw on none.
    public static func bursts(_ rows: [(OrganizationID, BurstID, BurstCounter)]) -> Query {
        """
        UPDATE bursts AS b SET settled = d.settled, held = d.held
        FROM unnest(\(rows.map(\.0)), \(rows.map(\.1)), \(rows.map(\.2.settled)), \(rows.map(\.2.held)))
             AS d (organization_id, id, settled, held)
        WHERE b.organization_id = d.organization_id AND b.id = d.id
        """
    }

    /// The SQLSTATE when a `request_id` was used before, or when this very flight has been here before and its answer was lost: then the
    /// ids of reservations and entries are found first.
    public static let usedBefore = "23505"

    /// Rows named by their content: the same one again is no news.
    public static func attributions(_ rows: [(OrganizationID, AttributionID, Attribution)]) -> Query {
        """
        INSERT INTO attributions
            (organization_id, id, team_id, team_name, project_id, project_name, cost_center, tier_id, tier_name, api_key_id,
             api_key_name, environment, lacks_tags)
        SELECT * FROM unnest(
            \(rows.map(\.0)), \(rows.map(\.1)), \(rows.map(\.2.team)), \(rows.map(\.2.teamName)), \(rows.map(\.2.project)),
            \(rows.map(\.2.projectName)), \(rows.map(\.2.costCenter)), \(rows.map(\.2.tier)), \(rows.map(\.2.tierName)),
            \(rows.map(\.2.apiKey)), \(rows.map(\.2.apiKeyName)), \(rows.map(\.2.environment)), \(rows.map(\.2.lacksTags)))
        ON CONFLICT DO NOTHING
        """
    }
}
