/// What a lane writes: one `unnest` statement per table, whatever the size of the batch (design §5).
public import Budgets
import JSON
public import Postgres

public enum LedgerWrites {
    /// Counters as they now stand: absolute values, because the fence makes what the lane remembers exact.
    public static func counters(_ rows: [(OrganizationID, CounterID, Counter)]) -> Query {
        """
        INSERT INTO budget_periods
            (organization_id, budget_id, subject, period_start, settled, held, ceiling, overage, alerted_version, alerted_threshold)
        SELECT * FROM unnest(
            \(rows.map(\.0)), \(rows.map(\.1.budget)), \(rows.map(\.1.subject)), \(rows.map(\.1.periodStart)), \(rows.map(\.2.settled)),
            \(rows.map(\.2.held)), \(rows.map(\.2.ceiling)), \(rows.map(\.2.overage)), \(rows.map(\.2.alertedVersion)),
            \(rows.map(\.2.alertedThreshold)))
        ON CONFLICT (organization_id, budget_id, subject, period_start) DO UPDATE SET
            settled = EXCLUDED.settled, held = EXCLUDED.held, ceiling = EXCLUDED.ceiling, overage = EXCLUDED.overage,
            alerted_version = EXCLUDED.alerted_version, alerted_threshold = EXCLUDED.alerted_threshold
        """
    }

    /// Rows named by their content: the same one again is no news.
    public static func attributions(_ rows: [(OrganizationID, AttributionID, Attribution)]) -> Query {
        """
        INSERT INTO attributions
            (organization_id, id, team_id, team_name, project_id, project_name, cost_center, tier_id, tier_name, api_key_id,
             api_key_name, environment)
        SELECT * FROM unnest(
            \(rows.map(\.0)), \(rows.map(\.1)), \(rows.map(\.2.team)), \(rows.map(\.2.teamName)), \(rows.map(\.2.project)),
            \(rows.map(\.2.projectName)), \(rows.map(\.2.costCenter)), \(rows.map(\.2.tier)), \(rows.map(\.2.tierName)),
            \(rows.map(\.2.apiKey)), \(rows.map(\.2.apiKeyName)), \(rows.map(\.2.environment)))
        ON CONFLICT DO NOTHING
        """
    }

    /// New reservations. A `request_id` used before fails the flight by the constraint `requestConstraint`.
    public static func reservations(_ rows: [(OrganizationID, Reservation)]) -> Query {
        """
        INSERT INTO reservations
            (organization_id, id, project_id, request_id, request_sha256, attribution_id, state, model, requested_model, provider,
             service_tier, end_user, feature, tags, held, max_output_tokens, draws, created_at, expires_at)
        SELECT * FROM unnest(
            \(rows.map(\.0)), \(rows.map(\.1.id)), \(rows.map(\.1.request.project)), \(rows.map(\.1.request.text)),
            \(rows.map { Bytea($0.1.content) }), \(rows.map(\.1.attribution)), \(rows.map { $0.1.state.rawValue }), \(rows.map(\.1.model)),
            \(rows.map(\.1.requestedModel)), \(rows.map(\.1.provider)), \(rows.map(\.1.serviceTier)), \(rows.map(\.1.endUser)),
            \(rows.map(\.1.feature)), \(rows.map { $0.1.tags.map { JSONB(text: $0) } }), \(rows.map(\.1.held)),
            \(rows.map(\.1.maxOutputTokens)), \(rows.map { Draw.encode($0.1.draws) }), \(rows.map(\.1.createdAt)),
            \(rows.map(\.1.expiresAt)))
        """
    }

    public static let requestConstraint = "reservations_request"

    /// The ends of reservations.
    public static func resolutions(_ rows: [(OrganizationID, Resolution)]) -> Query {
        """
        UPDATE reservations AS r SET state = ended.state, resolved_at = ended.resolved_at, settle_sha256 = ended.settle_sha256
        FROM unnest(
            \(rows.map(\.0)), \(rows.map(\.1.reservation)), \(rows.map { $0.1.state.rawValue }), \(rows.map(\.1.at)),
            \(rows.map { $0.1.content.map { Bytea($0) } })) AS ended (organization_id, id, state, resolved_at, settle_sha256)
        WHERE r.organization_id = ended.organization_id AND r.id = ended.id
        """
    }

    /// The entries of settled reservations.
    public static func entries(_ rows: [(OrganizationID, Reservation, Entry)]) -> Query {
        """
        INSERT INTO ledger_entries
            (organization_id, id, reservation_id, attribution_id, occurred_at, booked_at, request_id, model, requested_model, provider,
             service_tier, end_user, feature, tags, lines, cost, overage, draws, is_late, outcome, provider_request_id, latency_ms)
        SELECT * FROM unnest(
            \(rows.map(\.0)), \(rows.map(\.2.id)), \(rows.map(\.1.id)), \(rows.map(\.1.attribution)), \(rows.map(\.1.createdAt)),
            \(rows.map(\.2.bookedAt)), \(rows.map(\.1.request.text)), \(rows.map(\.1.model)), \(rows.map(\.1.requestedModel)),
            \(rows.map(\.1.provider)), \(rows.map(\.1.serviceTier)), \(rows.map(\.1.endUser)), \(rows.map(\.1.feature)),
            \(rows.map { $0.1.tags.map { JSONB(text: $0) } }), \(rows.map { EntryLine.encode($0.2.lines) }), \(rows.map(\.2.cost)),
            \(rows.map(\.2.overage)), \(rows.map { Draw.encode($0.2.draws) }), \(rows.map(\.2.isLate)),
            \(rows.map { $0.2.report?.outcome ?? "ok" }), \(rows.map { $0.2.report?.providerRequestID }),
            \(rows.map { $0.2.report?.latencyMilliseconds }))
        """
    }
}
