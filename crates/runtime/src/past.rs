//! What a run's journal says of a job that was begun before its owner died: the ground of adoption (`docs/adr/0008`). Only reading; what
//! follows from it is decided where each thing would have been done the first time.

use std::collections::HashMap;

use jobwright_model::{Ending, StepUuid, TaskUuid};

use crate::clock::BootTime;
use crate::record::{Inheritance, Record};

/// A run's jobs as they were left.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    jobs: HashMap<String, JobPast>,
}

/// A job's attempts.
#[derive(Debug, Clone, Default, PartialEq)]
struct JobPast {
    over: HashMap<u32, AttemptEnd>,
    open: HashMap<u32, AttemptPast>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptEnd {
    /// How.
    pub ending: Ending,
    /// What to tell a person; masked.
    pub error: Option<String>,
}

/// An attempt that was begun and did not end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AttemptPast {
    pub(crate) tasks: Vec<TaskPast>,
}

/// A task that was opened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskPast {
    pub(crate) task: TaskUuid,
    pub(crate) phase: usize,
    pub(crate) at: BootTime,
    pub(crate) delivered: bool,
    pub(crate) steps: HashMap<StepUuid, StepPast>,
    pub(crate) end: Option<TaskEnd>,
    pub(crate) closed: bool,
    /// What it left is there on purpose.
    pub(crate) kept: bool,
}

/// How a task ended whose steps had all ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TaskEnd {
    pub(crate) ending: Ending,
    pub(crate) error: Option<String>,
    pub(crate) inheritance: Inheritance,
}

/// How far a step came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StepPast {
    /// It was started, or was about to be.
    Begun(BootTime),
    /// It was being ended.
    Stopping(Ending),
    /// It had ended.
    Ended(Ending),
}

impl Past {
    /// What `records` say.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let mut past = Self::default();
        let mut places: HashMap<TaskUuid, (String, u32)> = HashMap::new();
        for record in records {
            match record {
                Record::TaskOpened { task, job, attempt, phase, at, .. } => {
                    places.insert(task.clone(), (job.clone(), *attempt));
                    let opened = TaskPast::opened(task.clone(), *phase, *at);
                    past.attempt(job, *attempt).tasks.push(opened);
                }
                Record::JobEnded { job, attempt, ending, error } => {
                    let end = AttemptEnd { ending: ending.clone(), error: error.clone() };
                    past.jobs.entry(job.clone()).or_default().over.insert(*attempt, end);
                }
                of_task => {
                    let task = of_task.task().and_then(|task| Some((task, places.get(task)?)));
                    let Some((task, (job, attempt))) = task else { continue };
                    // The last of that name: one that was opened again began anew.
                    let mut tasks = past.attempt(job, *attempt).tasks.iter_mut().rev();
                    if let Some(task) = tasks.find(|known| known.task == *task) {
                        task.take_in(of_task);
                    }
                }
            }
        }
        past
    }

    /// Whether the job was begun, and perhaps ended.
    #[must_use]
    pub fn was_begun(&self, job: &str) -> bool {
        self.jobs.contains_key(job)
    }

    /// Whether an attempt at the job was begun and has not ended.
    #[must_use]
    pub fn is_open(&self, job: &str) -> bool {
        let open = |past: &JobPast| past.open.keys().any(|attempt| !past.over.contains_key(attempt));
        self.jobs.get(job).is_some_and(open)
    }

    /// How that attempt at the job ended, if it did.
    #[must_use]
    pub fn end_of(&self, job: &str, attempt: u32) -> Option<&AttemptEnd> {
        self.jobs.get(job)?.over.get(&attempt)
    }

    /// How far that attempt at the job came, if it was begun.
    #[must_use]
    pub fn attempt_at(&self, job: &str, attempt: u32) -> Option<&AttemptPast> {
        self.jobs.get(job)?.open.get(&attempt)
    }

    fn attempt(&mut self, job: &str, attempt: u32) -> &mut AttemptPast {
        self.jobs.entry(job.to_owned()).or_default().open.entry(attempt).or_default()
    }
}

impl AttemptPast {
    /// When the first task of `phase`, from 0, or of one behind it, was opened.
    #[must_use]
    pub fn phase_began(&self, phase: usize) -> BootTime {
        self.tasks.iter().find(|task| task.phase >= phase).map(|task| task.at).unwrap_or_default()
    }

    /// The task that a phase had last: one before it, or an earlier opening of it, was given back, with nothing of it done.
    pub(crate) fn of_phase(&self, phase: usize) -> Option<&TaskPast> {
        self.tasks.iter().rev().find(|task| task.phase == phase)
    }
}

