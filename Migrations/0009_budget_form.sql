-- Why: the rest of the budget form (design §4): degrade, final calls, caps of a tier; which rules chose a call's model; where rate limits
-- whose counters are to be pruned are found.
-- Locks: `budget_periods` exclusively while its CHECK is tried on every row, the others shortly. Duration: about a second for a million
-- counters. Undo: drop what is added here and add the old CHECK again.

ALTER TABLE tiers
    ADD max_input_tokens bigint CHECK (max_input_tokens > 0),                -- of one call; NULL: whatever the model takes
    ADD max_requests_per_minute bigint CHECK (max_requests_per_minute > 0);  -- of each project; kept by a budget with this tier_id

ALTER TABLE budgets
    ADD degrade jsonb,     -- {"from_percent":80,"models":{"gpt-4o":"gpt-4o-mini"}}
    ADD final_call jsonb,  -- {"calls":3,"model":"gpt-4o-mini","max_output_tokens":200}
    ADD tier_id uuid,      -- the tier whose cap this is; it counts only calls of projects on the tier
    ADD FOREIGN KEY (organization_id, tier_id) REFERENCES tiers (organization_id, id);
CREATE UNIQUE INDEX budgets_tier ON budgets (organization_id, tier_id) WHERE archived_at IS NULL AND tier_id IS NOT NULL;
CREATE INDEX budgets_rate_limits ON budgets (organization_id, id) WHERE period IN ('minute', 'hour');

-- Final calls let through, and what those still open hold beyond the ceiling.
ALTER TABLE budget_periods
    ADD final_calls bigint NOT NULL DEFAULT 0 CHECK (final_calls >= 0),
    ADD final_held numeric(38,12) NOT NULL DEFAULT 0 CHECK (final_held >= 0),
    DROP CONSTRAINT law_1_never_over,
    ADD CONSTRAINT law_1_never_over CHECK (settled + held - burst <= ceiling + overage + final_held);

-- [{"kind":"degraded","budget":"<uuid>","model":"gpt-4o-mini","from_percent":80},…]; NULL where the model asked for serves the call.
ALTER TABLE reservations ADD substitutions jsonb, ALTER substitutions SET STATISTICS 0;
ALTER TABLE ledger_entries ADD substitutions jsonb, ALTER substitutions SET STATISTICS 0;
