/// Alerts, the events that tell of them, and one delivery per subscribed endpoint: written in the transaction that booked the spend
/// (law 7), so that no crash can come between.
public import Budgets
public import Postgres

/// An immutable fact to be told.
public struct EventRow: Sendable {
    public let organization: OrganizationID
    public let id: EventID
    public let type: String
    public let severity: String
    /// The threshold, for budget events: endpoints filter by it.
    public let percent: Int64?
    public let body: JSONB
    public let at: Instant

    public init(
        organization: OrganizationID, id: EventID, type: String, severity: String, percent: Int64?, body: JSONB, at: Instant
    ) {
        self.organization = organization
        self.id = id
        self.type = type
        self.severity = severity
        self.percent = percent
        self.body = body
        self.at = at
    }
}

/// One threshold that was reached; `event` is nil for one superseded by a higher.
public struct AlertRow: Sendable {
    public let organization: OrganizationID
    public let id: AlertID
    public let alert: Alert
    public let threshold: Int64
    public let event: EventID?

    public init(organization: OrganizationID, id: AlertID, alert: Alert, threshold: Int64, event: EventID?) {
        self.organization = organization
        self.id = id
        self.alert = alert
        self.threshold = threshold
        self.event = event
    }
}

public enum AlertWrites {
    public static func events(_ rows: [EventRow]) -> Query {
        """
        INSERT INTO events (organization_id, id, type, severity, percent, body, created_at)
        SELECT * FROM unnest(\(rows.map(\.organization)), \(rows.map(\.id)), \(rows.map(\.type)), \(rows.map(\.severity)),
            \(rows.map(\.percent)), \(rows.map(\.body)), \(rows.map(\.at)))
        """
    }

    public static func alerts(_ rows: [AlertRow]) -> Query {
        """
        INSERT INTO alerts
            (organization_id, id, budget_id, subject, period_start, limit_version, threshold, settled, amount, event_id, created_at)
        SELECT * FROM unnest(\(rows.map(\.organization)), \(rows.map(\.id)), \(rows.map(\.alert.budget.id)),
            \(rows.map(\.alert.counter.subject)), \(rows.map(\.alert.counter.periodStart)), \(rows.map(\.alert.budget.limitVersion)),
            \(rows.map(\.threshold)), \(rows.map(\.alert.settled)), \(rows.map(\.alert.budget.amount)), \(rows.map(\.event)),
            \(rows.map(\.alert.at)))
        ON CONFLICT ON CONSTRAINT law_7_one_alert DO NOTHING
        """
    }

    /// One delivery for each endpoint that subscribes to the event's type and percentage. Ids are made by Postgres.
    public static func deliveries(_ rows: [EventRow]) -> Query {
        """
        INSERT INTO deliveries (organization_id, id, event_id, endpoint_id, state, next_attempt_at, created_at)
        SELECT e.organization_id, gen_random_uuid(), e.id, p.id, 'pending', e.created_at, e.created_at
        FROM unnest(\(rows.map(\.organization)), \(rows.map(\.id)), \(rows.map(\.type)), \(rows.map(\.percent)), \(rows.map(\.at)))
             AS e (organization_id, id, type, percent, created_at)
        JOIN endpoints AS p ON p.organization_id = e.organization_id AND p.is_enabled AND p.archived_at IS NULL
             AND (e.percent IS NULL OR e.percent >= p.min_percent)
             AND EXISTS (SELECT FROM unnest(p.events) AS pattern
                         WHERE pattern IN ('*', e.type) OR (right(pattern, 2) = '.*' AND starts_with(e.type, left(pattern, -1))))
        """
    }
}
