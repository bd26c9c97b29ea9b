-- Why: asking for a tier or a model beyond a project's own, the approved and expiring answer, and the tier of new projects.
-- Locks: organizations shortly. Duration: instant. Undo: drop the tables and the column.

CREATE TABLE access_requests (
    organization_id uuid NOT NULL,
    id              uuid NOT NULL,
    project_id      uuid NOT NULL,
    tier_id         uuid,
    model           text,
    reason          text NOT NULL CHECK (char_length(reason) BETWEEN 1 AND 2000),
    ends_at         timestamptz NOT NULL,
    approval        text NOT NULL CHECK (approval IN ('none', 'team_lead', 'organization_admin')),  -- the rule as it was
    requested_by    text NOT NULL,               -- who asked, and how high their role stood
    requester_rank  bigint NOT NULL,
    requested_at    timestamptz NOT NULL,
    decision        text CHECK (decision IN ('approved', 'denied', 'withdrawn')),
    decided_by      text,
    decided_at      timestamptz,
    decision_reason text CHECK (char_length(decision_reason) BETWEEN 1 AND 2000),
    PRIMARY KEY (organization_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id),
    FOREIGN KEY (organization_id, tier_id) REFERENCES tiers (organization_id, id),
    CHECK (num_nonnulls(tier_id, model) = 1),
    CHECK (num_nonnulls(decision, decided_by, decided_at) IN (0, 3))
);

-- Ends on its date by being compared with the clock, not by a job.
CREATE TABLE access_grants (
    organization_id   uuid NOT NULL,
    id                uuid NOT NULL,
    access_request_id uuid NOT NULL,
    project_id        uuid NOT NULL,
    tier_id           uuid,
    model             text,
    granted_at        timestamptz NOT NULL,
    ends_at           timestamptz NOT NULL,
    revoked_at        timestamptz,
    PRIMARY KEY (organization_id, id),
    UNIQUE (organization_id, access_request_id),
    FOREIGN KEY (organization_id, access_request_id) REFERENCES access_requests (organization_id, id),
    FOREIGN KEY (organization_id, project_id) REFERENCES projects (organization_id, id),
    CHECK (num_nonnulls(tier_id, model) = 1)
);
CREATE INDEX access_grants_open ON access_grants (organization_id, ends_at) WHERE revoked_at IS NULL;

CREATE TRIGGER audit AFTER INSERT OR UPDATE ON access_requests FOR EACH ROW EXECUTE FUNCTION audit('access_request', 'req');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON access_grants FOR EACH ROW EXECUTE FUNCTION audit('access_grant', 'grt');

ALTER TABLE organizations
    ADD default_tier_id uuid,                    -- of new projects
    ADD FOREIGN KEY (organization_id, default_tier_id) REFERENCES tiers (organization_id, id);
