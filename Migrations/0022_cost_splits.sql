-- Why: what one project spends for all is charged to those who share it, by rules that hold for months; and stays as it was once a month
-- is closed.
-- Locks: `statement_lines` for an instant. Duration: instant. Undo: drop the table and the columns; closed months with moved lines would
-- have to be opened first.

CREATE TABLE cost_splits (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    source_id       uuid NOT NULL,
    method          text NOT NULL CHECK (method IN ('even', 'spend', 'tokens', 'percent')),
    receivers       jsonb NOT NULL,              -- [{"project":"prj_…","percent":"40"}]
    from_month      text NOT NULL CHECK (from_month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    until_month     text CHECK (until_month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),  -- the first that it does not hold in; NULL: it holds on
    set_by          uuid NOT NULL,               -- the API key that its lines name
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, source_id) REFERENCES projects (organization_id, id),
    FOREIGN KEY (organization_id, set_by) REFERENCES api_keys (organization_id, id),
    CHECK (until_month >= from_month)
);
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON cost_splits FOR EACH ROW EXECUTE FUNCTION audit('cost_split', 'spl');

ALTER TABLE statement_lines
    ADD split_id    uuid,                        -- the rule that moved this cost; NULL: it was spent
    ADD split_ratio numeric(38,12);              -- which part of the whole the receiver takes on; NULL: it is taken from the source
