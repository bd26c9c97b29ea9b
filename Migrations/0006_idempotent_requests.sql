-- Why: an administrative write that is repeated under its Idempotency-Key gets its first answer. The row is written in the
-- transaction of the effect. Locks: none. Duration: instant. Undo: drop the table.
CREATE TABLE idempotent_requests (
    organization_id uuid NOT NULL REFERENCES organizations,
    actor           text NOT NULL,               -- who asked: somebody else's key of the same text is another
    key             text NOT NULL CHECK (char_length(key) BETWEEN 1 AND 255),
    request_sha256  bytea NOT NULL,              -- of method, path and body
    sealed_answer   bytea NOT NULL,              -- an answer may show a secret, so it is sealed (design §10)
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (organization_id, actor, key)
);
CREATE INDEX idempotent_requests_age ON idempotent_requests (organization_id, created_at);
