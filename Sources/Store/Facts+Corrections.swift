/// What must be true of entries that are no calls (law 5): each was approved, and what takes an entry back does so exactly, once.
import Budgets
import Postgres

extension Fact {
    static let corrections: [Fact] = [
        Fact(name: "adjustments_are_entries", law: 5, meaning: "A booked adjustment has its entry, of the same amount, and no other is one")
        {
            organization in
            """
            WITH entries AS (
                SELECT id, model AS kind, cost FROM ledger_entries
                WHERE organization_id = \(organization) AND kind IN ('adjustment', 'credit')
            ), booked AS (
                SELECT id, kind, amount FROM adjustments WHERE organization_id = \(organization) AND state = 'booked'
            )
            SELECT count(*) OVER (), format('adjustment %s: %s of %s, entry %s of %s', id, b.kind, b.amount, e.kind, e.cost)
            FROM booked AS b FULL JOIN entries AS e USING (id)
            WHERE (b.kind, b.amount) IS DISTINCT FROM (e.kind, e.cost) AND (e.id IS NOT NULL OR NOT EXISTS (SELECT FROM detached_months))
            LIMIT 5
            """
        },
        Fact(name: "reversals_cancel", law: 5, meaning: "What takes an entry back is its exact opposite, and no entry is taken back twice")
        {
            organization in
            """
            WITH reversals AS (
                SELECT reverses_id, sum(cost) AS cost, count(*) AS count FROM ledger_entries
                WHERE organization_id = \(organization) AND reverses_id IS NOT NULL GROUP BY 1
            )
            SELECT count(*) OVER (), format('entry %s of %s was taken back %s times, for %s', r.reverses_id, o.cost, r.count, r.cost)
            FROM reversals AS r
            LEFT JOIN ledger_entries AS o ON o.organization_id = \(organization) AND o.id = r.reverses_id
            WHERE r.count <> 1 OR o.cost <> -r.cost OR (o.id IS NULL AND NOT EXISTS (SELECT FROM detached_months)) LIMIT 5
            """
        },
    ]
}
