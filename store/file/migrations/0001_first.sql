-- To apply by hand: this file, in one transaction. Times are microseconds since 1970, booleans 0 and 1.

-- One row: how far the schema is, and a number that every edit of a definition moves on.
CREATE TABLE meta (
  one        integer PRIMARY KEY DEFAULT true CHECK (one),
  version    integer NOT NULL,
  generation integer  NOT NULL
);
INSERT INTO meta (version, generation) VALUES (1, 1);

-- One row, which whoever rings for backfills locks, so that two do not fill the same room.
CREATE TABLE backfills (one integer PRIMARY KEY DEFAULT true CHECK (one));
INSERT INTO backfills VALUES (1);

-- Sources, requests, extracts, deliveries, and schedules but for their state. IDs are in the order of their bytes.
CREATE TABLE definitions (
  kind       text NOT NULL,
  id         text NOT NULL,
  version    integer           NOT NULL,
  created_at integer      NOT NULL,
  updated_at integer      NOT NULL,
  doc        text             NOT NULL,
  PRIMARY KEY (kind, id)
);

-- What a definition refers to.
CREATE TABLE definition_uses (
  kind      text NOT NULL,
  id        text NOT NULL,
  uses_kind text NOT NULL,
  uses_id   text NOT NULL,
  PRIMARY KEY (kind, id, uses_kind)
);
CREATE INDEX definition_uses_by_used ON definition_uses (uses_kind, uses_id, kind, id);

-- The state of schedules: small rows that are written often. edition is the generation of the last edit; due_at is
-- next_execution_at where a planner is to come. What changes with every execution is in no index, so that the row is
-- replaced in its place.
CREATE TABLE schedules (
  id                   text PRIMARY KEY,
  edition              integer      NOT NULL,
  version              integer      NOT NULL,
  created_at           integer NOT NULL,
  updated_at           integer NOT NULL,
  never_run            integer     NOT NULL,
  timeout_us           integer      NOT NULL,
  status               text        NOT NULL,
  pause_reason         text        NOT NULL,
  paused_at            integer,
  consecutive_failures integer     NOT NULL,
  failing_since        integer,
  execution_count      integer      NOT NULL,
  failure_count        integer      NOT NULL,
  last_execution       text        NOT NULL,
  last_error           text        NOT NULL,
  last_scheduled_at    integer,
  last_executed_at     integer,
  runs                 integer      NOT NULL,
  planned_until        integer,
  next_execution_at    integer,
  due_at               integer
);
CREATE INDEX schedules_due       ON schedules (due_at, id)        WHERE due_at IS NOT NULL;
CREATE INDEX schedules_failing   ON schedules (failing_since, id) WHERE failing_since IS NOT NULL;
CREATE INDEX schedules_never_run ON schedules (created_at, id)    WHERE never_run;

