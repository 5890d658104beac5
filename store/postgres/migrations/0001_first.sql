-- To apply by hand: CREATE SCHEMA callsheet, then this file, in one transaction. For a schema of another name
-- replace callsheet before each dot.

-- One row: how far the schema is, and a number that every edit of a definition moves on.
CREATE TABLE callsheet.meta (
  one        boolean PRIMARY KEY DEFAULT true CHECK (one),
  version    integer NOT NULL,
  generation bigint  NOT NULL
);
INSERT INTO callsheet.meta (version, generation) VALUES (1, 1);

-- One row, which whoever rings for backfills locks, so that two do not fill the same room.
CREATE TABLE callsheet.backfills (one boolean PRIMARY KEY DEFAULT true CHECK (one));
INSERT INTO callsheet.backfills VALUES (true);

-- Sources, requests, extracts, deliveries, and schedules but for their state. IDs are in the order of their bytes.
-- Documents are json and not jsonb: the order of a default's fields, and the digits of a number, are the host's.
CREATE TABLE callsheet.definitions (
  kind       text COLLATE "C" NOT NULL,
  id         text COLLATE "C" NOT NULL,
  version    bigint           NOT NULL,
  created_at timestamptz      NOT NULL,
  updated_at timestamptz      NOT NULL,
  doc        json             NOT NULL,
  PRIMARY KEY (kind, id)
);

-- What a definition refers to.
CREATE TABLE callsheet.definition_uses (
  kind      text COLLATE "C" NOT NULL,
  id        text COLLATE "C" NOT NULL,
  uses_kind text COLLATE "C" NOT NULL,
  uses_id   text COLLATE "C" NOT NULL,
  PRIMARY KEY (kind, id, uses_kind)
);
CREATE INDEX definition_uses_by_used ON callsheet.definition_uses (uses_kind, uses_id, kind, id);

-- The state of schedules: small rows that are written often. edition is the generation of the last edit; due_at is
-- next_execution_at where a planner is to come. What changes with every execution is in no index, so that the row is
-- replaced in its place.
CREATE TABLE callsheet.schedules (
  id                   text COLLATE "C" PRIMARY KEY,
  edition              bigint      NOT NULL,
  version              bigint      NOT NULL,
  created_at           timestamptz NOT NULL,
  updated_at           timestamptz NOT NULL,
  never_run            boolean     NOT NULL,
  timeout_us           bigint      NOT NULL,
  status               text        NOT NULL,
  pause_reason         text        NOT NULL,
  paused_at            timestamptz,
  consecutive_failures integer     NOT NULL,
  failing_since        timestamptz,
  execution_count      bigint      NOT NULL,
  failure_count        bigint      NOT NULL,
  last_execution       text        NOT NULL,
  last_error           text        NOT NULL,
  last_scheduled_at    timestamptz,
  last_executed_at     timestamptz,
  runs                 bigint      NOT NULL,
  planned_until        timestamptz,
  next_execution_at    timestamptz,
  due_at               timestamptz
) WITH (fillfactor = 80);
CREATE INDEX schedules_due       ON callsheet.schedules (due_at, id)        WHERE due_at IS NOT NULL;
CREATE INDEX schedules_failing   ON callsheet.schedules (failing_since, id) WHERE failing_since IS NOT NULL;
CREATE INDEX schedules_never_run ON callsheet.schedules (created_at, id)    WHERE never_run;

