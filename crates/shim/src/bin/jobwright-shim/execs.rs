//! Programs that owners start beside running steps. Their pipes and terminals are the owners'; here is only that they are the
//! steps' processes, what they may, and who hears of their ends.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};

use jobwright_shim::protocol::{Answer, Notice, Refusal};
use jobwright_shim::record::{ExitStatus, Instants, Usage};
use jobwright_shim::{ExecEnd, ExecOrder, StartOrder, StepId, procfs};

use crate::shim::Shim;
use crate::spawn::Streams;

/// The programs that were started and not waited for, by their processes.
#[derive(Default)]
pub(crate) struct Execs(HashMap<u32, Exec>);

struct Exec {
    /// The connection that hears of its end.
    connection: u64,
    started: Instants,
}

impl Execs {
    pub(crate) fn has(&self, pid: u32) -> bool {
        self.0.contains_key(&pid)
    }
}

impl Shim {
    /// Starts a program beside a step, for the owner of a connection that sent its descriptors.
    pub(crate) fn exec(&mut self, connection: u64, order: ExecOrder) -> Result<Answer, Refusal> {
        let descriptors = self
            .connections
            .get_mut(&connection)
            .map(|connection| connection.take_descriptors())
            .unwrap_or_default();
        let wanted = order.descriptors();
        if descriptors.len() != wanted {
            let why = format!("{} descriptors came with the order, not {wanted}", descriptors.len());
            return Err(Refusal::BadOrder { why });
        }
        let key = self.steps.key(&order.step)?;
        let step = self.steps.get(key).expect("the key was just looked up");
        if !step.is_running() || step.stopping.is_some() {
            return Err(Refusal::NotRunning { step: order.step });
        }
        let token = step.token.clone();
        let terminal = order.terminal;
        let order =
            StartOrder { argv: order.argv, env: order.env, cwd: order.cwd, ..step.confinement.clone() };
        let pid =
            self.spawner.spawn(&order, &token, &streams(&descriptors, terminal)).map_err(Refusal::Start)?;
        // The child was not waited for, so its entry is there even if it already ended.
        let start_time = procfs::stat(pid).map_or(0, |stat| stat.start_time);
        self.family.adopt(pid, start_time, key);
        self.execs.0.insert(pid, Exec { connection, started: Instants::now() });
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.hears_of_steps = false;
        }
        Ok(Answer::Executing { pid })
    }

    /// Tells whoever started it; a process that nobody started so is no business of this.
    pub(crate) fn finish_exec(&mut self, pid: u32, status: ExitStatus, usage: Usage) {
        let Some(exec) = self.execs.0.remove(&pid) else { return };
        let end = ExecEnd { pid, status, started: exec.started, finished: Instants::now(), usage };
        self.tell(exec.connection, Notice::ExecEnded(end));
    }

    /// All processes of a step.
    pub(crate) fn members(&mut self, step: &StepId) -> Result<Answer, Refusal> {
        let key = self.steps.key(step)?;
        self.family.survey(&self.steps);
        Ok(Answer::Members(self.family.members(key, &self.steps)))
    }
}

/// One descriptor is all three streams.
fn streams(descriptors: &[OwnedFd], terminal: bool) -> Streams<'_> {
    let at = |place: usize| descriptors[place.min(descriptors.len() - 1)].as_fd();
    Streams { input: Some(at(0)), output: at(1), error: at(2), script: None, terminal }
}