-- The ledger. Times that are not there are NULL, texts are empty. gap_* are set where a row stands for many occurrences;
-- ring_at is when a pending execution's bell is to ring, ready_at since when it may be claimed.
CREATE TABLE executions (
  id               text PRIMARY KEY,
  schedule         text NOT NULL,
  scheduled_at     integer      NOT NULL,
  trigger          text             NOT NULL,
  state            text             NOT NULL,
  reason           text             NOT NULL,
  gap_first        integer,
  gap_last         integer,
  gap_count        integer,
  answer_of        text NOT NULL,
  attempt          integer          NOT NULL,
  max_attempts     integer          NOT NULL,
  fence            integer           NOT NULL,
  worker           text             NOT NULL,
  lease_until      integer,
  not_before       integer,
  waits            integer          NOT NULL,
  cancel_requested integer          NOT NULL,
  reopenings       integer          NOT NULL,
  lost_workers     integer          NOT NULL,
  created_at       integer      NOT NULL,
  started_at       integer,
  finished_at      integer,
  http_status      integer          NOT NULL,
  bytes            integer           NOT NULL,
  records          integer           NOT NULL,
  rejected         integer          NOT NULL,
  from_kept        integer          NOT NULL,
  fetch_ns         integer           NOT NULL,
  extract_ns       integer           NOT NULL,
  deliver_ns       integer           NOT NULL,
  class            text             NOT NULL,
  error            text             NOT NULL,
  attempts         text             NOT NULL,
  catches_up       integer          NOT NULL,
  ready_at         integer      NOT NULL,
  ring_at          integer,
  rung             integer          NOT NULL,
  revision         integer           NOT NULL
);
-- One execution for each occurrence.
CREATE UNIQUE INDEX executions_key ON executions (schedule, scheduled_at);
CREATE INDEX executions_history    ON executions (scheduled_at, id);
CREATE INDEX executions_gaps       ON executions (schedule, gap_last) WHERE gap_last IS NOT NULL;
CREATE INDEX executions_rare       ON executions (state, scheduled_at, id) WHERE state IN ('failed', 'cancelled', 'skipped');
CREATE INDEX executions_class      ON executions (class, scheduled_at, id) WHERE class <> '';
CREATE INDEX executions_ended      ON executions (state, finished_at, id) WHERE finished_at IS NOT NULL;
CREATE INDEX executions_open       ON executions (schedule) WHERE state IN ('pending', 'running');
CREATE INDEX executions_waiting    ON executions (schedule, catches_up, scheduled_at, id) WHERE waits;
CREATE INDEX executions_ring       ON executions (ring_at, id)  WHERE state = 'pending' AND NOT waits AND trigger <> 'backfill';
CREATE INDEX executions_ring_last  ON executions (ring_at, id)  WHERE state = 'pending' AND NOT waits AND trigger = 'backfill';
CREATE INDEX executions_ready      ON executions (ready_at, id) WHERE state = 'pending' AND NOT waits AND trigger <> 'backfill';
CREATE INDEX executions_lease      ON executions (lease_until, id) WHERE state = 'running';
CREATE INDEX executions_answer_of  ON executions (answer_of) WHERE answer_of <> '';

-- What an API said, gzipped. succeeded is set on those that are kept for the sake of their schedule.
CREATE TABLE answers (
  execution    text PRIMARY KEY,
  schedule     text NOT NULL,
  scheduled_at integer      NOT NULL,
  succeeded    integer          NOT NULL,
  fence        integer           NOT NULL,
  fetched_at   integer,
  status       integer          NOT NULL,
  url          text             NOT NULL,
  header       text             NOT NULL,
  body         blob            NOT NULL
);
CREATE INDEX answers_succeeded ON answers (schedule, scheduled_at) WHERE succeeded;

-- Statistics, of all executions ever. The schedule '' has those of schedules of which nothing else is left; pruned_* are of rows
-- that were pruned: what is left over is kept. What is pending or running is not counted here.
CREATE TABLE tallies (
  schedule         text PRIMARY KEY,
  succeeded        integer NOT NULL DEFAULT 0,
  failed           integer NOT NULL DEFAULT 0,
  cancelled        integer NOT NULL DEFAULT 0,
  skipped          integer NOT NULL DEFAULT 0,
  missed           integer NOT NULL DEFAULT 0,
  attempts         integer NOT NULL DEFAULT 0,
  bytes            integer NOT NULL DEFAULT 0,
  records          integer NOT NULL DEFAULT 0,
  stale_writes     integer NOT NULL DEFAULT 0,
  pruned_succeeded integer NOT NULL DEFAULT 0,
  pruned_failed    integer NOT NULL DEFAULT 0,
  pruned_cancelled integer NOT NULL DEFAULT 0,
  pruned_skipped   integer NOT NULL DEFAULT 0
);

-- How long attempts took: eight buckets to each doubling, from a microsecond on.
CREATE TABLE durations (
  schedule text NOT NULL,
  bucket   integer         NOT NULL,
  count    integer           NOT NULL,
  PRIMARY KEY (schedule, bucket)
);
