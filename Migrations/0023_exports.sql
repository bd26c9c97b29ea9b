-- Why: exports of many months take longer than a request may. They are made in the background, kept here in pieces, so that every replica
-- can hand them out, and end with their date.
-- Locks: none. Duration: instant. Undo: drop both tables.

CREATE TABLE exports (
    organization_id uuid NOT NULL REFERENCES organizations,
    id              uuid NOT NULL,
    format          text NOT NULL,
    first_month     text NOT NULL CHECK (first_month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    last_month      text NOT NULL CHECK (last_month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$' AND last_month >= first_month),
    state           text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled', 'expired')),
    months          bigint NOT NULL CHECK (months > 0),
    months_done     bigint NOT NULL DEFAULT 0 CHECK (months_done BETWEEN 0 AND months),
    requested_by    text NOT NULL,
    attempt         bigint NOT NULL DEFAULT 0,   -- the fence: a worker of an earlier one writes nothing more
    started_at      timestamptz,                 -- of the last attempt
    lease_until     timestamptz,                 -- until then it is somebody's; then the next may begin again
    failure         text,                        -- for the tenant
    bytes           bigint,                      -- the file's size and hash, also once it is gone
    sha256          bytea CHECK (octet_length(sha256) = 32),
    created_at      timestamptz NOT NULL DEFAULT now(),
    finished_at     timestamptz,
    expires_at      timestamptz,                 -- then the file goes; the row stays as a record of who took what away
    PRIMARY KEY (organization_id, id),
    CHECK (state <> 'running' OR (started_at, lease_until) IS NOT NULL),
    CHECK (state <> 'done' OR (bytes, sha256, finished_at, expires_at) IS NOT NULL)
);
CREATE INDEX exports_open ON exports (organization_id, id) WHERE state IN ('queued', 'running', 'done');
-- What people ask for and take back are events; what the service does about it is told by the export itself.
CREATE TRIGGER audit AFTER INSERT ON exports FOR EACH ROW EXECUTE FUNCTION audit('export', 'exp');
CREATE TRIGGER audit_change AFTER UPDATE ON exports FOR EACH ROW
    WHEN (NEW.state = 'cancelled' AND OLD.state <> 'cancelled') EXECUTE FUNCTION audit('export', 'exp');

-- A finished or growing file. Every piece but the last has a MiB, so neither side ever holds more of it, and each byte's piece is known.
CREATE TABLE export_pieces (
    organization_id uuid NOT NULL,
    export_id       uuid NOT NULL,
    piece           bigint NOT NULL CHECK (piece >= 0),
    bytes           bytea NOT NULL CHECK (octet_length(bytes) BETWEEN 1 AND 1048576),
    PRIMARY KEY (organization_id, export_id, piece),
    FOREIGN KEY (organization_id, export_id) REFERENCES exports (organization_id, id)
);
ALTER TABLE export_pieces ALTER bytes SET STORAGE EXTERNAL;  -- they are compressed already
