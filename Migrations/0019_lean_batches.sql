-- Why: most of what Postgres spent on a batch of calls was not its rows. Each column came as an array of its own, which costs a function scan
-- each; each CHECK is read and prepared anew by every statement; the draws were taken apart to be jsonb, though only Bursar reads them.
-- Locks: `reservations` exclusively while it is written anew, `budget_periods` while its CHECK is tried on every row. Duration: some
-- 200,000 reservations a second. Undo: the columns' and constraints' old forms; drop the types.

ALTER TABLE reservations ALTER draws TYPE text USING draws::text, ALTER draws SET STATISTICS 0;

ALTER TABLE budget_periods
    DROP CONSTRAINT budget_periods_settled_check, DROP CONSTRAINT budget_periods_held_check, DROP CONSTRAINT budget_periods_burst_check,
    DROP CONSTRAINT budget_periods_overage_check, DROP CONSTRAINT budget_periods_final_held_check,
    DROP CONSTRAINT budget_periods_final_calls_check,
    ADD CONSTRAINT not_negative CHECK (least(settled, held, burst, overage, final_held, final_calls) >= 0);

-- The rows of a batch, as a lane sends them. A migration that gives the engine another column to write makes a new type, so that replicas
-- of the version before go on writing by the old one.
CREATE TYPE counter_state AS (
    organization_id uuid, budget_id uuid, subject text, period_start timestamptz, settled numeric(38,12), held numeric(38,12),
    burst numeric(38,12), ceiling numeric(38,12), overage numeric(38,12), final_calls bigint, final_held numeric(38,12),
    alerted_version bigint, alerted_threshold bigint, alerted_amount numeric(38,12)
);
CREATE TYPE new_reservation AS (
    organization_id uuid, id uuid, project_id uuid, request_id text, request_sha256 bytea, attribution_id uuid, state text, model text,
    requested_model text, provider text, service_tier text, end_user text, feature text, tags jsonb, held numeric(38,12),
    max_output_tokens bigint, draws text, created_at timestamptz, expires_at timestamptz, resolved_at timestamptz, settle_sha256 bytea,
    substitutions jsonb, entry_at timestamptz
);
CREATE TYPE reservation_end AS (
    organization_id uuid, id uuid, state text, resolved_at timestamptz, settle_sha256 bytea, entry_at timestamptz
);
CREATE TYPE new_entry AS (
    organization_id uuid, id uuid, reservation_id uuid, attribution_id uuid, occurred_at timestamptz, booked_at timestamptz, request_id text,
    model text, requested_model text, provider text, service_tier text, end_user text, feature text, tags jsonb, lines jsonb,
    cost numeric(38,12), overage numeric(38,12), draws jsonb, is_late boolean, outcome text, provider_request_id text, latency_ms bigint,
    version bigint, substitutions jsonb, provider_usage jsonb, corrects_at timestamptz
);
