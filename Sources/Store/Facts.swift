/// The laws of design §2 as facts about stored rows, each one statement that finds what contradicts it (`bursar check`). One statement
/// sees one snapshot, so on a live system none finds a contradiction that never was; and none holds a snapshot for longer than it
/// needs, which would keep Postgres from tidying up the hot rows.
import Budgets
import Postgres

/// A statement that must find nothing.
public struct Fact: Sendable {
    /// Stable, for machines.
    public let name: String
    /// The law of the design that it restates; nil for what keeps the machinery going.
    public let law: Int?
    /// What must be true, for people.
    public let meaning: String
    /// Finds rows `(how many in all, what one of them is)`, at most `maximumSamples` of them.
    let contradictions: @Sendable (OrganizationID) -> Query

    /// Contradictions told in full; the others are counted.
    public static let maximumSamples = 5

    /// What must be true of each organization, the platform included.
    public static let all: [Fact] = money + corrections + rollUps + months + calls + alerts + machinery + audit
}

extension Fact {
    static let calls: [Fact] = [
        Fact(name: "settled_has_one_entry", law: 4, meaning: "A settled reservation has one entry, and no other reservation has any") {
            organization in
            """
            WITH entries AS (
                SELECT id, count(*) AS count FROM ledger_entries WHERE organization_id = \(organization) AND id = reservation_id GROUP BY id
            ), known AS (
                SELECT id, state FROM reservations WHERE organization_id = \(organization) AND created_at >= coalesce(
                    (SELECT max(starts_at) + interval '1 month' FROM detached_months), '-infinity')
            )
            SELECT count(*) OVER (), format('reservation %s is %s with %s entries', id, state, coalesce(e.count, 0))
            FROM known AS r LEFT JOIN entries AS e USING (id)
            WHERE coalesce(e.count, 0) <> CASE WHEN state = 'settled' THEN 1 ELSE 0 END LIMIT 5
            """
        },
        Fact(name: "entry_has_reservation", law: 4, meaning: "An entry of the last 35 days has its reservation") { organization in
            """
            SELECT count(*) OVER (), format('entry %s of %s', e.id, e.occurred_at)
            FROM ledger_entries AS e
            LEFT JOIN reservations AS r ON r.organization_id = e.organization_id AND r.id = e.reservation_id
            WHERE e.organization_id = \(organization) AND e.occurred_at > now() - interval '35 days' AND e.reservation_id IS NOT NULL
                  AND r.id IS NULL LIMIT 5
            """
        },
        Fact(name: "holds_end", law: 2, meaning: "No reservation is open ten minutes after its time") { organization in
            """
            SELECT count(*) OVER (), format('reservation %s expired %s', id, expires_at)
            FROM reservations
            WHERE organization_id = \(organization) AND state = 'held' AND expires_at < now() - interval '10 minutes' LIMIT 5
            """
        },
    ]

