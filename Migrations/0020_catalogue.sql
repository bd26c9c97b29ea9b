-- Why: models have other names and an end; a rate that was wrong from its beginning is put right beside the faulty one, which stays on record; what an
-- import holds back waits for a person.
-- Locks: `models` and `prices` exclusively while the index is built. Duration: a second for 100,000 prices.
-- Undo: drop what is added here and add the unique constraint again; prices that were replaced would have to leave.

ALTER TABLE models
    ADD aliases       text[] NOT NULL DEFAULT '{}',  -- other names that calls may use; a model of that name goes first
    ADD deprecated_at timestamptz;                   -- when the provider withdraws it

-- Besides `valid_to`, the one thing that ever changes, and only from NULL.
ALTER TABLE prices
    ADD replaced_by uuid,                            -- the price that holds for this one's time in its stead
    DROP CONSTRAINT prices_organization_id_model_usage_kind_service_tier_contex_key;
CREATE UNIQUE INDEX prices_begin ON prices (organization_id, model, usage_kind, service_tier, context_from, valid_from)
    WHERE replaced_by IS NULL;

CREATE TABLE price_proposals (
    organization_id    uuid NOT NULL REFERENCES organizations,  -- the platform for list prices
    id                 uuid NOT NULL,
    model              text NOT NULL,
    usage_kind         text NOT NULL,
    service_tier       text NOT NULL,
    context_from       bigint NOT NULL,
    current_amount     numeric(38,12),               -- what it was held against; NULL: nothing is in force
    amount_per_million numeric(38,12) NOT NULL,
    valid_from         timestamptz NOT NULL,
    reason             text NOT NULL CHECK (reason IN ('too_large', 'later_rate', 'suspicious')),
    source             text NOT NULL,
    proposed_at        timestamptz NOT NULL,
    state              text NOT NULL DEFAULT 'proposed' CHECK (state IN ('proposed', 'approved', 'rejected', 'superseded')),
    decided_by         text,
    decided_at         timestamptz,
    PRIMARY KEY (organization_id, id)
);
CREATE UNIQUE INDEX price_proposals_open ON price_proposals (organization_id, model, usage_kind, service_tier, context_from)
    WHERE state = 'proposed';
CREATE TRIGGER audit AFTER UPDATE ON price_proposals FOR EACH ROW EXECUTE FUNCTION audit('price_proposal', 'prp');
