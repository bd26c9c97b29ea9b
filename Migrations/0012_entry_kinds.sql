-- Why: not every entry is a call. Corrections reverse and re-book one; adjustments and credits are booked by people. Entries keep what the
-- provider reported; what of it no price covers is listed until somebody looks.
-- Locks: `ledger_entries` exclusively while its new CHECK is tried on every entry. Duration: some 2,000,000 entries a second.
-- Undo: drop what is added; entries of other kinds would have to leave the ledger and the roll-ups first.

ALTER TABLE ledger_entries
    ADD kind text NOT NULL DEFAULT 'usage' CHECK (kind IN ('usage', 'correction', 'adjustment', 'credit')),
    ADD reverses_id uuid,       -- the entry that this one takes back, line by line; each is taken back once
    ADD provider_usage jsonb,   -- the provider's own usage object, where the usage was read from one
    ALTER provider_usage SET STATISTICS 0,
    ALTER reservation_id DROP NOT NULL,  -- NULL: no call stands behind it
    ADD CONSTRAINT calls_have_reservations CHECK ((reservation_id IS NULL) = (kind IN ('adjustment', 'credit')));
CREATE INDEX ledger_entries_reversals ON ledger_entries (organization_id, reverses_id) WHERE reverses_id IS NOT NULL;

-- Fields of providers' usage objects that may be billable and that nothing here bills: new ones, surcharges, sums that do not come out.
CREATE TABLE unmapped_usage (
    organization_id uuid NOT NULL REFERENCES organizations,
    model           text NOT NULL,
    field           text NOT NULL,
    entries         bigint NOT NULL,
    first_seen_at   timestamptz NOT NULL,
    last_seen_at    timestamptz NOT NULL,
    PRIMARY KEY (organization_id, model, field)
);

-- Amounts that people book beside the calls: one asks, another approves, and then it is an entry of the ledger with the same id.
CREATE TABLE adjustments (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('adjustment', 'credit')),
    project_id      uuid NOT NULL,
    feature         text,
    amount          numeric(38,12) NOT NULL CHECK (amount <> 0),
    reason          text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 2000),
    occurred_at     timestamptz NOT NULL,        -- the moment it counts for
    reverses_id     uuid,                        -- the one it takes back, to the last digit
    requested_by    text NOT NULL,
    requester_rank  bigint NOT NULL,             -- when they asked: who decides must stand above
    requested_at    timestamptz NOT NULL,
    state           text NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'booked', 'denied', 'withdrawn')),
    decided_by      text,
    decided_at      timestamptz,
    decision_reason text,
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id),
    FOREIGN KEY (organization_id, reverses_id) REFERENCES adjustments (organization_id, id),
    CHECK (kind = 'adjustment' OR (amount < 0) = (reverses_id IS NULL)),
    CHECK ((state = 'requested') = (decided_by IS NULL))
);
CREATE UNIQUE INDEX adjustments_reversal ON adjustments (organization_id, reverses_id) WHERE state IN ('requested', 'booked');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON adjustments FOR EACH ROW EXECUTE FUNCTION audit('adjustment', 'adj');
