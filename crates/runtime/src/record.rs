//! What the runtime writes into a run's journal, before it does it (DESIGN rule 4).

use std::collections::BTreeMap;
use std::path::PathBuf;

use jobwright_model::{Ending, StepUuid, TaskUuid};
use serde::{Deserialize, Serialize};

use crate::clock::BootTime;

/// One decision. Never holds a secret's value: what an engine said is masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// Tasks that are opened on that backend from here on are on this engine, which the backend may find by another address, or
    /// another one by the same.
    BackendLoaded {
        /// The backend's name.
        backend: String,
        /// Which engine it reached, as `BackendInfo::engine_id` tells; none where it cannot be told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        engine: Option<String>,
    },
    /// The task is about to be set up on that backend; whatever carries its uuid there is ours to remove.
    TaskOpened {
        /// The task.
        task: TaskUuid,
        /// The backend's name.
        backend: String,
        /// The job's name.
        job: String,
        /// Which attempt at the job, from 1.
        #[serde(default = "first")]
        attempt: u32,
        /// Which of the job's phases, from 0.
        #[serde(default)]
        phase: usize,
        /// When.
        #[serde(default)]
        at: BootTime,
    },
    /// The workspace holds the files that it is to begin with.
    FilesDelivered {
        /// The task.
        task: TaskUuid,
    },
    /// The step is about to be started.
    StepStarting {
        /// Its task.
        task: TaskUuid,
        /// The step.
        step: StepUuid,
        /// When.
        #[serde(default)]
        at: BootTime,
    },
    /// The step runs and is about to be ended; it has ended so whatever its exit tells.
    StepStopping {
        /// Its task.
        task: TaskUuid,
        /// The step.
        step: StepUuid,
        /// How.
        ending: Ending,
    },
    /// The step ended, and its output is in the event log. What it took is still to be removed.
    StepEnded {
        /// Its task.
        task: TaskUuid,
        /// The step.
        step: StepUuid,
        /// How.
        ending: Ending,
    },
    /// The task's steps have ended, and what was wanted of its workspace was taken out. It is still to be removed.
    TaskEnded {
        /// The task.
        task: TaskUuid,
        /// How.
        ending: Ending,
        /// What went wrong that is no step's own failure; masked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// What the next phase gets.
        #[serde(default)]
        inheritance: Inheritance,
    },
    /// The attempt at the job is over and nothing of it runs.
    JobEnded {
        /// The job's name.
        job: String,
        /// The attempt, from 1.
        attempt: u32,
        /// How.
        ending: Ending,
        /// What to tell a person; masked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// The task's environment is kept on purpose as the step left it: whoever cleans up leaves it alone until it is asked for.
    TaskKept {
        /// The task.
        task: TaskUuid,
        /// The job's name.
        job: String,
        /// The step that failed.
        step: StepUuid,
    },
    /// Nothing of the task is left.
    TaskClosed {
        /// The task.
        task: TaskUuid,
    },
}

fn first() -> u32 {
    1
}

/// What a phase leaves to the one after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Inheritance {
    /// Nobody waits for its workspace, or nothing was done to it.
    #[default]
    Unchanged,
    /// An empty workspace.
    Nothing,
    /// Its workspace, as an archive in this file.
    Archive(PathBuf),
    /// Its workspace is lost, for this reason; masked.
    Lost(String),
}

/// Where a task is to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPlace {
    /// The backend's name.
    pub backend: String,
    /// Which engine; none where it could not be told.
    pub engine: Option<String>,
    /// Set when it is there on purpose.
    pub kept: Option<KeptTask>,
}

/// What is known of a task that is kept on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptTask {
    /// The job's name.
    pub job: String,
    /// The step that failed.
    pub step: StepUuid,
}

/// The tasks that were opened and not closed, with where they are: what a dead owner left behind, or a living one kept.
#[must_use]
pub fn open_tasks(records: &[Record]) -> BTreeMap<TaskUuid, TaskPlace> {
    let mut open = BTreeMap::new();
    let mut engines = BTreeMap::new();
    for record in records {
        match record {
            Record::BackendLoaded { backend, engine } => {
                engines.insert(backend, engine.clone());
            }
            Record::TaskOpened { task, backend, .. } => {
                let engine = engines.get(backend).cloned().flatten();
                open.insert(task.clone(), TaskPlace { backend: backend.clone(), engine, kept: None });
            }
            Record::TaskKept { task, job, step } => {
                if let Some(place) = open.get_mut(task) {
                    place.kept = Some(KeptTask { job: job.clone(), step: step.clone() });
                }
            }
            Record::TaskClosed { task } => {
                open.remove(task);
            }
            _ => {}
        }
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(task: &str) -> Record {
        let task = TaskUuid::new(task).unwrap();
        let at = BootTime::default();
        Record::TaskOpened { task, backend: "process".into(), job: "build".into(), attempt: 1, phase: 0, at }
    }

    fn on(engine: Option<&str>) -> Record {
        Record::BackendLoaded { backend: "process".into(), engine: engine.map(str::to_owned) }
    }

    fn open(records: &[Record]) -> Vec<(String, Option<String>)> {
        let open = open_tasks(records).into_iter();
        open.map(|(task, place)| (task.to_string(), place.engine)).collect()
    }

    #[test]
    fn a_task_is_open_until_it_is_closed() {
        let closed = Record::TaskClosed { task: TaskUuid::new("t1").unwrap() };
        assert_eq!(open(&[opened("t1"), opened("t2"), closed]), [("t2".to_owned(), None)]);
    }

    #[test]
    fn a_task_is_on_the_engine_that_was_reached_when_it_was_opened() {
        let records = [opened("t0"), on(Some("a")), opened("t1"), on(Some("b")), opened("t2"), on(None)];
        let engines: Vec<_> = open(&records).into_iter().map(|(_, engine)| engine).collect();
        assert_eq!(engines, [None, Some("a".to_owned()), Some("b".to_owned())]);
    }

    #[test]
    fn a_record_of_an_earlier_version_is_of_a_first_attempt() {
        let old = r#"{"record":"task_opened","task":"t1","backend":"process","job":"build"}"#;
        assert_eq!(serde_json::from_str::<Record>(old).unwrap(), opened("t1"));
    }

    #[test]
    fn a_task_is_kept_until_it_is_closed() {
        let task = TaskUuid::new("t1").unwrap();
        let step = jobwright_model::StepUuid::new("s1").unwrap();
        let kept = Record::TaskKept { task: task.clone(), job: "build".into(), step: step.clone() };
        let open = open_tasks(&[opened("t1"), kept.clone()]);
        assert_eq!(open[&task].kept, Some(KeptTask { job: "build".into(), step }));
        assert!(open_tasks(&[opened("t1"), kept, Record::TaskClosed { task }]).is_empty());
    }

    #[test]
    fn a_record_reads_as_what_it_says() {
        let record = Record::TaskClosed { task: TaskUuid::new("t1").unwrap() };
        assert_eq!(serde_json::to_string(&record).unwrap(), r#"{"record":"task_closed","task":"t1"}"#);
    }
}
