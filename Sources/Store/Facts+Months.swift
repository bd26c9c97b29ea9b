/// The facts that closed months rest on (law 5): lines, shared costs, and what was paid for in advance.
import Budgets
import Postgres

extension Fact {
    static let months: [Fact] = [
        Fact(name: "closed_is_ledger", law: 5, meaning: "A closed month's statement is the sum of its frozen lines and of its entries") {
            organization in
            """
            SELECT count(*) OVER (), format('%s closed with %s in %s calls, lines %s in %s calls, entries %s in %s calls', s.month, s.cost,
                                            s.calls, l.cost, l.calls, b.cost, b.calls)
            FROM statements AS s
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(cost), 0) AS cost, coalesce(sum(calls), 0)::bigint AS calls FROM statement_lines
                WHERE organization_id = s.organization_id AND statement_id = s.id AND edition = s.edition) AS l
            CROSS JOIN LATERAL (
                SELECT coalesce(sum(cost), 0) AS cost, count(*) FILTER (WHERE kind = 'usage') AS calls FROM ledger_entries
                WHERE organization_id = s.organization_id AND occurred_at >= s.starts_at AND occurred_at < s.ends_at) AS b
            WHERE s.organization_id = \(organization) AND s.state = 'closed'
                  AND ((s.cost, s.calls) IS DISTINCT FROM (l.cost, l.calls)
                       OR (s.cost, s.calls) IS DISTINCT FROM (b.cost, b.calls)
                          AND s.starts_at >= coalesce((SELECT max(starts_at) + interval '1 month' FROM detached_months), '-infinity'))
            LIMIT 5
            """
        },
        Fact(name: "splits_cancel", law: 5, meaning: "What a rule takes from a shared cost's source it gives to others, to the last digit")
        {
            organization in
            """
            SELECT count(*) OVER (), format('statement %s, edition %s, split %s: %s are left, parts sum to %s', statement_id, edition, split_id,
                                            sum(cost), sum(split_ratio))
            FROM statement_lines WHERE organization_id = \(organization) AND split_id IS NOT NULL
            GROUP BY statement_id, edition, split_id HAVING sum(cost) <> 0 OR sum(split_ratio) IS DISTINCT FROM 1 LIMIT 5
            """
        },
        Fact(
            name: "commitments_are_drawn", law: 5,
            meaning: "Closed months draw on a commitment one after another, and never more than it has"
        ) {
            organization in
            """
            WITH draws AS (
                SELECT d.commitment_id, s.month, d.drawn_before, d.drawn, c.amount,
                       coalesce(sum(d.drawn) OVER (PARTITION BY d.commitment_id ORDER BY s.month
                                                   ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS earlier
                FROM commitment_draws AS d
                JOIN statements AS s ON s.organization_id = d.organization_id AND s.id = d.statement_id AND s.edition = d.edition
                JOIN commitments AS c ON c.organization_id = d.organization_id AND c.id = d.commitment_id
                WHERE d.organization_id = \(organization) AND s.state = 'closed'
            )
            SELECT count(*) OVER (), format('commitment %s, %s: %s drawn after %s, by earlier months %s, of %s', commitment_id, month, drawn,
                                            drawn_before, earlier, amount)
            FROM draws WHERE drawn_before <> earlier OR drawn_before + drawn > amount LIMIT 5
            """
        },
    ]
}
