-- Why: an organization says which tags calls must carry, and sees what lacks them; budgets may follow another one's amount by a share.
-- Locks: `attributions` and `budgets` for an instant. Duration: instant. Undo: drop what is added.

CREATE TABLE tag_policies (
    organization_id uuid PRIMARY KEY REFERENCES organizations,
    rules           jsonb NOT NULL,              -- [{"tag":"project-id","required":true,"values":["a*"],"project":true}]
    is_blocking     boolean NOT NULL             -- reservations that break a rule are refused
);
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON tag_policies FOR EACH ROW EXECUTE FUNCTION audit('tag_policy', 'org');

ALTER TABLE attributions ADD lacks_tags boolean NOT NULL DEFAULT false;  -- the call broke the tag policy of its time

ALTER TABLE budgets
    ADD share_of      uuid,                      -- the budget whose amount this one's follows
    ADD share_percent numeric(38,12) CHECK (share_percent > 0 AND share_percent <= 100),
    ADD FOREIGN KEY (organization_id, share_of) REFERENCES budgets (organization_id, id),
    ADD CHECK ((share_of IS NULL) = (share_percent IS NULL));
CREATE INDEX budgets_shares ON budgets (organization_id, share_of) WHERE share_of IS NOT NULL AND archived_at IS NULL;
