/// The facts that money rests on (law 5): counters, roll-ups and entries agree to the last digit, by queries of their own.
import Budgets
import Postgres

extension Fact {
    static let money: [Fact] = [
        Fact(name: "settled_is_booked", law: 5, meaning: "A counter's settled is the sum of what entries booked on it") { organization in
            // Grouped as text first: casting each of millions of draws would take most of the time.
            """
            WITH drawn AS (
                SELECT d ->> 'budget' AS budget, d ->> 'subject' AS subject, d ->> 'period_start' AS period,
                       sum((d ->> 'quantity')::numeric) AS quantity
                FROM ledger_entries AS e CROSS JOIN LATERAL jsonb_array_elements(e.draws) AS d
                WHERE e.organization_id = \(organization) GROUP BY 1, 2, 3
            ), booked AS (
                SELECT budget::uuid AS budget_id, subject, period::timestamptz AS period_start, sum(quantity) AS quantity
                FROM drawn GROUP BY 1, 2, 3
            ), counters AS (SELECT * FROM budget_periods WHERE organization_id = \(organization)),
            horizon AS (SELECT max(starts_at) + interval '1 month' AS starts_at FROM detached_months)
            SELECT count(*) OVER (), format('budget %s, subject «%s», period %s: settled %s, booked %s', budget_id, subject, period_start,
                                            c.settled, b.quantity)
            FROM counters AS c FULL JOIN booked AS b USING (budget_id, subject, period_start)
            CROSS JOIN horizon LEFT JOIN budgets ON budgets.organization_id = \(organization) AND budgets.id = budget_id
            WHERE coalesce(c.settled, 0) <> coalesce(b.quantity, 0)
                  -- Old counters of short periods are pruned; entries of detached months have left.
                  AND (c.budget_id IS NOT NULL OR budgets.period NOT IN ('minute', 'hour'))
                  AND (coalesce(period_start >= horizon.starts_at, true) OR coalesce(c.settled, 0) < coalesce(b.quantity, 0))
            LIMIT 5
            """
        },
        Fact(name: "held_is_open", law: 2, meaning: "A counter's held is the sum of what open reservations hold on it") { organization in
            """
            WITH holding AS (
                SELECT (d ->> 'budget')::uuid AS budget_id, d ->> 'subject' AS subject, (d ->> 'period_start')::timestamptz AS period_start,
                       sum((d ->> 'quantity')::numeric) AS quantity
                FROM reservations AS r CROSS JOIN LATERAL jsonb_array_elements(r.draws::jsonb) AS d
                WHERE r.organization_id = \(organization) AND r.state = 'held' GROUP BY 1, 2, 3
            ), counters AS (SELECT * FROM budget_periods WHERE organization_id = \(organization))
            SELECT count(*) OVER (), format('budget %s, subject «%s», period %s: held %s, open reservations %s', budget_id, subject,
                                            period_start, c.held, h.quantity)
            FROM counters AS c FULL JOIN holding AS h USING (budget_id, subject, period_start)
            WHERE coalesce(c.held, 0) <> coalesce(h.quantity, 0) LIMIT 5
            """
        },
        Fact(name: "never_over", law: 1, meaning: "Settled and held never pass what the budget allowed, but by overage and final calls") {
            organization in
            """
            SELECT count(*) OVER (), format('budget %s, subject «%s», period %s: settled %s + held %s − burst %s, ceiling %s + overage %s + final calls %s',
                                            budget_id, subject, period_start, settled, held, burst, ceiling, overage, final_held)
            FROM budget_periods WHERE organization_id = \(organization)
                 AND (settled + held - burst > ceiling + overage + final_held OR held < 0 OR overage < 0) LIMIT 5
            """
        },
        Fact(name: "bursts_are_drawn", law: 5, meaning: "A burst's settled and held are what entries and open reservations drew on it") {
            organization in
            """
            WITH shares AS (
                SELECT 'settled' AS part, d FROM ledger_entries AS e CROSS JOIN LATERAL jsonb_array_elements(e.draws) AS d
                WHERE e.organization_id = \(organization) AND EXISTS (SELECT FROM bursts WHERE organization_id = \(organization))
                UNION ALL
                SELECT 'held', d FROM reservations AS r CROSS JOIN LATERAL jsonb_array_elements(r.draws::jsonb) AS d
                WHERE r.organization_id = \(organization) AND r.state = 'held'
            ), drawn AS (
                SELECT (share ->> 'id')::uuid AS id, coalesce(sum((share ->> 'quantity')::numeric) FILTER (WHERE part = 'settled'), 0) AS settled,
                       coalesce(sum((share ->> 'quantity')::numeric) FILTER (WHERE part = 'held'), 0) AS held
                FROM shares CROSS JOIN LATERAL jsonb_array_elements(d -> 'bursts') AS share GROUP BY 1
            )
            SELECT count(*) OVER (), format('burst %s: settled %s, drawn %s; held %s, drawn %s', b.id, b.settled, d.settled, b.held, d.held)
            FROM bursts AS b LEFT JOIN drawn AS d USING (id)
            WHERE b.organization_id = \(organization) AND (b.settled + b.held > b.amount OR b.held <> coalesce(d.held, 0)
                  OR b.settled <> coalesce(d.settled, 0) AND NOT EXISTS (SELECT FROM detached_months)
                  OR b.settled < coalesce(d.settled, 0)) LIMIT 5
            """
        },
        Fact(name: "cost_is_lines", law: 5, meaning: "An entry's cost is the sum of its lines") { organization in
            """
            SELECT count(*) OVER (), format('entry %s: cost %s, lines %s', e.id, e.cost, lines.cost)
            FROM ledger_entries AS e CROSS JOIN LATERAL (
                SELECT coalesce(sum((value ->> 'cost')::numeric), 0) AS cost FROM jsonb_each(e.lines)) AS lines
            WHERE e.organization_id = \(organization) AND e.cost <> lines.cost LIMIT 5
            """
        },
    ]

