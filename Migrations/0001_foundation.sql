-- Why: the first schema. Structure, catalogue, budgets, the engine's counters and reservations, the ledger, alerts and their outbox.
-- Locks: none that matter, everything is new. Duration: instant. Undo: drop the database.
-- Every table, unique key and foreign key leads with organization_id (design §11): the schema shards by it as it stands.
-- The platform itself is organization 00000000-…: it owns operator keys, the model catalogue and list prices.

CREATE TABLE organizations (
    organization_id uuid PRIMARY KEY,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    time_zone       text NOT NULL,
    currency        text NOT NULL DEFAULT 'USD' CHECK (currency = 'USD'),
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    archived_at     timestamptz
);

-- The fence (design §5). `version` is raised by every transaction that changes anything a decision rests on;
-- `configuration_version` by those that change configuration, so that a lane knows which of its memories is stale.
CREATE TABLE fences (
    organization_id       uuid PRIMARY KEY REFERENCES organizations,
    version               bigint NOT NULL DEFAULT 1,
    configuration_version bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 10);  -- one hot row a page: updates stay on their page

CREATE TABLE teams (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    cost_center     text CHECK (char_length(cost_center) BETWEEN 1 AND 100),
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    archived_at     timestamptz,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX teams_name ON teams (organization_id, name) WHERE archived_at IS NULL;

-- A catalogue entry of the platform, or of one organization (which then hides the platform's of the same name).
CREATE TABLE models (
    organization_id   uuid NOT NULL REFERENCES organizations,
    id                uuid NOT NULL,
    name              text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    provider          text NOT NULL CHECK (char_length(provider) BETWEEN 1 AND 100),
    max_input_tokens  bigint CHECK (max_input_tokens > 0),
    max_output_tokens bigint CHECK (max_output_tokens > 0),
    revision          bigint NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    archived_at       timestamptz,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX models_name ON models (organization_id, name) WHERE archived_at IS NULL;

-- Effective-dated facts. Nothing but `valid_to` ever changes, and only from NULL. Amounts have at most six fractional
-- digits per million units, so the cost of any whole usage is exact in pico-dollars (law 5). 0 is free; no row is unknown (law 9).
CREATE TABLE prices (
    organization_id    uuid NOT NULL REFERENCES organizations,
    id                 uuid NOT NULL,
    model              text NOT NULL,
    usage_kind         text NOT NULL CHECK (usage_kind ~ '^[a-z][a-z0-9_]{0,49}$'),
    service_tier       text NOT NULL DEFAULT 'standard',
    context_from       bigint NOT NULL DEFAULT 0 CHECK (context_from >= 0),
    amount_per_million numeric(38,12) NOT NULL CHECK (amount_per_million >= 0 AND amount_per_million = trunc(amount_per_million, 6)),
    valid_from         timestamptz NOT NULL,
    valid_to           timestamptz CHECK (valid_to > valid_from),
    source             text NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, model, usage_kind, service_tier, context_from, valid_from)
);

CREATE TABLE tiers (
    organization_id   uuid NOT NULL REFERENCES organizations,
    id                uuid NOT NULL,
    name              text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    rank              bigint NOT NULL CHECK (rank BETWEEN 1 AND 1000),
    models            text[] NOT NULL,           -- patterns against the catalogue; a higher rank includes the lower ones
    approval          text NOT NULL DEFAULT 'none' CHECK (approval IN ('none', 'team_lead', 'organization_admin')),
    max_output_tokens bigint NOT NULL CHECK (max_output_tokens > 0),   -- no call is unbounded (design §6)
    revision          bigint NOT NULL DEFAULT 1,
    created_at        timestamptz NOT NULL DEFAULT now(),
    archived_at       timestamptz,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX tiers_name ON tiers (organization_id, name) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX tiers_rank ON tiers (organization_id, rank) WHERE archived_at IS NULL;

CREATE TABLE projects (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    team_id         uuid NOT NULL,
    tier_id         uuid NOT NULL,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    cost_center     text CHECK (char_length(cost_center) BETWEEN 1 AND 100),   -- NULL: the team's
    is_suspended    boolean NOT NULL DEFAULT false,
    settings        jsonb NOT NULL DEFAULT '{}',
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    archived_at     timestamptz,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, team_id) REFERENCES teams (organization_id, id),
    FOREIGN KEY (organization_id, tier_id) REFERENCES tiers (organization_id, id)
);
CREATE UNIQUE INDEX projects_name ON projects (organization_id, team_id, name) WHERE archived_at IS NULL;

-- Credentials (design §10): only the SHA-256 of the secret is kept. A key belongs to a project, or has a role.
CREATE TABLE api_keys (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    project_id      uuid,
    role            text CHECK (role IN ('operator', 'owner', 'admin', 'finance', 'auditor')),
    environment     text NOT NULL DEFAULT 'production' CHECK (environment ~ '^[a-z0-9][a-z0-9_-]{0,49}$'),
    secret_sha256   bytea NOT NULL CHECK (octet_length(secret_sha256) = 32),
    secret_hint     text NOT NULL,               -- first and last letters, to tell keys apart in a list
    expires_at      timestamptz,
    revoked_at      timestamptz,
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id),
    CHECK ((project_id IS NULL) <> (role IS NULL))
);
CREATE INDEX api_keys_secret ON api_keys (secret_sha256);

CREATE TABLE budgets (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    team_id         uuid,                        -- both NULL: the organization's own budget
    project_id      uuid,
    match           jsonb NOT NULL DEFAULT '{}', -- {"models":["gpt-*"],"environments":[…],…}: all given lists must match
    per             text CHECK (per IN ('end_user', 'api_key', 'feature', 'model', 'project', 'team')),
    unit            text NOT NULL CHECK (unit IN ('usd', 'tokens', 'requests')),
    period          text NOT NULL CHECK (period IN ('minute', 'hour', 'day', 'week', 'month', 'quarter', 'year', 'total')),
    anchor_day      bigint NOT NULL DEFAULT 1 CHECK (anchor_day BETWEEN 1 AND 31),
    anchor_month    bigint NOT NULL DEFAULT 1 CHECK (anchor_month BETWEEN 1 AND 12),
    amount          numeric(38,12) NOT NULL CHECK (amount >= 0),
    thresholds      bigint[] NOT NULL DEFAULT '{70,80,90,100}',
    limit_version   bigint NOT NULL DEFAULT 1,   -- raised with each change of amount or thresholds
    enforcement     text NOT NULL DEFAULT 'block' CHECK (enforcement IN ('block', 'warn', 'shadow')),
    active_from     timestamptz,
    active_to       timestamptz,
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    archived_at     timestamptz,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, team_id) REFERENCES teams (organization_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id),
    CHECK (team_id IS NULL OR project_id IS NULL)
);

