-- Why: months close. What finance has booked never changes again: neither through Bursar nor by SQL of the service's role. What becomes
-- known later of a closed month is an entry of an open one and says which time it corrects.
-- Locks: ledger_entries against writes while the index is made, the others for an instant. Duration: one reading of ledger_entries.
-- Undo: drop the triggers, the functions, the tables and the columns; entries that correct a closed month then count as spend of
-- the month they were booked in.

-- Before this instant the books are closed; NULL: nothing is closed yet. It is part of the configuration that fences guard.
ALTER TABLE organizations ADD closed_until timestamptz;

-- When the call was made, where the books of that time were closed already: then `occurred_at` is when it was booked instead.
ALTER TABLE ledger_entries ADD corrects_at timestamptz;
CREATE INDEX ledger_entries_corrections ON ledger_entries (organization_id, occurred_at) WHERE corrects_at IS NOT NULL;

-- The entry's `occurred_at` where that is not the reservation's `created_at`.
ALTER TABLE reservations ADD entry_at timestamptz;

-- A month on its way to being closed, or closed. One that has no row is open.
CREATE TABLE statements (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    month           text NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    starts_at       timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL CHECK (ends_at > starts_at),
    state           text NOT NULL CHECK (state IN ('open', 'proposed', 'closing', 'closed')),
    edition         bigint NOT NULL DEFAULT 0,   -- how often it was closed: more than once only after it was opened again
    proposed_at     timestamptz,
    proposed_by     text,
    proposed_calls  bigint,                      -- what the proposal summed to: that and nothing else is closed
    proposed_cost   numeric(38,12),
    accepted        text[] NOT NULL DEFAULT '{}',  -- points of the checklist that were taken as they are
    closing_at      timestamptz,                 -- since then nothing more is booked on the month
    closing_by      text,
    closing_version bigint,                      -- the fence's at that moment: roll-ups must have come so far
    organization_name text,                      -- as it was then, and where finance booked it
    accounts        jsonb,
    closed_at       timestamptz,
    calls           bigint,
    cost            numeric(38,12),
    lines           bigint,
    content_sha256  bytea CHECK (octet_length(content_sha256) = 32),
    reopen_asked_at timestamptz,
    reopen_asked_by text,
    reopen_reason   text,
    reopened_at     timestamptz,
    reopened_by     text,
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, id),
    CONSTRAINT statements_month UNIQUE (organization_id, month),
    CHECK (state <> 'closed' OR (closed_at, calls, cost, lines, content_sha256) IS NOT NULL),
    CHECK (state NOT IN ('closing', 'closed')
           OR (closing_at, closing_by, closing_version, organization_name, accounts) IS NOT NULL),
    CONSTRAINT statements_reopened_by_two CHECK (reopened_by <> reopen_asked_by)
);
CREATE INDEX statements_closing ON statements (organization_id, id) WHERE state = 'closing';
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON statements FOR EACH ROW EXECUTE FUNCTION audit('statement', 'stm');

-- What was charged in a closed month: frozen when it closed. Names and cost centre are the attribution's, which never changes.
CREATE TABLE statement_lines (
    organization_id uuid NOT NULL,
    statement_id    uuid NOT NULL,
    edition         bigint NOT NULL,
    line            bigint NOT NULL,             -- 1, 2, 3 … in the order of every export
    consumed_at     timestamptz NOT NULL,        -- the local day of the calls; before the month for corrections of closed ones
    attribution_id  uuid NOT NULL,
    provider        text NOT NULL,
    model           text NOT NULL,
    feature         text NOT NULL,
    usage_kind      text NOT NULL,               -- '': calls that reported no usage
    price_id        uuid NOT NULL,               -- 00000000-…: no price was known
    service_tier    text,
    context_from    bigint,
    unit_price      numeric(38,12),              -- per million units; NULL: no price was known
    list_price      numeric(38,12),              -- the platform's, where the organization's own price was charged
    calls           bigint NOT NULL,
    quantity        numeric(38,0) NOT NULL,
    cost            numeric(38,12) NOT NULL,
    PRIMARY KEY (organization_id, statement_id, edition, line),
    FOREIGN KEY (organization_id, statement_id) REFERENCES statements (organization_id, id)
);

-- What a closed statement's export in one form is, found when it was first asked for: the same bytes for ever.
CREATE TABLE statement_files (
    organization_id uuid NOT NULL,
    statement_id    uuid NOT NULL,
    edition         bigint NOT NULL,
    format          text NOT NULL,
    bytes           bigint NOT NULL,
    rows            bigint NOT NULL,
    sha256          bytea NOT NULL CHECK (octet_length(sha256) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, statement_id, edition, format),
    FOREIGN KEY (organization_id, statement_id) REFERENCES statements (organization_id, id)
);

