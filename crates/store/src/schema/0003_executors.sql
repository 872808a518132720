-- Agents, as they last said of themselves. `queues` and `about` are JSON; times are microseconds since 1970.

CREATE TABLE executors (
    name {bytes} PRIMARY KEY,
    queues TEXT NOT NULL,
    about TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL
) {keyed};

CREATE INDEX executors_by_time ON executors (last_seen);
