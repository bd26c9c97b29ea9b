/// How alerts come to an end (design §8): by a new period, a raised limit, a burst that gives room again, or a budget put away. Looked
/// for when the period ends, a burst begins, or somebody changes the budget, and told to whoever was told of the alert.
public import Budgets
import JSON
public import Postgres

extension Store {
    /// To be run where a budget's limit, enforcement or grants change, or it is archived: its open alerts, and those of its shares, are looked
    /// at again.
    public static func reviewAlerts(of budget: BudgetID, in organization: OrganizationID) -> Query {
        """
        UPDATE alerts SET review_at = now()
        WHERE organization_id = \(organization) AND event_id IS NOT NULL AND recovered_at IS NULL
          AND budget_id IN (SELECT id FROM budgets WHERE organization_id = \(organization) AND (id = \(budget) OR share_of = \(budget)))
        """
    }

    /// Counters looked at in one transaction (law 11): a hundred milliseconds or so.
    public static let mostReviewed = 100

    /// Ends the alerts whose time has come and writes their `budget.recovered`. One replica at a time does it.
    /// - Returns: how many counters it looked at; `mostReviewed` when there may be more.
    public func reviewAlerts(at now: Instant) async throws -> Int {
        try await pool.withConnection { connection in
            try connection.transaction { connection in
                let lock = try connection.query("SELECT pg_try_advisory_xact_lock(\(Store.reviewLock))")
                guard try lock.rows[0].decode(as: Bool.self) else { return 0 }
                let result = try connection.query(Store.dueForReview(at: now))
                let open = try result.rows.map(OpenAlerts.init)
                let queries = open.flatMap { $0.review(at: now) }
                if !queries.isEmpty { try connection.pipeline(queries) }
                return open.count
            }
        }
    }

    /// "alerts", as a number that no other lock of ours has.
    private static let reviewLock: Int64 = 0x616C_6572_7473

    private static func dueForReview(at now: Instant) -> Query {
        """
        SELECT o.organization_id, o.name, o.time_zone, b.id, b.name, b.team_id, b.project_id, coalesce(t.name, r.name), r.team_id, b.unit,
               b.period, b.anchor_day, b.anchor_month,
               greatest(0, b.amount + coalesce((SELECT s.amount FROM budget_shifts AS s
                   WHERE s.organization_id = b.organization_id AND s.budget_id = b.id AND s.period_start = due.period_start), 0)),
               b.limit_version, b.enforcement, b.archived_at IS NOT NULL, due.subject,
               due.period_start, coalesce(max(c.settled), 0), array_agg(DISTINCT a.threshold), array_agg(DISTINCT a.event_id),
               coalesce(bool_or(g.gives_room), false), min(g.next_start)
        FROM (SELECT DISTINCT organization_id, budget_id, subject, period_start FROM (
                  SELECT organization_id, budget_id, subject, period_start FROM alerts WHERE review_at <= \(now)
                  ORDER BY review_at LIMIT \(mostReviewed)) AS first) AS due
        JOIN alerts AS a ON a.organization_id = due.organization_id AND a.budget_id = due.budget_id AND a.subject = due.subject
             AND a.period_start = due.period_start AND a.event_id IS NOT NULL AND a.recovered_at IS NULL
        JOIN organizations AS o ON o.organization_id = due.organization_id
        JOIN budgets AS b ON b.organization_id = due.organization_id AND b.id = due.budget_id
        LEFT JOIN teams AS t ON t.organization_id = b.organization_id AND t.id = b.team_id
        LEFT JOIN projects AS r ON r.organization_id = b.organization_id AND r.id = b.project_id
        LEFT JOIN budget_periods AS c ON c.organization_id = due.organization_id AND c.budget_id = due.budget_id
             AND c.subject = due.subject AND c.period_start = due.period_start
        LEFT JOIN LATERAL (
            SELECT bool_or(starts_at <= \(now) AND settled + held < amount) AS gives_room,
                   min(starts_at) FILTER (WHERE starts_at > \(now)) AS next_start
            FROM bursts WHERE organization_id = b.organization_id AND budget_id = b.id AND approved_at IS NOT NULL AND revoked_at IS NULL
                 AND ends_at > \(now)) AS g ON true
        GROUP BY o.organization_id, o.name, o.time_zone, b.organization_id, b.id, t.name, r.name, r.team_id, due.subject, due.period_start
        """
    }
}

/// Everything told of one counter that has not been ended, with the budget as it is now: its amount that of the counter's period.
private struct OpenAlerts {
    let organization: (id: OrganizationID, name: String, zone: Zone)
    let budget: Budget
    let scopeName: String?
    let about: NewEvent.Subject
    let counter: CounterID
    let settled: Amount
    /// 0 stands for thresholds that are amounts.
    let thresholds: [Int64]
    let events: [EventID]
    /// Whether an active burst has room, so that calls are admitted; and when the next one begins.
    let burst: (givesRoom: Bool, nextStart: Instant?)

