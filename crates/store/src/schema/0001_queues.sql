-- Queues, their jobs, and the attempts at them. Times are microseconds since 1970.

-- given: the job that is being given out, for the statements of that; none between them.
CREATE TABLE queues (
    name {name} PRIMARY KEY,
    rules TEXT NOT NULL,
    paused BIGINT NOT NULL,
    last_id BIGINT NOT NULL,
    given BIGINT,
    stale_writes BIGINT NOT NULL
) {busy};

-- due_at: when a job that waits may begin. place: its number once it may, which is its place in its tenant's line; none before and after.
-- So due_at is there while it waits, and one that has ended has no due_at but a finished_at.
CREATE TABLE jobs (
    queue {name} NOT NULL REFERENCES queues (name),
    id BIGINT NOT NULL,
    state TEXT NOT NULL,
    tenant {bytes} NOT NULL,
    priority BIGINT NOT NULL,
    queued_at BIGINT NOT NULL,
    process_after BIGINT,
    due_at BIGINT,
    place BIGINT,
    started_at BIGINT,
    heartbeat_at BIGINT,
    finished_at BIGINT,
    failure_message {bytes},
    resets BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    holder {bytes},
    cancel BIGINT NOT NULL,
    token {bytes},
    PRIMARY KEY (queue, id)
) {busy};

CREATE INDEX jobs_in_line ON jobs (queue, priority, tenant, place, due_at) WHERE place IS NOT NULL;
CREATE INDEX jobs_waiting ON jobs (queue, due_at) WHERE place IS NULL AND due_at IS NOT NULL;
CREATE INDEX jobs_ended ON jobs (queue, finished_at) WHERE due_at IS NULL AND finished_at IS NOT NULL;
-- Always so, but only a statement that says it may use this index: a plan that was made while the table was empty took it for the primary key.
CREATE INDEX jobs_by_state ON jobs (queue, state, id) WHERE id > 0;
CREATE UNIQUE INDEX jobs_by_token ON jobs (token) WHERE token IS NOT NULL;

-- Beside the job, because a job's row changes often and what is to be run may be large.
CREATE TABLE payloads (
    queue {name} NOT NULL,
    id BIGINT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (queue, id),
    FOREIGN KEY (queue, id) REFERENCES jobs (queue, id) ON DELETE CASCADE
);

-- A line: the jobs of one tenant and priority that are due. The line of the lowest turn gives the next job, and goes behind all others.
CREATE TABLE lines (
    queue {name} NOT NULL REFERENCES queues (name),
    priority BIGINT NOT NULL,
    tenant {bytes} NOT NULL,
    waiting BIGINT NOT NULL,
    turn BIGINT NOT NULL,
    PRIMARY KEY (queue, priority, tenant)
) {busy};

-- As with jobs_by_state.
CREATE INDEX lines_by_turn ON lines (queue, priority DESC, turn) WHERE turn > 0;

CREATE TABLE attempts (
    queue {name} NOT NULL,
    id BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    holder {bytes} NOT NULL,
    started_at BIGINT NOT NULL,
    finished_at BIGINT,
    state TEXT NOT NULL,
    failure_message {bytes},
    PRIMARY KEY (queue, id, attempt),
    FOREIGN KEY (queue, id) REFERENCES jobs (queue, id) ON DELETE CASCADE
) {keyed};
