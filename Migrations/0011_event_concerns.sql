-- Why: what an event concerns and what an endpoint wants to hear about are ids of three kinds, told apart by their text form
-- (`team_…`, `prj_…`, `bgt_…`); bare UUIDs cannot be shown again as what they are.
-- Locks: `events` and `endpoints` exclusively until the end. Duration: one pass over `events`, some 100,000 a second.
-- Undo: drop the two columns and add them again as uuid[]; what endpoints had chosen is lost.

ALTER TABLE events RENAME about TO about_before;
ALTER TABLE events ADD about text[] NOT NULL DEFAULT '{}';
UPDATE events AS e
SET about = (
    SELECT array_agg(known.prefix || replace(known.id::text, '-', '') ORDER BY place)
    FROM unnest(e.about_before) WITH ORDINALITY AS before (id, place)
    JOIN LATERAL (
        SELECT 'team_' AS prefix, t.id FROM teams AS t WHERE t.organization_id = e.organization_id AND t.id = before.id
        UNION ALL SELECT 'prj_', p.id FROM projects AS p WHERE p.organization_id = e.organization_id AND p.id = before.id
        UNION ALL SELECT 'bgt_', b.id FROM budgets AS b WHERE b.organization_id = e.organization_id AND b.id = before.id
    ) AS known ON true)
WHERE cardinality(about_before) > 0;
ALTER TABLE events DROP about_before;

-- No endpoint could be given any until now.
ALTER TABLE endpoints DROP about;
ALTER TABLE endpoints ADD about text[] NOT NULL DEFAULT '{}';  -- empty: everything
