//! Lines: the jobs of one tenant and priority that are due. Tenants have their turns by rounds: the line at the front gives one job and goes
//! behind all others of its priority; whoever comes new goes there too. An empty line is no line, as a place would be worth one round at most.

use jobwright_model::QueueName;

use crate::database::Statement;
use crate::value::values;

/// The line of these jobs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    pub(super) priority: i64,
    pub(super) tenant: String,
}

/// A queue that is not there has no lines.
const JOIN: &str = "INSERT INTO lines (queue, priority, tenant, waiting, turn) \
     SELECT name, CAST(?2 AS BIGINT), CAST(?3 AS {bytes}), CAST(?4 AS BIGINT), (SELECT COALESCE(MAX(turn), 0) + 1 FROM lines WHERE queue = ?1 AND priority = ?2 AND turn > 0) FROM queues WHERE name = ?1 \
     ON CONFLICT (queue, priority, tenant) DO UPDATE SET waiting = lines.waiting + excluded.waiting";

const VANISH: &str = "DELETE FROM lines WHERE queue = ?1 AND priority = ?2 AND tenant = ?3 AND waiting <= 1";

const SHORTER: &str =
    "UPDATE lines SET waiting = waiting - 1 WHERE queue = ?1 AND priority = ?2 AND tenant = ?3";

impl Line {
    /// `jobs` more are due.
    pub(super) fn join(&self, queue: &QueueName, jobs: i64) -> Statement {
        Statement::change(JOIN, values![queue, self.priority, self.tenant.clone().into_bytes(), jobs])
    }

    /// One of its jobs waits no more, without having been given.
    pub(super) fn left(&self, queue: &QueueName) -> [Statement; 2] {
        [self.change(VANISH, queue), self.change(SHORTER, queue)]
    }

    fn change(&self, sql: &'static str, queue: &QueueName) -> Statement {
        Statement::change(sql, values![queue, self.priority, self.tenant.clone().into_bytes()])
    }
}

/// The line of the job that the queue's row remembers.
const GAVE: &str = "queue = ?1 AND (priority, tenant) = (SELECT priority, tenant FROM jobs WHERE queue = ?1 \
     AND id = (SELECT given FROM queues WHERE name = ?1))";

/// That job was given by its line: it is the turn of all others first.
pub(super) fn given(queue: &QueueName) -> [Statement; 2] {
    let vanish = format!("DELETE FROM lines WHERE {GAVE} AND waiting <= 1");
    let served = format!(
        "UPDATE lines SET waiting = waiting - 1, \
         turn = (SELECT MAX(turn) + 1 FROM lines AS others WHERE others.queue = ?1 AND others.priority = lines.priority AND others.turn > 0) WHERE {GAVE}"
    );
    [Statement::change(vanish, values![queue]), Statement::change(served, values![queue])]
}