-- What a budget's amount was, when, and who said so.
CREATE TABLE budget_limits (
    organization_id uuid NOT NULL,
    budget_id       uuid NOT NULL,
    limit_version   bigint NOT NULL,
    amount          numeric(38,12) NOT NULL,
    thresholds      bigint[] NOT NULL,
    set_at          timestamptz NOT NULL DEFAULT now(),
    set_by          uuid NOT NULL,               -- the API key
    PRIMARY KEY (organization_id, budget_id, limit_version),
    FOREIGN KEY (organization_id, budget_id) REFERENCES budgets (organization_id, id)
);

-- The counters. `ceiling` is what the budget allowed when it last admitted a hold, `overage` what settlements have since
-- passed it by; the CHECK is law 1 restated. Rows appear on first use. HOT updates: no index on what changes.
CREATE TABLE budget_periods (
    organization_id   uuid NOT NULL,
    budget_id         uuid NOT NULL,
    subject           text NOT NULL,             -- '' unless the budget counts per something
    period_start      timestamptz NOT NULL,
    settled           numeric(38,12) NOT NULL CHECK (settled >= 0),
    held              numeric(38,12) NOT NULL CHECK (held >= 0),
    ceiling           numeric(38,12),            -- NULL: the budget does not block
    overage           numeric(38,12) NOT NULL DEFAULT 0 CHECK (overage >= 0),
    alerted_version   bigint NOT NULL DEFAULT 0, -- limit version and highest threshold already alerted
    alerted_threshold bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (organization_id, budget_id, subject, period_start),
    FOREIGN KEY (organization_id, budget_id) REFERENCES budgets (organization_id, id),
    CONSTRAINT law_1_never_over CHECK (settled + held <= ceiling + overage)
) WITH (fillfactor = 50);