-- The ledger. Times that are not there are NULL, texts are empty. gap_* are set where a row stands for many occurrences;
-- ring_at is when a pending execution's bell is to ring, ready_at since when it may be claimed.
CREATE TABLE callsheet.executions (
  id               text COLLATE "C" PRIMARY KEY,
  schedule         text COLLATE "C" NOT NULL,
  scheduled_at     timestamptz      NOT NULL,
  trigger          text             NOT NULL,
  state            text             NOT NULL,
  reason           text             NOT NULL,
  gap_first        timestamptz,
  gap_last         timestamptz,
  gap_count        integer,
  answer_of        text COLLATE "C" NOT NULL,
  attempt          integer          NOT NULL,
  max_attempts     integer          NOT NULL,
  fence            bigint           NOT NULL,
  worker           text             NOT NULL,
  lease_until      timestamptz,
  not_before       timestamptz,
  waits            boolean          NOT NULL,
  cancel_requested boolean          NOT NULL,
  reopenings       integer          NOT NULL,
  lost_workers     integer          NOT NULL,
  created_at       timestamptz      NOT NULL,
  started_at       timestamptz,
  finished_at      timestamptz,
  http_status      integer          NOT NULL,
  bytes            bigint           NOT NULL,
  records          bigint           NOT NULL,
  rejected         bigint           NOT NULL,
  from_kept        boolean          NOT NULL,
  fetch_ns         bigint           NOT NULL,
  extract_ns       bigint           NOT NULL,
  deliver_ns       bigint           NOT NULL,
  class            text             NOT NULL,
  error            text             NOT NULL,
  attempts         json             NOT NULL,
  catches_up       boolean          NOT NULL,
  ready_at         timestamptz      NOT NULL,
  ring_at          timestamptz,
  rung             boolean          NOT NULL,
  revision         bigint           NOT NULL
);
-- One execution for each occurrence.
CREATE UNIQUE INDEX executions_key ON callsheet.executions (schedule, scheduled_at);
CREATE INDEX executions_history    ON callsheet.executions (scheduled_at, id);
CREATE INDEX executions_gaps       ON callsheet.executions (schedule, gap_last) WHERE gap_last IS NOT NULL;
CREATE INDEX executions_rare       ON callsheet.executions (state, scheduled_at, id) WHERE state IN ('failed', 'cancelled', 'skipped');
CREATE INDEX executions_class      ON callsheet.executions (class, scheduled_at, id) WHERE class <> '';
CREATE INDEX executions_ended      ON callsheet.executions (state, finished_at, id) WHERE finished_at IS NOT NULL;
CREATE INDEX executions_open       ON callsheet.executions (schedule) WHERE state IN ('pending', 'running');
CREATE INDEX executions_waiting    ON callsheet.executions (schedule, catches_up, scheduled_at, id) WHERE waits;
CREATE INDEX executions_ring       ON callsheet.executions (ring_at, id)  WHERE state = 'pending' AND NOT waits AND trigger <> 'backfill';
CREATE INDEX executions_ring_last  ON callsheet.executions (ring_at, id)  WHERE state = 'pending' AND NOT waits AND trigger = 'backfill';
CREATE INDEX executions_ready      ON callsheet.executions (ready_at, id) WHERE state = 'pending' AND NOT waits AND trigger <> 'backfill';
CREATE INDEX executions_lease      ON callsheet.executions (lease_until, id) WHERE state = 'running';
CREATE INDEX executions_answer_of  ON callsheet.executions (answer_of) WHERE answer_of <> '';

-- What an API said, gzipped. succeeded is set on those that are kept for the sake of their schedule.
CREATE TABLE callsheet.answers (
  execution    text COLLATE "C" PRIMARY KEY,
  schedule     text COLLATE "C" NOT NULL,
  scheduled_at timestamptz      NOT NULL,
  succeeded    boolean          NOT NULL,
  fence        bigint           NOT NULL,
  fetched_at   timestamptz,
  status       integer          NOT NULL,
  url          text             NOT NULL,
  header       json             NOT NULL,
  body         bytea            NOT NULL
);
ALTER TABLE callsheet.answers ALTER COLUMN body SET STORAGE EXTERNAL; -- it is compressed already
CREATE INDEX answers_succeeded ON callsheet.answers (schedule, scheduled_at) WHERE succeeded;

-- Statistics, of all executions ever. The schedule '' has those of schedules of which nothing else is left; pruned_* are of rows
-- that were pruned: what is left over is kept. What is pending or running is not counted here.
CREATE TABLE callsheet.tallies (
  schedule         text COLLATE "C" PRIMARY KEY,
  succeeded        bigint NOT NULL DEFAULT 0,
  failed           bigint NOT NULL DEFAULT 0,
  cancelled        bigint NOT NULL DEFAULT 0,
  skipped          bigint NOT NULL DEFAULT 0,
  missed           bigint NOT NULL DEFAULT 0,
  attempts         bigint NOT NULL DEFAULT 0,
  bytes            bigint NOT NULL DEFAULT 0,
  records          bigint NOT NULL DEFAULT 0,
  stale_writes     bigint NOT NULL DEFAULT 0,
  pruned_succeeded bigint NOT NULL DEFAULT 0,
  pruned_failed    bigint NOT NULL DEFAULT 0,
  pruned_cancelled bigint NOT NULL DEFAULT 0,
  pruned_skipped   bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 80);

-- How long attempts took: eight buckets to each doubling, from a microsecond on.
CREATE TABLE callsheet.durations (
  schedule text COLLATE "C" NOT NULL,
  bucket   smallint         NOT NULL,
  count    bigint           NOT NULL,
  PRIMARY KEY (schedule, bucket)
) WITH (fillfactor = 80);
