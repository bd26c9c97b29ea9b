-- Why: cost per end user and per tag, without reading the ledger. They are as many as callers want, so of each local day only so many are
-- kept apart; what is beyond them, or names none, is the difference to the whole.
-- Locks: none that matter. Duration: instant; upkeep then works through the entries there are, some 50,000 a second.
-- Undo: drop the table and the column.

CREATE TABLE subject_rollups (
    organization_id uuid NOT NULL REFERENCES organizations,
    starts_at       timestamptz NOT NULL,        -- the local day
    dimension       text NOT NULL,               -- end_user, or tag:… with the tag's key
    value           text NOT NULL,
    calls           bigint NOT NULL,
    cost            numeric(38,12) NOT NULL,
    PRIMARY KEY (organization_id, starts_at, dimension, value)
) WITH (fillfactor = 70);

-- Up to which fence version end users and tags are rolled up; never beyond `version`.
ALTER TABLE rollup_positions ADD subject_version bigint NOT NULL DEFAULT 0;