-- What a call is charged to, as names and cost centre stood when it was made (law 6). The id is a hash of the content, so a
-- row is written once and shared by all calls alike; ledger rows stay narrow.
CREATE TABLE attributions (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    team_id         uuid NOT NULL,
    team_name       text NOT NULL,
    project_id      uuid NOT NULL,
    project_name    text NOT NULL,
    cost_center     text,
    tier_id         uuid NOT NULL,
    tier_name       text NOT NULL,
    api_key_id      uuid NOT NULL,
    api_key_name    text NOT NULL,
    environment     text NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE reservations (
    organization_id uuid NOT NULL,
    id              uuid NOT NULL,
    project_id      uuid NOT NULL,
    request_id      text NOT NULL COLLATE "C", -- compared, never sorted for people
    request_sha256  bytea NOT NULL,              -- of the request's content: the same id with other content is refused (law 4)
    attribution_id  uuid NOT NULL,
    state           text NOT NULL CHECK (state IN ('held', 'settled', 'released', 'expired')),
    model           text NOT NULL,
    requested_model text NOT NULL,
    provider        text NOT NULL,
    service_tier    text NOT NULL,
    end_user        text,
    feature         text,
    tags            jsonb,
    held            numeric(38,12) NOT NULL CHECK (held >= 0),
    max_output_tokens bigint NOT NULL,           -- what the hold assumes: asked, capped by tier and model
    draws           jsonb NOT NULL,              -- per budget: counter, what is held on it, and how it stood: the first answer
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    resolved_at     timestamptz,
    settle_sha256   bytea,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT reservations_request UNIQUE (organization_id, project_id, request_id)
) WITH (fillfactor = 70);
CREATE INDEX reservations_expiry ON reservations (expires_at);  -- not partial on state: then settling would not be a HOT update

-- Nothing is ever searched by these; sampling them cost a twentieth of the machine under load.
ALTER TABLE reservations
    ALTER draws SET STATISTICS 0, ALTER tags SET STATISTICS 0, ALTER request_id SET STATISTICS 0,
    ALTER request_sha256 SET STATISTICS 0, ALTER settle_sha256 SET STATISTICS 0;

-- One immutable booked cost (law 5). Corrections are new entries.
CREATE TABLE ledger_entries (
    organization_id     uuid NOT NULL,
    id                  uuid NOT NULL,
    reservation_id      uuid NOT NULL,
    attribution_id      uuid NOT NULL,
    occurred_at         timestamptz NOT NULL,    -- when the call was admitted: decides the period and the month
    booked_at           timestamptz NOT NULL,
    request_id          text NOT NULL,
    model               text NOT NULL,
    requested_model     text NOT NULL,
    provider            text NOT NULL,
    service_tier        text NOT NULL,
    end_user            text,
    feature             text,
    tags                jsonb,
    lines               jsonb NOT NULL,          -- per usage kind: quantity, price, cost; the costs sum to `cost`
    cost                numeric(38,12) NOT NULL,
    overage             numeric(38,12) NOT NULL,
    draws               jsonb NOT NULL,          -- per budget: counter, amount booked on it, and how it stood afterwards
    is_late             boolean NOT NULL,
    outcome             text NOT NULL,
    provider_request_id text,
    latency_ms          bigint,
    PRIMARY KEY (organization_id, occurred_at, id)
);

ALTER TABLE ledger_entries
    ALTER draws SET STATISTICS 0, ALTER lines SET STATISTICS 0, ALTER tags SET STATISTICS 0, ALTER request_id SET STATISTICS 0;

-- Immutable facts that people are told about; one delivery per subscribed endpoint carries each (design §8).
CREATE TABLE events (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    type            text NOT NULL,
    severity        text NOT NULL CHECK (severity IN ('info', 'warning', 'error', 'critical')),
    percent         bigint,                      -- the threshold, for budget events: endpoints filter by it
    body            jsonb NOT NULL,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE alerts (
    organization_id uuid NOT NULL,
    id              uuid NOT NULL,
    budget_id       uuid NOT NULL,
    subject         text NOT NULL,
    period_start    timestamptz NOT NULL,
    limit_version   bigint NOT NULL,
    threshold       bigint NOT NULL,
    settled         numeric(38,12) NOT NULL,
    amount          numeric(38,12) NOT NULL,
    event_id        uuid,                        -- NULL: superseded by a higher threshold reached at the same time
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, budget_id) REFERENCES budgets (organization_id, id),
    CONSTRAINT law_7_one_alert UNIQUE (organization_id, budget_id, subject, period_start, limit_version, threshold)
);

CREATE TABLE endpoints (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    kind            text NOT NULL CHECK (kind IN ('slack', 'pagerduty', 'webhook')),
    events          text[] NOT NULL,             -- patterns such as budget.*
    min_percent     bigint NOT NULL DEFAULT 0,
    sealed          bytea NOT NULL,              -- url and secret, AES-GCM with the row as associated data (design §10)
    is_enabled      boolean NOT NULL DEFAULT true,
    disabled_reason text,
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    archived_at     timestamptz,
    PRIMARY KEY (organization_id, id)
);

CREATE TABLE deliveries (
    organization_id uuid NOT NULL,
    id              uuid NOT NULL,
    event_id        uuid NOT NULL,
    endpoint_id     uuid NOT NULL,
    state           text NOT NULL CHECK (state IN ('pending', 'sending', 'delivered', 'failed', 'cancelled')),
    attempts        bigint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    lease_until     timestamptz,
    lease_owner     uuid,
    last_error      text,
    created_at      timestamptz NOT NULL,
    finished_at     timestamptz,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, event_id, endpoint_id),
    FOREIGN KEY (organization_id, event_id) REFERENCES events (organization_id, id),
    FOREIGN KEY (organization_id, endpoint_id) REFERENCES endpoints (organization_id, id)
) WITH (fillfactor = 70);
CREATE INDEX deliveries_due ON deliveries (next_attempt_at) WHERE state IN ('pending', 'sending');

CREATE TABLE delivery_attempts (
    organization_id uuid NOT NULL,
    delivery_id     uuid NOT NULL,
    attempt         bigint NOT NULL,
    started_at      timestamptz NOT NULL,
    duration_ms     bigint NOT NULL,
    status          bigint,                      -- HTTP; NULL: no answer
    outcome         text NOT NULL,
    response        text,                        -- its first 2 kB, scrubbed
    PRIMARY KEY (organization_id, delivery_id, attempt),
    FOREIGN KEY (organization_id, delivery_id) REFERENCES deliveries (organization_id, id)
);

INSERT INTO organizations (organization_id, name, time_zone) VALUES ('00000000-0000-0000-0000-000000000000', 'platform', 'UTC');
INSERT INTO fences (organization_id) VALUES ('00000000-0000-0000-0000-000000000000');
