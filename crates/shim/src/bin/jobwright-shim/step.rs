//! A step as the shim keeps it, and the table of all of them. What is done with steps is in the modules of [`crate::shim`].

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use jobwright_shim::frame::Stream;
use jobwright_shim::protocol::Refusal;
use jobwright_shim::record::{EndedBy, ExitRecord, Instants, StepFiles};
use jobwright_shim::{StartOrder, StepId, StepStatus};

use crate::spool::Spool;

/// One step, from its start until it is forgotten.
pub(crate) struct Step {
    pub(crate) id: StepId,
    pub(crate) files: StepFiles,
    pub(crate) token: String,
    /// The order that started it without what it ran: what a program beside it may and may not.
    pub(crate) confinement: StartOrder,
    /// The first process; also its group and session.
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    pub(crate) start_time: u64,
    pub(crate) started: Instants,
    /// Nanoseconds since boot from which on the shim ends it when it has no owner; taken when that is done.
    pub(crate) deadline: Option<u64>,
    /// The cgroups that it was put into.
    pub(crate) cgroups: Vec<PathBuf>,
    /// Milliseconds for what the shim stops by itself.
    pub(crate) grace_ms: u64,
    pub(crate) reap: bool,
    pub(crate) stdout: Option<Pipe>,
    pub(crate) stderr: Option<Pipe>,
    /// The two pipes' inode numbers, by which a process that holds one is known.
    pub(crate) pipe_inodes: [u64; 2],
    pub(crate) spool: Spool,
    /// Set when the first process was waited for; its number may be another's from then on.
    pub(crate) exit: Option<ExitRecord>,
    /// When to write the exit record that could not be written, in nanoseconds since boot.
    pub(crate) record_retry: Option<u64>,
    /// Whether it is certain that no process of the step is left.
    pub(crate) is_gone: bool,
    pub(crate) stopping: Option<Stopping>,
}

/// The shim's end of one of a step's pipes.
pub(crate) struct Pipe {
    pub(crate) descriptor: OwnedFd,
    /// Whether it was made larger because the step fills it faster than it is emptied.
    pub(crate) enlarged: bool,
}

/// A step that is being ended.
pub(crate) struct Stopping {
    pub(crate) cause: EndedBy,
    /// When to act next, in nanoseconds since boot.
    pub(crate) next: u64,
    /// When SIGKILL was first sent, in nanoseconds since boot.
    pub(crate) killing_since: Option<u64>,
    pub(crate) waiters: Vec<Waiter>,
}

/// An owner that waits for the answer to a stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiter {
    pub(crate) connection: u64,
    pub(crate) request: u64,
    pub(crate) forget: bool,
}

impl Step {
    pub(crate) fn pipe(&mut self, stream: Stream) -> &mut Option<Pipe> {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.exit.is_none()
    }

    pub(crate) fn pipes_are_closed(&self) -> bool {
        self.stdout.is_none() && self.stderr.is_none()
    }

    /// Whether the shim is still needed for this step.
    pub(crate) fn needs_the_shim(&self) -> bool {
        self.is_running() || !self.is_gone || !self.spool.is_complete() || self.record_retry.is_some()
    }

    /// The next moment at which something is to be done for this step, in nanoseconds since boot. `owned` says that somebody is there
    /// who keeps its deadline.
    pub(crate) fn next_moment(&self, owned: bool) -> Option<u64> {
        let stopping = self.stopping.as_ref().map(|stopping| stopping.next);
        let deadline = if owned || self.stopping.is_some() { None } else { self.deadline };
        [stopping, deadline, self.spool.retry_at(), self.record_retry].into_iter().flatten().min()
    }

    pub(crate) fn status(&self, processes: usize) -> StepStatus {
        StepStatus {
            step: self.id.clone(),
            files: self.files.clone(),
            pid: self.pid,
            start_time: self.start_time,
            token: self.token.clone(),
            started: self.started,
            exit: self.exit.clone(),
            output_open: !self.spool.is_complete(),
            stopping: self.stopping.as_ref().map(|stopping| stopping.cause),
            processes,
        }
    }
}

/// All steps, by the key under which events name them. Keys only grow, so an old event never meets a new step.
#[derive(Default)]
pub(crate) struct Steps {
    by_key: BTreeMap<u64, Step>,
    by_id: HashMap<StepId, u64>,
    /// Only those whose first process was not waited for.
    by_pid: HashMap<u32, u64>,
    last_key: u64,
}

impl Steps {
    pub(crate) fn next_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }

    pub(crate) fn insert(&mut self, key: u64, step: Step) {
        self.by_id.insert(step.id.clone(), key);
        self.by_pid.insert(step.pid, key);
        self.by_key.insert(key, step);
    }

    pub(crate) fn remove(&mut self, key: u64) {
        if let Some(step) = self.by_key.remove(&key) {
            self.by_id.remove(&step.id);
            self.waited_for(step.pid);
        }
    }

    /// The number is no longer the step's.
    pub(crate) fn waited_for(&mut self, pid: u32) {
        self.by_pid.remove(&pid);
    }

    pub(crate) fn key(&self, id: &StepId) -> Result<u64, Refusal> {
        self.by_id.get(id).copied().ok_or_else(|| Refusal::UnknownStep { step: id.clone() })
    }

    /// The step whose first process has this number and was not waited for.
    pub(crate) fn key_of_process(&self, pid: u32) -> Option<u64> {
        self.by_pid.get(&pid).copied()
    }

    pub(crate) fn get(&self, key: u64) -> Option<&Step> {
        self.by_key.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut Step> {
        self.by_key.get_mut(&key)
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, &Step)> {
        self.by_key.iter().map(|(key, step)| (*key, step))
    }

    pub(crate) fn keys(&self) -> Vec<u64> {
        self.by_key.keys().copied().collect()
    }
}
