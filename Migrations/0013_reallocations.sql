-- Why: amounts moved from one budget to another, for one period or from then on: asked for, and approved from both sides.
-- Locks: budget_limits shortly. Duration: instant. Undo: drop the view, the table and the column.

CREATE TABLE reallocations (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    from_budget_id  uuid NOT NULL,
    to_budget_id    uuid NOT NULL,
    amount          numeric(38,12) NOT NULL CHECK (amount > 0),
    period_start    timestamptz,                 -- of the one period it is for; NULL: from then on
    period_end      timestamptz CHECK (period_end > period_start),
    reason          text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 2000),
    requested_by    text NOT NULL,               -- who asked, and how high their role stood on the giving side
    requester_rank  bigint NOT NULL,
    requested_at    timestamptz NOT NULL,
    lapses_at       timestamptz NOT NULL,        -- undecided until then, it is over
    -- The word of who looks after the giving budget, and an administrator's: of two people.
    given_by        text,
    given_at        timestamptz,
    approved_by     text,
    approved_at     timestamptz,
    decision        text CHECK (decision IN ('moved', 'denied', 'withdrawn')),
    decided_by      text,
    decided_at      timestamptz,
    decision_reason text CHECK (char_length(decision_reason) BETWEEN 1 AND 2000),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, from_budget_id) REFERENCES budgets (organization_id, id),
    FOREIGN KEY (organization_id, to_budget_id) REFERENCES budgets (organization_id, id),
    CHECK (from_budget_id <> to_budget_id),
    CHECK (num_nonnulls(given_by, given_at) IN (0, 2) AND num_nonnulls(approved_by, approved_at) IN (0, 2)),
    CHECK (num_nonnulls(decision, decided_by, decided_at) IN (0, 3)),
    CHECK (decision IS DISTINCT FROM 'moved' OR (given_by <> approved_by AND approved_by <> requested_by))
);
CREATE INDEX reallocations_from ON reallocations (organization_id, from_budget_id);
CREATE INDEX reallocations_to ON reallocations (organization_id, to_budget_id);
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON reallocations FOR EACH ROW EXECUTE FUNCTION audit('reallocation', 'ral');

-- By how much a budget's amount differs in one period, because of what was moved for that period alone. The view reads as whoever asks,
-- so row-level security holds behind it.
CREATE VIEW budget_shifts WITH (security_invoker = true) AS
SELECT organization_id, budget_id, period_start, period_end, sum(amount) AS amount
FROM (
    SELECT organization_id, from_budget_id AS budget_id, period_start, period_end, -amount AS amount FROM reallocations
    WHERE decision = 'moved' AND period_start IS NOT NULL
    UNION ALL
    SELECT organization_id, to_budget_id, period_start, period_end, amount FROM reallocations
    WHERE decision = 'moved' AND period_start IS NOT NULL
) AS moves
GROUP BY organization_id, budget_id, period_start, period_end;

-- A limit that holds for one period only: then another one is in force again.
ALTER TABLE budget_limits ADD period_start timestamptz;
