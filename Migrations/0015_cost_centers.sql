-- Why: a cost centre that changes on a date: calls are charged to the one in force when they are made, and nobody has to be there then.
-- Locks: teams and projects shortly; no row is rewritten. Duration: instant. Undo: drop the columns.

-- The one that takes the place of `cost_center` at that instant; NULL in its place: none from then on, or a project's team's.
ALTER TABLE teams ADD next_cost_center text CHECK (char_length(next_cost_center) BETWEEN 1 AND 100), ADD next_cost_center_from timestamptz;
ALTER TABLE projects ADD next_cost_center text CHECK (char_length(next_cost_center) BETWEEN 1 AND 100), ADD next_cost_center_from timestamptz;
