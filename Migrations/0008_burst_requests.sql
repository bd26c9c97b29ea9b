-- Why: who asks for bursts and decides on them is named as in audit events, with the rank it had.
-- Locks: `bursts` exclusively while it is rewritten. Duration: instant, it is small. Undo: drop what is added, turn the columns back.

ALTER TABLE bursts
    ALTER requested_by TYPE text,
    ALTER decided_by TYPE text,
    ALTER reviewed_by TYPE text,
    ADD requester_rank bigint NOT NULL DEFAULT 0;  -- when they asked: who decides must stand above