    init(_ row: Row) throws(PostgresError) {
        let columns = try row.decode(
            as: (
                OrganizationID, String, String, BudgetID, String, TeamID?, ProjectID?, String?, TeamID?, String, String, Int64, Int64,
                Amount, Int64, String, Bool, String, Instant, Amount, [Int64], [EventID], Bool, Instant?
            ).self)
        guard let zone = Zone(columns.2), let unit = BudgetUnit(rawValue: columns.9), let period = Period(rawValue: columns.10),
            let rule = PeriodRule(period: period, anchorDay: Int(columns.11), anchorMonth: Int(columns.12)),
            let enforcement = Enforcement(rawValue: columns.15)
        else { throw .decoding("a budget with an unknown word") }
        organization = (columns.0, columns.1, zone)
        let scope: BudgetScope =
            if let team = columns.5 { .team(team) } else if let project = columns.6 { .project(project) } else { .organization }
        budget = Budget(
            id: columns.3, name: columns.4, scope: scope, match: .any, per: nil, unit: unit, rule: rule, amount: columns.13,
            thresholds: [], limitVersion: columns.14, enforcement: enforcement, isArchived: columns.16)
        scopeName = columns.7
        about = NewEvent.Subject(team: columns.5 ?? columns.8, project: columns.6, budget: columns.3)
        counter = CounterID(budget: columns.3, subject: columns.17, periodStart: columns.18)
        settled = columns.19
        thresholds = columns.20
        events = columns.21
        burst = (columns.22, columns.23)
    }

    /// What to write now: an event for what has ended, and when to look again at the rest.
    func review(at now: Instant) -> [Query] {
        let span = budget.rule.span(containing: counter.periodStart, in: organization.zone)
        let isOver = span.end.map { $0 <= now } ?? false
        let ended = thresholds.filter { threshold in
            if isOver || budget.isArchived || threshold >= 100 && burst.givesRoom { return true }
            return threshold > 0 && isCleared(Int(threshold), settled: settled, amount: budget.amount)
        }
        let later: Query = """
            UPDATE alerts SET review_at = \(min(span.end ?? .distantFuture, burst.nextStart ?? .distantFuture))
            WHERE organization_id = \(organization.id) AND budget_id = \(budget.id) AND subject = \(counter.subject)
                  AND period_start = \(counter.periodStart) AND event_id IS NOT NULL AND recovered_at IS NULL
            """
        guard !ended.isEmpty else { return [later] }
        let reason = budget.isArchived ? "budget_archived" : isOver ? "new_period" : burst.givesRoom ? "burst_active" : "limit_raised"
        let body = BudgetEventBody(
            organization: organization, budget: budget, scopeName: scopeName, counter: counter, span: span, settled: settled, at: now)
        let event = EventID(at: now)
        let row = EventRow(
            organization: organization.id, id: event, type: .recovered, severity: .info, percent: nil, about: about, topic: body.topic,
            body: JSONB(bytes: self.bytes(body, event, reason, ended)), at: now)
        return [
            """
            UPDATE alerts SET recovered_at = \(now), review_at = NULL
            WHERE organization_id = \(organization.id) AND budget_id = \(budget.id) AND subject = \(counter.subject)
                  AND period_start = \(counter.periodStart) AND event_id IS NOT NULL AND recovered_at IS NULL
                  AND threshold = ANY (\(ended))
            """, later, AlertWrites.events([row]),
            """
            UPDATE events SET mutes_until = \(now)
            WHERE organization_id = \(organization.id) AND id = ANY (\(events)) AND mutes_until > \(now)
            """, tell(event, topic: body.topic, at: now),
        ]
    }

    private func bytes(_ body: BudgetEventBody, _ event: EventID, _ reason: String, _ ended: [Int64]) -> [UInt8] {
        let left = Set(thresholds).subtracting(ended)
        // Warnings share one incident, and exhaustion has another: each ends with the last of its kind.
        let isWarningOver = ended.contains { $0 < 100 } && !left.contains { $0 < 100 }
        return body.bytes(.recovered, .info, id: event) { writer in
            writer.field("reason", reason)
            writer.array("recovered") { writer in for threshold in ended.sorted() where threshold > 0 { writer.number(threshold) } }
            writer.array("levels") { writer in
                if isWarningOver { writer.string("warn") }
                if ended.contains(where: { $0 >= 100 }) { writer.string("block") }
            }
        }
    }

    /// To each endpoint that was told of the alert, or may have been, if it wants to know; an incident at PagerDuty must be resolved
    /// in any case.
    private func tell(_ event: EventID, topic: String, at now: Instant) -> Query {
        """
        INSERT INTO deliveries (organization_id, id, event_id, endpoint_id, state, next_attempt_at, created_at)
        SELECT p.organization_id, gen_random_uuid(), \(event), p.id, 'pending', least(\(now), now()), \(now)
        FROM endpoints AS p
        WHERE p.organization_id = \(organization.id) AND p.is_enabled AND p.archived_at IS NULL
              AND (p.kind = 'pagerduty' OR EXISTS (
                  SELECT FROM unnest(p.events) AS pattern WHERE pattern IN ('*', 'budget.*', 'budget.recovered')))
              AND EXISTS (
                  SELECT FROM events AS e
                  JOIN deliveries AS d ON d.organization_id = e.organization_id AND d.event_id = e.id AND d.endpoint_id = p.id
                  WHERE e.organization_id = p.organization_id AND e.topic = \(topic)
                        AND e.type IN ('budget.threshold_reached', 'budget.exceeded')
                        AND (d.state IN ('pending', 'sending', 'delivered') OR d.attempts > 0))
        """
    }
}
