-- Why: what an API key may be used for and from where, and when it last was.
-- Locks: api_keys shortly; no row is rewritten. Duration: instant. Undo: drop the columns and the table.

-- Set when a key is made and never changed, so that a replica may remember what a key stands for. NULL: no limit.
ALTER TABLE api_keys
    ADD scopes text[] CHECK (cardinality(scopes) > 0),      -- permissions, of those its roles have
    ADD networks text[] CHECK (cardinality(networks) > 0),  -- CIDR blocks that it may be used from
    ADD models text[] CHECK (cardinality(models) > 0);      -- patterns, within what the project may call

-- Apart from the keys, because it is no change of them: not audited, and no decision rests on it. Written once a minute at most.
CREATE TABLE api_key_uses (
    organization_id uuid NOT NULL,
    api_key_id      uuid NOT NULL,
    last_used_at    timestamptz NOT NULL,
    PRIMARY KEY (organization_id, api_key_id),
    FOREIGN KEY (organization_id, api_key_id) REFERENCES api_keys (organization_id, id)
) WITH (fillfactor = 50);
