/// Alerts, the events that tell of them, and one delivery per subscribed endpoint: written in the transaction that booked the spend
/// (law 7), so that no crash can come between.
public import Budgets
public import Postgres

/// An immutable fact to be told, with all that decides whom.
public struct EventRow: Sendable {
    public let organization: OrganizationID
    public let id: EventID
    public let type: EventType
    public let severity: Severity
    /// The threshold, for budget events: endpoints filter by it.
    public let percent: Int64?
    public let about: NewEvent.Subject
    /// A later event of the same topic replaces this one where it has not arrived.
    public let topic: String?
    /// Set when a whole organization is exhausted: until then alerts of its teams and projects are muted where this is told.
    public let mutesUntil: Instant?
    public let body: JSONB
    public let at: Instant

    public init(
        organization: OrganizationID, id: EventID, type: EventType, severity: Severity, percent: Int64?,
        about: NewEvent.Subject = NewEvent.Subject(), topic: String? = nil, mutesUntil: Instant? = nil, body: JSONB, at: Instant
    ) {
        self.organization = organization
        self.id = id
        self.type = type
        self.severity = severity
        self.percent = percent
        self.about = about
        self.topic = topic
        self.mutesUntil = mutesUntil
        self.body = body
        self.at = at
    }
}

/// One threshold that was reached: a percentage, or an amount and 0. `event` is nil for one superseded by a higher.
public struct AlertRow: Sendable {
    public let organization: OrganizationID
    public let id: AlertID
    public let alert: Alert
    public let threshold: Int64
    public let thresholdAmount: Amount
    public let event: EventID?

    public init(
        organization: OrganizationID, id: AlertID, alert: Alert, threshold: Int64, thresholdAmount: Amount, event: EventID?
    ) {
        self.organization = organization
        self.id = id
        self.alert = alert
        self.threshold = threshold
        self.thresholdAmount = thresholdAmount
        self.event = event
    }

    /// When to look whether it has ended; one without an end waits for a changed limit.
    fileprivate var reviewAt: Instant? { event == nil ? nil : alert.span.end ?? .distantFuture }
}

public enum AlertWrites {
    public static func events(_ rows: [EventRow]) -> Query {
        """
        INSERT INTO events (organization_id, id, type, severity, percent, about, topic, mutes_until, body, created_at)
        SELECT organization_id, id, type, severity, percent, array_remove(ARRAY[team, project, budget], NULL), topic, mutes_until, body, at
        FROM unnest(\(rows.map(\.organization)), \(rows.map(\.id)), \(rows.map(\.type.rawValue)), \(rows.map(\.severity.rawValue)),
            \(rows.map(\.percent)), \(rows.map { $0.about.team?.description }), \(rows.map { $0.about.project?.description }), \(rows.map { $0.about.budget?.description }),
            \(rows.map(\.topic)), \(rows.map(\.mutesUntil)), \(rows.map(\.body)), \(rows.map(\.at)))
            AS e (organization_id, id, type, severity, percent, team, project, budget, topic, mutes_until, body, at)
        """
    }

    public static func alerts(_ rows: [AlertRow]) -> Query {
        """
        INSERT INTO alerts
            (organization_id, id, budget_id, subject, period_start, limit_version, threshold, threshold_amount, settled, amount, event_id,
             review_at, created_at)
        SELECT * FROM unnest(\(rows.map(\.organization)), \(rows.map(\.id)), \(rows.map(\.alert.budget.id)),
            \(rows.map(\.alert.counter.subject)), \(rows.map(\.alert.counter.periodStart)), \(rows.map(\.alert.budget.limitVersion)),
            \(rows.map(\.threshold)), \(rows.map(\.thresholdAmount)), \(rows.map(\.alert.settled)), \(rows.map(\.alert.amount)),
            \(rows.map(\.event)), \(rows.map(\.reviewAt)), \(rows.map(\.alert.at)))
        ON CONFLICT ON CONSTRAINT law_7_one_alert DO NOTHING
        """
    }

    /// One delivery for each endpoint that subscribes to events like these, which were written before in the same transaction. Where an
    /// exhausted organization was told of, alerts of its teams and projects are muted and counted, not sent. So events that mute others
    /// go first, in a statement of their own. Ids are made by Postgres.
    ///
    /// - Parameter endpoint: Only for this one, and once more what could not be delivered to it.
    public static func deliveries(of events: [(OrganizationID, EventID)], only endpoint: EndpointID? = nil) -> Query {
        """
        INSERT INTO deliveries (organization_id, id, event_id, endpoint_id, state, muted_by, next_attempt_at, created_at)
        SELECT e.organization_id, gen_random_uuid(), e.id, p.id, CASE WHEN m.id IS NULL THEN 'pending' ELSE 'muted' END, m.id,
               least(e.created_at, now()), e.created_at
        FROM unnest(\(events.map(\.0)), \(events.map(\.1))) AS new (organization_id, id)
        JOIN events AS e ON e.organization_id = new.organization_id AND e.id = new.id
        JOIN endpoints AS p ON p.organization_id = e.organization_id AND p.is_enabled AND p.archived_at IS NULL
             AND p.id = coalesce(\(endpoint), p.id)
             AND (e.percent IS NULL OR e.percent >= p.min_percent)
             AND array_position('{info,warning,error,critical}', e.severity)
                 >= array_position('{info,warning,error,critical}', p.min_severity)
             AND (cardinality(p.about) = 0 OR p.about && e.about)
             AND EXISTS (SELECT FROM unnest(p.events) AS pattern
                         WHERE pattern IN ('*', e.type) OR (right(pattern, 2) = '.*' AND starts_with(e.type, left(pattern, -1))))
        LEFT JOIN LATERAL (
            SELECT m.id FROM events AS m
            JOIN deliveries AS told ON told.organization_id = m.organization_id AND told.event_id = m.id AND told.endpoint_id = p.id
                 AND told.state IN ('pending', 'sending', 'delivered')
            WHERE m.organization_id = e.organization_id AND m.mutes_until > e.created_at
                  -- Its own budget and its team or project: an event of an organization's budget has no such place.
                  AND e.type IN ('budget.threshold_reached', 'budget.exceeded') AND cardinality(e.about) > 1
            ORDER BY m.id DESC LIMIT 1) AS m ON true
        ON CONFLICT (organization_id, event_id, endpoint_id) DO UPDATE
        SET state = 'pending', next_attempt_at = now(), schedule_from = deliveries.attempts, last_error = NULL, finished_at = NULL
        WHERE deliveries.state = 'failed' AND \(endpoint) IS NOT NULL
        """
    }
}