impl TaskPast {
    fn opened(task: TaskUuid, phase: usize, at: BootTime) -> Self {
        Self {
            task,
            phase,
            at,
            delivered: false,
            steps: HashMap::new(),
            end: None,
            closed: false,
            kept: false,
        }
    }

    fn take_in(&mut self, record: &Record) {
        match record.clone() {
            Record::FilesDelivered { .. } => self.delivered = true,
            Record::StepStarting { step, at, .. } => drop(self.steps.insert(step, StepPast::Begun(at))),
            Record::StepStopping { step, ending, .. } => {
                self.steps.insert(step, StepPast::Stopping(ending));
            }
            Record::StepEnded { step, ending, .. } => {
                self.steps.insert(step, StepPast::Ended(ending));
            }
            Record::TaskEnded { ending, error, inheritance, .. } => {
                self.end = Some(TaskEnd { ending, error, inheritance });
            }
            Record::TaskKept { .. } => self.kept = true,
            Record::TaskClosed { .. } => self.closed = true,
            _ => {}
        }
    }

    /// Whether no step of it came as far as being started.
    pub(crate) fn never_began(&self) -> bool {
        self.steps.is_empty() && self.end.is_none()
    }
}

impl Record {
    /// The task that it is about.
    fn task(&self) -> Option<&TaskUuid> {
        match self {
            Self::TaskOpened { task, .. }
            | Self::FilesDelivered { task }
            | Self::StepStarting { task, .. }
            | Self::StepStopping { task, .. }
            | Self::StepEnded { task, .. }
            | Self::TaskEnded { task, .. }
            | Self::TaskKept { task, .. }
            | Self::TaskClosed { task } => Some(task),
            Self::BackendLoaded { .. } | Self::JobEnded { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use jobwright_model::Cause;

    use super::*;

    fn task(name: &str) -> TaskUuid {
        TaskUuid::new(name).unwrap()
    }

    fn step() -> StepUuid {
        StepUuid::new("s1").unwrap()
    }

    fn opened(name: &str, attempt: u32, phase: usize) -> Record {
        let (backend, job, at) = ("process".to_owned(), "build".to_owned(), BootTime::default());
        Record::TaskOpened { task: task(name), backend, job, attempt, phase, at }
    }

    fn starting(name: &str) -> Record {
        Record::StepStarting { task: task(name), step: step(), at: BootTime::default() }
    }

    #[test]
    fn a_job_of_which_nothing_is_written_was_not_begun() {
        let past = Past::of(&[opened("t1", 1, 0)]);
        assert!(past.was_begun("build") && past.is_open("build"));
        assert!(!past.was_begun("test") && !past.is_open("test"));
    }

    #[test]
    fn the_last_word_about_a_step_counts() {
        let ended = Record::StepEnded { task: task("t1"), step: step(), ending: Ending::new(Cause::Success) };
        let past = Past::of(&[opened("t1", 1, 0), starting("t1"), ended]);
        let task = past.attempt_at("build", 1).unwrap().of_phase(0).unwrap();
        assert!(matches!(task.steps[&step()], StepPast::Ended(_)));
    }

    #[test]
    fn an_attempt_that_ended_is_not_open_and_the_next_one_is_apart() {
        let ending = Ending::new(Cause::ExitCode);
        let over = Record::JobEnded { job: "build".into(), attempt: 1, ending: ending.clone(), error: None };
        let past = Past::of(&[opened("t1", 1, 0), over.clone()]);
        assert!(!past.is_open("build"));
        assert_eq!(past.end_of("build", 1).map(|end| &end.ending), Some(&ending));
        let past = Past::of(&[opened("t1", 1, 0), over, opened("t2", 2, 0)]);
        assert!(past.is_open("build"));
        assert_eq!(past.attempt_at("build", 2).unwrap().tasks.len(), 1);
    }

    #[test]
    fn a_phase_that_was_begun_anew_is_its_last_task() {
        let past = Past::of(&[opened("t1", 1, 0), opened("t2", 1, 0), starting("t2"), starting("t9")]);
        let task = past.attempt_at("build", 1).unwrap().of_phase(0).unwrap();
        assert_eq!((task.task.as_str(), task.never_began()), ("t2", false));
    }

    #[test]
    fn a_task_that_was_opened_again_begins_anew() {
        let closed = Record::TaskClosed { task: task("t1") };
        let past = Past::of(&[opened("t1", 1, 0), closed, opened("t1", 1, 0), starting("t1")]);
        let task = past.attempt_at("build", 1).unwrap().of_phase(0).unwrap();
        assert_eq!((task.never_began(), task.closed), (false, false));
    }
}
