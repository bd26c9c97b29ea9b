-- Why: events say what they are about, so that endpoints can choose; alerts come to an end; deliveries are muted, repeated and counted
-- in lanes; endpoints have more kinds, filters, a rate and their health.
-- Locks: each table here for the time of its statements. Duration: one index over `deliveries`, one over `alerts`; the rest is instant.
-- Undo: restore; the columns can stay.

ALTER TABLE budgets ADD threshold_amounts numeric(38,12)[] NOT NULL DEFAULT '{}';  -- beside percentages: absolute, in the budget's unit
ALTER TABLE budget_limits ADD threshold_amounts numeric(38,12)[] NOT NULL DEFAULT '{}';
ALTER TABLE budget_periods ADD alerted_amount numeric(38,12) NOT NULL DEFAULT 0;   -- the highest of them already alerted

ALTER TABLE events
    ADD about       text[] NOT NULL DEFAULT '{}',  -- the team, project and budget it concerns, as team_…: endpoints filter by them
    ADD topic       text,                          -- a later event of the same topic replaces one that has not arrived yet
    ADD mutes_until timestamptz;                   -- an exhausted organization: where it is told, alerts of teams and projects are not
CREATE INDEX events_topic ON events (organization_id, topic) WHERE topic IS NOT NULL;
CREATE INDEX events_muting ON events (organization_id, mutes_until) WHERE mutes_until IS NOT NULL;

ALTER TABLE alerts
    ADD threshold_amount numeric(38,12) NOT NULL DEFAULT 0,  -- 0: the threshold is the percentage
    ADD review_at        timestamptz,                        -- when to look whether it has ended: the period's end, or now
    ADD recovered_at     timestamptz,
    DROP CONSTRAINT law_7_one_alert,
    ADD CONSTRAINT law_7_one_alert
        UNIQUE (organization_id, budget_id, subject, period_start, limit_version, threshold, threshold_amount);
UPDATE alerts SET review_at = now() WHERE event_id IS NOT NULL;
CREATE INDEX alerts_review ON alerts (review_at) WHERE review_at IS NOT NULL;
CREATE INDEX alerts_open ON alerts (organization_id, budget_id) WHERE event_id IS NOT NULL AND recovered_at IS NULL;

ALTER TABLE endpoints
    DROP CONSTRAINT endpoints_kind_check,
    ADD CONSTRAINT endpoints_kind_check CHECK (kind IN ('slack', 'pagerduty', 'webhook', 'email', 'teams')),
    ADD about               text[] NOT NULL DEFAULT '{}',    -- empty: everything
    ADD min_severity        text NOT NULL DEFAULT 'info' CHECK (min_severity IN ('info', 'warning', 'error', 'critical')),
    ADD is_paused           boolean NOT NULL DEFAULT false,  -- deliveries wait
    ADD rate_per_minute     bigint CHECK (rate_per_minute BETWEEN 1 AND 6000),  -- NULL: the kind's own
    ADD next_slot_at        timestamptz NOT NULL DEFAULT '-infinity',           -- when its rate allows the next attempt
    ADD failures            bigint NOT NULL DEFAULT 0,       -- in a row
    ADD failing_since       timestamptz,
    ADD last_success_at     timestamptz,
    ADD last_failure_at     timestamptz,
    ADD credentials_version bigint NOT NULL DEFAULT 1;

-- What opened an endpoint before its credentials were rotated: an incident can only be resolved by what triggered it.
CREATE TABLE endpoint_credentials (
    organization_id uuid NOT NULL,
    endpoint_id     uuid NOT NULL,
    version         bigint NOT NULL,
    sealed          bytea NOT NULL,
    retired_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, endpoint_id, version),
    FOREIGN KEY (organization_id, endpoint_id) REFERENCES endpoints (organization_id, id)
);

ALTER TABLE deliveries
    DROP CONSTRAINT deliveries_state_check,
    ADD CONSTRAINT deliveries_state_check CHECK (state IN ('pending', 'sending', 'delivered', 'failed', 'cancelled', 'muted')),
    ADD muted_by            uuid,                      -- the event of the exhausted organization
    ADD schedule_from       bigint NOT NULL DEFAULT 0, -- attempts made when the schedule last began: sent again by hand, it begins anew
    ADD credentials_version bigint;                    -- of the endpoint, at the last attempt
CREATE INDEX deliveries_waiting ON deliveries (organization_id, endpoint_id, next_attempt_at) WHERE state IN ('pending', 'sending');
CREATE INDEX deliveries_muted ON deliveries (organization_id, muted_by) WHERE muted_by IS NOT NULL;
DROP INDEX deliveries_due;
