-- Why: burst grants (design §1), approved extra money on top of one budget: the request, its decision, what was drawn, the review.
-- Locks: `budgets` and `organizations` shortly; `budget_periods` exclusively while its CHECK is tried on every row.
-- Duration: about a second for a million counters. Undo: drop what is added here and add the old CHECK again.

CREATE TABLE bursts (
    organization_id uuid NOT NULL,
    id              uuid NOT NULL,
    budget_id       uuid NOT NULL,
    amount          numeric(38,12) NOT NULL CHECK (amount > 0),
    match           jsonb NOT NULL DEFAULT '{}', -- as of a budget: room only for calls that match
    starts_at       timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL CHECK (ends_at > starts_at),
    reason          text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 2000),
    requested_by    uuid NOT NULL,
    requested_at    timestamptz NOT NULL,
    -- Of these at most one of the first three, and the last only after an approval: the state is read off them and the time.
    approved_at     timestamptz,
    denied_at       timestamptz,
    withdrawn_at    timestamptz,
    revoked_at      timestamptz CHECK (revoked_at >= approved_at),
    decided_by      uuid,                        -- who approved, denied, withdrew or revoked last
    decision_reason text CHECK (char_length(decision_reason) BETWEEN 1 AND 2000),
    -- Drawn by calls of any subject and period, while it was active. The CHECK is law 1 restated.
    settled         numeric(38,12) NOT NULL DEFAULT 0 CHECK (settled >= 0),
    held            numeric(38,12) NOT NULL DEFAULT 0 CHECK (held >= 0),
    -- The review that is due afterwards.
    review_due_at   timestamptz NOT NULL,
    reviewed_at     timestamptz,
    reviewed_by     uuid,
    purpose         text CHECK (char_length(purpose) BETWEEN 1 AND 2000),
    result          text CHECK (char_length(result) BETWEEN 1 AND 2000),
    worth_it        boolean,
    lessons         text CHECK (char_length(lessons) <= 2000),
    -- What people were told of, each once.
    exhausted_event uuid,
    expired_event   uuid,
    review_event    uuid,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, budget_id) REFERENCES budgets (organization_id, id),
    CONSTRAINT law_1_never_over CHECK (settled + held <= amount),
    CHECK (num_nonnulls(approved_at, denied_at, withdrawn_at) <= 1),
    CHECK (num_nonnulls(reviewed_at, reviewed_by, purpose, result, worth_it) IN (0, 5))
) WITH (fillfactor = 50);
CREATE INDEX bursts_budget ON bursts (organization_id, budget_id);

-- How much of settled and held is drawn on bursts; the rest is what the budget itself has to answer for.
ALTER TABLE budget_periods
    ADD burst numeric(38,12) NOT NULL DEFAULT 0 CHECK (burst >= 0),
    DROP CONSTRAINT law_1_never_over,
    ADD CONSTRAINT law_1_never_over CHECK (settled + held - burst <= ceiling + overage);

-- Guard rails on burst requests: those of a budget go before those of its organization.
ALTER TABLE organizations ADD burst_rails jsonb NOT NULL DEFAULT '{}';
ALTER TABLE budgets ADD burst_rails jsonb NOT NULL DEFAULT '{}';