    static let alerts: [Fact] = [
        Fact(name: "one_alert", law: 7, meaning: "One alert a budget, subject, period, limit version and threshold") { organization in
            """
            SELECT count(*) OVER (), format('budget %s, subject «%s», period %s, version %s, %s %%: %s alerts', budget_id, subject,
                                            period_start, limit_version, threshold, count(*))
            FROM alerts WHERE organization_id = \(organization)
            GROUP BY budget_id, subject, period_start, limit_version, threshold, threshold_amount HAVING count(*) > 1 LIMIT 5
            """
        },
        Fact(name: "alert_has_event", law: 7, meaning: "An alert that was not superseded has the event that tells of it") { organization in
            """
            SELECT count(*) OVER (), format('alert %s, event %s', a.id, a.event_id)
            FROM alerts AS a LEFT JOIN events AS e ON e.organization_id = a.organization_id AND e.id = a.event_id
            WHERE a.organization_id = \(organization) AND a.event_id IS NOT NULL AND e.id IS NULL LIMIT 5
            """
        },
        Fact(name: "event_has_deliveries", law: 7, meaning: "An alert's event has a delivery for each endpoint that asked for it") {
            organization in
            // Endpoints that were never changed: of the others nobody knows any more what they asked for then.
            """
            SELECT count(*) OVER (), format('event %s has no delivery to endpoint %s', e.id, p.id)
            FROM alerts AS a
            JOIN events AS e ON e.organization_id = a.organization_id AND e.id = a.event_id
            JOIN endpoints AS p ON p.organization_id = e.organization_id AND p.revision = 1 AND p.created_at < e.created_at
                 AND p.is_enabled AND p.archived_at IS NULL AND (e.percent IS NULL OR e.percent >= p.min_percent)
                 AND array_position('{info,warning,error,critical}', e.severity) >= array_position('{info,warning,error,critical}', p.min_severity)
                 AND (cardinality(p.about) = 0 OR p.about && e.about)
                 AND EXISTS (SELECT FROM unnest(p.events) AS pattern
                             WHERE pattern IN ('*', e.type) OR (right(pattern, 2) = '.*' AND starts_with(e.type, left(pattern, -1))))
            LEFT JOIN deliveries AS d ON d.organization_id = e.organization_id AND d.event_id = e.id AND d.endpoint_id = p.id
            WHERE a.organization_id = \(organization) AND d.id IS NULL LIMIT 5
            """
        },
        Fact(name: "deliveries_move", law: 7, meaning: "No delivery is ten minutes past its lease or its next attempt") { organization in
            """
            SELECT count(*) OVER (), format('delivery %s is %s since %s', d.id, state, coalesce(lease_until, next_attempt_at))
            FROM deliveries AS d JOIN endpoints AS p ON p.organization_id = d.organization_id AND p.id = d.endpoint_id AND NOT p.is_paused
            WHERE d.organization_id = \(organization) AND state IN ('pending', 'sending')
                  AND greatest(coalesce(lease_until, next_attempt_at), p.next_slot_at) < now() - interval '10 minutes' LIMIT 5
            """
        },
    ]

    static let machinery: [Fact] = [
        Fact(name: "versions_are_past", law: nil, meaning: "No entry and no roll-up is ahead of the fence") { organization in
            """
            SELECT count(*) OVER (), format('fence %s, last entry %s, roll-ups %s', f.version, e.version, p.spend_version)
            FROM fences AS f
            LEFT JOIN rollup_positions AS p USING (organization_id)
            LEFT JOIN LATERAL (SELECT max(version) AS version FROM ledger_entries WHERE organization_id = f.organization_id) AS e ON true
            WHERE f.organization_id = \(organization) AND f.version < greatest(e.version, p.spend_version) LIMIT 5
            """
        },
        Fact(name: "rollups_follow", law: nil, meaning: "No entry waits for the roll-ups for more than ten minutes") { organization in
            """
            SELECT count(*) OVER (), format('version %s was booked %s', version, booked_at)
            FROM (
                SELECT version, booked_at FROM ledger_entries
                WHERE organization_id = \(organization) AND version > coalesce(
                    (SELECT spend_version FROM rollup_positions WHERE organization_id = \(organization)), 0)
                ORDER BY version LIMIT 1) AS first
            WHERE booked_at < now() - interval '10 minutes' LIMIT 5
            """
        },
        Fact(name: "months_exist", law: nil, meaning: "The ledger has its months, and nothing lies outside of them") { organization in
            // Months are everyone's; they are asked for once, with the platform.
            """
            SELECT count(*) OVER (), what FROM (
                SELECT format('the month of %s is missing', month) AS what
                FROM (SELECT date_trunc('month', now(), 'UTC') + n * interval '1 month' AS month FROM generate_series(0, 1) AS n) AS months
                WHERE to_regclass('ledger_entries_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL
                UNION ALL
                SELECT format('an entry of %s lies in the default partition', min(occurred_at)) FROM ledger_entries_default HAVING count(*) > 0
            ) AS faults
            WHERE \(organization) = '00000000-0000-0000-0000-000000000000'::uuid LIMIT 5
            """
        },
    ]
}
