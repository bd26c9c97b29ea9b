-- Why: fees, taxes and unused commitments are told apart from other adjustments, as finance and FOCUS tell them.
-- Locks: `adjustments` for as long as its rows are read. Duration: instant. Undo: put the old checks back, once there are none of the new kinds.

ALTER TABLE adjustments
    DROP CONSTRAINT adjustments_kind_check,
    DROP CONSTRAINT adjustments_check,
    ADD CONSTRAINT adjustments_kind CHECK (kind IN ('adjustment', 'credit', 'fee', 'tax', 'unused_commitment')),
    -- Which way each counts, and the other way round where it takes one back.
    ADD CONSTRAINT adjustments_sign CHECK (CASE kind WHEN 'credit' THEN (amount < 0) = (reverses_id IS NULL)
                                                     WHEN 'fee' THEN (amount > 0) = (reverses_id IS NULL)
                                                     WHEN 'unused_commitment' THEN (amount > 0) = (reverses_id IS NULL)
                                                     ELSE true END),
    ADD CONSTRAINT adjustments_commitment CHECK (kind <> 'unused_commitment' OR feature IS NOT NULL);
