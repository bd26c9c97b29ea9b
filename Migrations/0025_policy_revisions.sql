-- Why: whoever replaces a tag policy or journal accounts says which revision that rests on, so that nobody overwrites what they have not seen.
-- Locks: both tables for an instant. Duration: instant. Undo: drop the columns.

ALTER TABLE tag_policies ADD revision bigint NOT NULL DEFAULT 1;
ALTER TABLE journal_accounts ADD revision bigint NOT NULL DEFAULT 1;
