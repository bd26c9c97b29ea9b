-- Why: money that was paid to a provider in advance pays for usage of its term. What each closed month has drawn on it stays as it was.
-- Locks: none. Duration: instant. Undo: drop both tables and the function.

CREATE TABLE commitments (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    name            text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    provider        text NOT NULL CHECK (char_length(provider) BETWEEN 1 AND 100),
    models          text[] NOT NULL,             -- patterns; none: all of the provider's
    amount          numeric(38,12) NOT NULL CHECK (amount > 0),
    from_date       date NOT NULL,               -- the first day of its term, by the organization's calendar
    until_date      date NOT NULL CHECK (until_date > from_date),  -- the first day after it
    purchase_month  text NOT NULL CHECK (purchase_month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$' AND purchase_month <= to_char(from_date, 'YYYY-MM')),
    invoice         text CHECK (char_length(invoice) BETWEEN 1 AND 200),  -- the provider's, that it was paid with
    revision        bigint NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    cancelled_at    timestamptz,                 -- then it never was; only while no closed month knows of it
    PRIMARY KEY (organization_id, id)
);
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON commitments FOR EACH ROW EXECUTE FUNCTION audit('commitment', 'cmt');

-- Closed months are made of it: nothing changes but whether it was taken back.
CREATE FUNCTION keep_commitments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.cancelled_at IS NOT NULL
       OR to_jsonb(OLD) - '{cancelled_at,revision}'::text[] <> to_jsonb(NEW) - '{cancelled_at,revision}'::text[]
    THEN
        RAISE 'commitments stay as they are' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_commitments BEFORE UPDATE OR DELETE ON commitments FOR EACH ROW EXECUTE FUNCTION keep_commitments();

-- What a closed month draws on a commitment: frozen with its lines. Which of them it pays for follows from where it ran out: those before
-- are paid for whole, those after are not.
CREATE TABLE commitment_draws (
    organization_id uuid NOT NULL,
    statement_id    uuid NOT NULL,
    edition         bigint NOT NULL,
    commitment_id   uuid NOT NULL,
    starts_at       timestamptz NOT NULL,        -- the term, by the organization's zone of that time
    ends_at         timestamptz NOT NULL,
    drawn_before    numeric(38,12) NOT NULL CHECK (drawn_before >= 0),  -- by earlier months
    drawn           numeric(38,12) NOT NULL,     -- by this one; below zero: corrections gave back more
    charged         numeric(38,12) NOT NULL,     -- of the unused part, what people have charged to projects in this month
    returned_at     timestamptz,                 -- the day, the line and its units with which there was nothing left to give back
    returned_line   bigint,
    returned_units  bigint,
    drained_at      timestamptz,                 -- the same, with which there was nothing left to draw
    drained_line    bigint,
    drained_units   bigint,
    PRIMARY KEY (organization_id, statement_id, edition, commitment_id),
    FOREIGN KEY (organization_id, statement_id) REFERENCES statements (organization_id, id),
    FOREIGN KEY (organization_id, commitment_id) REFERENCES commitments (organization_id, id),
    CHECK (drawn_before + drawn >= 0),
    CHECK (num_nonnulls(returned_at, returned_line, returned_units) IN (0, 3)),
    CHECK (num_nonnulls(drained_at, drained_line, drained_units) IN (0, 3))
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON commitment_draws FOR EACH STATEMENT EXECUTE FUNCTION is_append_only();
CREATE TRIGGER keep_frozen_lines AFTER INSERT ON commitment_draws REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION keep_frozen_lines();
