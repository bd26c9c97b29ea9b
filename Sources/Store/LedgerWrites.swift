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
        var rows = Rows(capacity: counters.count * 512)
        for (organization, id, counter) in counters {
            rows.row { row in
                row.column(organization)
                row.column(id.budget)
                row.column(id.subject)
                row.column(id.periodStart)
                row.column(counter.settled)
                row.column(counter.held)
                row.column(counter.burst)
                row.column(counter.ceiling)
                row.column(counter.overage)
                row.column(counter.finalCalls)
                row.column(counter.finalHeld)
                row.column(counter.alertedVersion)
                row.column(counter.alertedThreshold)
                row.column(counter.alertedAmount)
            }
        }
        return """
            counters AS (
                INSERT INTO budget_periods
                    (organization_id, budget_id, subject, period_start, settled, held, burst, ceiling, overage, final_calls, final_held,
                     alerted_version, alerted_threshold, alerted_amount)
                SELECT * FROM unnest(\(rows, of: "counter_state"))
                ON CONFLICT (organization_id, budget_id, subject, period_start) DO UPDATE SET
                    settled = EXCLUDED.settled, held = EXCLUDED.held, burst = EXCLUDED.burst, ceiling = EXCLUDED.ceiling,
                    overage = EXCLUDED.overage, final_calls = EXCLUDED.final_calls, final_held = EXCLUDED.final_held,
                    alerted_version = EXCLUDED.alerted_version, alerted_threshold = EXCLUDED.alerted_threshold,
                    alerted_amount = EXCLUDED.alerted_amount
            )
            """
    }

    private static func made(_ new: [NewReservation]) -> Query {
        var rows = Rows(capacity: new.count * 1280)
        for new in new {
            let (reservation, resolution) = (new.reservation, new.resolution)
            rows.row { row in
                row.column(new.organization)
                row.column(reservation.id)
                row.column(reservation.request.project)
                row.column(reservation.request.text)
                row.column(Bytea(reservation.content))
                row.column(reservation.attribution)
                row.column((resolution?.state ?? reservation.state).rawValue)
                row.column(reservation.model)
                row.column(reservation.requestedModel)
                row.column(reservation.provider)
                row.column(reservation.serviceTier)
                row.column(reservation.endUser)
                row.column(reservation.feature)
                row.column(reservation.tags.map { JSONB(text: $0) })
                row.column(reservation.held)
                row.column(reservation.maxOutputTokens)
                row.column(Draw.encode(reservation.draws))
                row.column(reservation.createdAt)
                row.column(reservation.expiresAt)
                row.column(resolution?.at)
                row.column(resolution?.content.map { Bytea($0) })
                row.column(Substitution.encode(reservation.substitutions))
                row.column(resolution?.entryAt)
            }
        }
        return """
            made AS (
                INSERT INTO reservations
                    (organization_id, id, project_id, request_id, request_sha256, attribution_id, state, model, requested_model,
                     provider, service_tier, end_user, feature, tags, held, max_output_tokens, draws, created_at, expires_at,
                     resolved_at, settle_sha256, substitutions, entry_at)
                SELECT * FROM unnest(\(rows, of: "new_reservation"))
            )
            """
    }

    private static func ended(_ resolutions: [(OrganizationID, Resolution)]) -> Query {
        var rows = Rows(capacity: resolutions.count * 160)
        for (organization, resolution) in resolutions {
            rows.row { row in
                row.column(organization)
                row.column(resolution.reservation)
                row.column(resolution.state.rawValue)
                row.column(resolution.at)
                row.column(resolution.content.map { Bytea($0) })
                row.column(resolution.entryAt)
            }
        }
        return """
            ended AS (
                UPDATE reservations AS r
                SET state = e.state, resolved_at = e.resolved_at, settle_sha256 = e.settle_sha256, entry_at = e.entry_at
                FROM unnest(\(rows, of: "reservation_end")) AS e
                WHERE r.organization_id = e.organization_id AND r.id = e.id
            )
            """
    }

    /// Entries carry the version that their batch raises the fence to.
    private static func booked(
        _ entries: [(OrganizationID, Reservation, Entry)], _ fences: [(organization: OrganizationID, version: Int64)]
    ) -> Query {
        let raised = Dictionary(fences.map { ($0.organization, $0.version + 1) }) { first, _ in first }
        var rows = Rows(capacity: entries.count * 1536)
        for (organization, reservation, entry) in entries {
            rows.row { row in
                row.column(organization)
                row.column(entry.id)
                row.column(reservation.id)
                row.column(reservation.attribution)
                row.column(entry.occurredAt)
                row.column(entry.bookedAt)
                row.column(reservation.request.text)
                row.column(reservation.model)
                row.column(reservation.requestedModel)
                row.column(reservation.provider)
                row.column(entry.report?.serviceTier ?? reservation.serviceTier)
                row.column(reservation.endUser)
                row.column(reservation.feature)
                row.column(reservation.tags.map { JSONB(text: $0) })
                row.column(EntryLine.encode(entry.lines))
                row.column(entry.cost)
                row.column(entry.overage)
                row.column(JSONB(bytes: Draw.encode(entry.draws).bytes))
                row.column(entry.isLate)
                row.column(entry.report?.outcome ?? "ok")
                row.column(entry.report?.providerRequestID)
                row.column(entry.report?.latencyMilliseconds)
                row.column(raised[organization])
                row.column(Substitution.encode(reservation.substitutions))
                row.column(entry.report?.providerUsage.map { JSONB(text: $0) })
                row.column(entry.occurredAt == reservation.createdAt ? nil : reservation.createdAt)
            }
        }
        return """
            booked AS (
                INSERT INTO ledger_entries
                    (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model,
                     provider, service_tier, end_user, feature, tags, lines, cost, overage, draws, is_late, outcome,
                     provider_request_id, latency_ms, version, substitutions, provider_usage, corrects_at)
                SELECT * FROM unnest(\(rows, of: "new_entry"))
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
