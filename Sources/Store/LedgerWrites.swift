/// What a lane writes (design §5): one statement, whatever the size of the batch. Postgres spends more on each statement of a small
/// transaction than on its rows, so everything that a batch of calls changes is one, and what it does not change is left out: an insert of
/// no rows still costs a tenth of a millisecond.
public import Budgets
import JSON
public import Postgres

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
            SELECT * FROM unnest(\(Rows(counters: counters), of: "counter_state"))
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
                 resolved_at, settle_sha256, substitutions, entry_at)
            SELECT * FROM unnest(\(Rows(made: new), of: "new_reservation"))
        )
        """
    }

    private static func ended(_ resolutions: [(OrganizationID, Resolution)]) -> Query {
        """
        ended AS (
            UPDATE reservations AS r
            SET state = e.state, resolved_at = e.resolved_at, settle_sha256 = e.settle_sha256, entry_at = e.entry_at
            FROM unnest(\(Rows(ended: resolutions), of: "reservation_end")) AS e
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
                     provider_request_id, latency_ms, version, substitutions, provider_usage, corrects_at)
                SELECT * FROM unnest(\(Rows(booked: entries, versions: raised), of: "new_entry"))
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
