-- Why: the second wall between tenants (law 8, design §10): Postgres itself shows and takes only rows of the organizations that a
-- transaction has stated, whatever its statements say. The service's role owns nothing and cannot step around it.
-- Locks: every table shortly. Duration: instant. Undo: DISABLE ROW LEVEL SECURITY on each table; the role can stay.

-- The role that `serve` runs as, or whose member it is. It belongs to the whole cluster, so another database may have made it.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'bursar_service') THEN RETURN; END IF;
    CREATE ROLE bursar_service NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- What the transaction has stated in `bursar.organizations`: ids in braces; nothing stated is none of them, and nothing is shown. NULL for
-- *, the work that concerns everyone: finding whose an API key is, sweeping, checking, delivering, and what operators do to all.
CREATE FUNCTION stated_organizations() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE coalesce(current_setting('bursar.organizations', true), '')
        WHEN '*' THEN NULL WHEN '' THEN '{}' ELSE array_remove(current_setting('bursar.organizations')::uuid[], NULL) END
$$;

-- Walls every table off and gives the service's role what it needs. `migrate` runs it after the last migration, so none forgets it.
CREATE FUNCTION raise_walls() RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT SET client_min_messages = warning AS $$
DECLARE
    own regclass;
    -- Asked once a statement, as sub-selects; and in a form that no index serves: a statement's own predicate finds the rows, the wall
    -- only looks at what was found. Measured: as an index condition it changed plans. Not false: true, or about everyone.
    wall constant text := '(organization_id = ANY ((SELECT stated_organizations())::uuid[])) IS NOT FALSE';
    -- What has happened stays as it was written.
    written constant regclass[] := '{audit_events,ledger_entries,attributions,statement_lines,statement_files}';
BEGIN
    -- A month of the ledger is reached through its table only: there are no grants on it, nor on one that has left.
    FOR own IN SELECT c.oid FROM pg_class AS c
               WHERE c.relnamespace = current_schema::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                 AND c.relname NOT LIKE 'ledger\_entries\_2%'
                 AND EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'organization_id')
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', own);
        EXECUTE format('DROP POLICY IF EXISTS wall ON %s', own);
        EXECUTE format('CREATE POLICY wall ON %s USING (%s)', own, wall);
        EXECUTE format('GRANT SELECT, INSERT ON %s TO bursar_service', own);
        CONTINUE WHEN own = ANY (written);
        EXECUTE format('GRANT UPDATE, DELETE ON %s TO bursar_service', own);
    END LOOP;
    -- Except for the one where entries wait whose month is missing: the check looks for them there. Its owner moves them, whoever asks.
    ALTER TABLE ledger_entries_default ENABLE ROW LEVEL SECURITY;
    DROP POLICY IF EXISTS wall ON ledger_entries_default;
    EXECUTE format('CREATE POLICY wall ON ledger_entries_default USING (%s)', wall);
    GRANT SELECT ON ledger_entries_default TO bursar_service;
    -- What the platform offers to all is shown to all, with the fence that says when it changed.
    FOREACH own IN ARRAY ARRAY['models', 'prices', 'fences']::regclass[] LOOP
        EXECUTE format('DROP POLICY IF EXISTS platform ON %s', own);
        EXECUTE format('CREATE POLICY platform ON %s FOR SELECT USING (organization_id = %L)', own, '00000000-0000-0000-0000-000000000000');
    END LOOP;
    FOR own IN SELECT c.oid FROM pg_class AS c WHERE c.relnamespace = current_schema::regnamespace AND c.relkind = 'v' LOOP
        EXECUTE format('GRANT SELECT ON %s TO bursar_service', own);
    END LOOP;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO bursar_service', current_schema);
    GRANT SELECT ON schema_migrations TO bursar_service;
END $$;
SELECT raise_walls();

-- It runs as the owner, whoever calls it: no temporary table of the caller's may stand in for one of ours.
DO $$ BEGIN
    EXECUTE format('ALTER FUNCTION add_ledger_month(timestamptz) SET search_path = %I, pg_temp', current_schema);
END $$;

-- The same as in 0007, but that it is about everyone's entries, whatever the owner's session has stated.
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
        'WHERE e.version > coalesce(p.version, 0)', name) INTO waiting;
    IF waiting > 0 THEN
        RAISE '% entries are not rolled up yet', waiting USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    EXECUTE format('ALTER TABLE ledger_entries DETACH PARTITION %I', name);
    INSERT INTO detached_months (organization_id, starts_at) VALUES ('00000000-0000-0000-0000-000000000000', starts_at);
    RETURN name;
END $$;
