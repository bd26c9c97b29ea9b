-- Why: people ask for spend by days of their own calendar, and pay by its months. Roll-ups of UTC days added up to those only with half days of
-- quarters at their ends, in most zones as many rows as entries. Days are the organization's own now; its zone stays once money is counted.
-- Locks: rollup_positions from the beginning, so nothing is rolled up meanwhile; reports wait. Calls do not. Duration: some 200,000 quarters a
-- second of organizations that are not on UTC. The version before this one finds no `version` in rollup_positions: its reports fail, and its
-- months stay open, until it is replaced; its calls do not.
-- Undo: rename the column back, make `detach_ledger_month` as in 0018, delete the days, and sum them by UTC from the quarters as 0007 does.

ALTER TABLE rollup_positions RENAME version TO spend_version;

SELECT set_config('bursar.organizations', '*', true);

DELETE FROM spend_rollups AS r USING organizations AS o
WHERE o.organization_id = r.organization_id AND o.time_zone <> 'UTC' AND r.span = 'day';
INSERT INTO spend_rollups (organization_id, span, starts_at, attribution_id, provider, model, feature, calls, cost)
SELECT r.organization_id, 'day', date_trunc('day', r.starts_at, o.time_zone), r.attribution_id, r.provider, r.model, r.feature, sum(r.calls),
       sum(r.cost)
FROM spend_rollups AS r JOIN organizations AS o USING (organization_id)
WHERE o.time_zone <> 'UTC' AND r.span = 'quarter' GROUP BY 1, 2, 3, 4, 5, 6, 7;

DELETE FROM usage_rollups AS r USING organizations AS o
WHERE o.organization_id = r.organization_id AND o.time_zone <> 'UTC' AND r.span = 'day';
INSERT INTO usage_rollups
    (organization_id, span, starts_at, attribution_id, provider, model, feature, usage_kind, price_id, quantity, cost)
SELECT r.organization_id, 'day', date_trunc('day', r.starts_at, o.time_zone), r.attribution_id, r.provider, r.model, r.feature, r.usage_kind,
       r.price_id, sum(r.quantity), sum(r.cost)
FROM usage_rollups AS r JOIN organizations AS o USING (organization_id)
WHERE o.time_zone <> 'UTC' AND r.span = 'quarter' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;

-- The same as in 0018, but for the column's name.
CREATE OR REPLACE FUNCTION detach_ledger_month(month timestamptz) RETURNS text
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    starts_at timestamptz := date_trunc('month', month, 'UTC');
    name text := 'ledger_entries_' || to_char(starts_at AT TIME ZONE 'UTC', 'YYYY_MM');
    waiting bigint;
BEGIN
    PERFORM set_config('bursar.organizations', '*', true);
    IF starts_at > now() - interval '70 days' THEN
        RAISE 'the month may still be booked on: usage is taken for 35 days' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF EXISTS (SELECT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
               WHERE i.inhparent = 'ledger_entries'::regclass AND c.relname LIKE 'ledger\_entries\_2%' AND c.relname < name) THEN
        RAISE 'an older month must be detached first' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM pg_advisory_xact_lock(x'6c6564676572'::bigint);
    EXECUTE format('LOCK TABLE %I IN SHARE MODE', name);
    EXECUTE format('SELECT count(*) FROM %I AS e LEFT JOIN rollup_positions AS p USING (organization_id) '
        'WHERE e.version > coalesce(p.spend_version, 0)', name) INTO waiting;
    IF waiting > 0 THEN
        RAISE '% entries are not rolled up yet', waiting USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('ALTER TABLE ledger_entries DETACH PARTITION %I', name);
    INSERT INTO detached_months (organization_id, starts_at) VALUES ('00000000-0000-0000-0000-000000000000', starts_at);
    RETURN name;
END $$;
