-- To apply by hand: this file, in one transaction.

-- How far executions have come in the pages of an answer, and schedules with their cursors. JSON; empty: nothing to tell.
ALTER TABLE executions ADD COLUMN pages      integer NOT NULL DEFAULT 0;
ALTER TABLE executions ADD COLUMN progress   text    NOT NULL DEFAULT '';
ALTER TABLE answers    ADD COLUMN progress   text    NOT NULL DEFAULT '';
ALTER TABLE schedules  ADD COLUMN cursor_at  text    NOT NULL DEFAULT '';
ALTER TABLE schedules  ADD COLUMN validators text    NOT NULL DEFAULT '';

UPDATE meta SET version = 2;
