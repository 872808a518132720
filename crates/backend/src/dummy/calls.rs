//! Which of the port's methods were called, in which order: what tests of the runtime look at.

use std::sync::{Mutex, PoisonError};

use jobwright_model::{Step, TaskUuid};
use tokio::sync::watch;

/// A method of the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `load`.
    Load,
    /// `setup_workflow`.
    SetUp,
    /// `prepare_step`.
    Prepare,
    /// `start_step`.
    Start,
    /// `tail_step`.
    Tail,
    /// `wait_step`.
    Wait,
    /// `destroy_step`.
    DestroyStep,
    /// `destroy_workflow`.
    DestroyWorkflow,
    /// `put`.
    Put,
    /// `get`.
    Get,
    /// `discover_workflows`.
    Discover,
    /// `resume_step`.
    ResumeStep,
    /// `exec`.
    Exec,
    /// `pause`.
    Pause,
    /// `resume`.
    Resume,
    /// `signal`.
    Signal,
    /// `stats`.
    Stats,
    /// `health`.
    Health,
    /// `network`.
    Network,
}

/// One call, noted when it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which method.
    pub verb: Verb,
    /// For which task, where there is one.
    pub task: Option<TaskUuid>,
    /// For the step of which name, where there is one.
    pub step: Option<String>,
}

/// All calls that an engine's dummies got, in order.
#[derive(Debug, Default)]
pub struct Calls {
    calls: Mutex<Vec<Call>>,
    count: watch::Sender<usize>,
}

impl Calls {
    pub(super) fn note(&self, verb: Verb, task: Option<&TaskUuid>, step: Option<&Step>) {
        let call = Call { verb, task: task.cloned(), step: step.map(|step| step.name.clone()) };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(call);
        self.count.send_replace(calls.len());
    }

    /// All calls so far.
    #[must_use]
    pub fn all(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was called for the steps named `step`, in order.
    #[must_use]
    pub fn of_step(&self, step: &str) -> Vec<Verb> {
        let calls = self.all();
        calls.iter().filter(|call| call.step.as_deref() == Some(step)).map(|call| call.verb).collect()
    }

    /// How often `verb` was called.
    #[must_use]
    pub fn count(&self, verb: Verb) -> usize {
        self.all().iter().filter(|call| call.verb == verb).count()
    }

    /// Waits until `verb` was called for a step named `step`: what a test does in place of sleeping.
    pub async fn until(&self, verb: Verb, step: &str) {
        let mut count = self.count.subscribe();
        while !self.of_step(step).contains(&verb) {
            // The sender is this value's own, so it is there as long as the borrow of it.
            let _ = count.changed().await;
        }
    }
}