    static let rollUps: [Fact] = [
        Fact(name: "spend_is_ledger", law: 5, meaning: "Each quarter hour's spend is the sum of its entries") { organization in
            """
            WITH booked AS (
                SELECT date_bin('15 minutes', occurred_at, 'epoch') AS starts_at, attribution_id, provider, model,
                       coalesce(feature, '') AS feature, count(*) FILTER (WHERE kind = 'usage') AS calls, sum(cost) AS cost
                FROM ledger_entries
                WHERE organization_id = \(organization) AND version <= coalesce(
                    (SELECT spend_version FROM rollup_positions WHERE organization_id = \(organization)), 0)
                GROUP BY 1, 2, 3, 4, 5
            ), rolled AS (
                SELECT * FROM spend_rollups WHERE organization_id = \(organization) AND span = 'quarter' AND starts_at >= coalesce(
                    (SELECT max(starts_at) + interval '1 month' FROM detached_months), '-infinity')
            )
            SELECT count(*) OVER (), format('%s, attribution %s, %s, «%s»: rolled up %s in %s calls, booked %s in %s calls', starts_at,
                                            attribution_id, model, feature, r.cost, r.calls, b.cost, b.calls)
            FROM rolled AS r FULL JOIN booked AS b USING (starts_at, attribution_id, provider, model, feature)
            WHERE (r.cost, r.calls) IS DISTINCT FROM (b.cost, b.calls) LIMIT 5
            """
        },
        Fact(name: "usage_is_ledger", law: 5, meaning: "Each quarter hour's usage is the sum of its entries' lines") { organization in
            """
            WITH booked AS (
                SELECT date_bin('15 minutes', e.occurred_at, 'epoch') AS starts_at, e.attribution_id, e.provider, e.model,
                       coalesce(e.feature, '') AS feature, line.key AS usage_kind,
                       coalesce((line.value ->> 'price')::uuid, '00000000-0000-0000-0000-000000000000') AS price_id,
                       sum((line.value ->> 'quantity')::numeric) AS quantity, sum((line.value ->> 'cost')::numeric) AS cost
                FROM ledger_entries AS e CROSS JOIN LATERAL jsonb_each(e.lines) AS line
                WHERE e.organization_id = \(organization) AND e.version <= coalesce(
                    (SELECT spend_version FROM rollup_positions WHERE organization_id = \(organization)), 0)
                GROUP BY 1, 2, 3, 4, 5, 6, 7
            ), rolled AS (
                SELECT * FROM usage_rollups WHERE organization_id = \(organization) AND span = 'quarter' AND starts_at >= coalesce(
                    (SELECT max(starts_at) + interval '1 month' FROM detached_months), '-infinity')
            )
            SELECT count(*) OVER (), format('%s, attribution %s, %s, %s: rolled up %s for %s, booked %s for %s', starts_at, attribution_id,
                                            model, usage_kind, r.quantity, r.cost, b.quantity, b.cost)
            FROM rolled AS r FULL JOIN booked AS b
                 USING (starts_at, attribution_id, provider, model, feature, usage_kind, price_id)
            WHERE (r.quantity, r.cost) IS DISTINCT FROM (b.quantity, b.cost) LIMIT 5
            """
        },
        Fact(name: "spend_days_are_quarters", law: 5, meaning: "Each day's spend is the sum of its quarter hours") { organization in
            """
            WITH starts AS (
                SELECT array_agg(DISTINCT starts_at ORDER BY starts_at) AS days FROM spend_rollups
                WHERE organization_id = \(organization) AND span = 'day'
            ), quarters AS (
                SELECT days[width_bucket(starts_at, days)] AS starts_at, attribution_id, provider, model, feature, sum(calls) AS calls,
                       sum(cost) AS cost
                FROM spend_rollups CROSS JOIN starts WHERE organization_id = \(organization) AND span = 'quarter' GROUP BY 1, 2, 3, 4, 5
            ), days AS (SELECT * FROM spend_rollups WHERE organization_id = \(organization) AND span = 'day')
            SELECT count(*) OVER (), format('%s, attribution %s, %s: %s in %s calls, quarter hours %s in %s calls', starts_at,
                                            attribution_id, model, d.cost, d.calls, q.cost, q.calls)
            FROM days AS d FULL JOIN quarters AS q USING (starts_at, attribution_id, provider, model, feature)
            WHERE (d.cost, d.calls::numeric) IS DISTINCT FROM (q.cost, q.calls) LIMIT 5
            """
        },
        Fact(name: "usage_days_are_quarters", law: 5, meaning: "Each day's usage is the sum of its quarter hours") { organization in
            """
            WITH starts AS (
                SELECT array_agg(DISTINCT starts_at ORDER BY starts_at) AS days FROM usage_rollups
                WHERE organization_id = \(organization) AND span = 'day'
            ), quarters AS (
                SELECT days[width_bucket(starts_at, days)] AS starts_at, attribution_id, provider, model, feature, usage_kind, price_id,
                       sum(quantity) AS quantity, sum(cost) AS cost
                FROM usage_rollups CROSS JOIN starts WHERE organization_id = \(organization) AND span = 'quarter' GROUP BY 1, 2, 3, 4, 5, 6, 7
            ), days AS (SELECT * FROM usage_rollups WHERE organization_id = \(organization) AND span = 'day')
            SELECT count(*) OVER (), format('%s, attribution %s, %s, %s: %s for %s, quarter hours %s for %s', starts_at, attribution_id,
                                            model, usage_kind, d.quantity, d.cost, q.quantity, q.cost)
            FROM days AS d FULL JOIN quarters AS q
                 USING (starts_at, attribution_id, provider, model, feature, usage_kind, price_id)
            WHERE (d.quantity, d.cost) IS DISTINCT FROM (q.quantity, q.cost) LIMIT 5
            """
        },
    ]
}
