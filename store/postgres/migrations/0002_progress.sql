-- To apply by hand: this file, in one transaction, and for a schema of another name replace callsheet
-- before each dot.

-- How far executions have come in the pages of an answer, and schedules with their cursors. JSON; empty: nothing to tell.
ALTER TABLE callsheet.executions ADD COLUMN pages      integer NOT NULL DEFAULT 0;
ALTER TABLE callsheet.executions ADD COLUMN progress   text    NOT NULL DEFAULT '';
ALTER TABLE callsheet.answers    ADD COLUMN progress   text    NOT NULL DEFAULT '';
ALTER TABLE callsheet.schedules  ADD COLUMN cursor_at  text    NOT NULL DEFAULT '';
ALTER TABLE callsheet.schedules  ADD COLUMN validators text    NOT NULL DEFAULT '';

UPDATE callsheet.meta SET version = 2;