-- Where finance books chargeback: general-ledger accounts, frozen with each statement.
CREATE TABLE journal_accounts (
    organization_id uuid PRIMARY KEY REFERENCES organizations,
    expense         text NOT NULL CHECK (char_length(expense) BETWEEN 1 AND 100),
    clearing        text NOT NULL CHECK (char_length(clearing) BETWEEN 1 AND 100),
    cost_centers    jsonb NOT NULL DEFAULT '{}'  -- {"CC-4410":"6410"}: debited instead of `expense`
);
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON journal_accounts FOR EACH ROW EXECUTE FUNCTION audit('journal_accounts', 'org');

-- The last word on closed months: whatever SQL says, nothing is added to them, changed or taken out. The organization's row is locked
-- against closing meanwhile. Younger entries are let through unasked, because no month is closed within half an hour of its end.
CREATE FUNCTION keep_closed_months() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    closed timestamptz;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        SELECT closed_until INTO closed FROM organizations WHERE organization_id = OLD.organization_id FOR SHARE;
        IF OLD.occurred_at < closed THEN
            RAISE 'the books are closed until %', closed USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'closed_months';
        END IF;
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    END IF;
    SELECT closed_until INTO closed FROM organizations WHERE organization_id = NEW.organization_id FOR SHARE;
    IF NEW.occurred_at < closed THEN
        RAISE 'the books are closed until %', closed USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'closed_months';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_closed_months BEFORE UPDATE OR DELETE ON ledger_entries FOR EACH ROW EXECUTE FUNCTION keep_closed_months();
CREATE TRIGGER keep_closed_months_new BEFORE INSERT ON ledger_entries FOR EACH ROW
    WHEN (NEW.occurred_at < now() - interval '30 minutes') EXECUTE FUNCTION keep_closed_months();

-- A closed statement can only be opened again, by two people; one that is closing can only close.
CREATE FUNCTION keep_closed_statements() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE 'statements are kept for ever' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF OLD.state = 'closing' AND NEW.state NOT IN ('closing', 'closed')
       OR OLD.state = 'closed' AND NEW.state NOT IN ('closed', 'open')
       OR OLD.state = 'closed' AND NEW.state = 'open'
          AND (NEW.reopen_asked_by IS NULL OR NEW.reopened_by IS NULL OR NEW.reopened_at IS NOT DISTINCT FROM OLD.reopened_at)
       OR OLD.state = 'closed'
          AND (OLD.month, OLD.starts_at, OLD.ends_at, OLD.edition, OLD.closing_at, OLD.closing_by, OLD.closing_version, OLD.closed_at, OLD.organization_name, OLD.accounts,
               OLD.calls, OLD.cost, OLD.lines, OLD.content_sha256)
              IS DISTINCT FROM
              (NEW.month, NEW.starts_at, NEW.ends_at, NEW.edition, NEW.closing_at, NEW.closing_by, NEW.closing_version, NEW.closed_at, NEW.organization_name, NEW.accounts,
               NEW.calls, NEW.cost, NEW.lines, NEW.content_sha256)
    THEN
        RAISE 'the statement is %', OLD.state USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'closed_months';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_closed_statements BEFORE UPDATE OR DELETE ON statements FOR EACH ROW EXECUTE FUNCTION keep_closed_statements();

-- The books are never open before the end of a closed month, and never closed within half an hour of now.
CREATE FUNCTION keep_books_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.closed_until > now() - interval '30 minutes' OR EXISTS (
        SELECT FROM statements WHERE organization_id = NEW.organization_id AND state IN ('closing', 'closed')
               AND ends_at > coalesce(NEW.closed_until, '-infinity'))
    THEN
        RAISE 'the books cannot be closed until %', NEW.closed_until
            USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'closed_months';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_books_closed BEFORE UPDATE OF closed_until ON organizations FOR EACH ROW
    WHEN (OLD.closed_until IS DISTINCT FROM NEW.closed_until) EXECUTE FUNCTION keep_books_closed();

CREATE FUNCTION is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE '% is append-only', TG_TABLE_NAME USING ERRCODE = 'object_not_in_prerequisite_state';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON statement_lines FOR EACH STATEMENT EXECUTE FUNCTION is_append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON statement_files FOR EACH STATEMENT EXECUTE FUNCTION is_append_only();
-- An attribution's id is made of its content: it has no other.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON attributions FOR EACH STATEMENT EXECUTE FUNCTION is_append_only();

-- Lines are added while their statement is closing, and then no more.
CREATE FUNCTION keep_frozen_lines() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (SELECT DISTINCT organization_id, statement_id, edition FROM added) AS a
        LEFT JOIN statements AS s ON s.organization_id = a.organization_id AND s.id = a.statement_id AND s.edition = a.edition
        WHERE s.state IS DISTINCT FROM 'closing')
    THEN
        RAISE 'the statement is not closing' USING ERRCODE = 'object_not_in_prerequisite_state', CONSTRAINT = 'closed_months';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER keep_frozen_lines AFTER INSERT ON statement_lines REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION keep_frozen_lines();
