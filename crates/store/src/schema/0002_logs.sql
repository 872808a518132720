-- The logs of attempts: entries, and what each printed in pieces that begin at byte `at`, each whole UTF-8. Durations are microseconds.

CREATE TABLE log_entries (
    queue {name} NOT NULL,
    id BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    entry BIGINT NOT NULL,
    key {bytes} NOT NULL,
    command TEXT,
    started_at BIGINT NOT NULL,
    exit_code BIGINT,
    duration BIGINT,
    length BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    PRIMARY KEY (queue, id, attempt, entry),
    FOREIGN KEY (queue, id, attempt) REFERENCES attempts (queue, id, attempt) ON DELETE CASCADE
) {busy};

CREATE TABLE log_pieces (
    queue {name} NOT NULL,
    id BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    entry BIGINT NOT NULL,
    at BIGINT NOT NULL,
    text {bytes} NOT NULL,
    PRIMARY KEY (queue, id, attempt, entry, at),
    FOREIGN KEY (queue, id, attempt, entry) REFERENCES log_entries (queue, id, attempt, entry) ON DELETE CASCADE
);
