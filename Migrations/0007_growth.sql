-- Why: the ledger only grows. By month it is vacuumed, searched and detached a piece at a time, and reports read roll-ups instead of it.
-- Locks: ledger_entries exclusively until the end. Duration: some 50,000 entries a second, which are copied and rolled up.
-- Undo: copy ledger_entries back into a table without partitions and without `version`; drop the roll-ups and the functions.

ALTER TABLE ledger_entries RENAME TO ledger_entries_before;
ALTER INDEX ledger_entries_pkey RENAME TO ledger_entries_before_pkey;

-- `version` is the fence's as raised by the Postgres transaction that booked the entry: in the order of commits, so whoever has
-- seen all up to one version has missed none (Store/RollUps.swift). Entries of before this migration have 0.
CREATE TABLE ledger_entries (
    LIKE ledger_entries_before,
    version bigint NOT NULL,
    PRIMARY KEY (organization_id, occurred_at, id)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX ledger_entries_version ON ledger_entries (organization_id, version);

-- An entry never fails for want of a month: what has none yet waits here until its month is added.
CREATE TABLE ledger_entries_default PARTITION OF ledger_entries DEFAULT;

-- Adds the partition of a UTC month, with the entries of it that wait in the default one; false when it exists. Any number of
-- replicas may ask at once. Attaching lets entries of other months be booked meanwhile; creating a partition in place would not.
-- The service's role may call this without owning the table.
CREATE FUNCTION add_ledger_month(month timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    starts_at timestamptz := date_trunc('month', month, 'UTC');
    ends_at timestamptz := (date_trunc('month', month, 'UTC') AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC';
    name text := 'ledger_entries_' || to_char(starts_at AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF to_regclass(name) IS NOT NULL THEN RETURN false; END IF;
    PERFORM pg_advisory_xact_lock(x'6c6564676572'::bigint);  -- "ledger"
    -- Asked again of the table itself: the session may remember from before the wait that there was none.
    IF EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace =
               (SELECT relnamespace FROM pg_class WHERE oid = 'ledger_entries'::regclass)) THEN RETURN false; END IF;
    EXECUTE format('CREATE TABLE %I (LIKE ledger_entries INCLUDING ALL)', name);
    -- Nothing is ever searched by these (0001).
    EXECUTE format('ALTER TABLE %I ALTER draws SET STATISTICS 0, ALTER lines SET STATISTICS 0, ALTER tags SET STATISTICS 0, '
        'ALTER request_id SET STATISTICS 0', name);
    LOCK TABLE ledger_entries_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('WITH moved AS (DELETE FROM ledger_entries_default WHERE occurred_at >= %L AND occurred_at < %L RETURNING *) '
        'INSERT INTO %I SELECT * FROM moved', starts_at, ends_at, name);
    EXECUTE format('ALTER TABLE ledger_entries ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, starts_at, ends_at);
    RETURN true;
END $$;

-- How far an organization's entries are rolled up: all of this fence version and before, none after.
CREATE TABLE rollup_positions (
    organization_id uuid PRIMARY KEY REFERENCES organizations,
    version         bigint NOT NULL,
    rolled_up_at    timestamptz NOT NULL
) WITH (fillfactor = 50);

-- What was spent in each quarter of an hour and again in each UTC day. No clock on earth is set off UTC by less than a quarter of
-- an hour, so local hours, days and months of every zone are sums of these; long spans are sums of days and few quarters.
-- End users and tags are left out: they are as many as the calls, and a roll-up by them would be as long as the ledger.
CREATE TABLE spend_rollups (
    organization_id uuid NOT NULL REFERENCES organizations,
    span            text NOT NULL CHECK (span IN ('quarter', 'day')),
    starts_at       timestamptz NOT NULL,
    attribution_id  uuid NOT NULL,
    provider        text NOT NULL,
    model           text NOT NULL,
    feature         text NOT NULL,               -- '': the calls named none
    calls           bigint NOT NULL,
    cost            numeric(38,12) NOT NULL,
    PRIMARY KEY (organization_id, span, starts_at, attribution_id, provider, model, feature)
) WITH (fillfactor = 70);

-- The same by usage kind and price: their costs sum to those of spend_rollups.
CREATE TABLE usage_rollups (
    organization_id uuid NOT NULL REFERENCES organizations,
    span            text NOT NULL CHECK (span IN ('quarter', 'day')),
    starts_at       timestamptz NOT NULL,
    attribution_id  uuid NOT NULL,
    provider        text NOT NULL,
    model           text NOT NULL,
    feature         text NOT NULL,
    usage_kind      text NOT NULL,
    price_id        uuid NOT NULL,               -- 00000000-…: no price was known
    quantity        numeric(38,0) NOT NULL,
    cost            numeric(38,12) NOT NULL,
    PRIMARY KEY (organization_id, span, starts_at, attribution_id, provider, model, feature, usage_kind, price_id)
) WITH (fillfactor = 70);

-- Which months were detached, and when. Roll-ups stay for ever; `bursar check` compares no month that has left.
CREATE TABLE detached_months (
    organization_id uuid NOT NULL REFERENCES organizations,  -- the platform: months are everyone's
    starts_at       timestamptz NOT NULL,
    detached_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, starts_at)
);

-- The nightly `bursar check` of serve: whoever writes the day's row does it, and all replicas show what it found.
CREATE TABLE check_runs (
    organization_id uuid NOT NULL REFERENCES organizations,  -- the platform: one run checks everyone
    day             timestamptz NOT NULL,
    started_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    violations      bigint,
    PRIMARY KEY (organization_id, day)
);

-- Makes a month's partition a table of its own, to be archived and dropped; an older month must have left before. For the owner.
CREATE FUNCTION detach_ledger_month(month timestamptz) RETURNS text
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    starts_at timestamptz := date_trunc('month', month, 'UTC');
    name text := 'ledger_entries_' || to_char(starts_at AT TIME ZONE 'UTC', 'YYYY_MM');
    waiting bigint;
BEGIN
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

-- The months there are entries of, and those that may be booked on soon; `serve` adds the later ones ahead of time.
SELECT add_ledger_month(month) FROM (
    SELECT DISTINCT date_trunc('month', occurred_at, 'UTC') AS month FROM ledger_entries_before
    UNION
    SELECT date_trunc('month', now(), 'UTC') + n * interval '1 month' FROM generate_series(-2, 3) AS n
) AS months ORDER BY month;

INSERT INTO ledger_entries SELECT *, 0 FROM ledger_entries_before;
DROP TABLE ledger_entries_before;

INSERT INTO rollup_positions (organization_id, version, rolled_up_at) SELECT organization_id, version, now() FROM fences;

INSERT INTO spend_rollups
SELECT organization_id, 'quarter', date_bin('15 minutes', occurred_at, 'epoch'), attribution_id, provider, model, coalesce(feature, ''),
       count(*), sum(cost)
FROM ledger_entries GROUP BY 1, 2, 3, 4, 5, 6, 7;
INSERT INTO spend_rollups
SELECT organization_id, 'day', date_bin('1 day', starts_at, 'epoch'), attribution_id, provider, model, feature, sum(calls), sum(cost)
FROM spend_rollups GROUP BY 1, 2, 3, 4, 5, 6, 7;

INSERT INTO usage_rollups
SELECT e.organization_id, 'quarter', date_bin('15 minutes', e.occurred_at, 'epoch'), e.attribution_id, e.provider, e.model,
       coalesce(e.feature, ''), line.key, coalesce((line.value ->> 'price')::uuid, '00000000-0000-0000-0000-000000000000'),
       sum((line.value ->> 'quantity')::numeric), sum((line.value ->> 'cost')::numeric)
FROM ledger_entries AS e CROSS JOIN LATERAL jsonb_each(e.lines) AS line GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
INSERT INTO usage_rollups
SELECT organization_id, 'day', date_bin('1 day', starts_at, 'epoch'), attribution_id, provider, model, feature, usage_kind, price_id,
       sum(quantity), sum(cost)
FROM usage_rollups GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9;
