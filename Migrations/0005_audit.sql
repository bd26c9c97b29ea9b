-- Why: who changed what (design §10): one event for each change of an administered row, in the transaction that makes the change,
-- chained by hash in each organization. Written by triggers, so that no code path can forget it.
-- Locks: each administered table exclusively while its trigger is made. Duration: instant. Undo: drop the triggers, functions, tables.

-- Where an organization's chain ends. Its row lock is what makes sequences gapless.
CREATE TABLE audit_heads (
    organization_id uuid PRIMARY KEY REFERENCES organizations,
    sequence        bigint NOT NULL,
    hash            bytea NOT NULL
);

CREATE TABLE audit_events (
    organization_id uuid NOT NULL REFERENCES organizations,
    sequence        bigint NOT NULL,             -- 1, 2, 3 … in each organization
    occurred_at     timestamptz NOT NULL,
    action          text NOT NULL,               -- project.created, budget.changed, api_key.revoked …
    target          text NOT NULL,               -- the id in its text form
    actor           text NOT NULL,               -- usr_…, key_…, or bursar: the service or its command line
    api_key_id      uuid,                        -- the credential that was used
    request_id      text,
    before          jsonb,                       -- the row, without secrets; NULL when there was none
    after           jsonb,
    previous_hash   bytea NOT NULL,              -- empty for the first
    hash            bytea NOT NULL,              -- SHA-256 of previous_hash and audit_content
    PRIMARY KEY (organization_id, sequence)
);
CREATE INDEX audit_events_target ON audit_events (organization_id, target, sequence);

-- What is hashed: all that the event says, as one text.
CREATE FUNCTION audit_content(event audit_events) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_array(
        event.organization_id, event.sequence, (extract(epoch FROM event.occurred_at) * 1000000)::bigint, event.action, event.target,
        event.actor, event.api_key_id, event.request_id, event.before, event.after)::text
$$;

-- A row as it is shown: ids in their text form, neither secrets nor what only the dispatcher writes down.
CREATE FUNCTION audit_facts(facts jsonb, own_prefix text) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_object_agg(
        key,
        CASE WHEN prefix IS NULL OR jsonb_typeof(value) = 'null' THEN value
             ELSE to_jsonb(prefix || '_' || replace(value #>> '{}', '-', '')) END)
    FROM jsonb_each(facts)
    LEFT JOIN (VALUES ('id', own_prefix), ('team_id', 'team'), ('project_id', 'prj'), ('tier_id', 'tier'), ('user_id', 'usr'),
                      ('budget_id', 'bgt'), ('origin_id', 'key'), ('api_key_id', 'key'), ('default_tier_id', 'tier'),
                      ('access_request_id', 'req'), ('burst_id', 'brs'), ('endpoint_id', 'ep'),
                      ('from_budget_id', 'bgt'), ('to_budget_id', 'bgt')) AS known (name, prefix) ON name = key
    WHERE key NOT IN ('organization_id', 'secret_sha256', 'next_slot_at', 'failures', 'failing_since', 'last_success_at',
                      'last_failure_at') AND key NOT LIKE 'sealed%'
$$;

-- CREATE TRIGGER audit AFTER INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION audit('thing', 'prefix of its ids').
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql SET timezone = 'UTC' AS $$
DECLARE
    event audit_events;
    facts jsonb := to_jsonb(NEW);
    verb  text := 'created';
BEGIN
    event.after := audit_facts(facts, TG_ARGV[1]);
    IF TG_OP = 'UPDATE' THEN
        event.before := audit_facts(to_jsonb(OLD), TG_ARGV[1]);
        IF event.before = event.after THEN RETURN NULL; END IF;
        verb := CASE
            WHEN event.before ->> 'archived_at' IS NULL AND event.after ->> 'archived_at' IS NOT NULL THEN 'archived'
            WHEN event.before ->> 'archived_at' IS NOT NULL AND event.after ->> 'archived_at' IS NULL THEN 'restored'
            WHEN event.before ->> 'revoked_at' IS NULL AND event.after ->> 'revoked_at' IS NOT NULL THEN 'revoked'
            ELSE 'changed' END;
    END IF;
    event.organization_id := NEW.organization_id;
    event.occurred_at := clock_timestamp();
    event.action := TG_ARGV[0] || '.' || verb;
    event.target := TG_ARGV[1] || '_' || replace(coalesce(facts ->> 'id', facts ->> 'organization_id'), '-', '');
    event.actor := coalesce(nullif(current_setting('bursar.actor', true), ''), 'bursar');
    event.api_key_id := nullif(current_setting('bursar.api_key', true), '')::uuid;
    event.request_id := nullif(current_setting('bursar.request_id', true), '');
    INSERT INTO audit_heads VALUES (NEW.organization_id, 0, '') ON CONFLICT DO NOTHING;
    SELECT h.sequence + 1, h.hash INTO event.sequence, event.previous_hash
    FROM audit_heads AS h WHERE h.organization_id = NEW.organization_id FOR UPDATE;
    event.hash := sha256(event.previous_hash || convert_to(audit_content(event), 'UTF8'));
    INSERT INTO audit_events SELECT event.*;
    UPDATE audit_heads SET sequence = event.sequence, hash = event.hash WHERE organization_id = NEW.organization_id;
    RETURN NULL;
END
$$;

CREATE TRIGGER audit AFTER INSERT OR UPDATE ON organizations FOR EACH ROW EXECUTE FUNCTION audit('organization', 'org');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON teams FOR EACH ROW EXECUTE FUNCTION audit('team', 'team');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON projects FOR EACH ROW EXECUTE FUNCTION audit('project', 'prj');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION audit('user', 'usr');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON api_keys FOR EACH ROW EXECUTE FUNCTION audit('api_key', 'key');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON models FOR EACH ROW EXECUTE FUNCTION audit('model', 'mdl');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON prices FOR EACH ROW EXECUTE FUNCTION audit('price', 'prc');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON tiers FOR EACH ROW EXECUTE FUNCTION audit('tier', 'tier');
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON budgets FOR EACH ROW EXECUTE FUNCTION audit('budget', 'bgt');
-- The engine draws on a burst grant with every batch: only what people decide of it is an event.
CREATE TRIGGER audit AFTER INSERT ON bursts FOR EACH ROW EXECUTE FUNCTION audit('burst', 'brs');
CREATE TRIGGER audit_change AFTER UPDATE ON bursts FOR EACH ROW
    WHEN ((OLD.approved_at, OLD.denied_at, OLD.withdrawn_at, OLD.revoked_at, OLD.reviewed_at)
          IS DISTINCT FROM (NEW.approved_at, NEW.denied_at, NEW.withdrawn_at, NEW.revoked_at, NEW.reviewed_at))
    EXECUTE FUNCTION audit('burst', 'brs');
-- The dispatcher writes an endpoint's health down with every delivery: that is no change of what it is.
CREATE TRIGGER audit AFTER INSERT ON endpoints FOR EACH ROW EXECUTE FUNCTION audit('endpoint', 'ep');
CREATE TRIGGER audit_change AFTER UPDATE ON endpoints FOR EACH ROW
    WHEN (OLD.revision <> NEW.revision OR OLD.is_enabled <> NEW.is_enabled) EXECUTE FUNCTION audit('endpoint', 'ep');

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are append-only';
END
$$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
