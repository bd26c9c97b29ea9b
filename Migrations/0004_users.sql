-- Why: people and services with roles in the tree, and API keys that carry them (design §10).
-- Locks: api_keys exclusively while its columns are added; none is rewritten. Duration: instant. Undo: drop the columns and the table.

-- A person or a service. Roles are one small document, because they are always read and judged as a whole:
-- [{"role":"admin"},{"role":"lead","team":"team_…"}]. A team is never deleted, so a named one stays there.
CREATE TABLE users (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    email           text CHECK (char_length(email) BETWEEN 3 AND 254),
    roles           jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(roles) = 'array'),
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    archived_at     timestamptz,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX users_email ON users (organization_id, lower(email)) WHERE archived_at IS NULL;

-- A key belongs to a project, or to a user whose roles it has, or carries a role itself, organization-wide or on a team.
ALTER TABLE api_keys
    ADD user_id uuid,
    ADD team_id uuid,
    ADD origin_id uuid,      -- the key that this one succeeds in the end, by rotations: who acts stays the same
    ADD made_by text,        -- whoever made it: a person does not become two by making a key
    DROP CONSTRAINT api_keys_role_check,
    DROP CONSTRAINT api_keys_check,
    ADD CONSTRAINT api_keys_role_check
        CHECK (role IN ('operator', 'owner', 'admin', 'finance', 'auditor', 'lead', 'member')),
    ADD CONSTRAINT api_keys_one_holder CHECK (num_nonnulls(project_id, user_id, role) = 1),
    ADD CONSTRAINT api_keys_team_role CHECK ((team_id IS NOT NULL) = coalesce(role IN ('lead', 'member'), false)),
    ADD FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    ADD FOREIGN KEY (organization_id, team_id) REFERENCES teams (organization_id, id);
CREATE INDEX api_keys_user ON api_keys (organization_id, user_id) WHERE user_id IS NOT NULL;

-- The teams a user has roles on, one row each. The view reads as whoever asks, so row-level security holds behind it.
CREATE VIEW user_teams WITH (security_invoker = true) AS
SELECT DISTINCT organization_id, id AS user_id, right(r ->> 'team', 32)::uuid AS team_id
FROM users, jsonb_array_elements(roles) AS r WHERE r ? 'team';
