//! What the runtime writes into a run's journal, before it does it (DESIGN rule 4).

use std::collections::BTreeMap;

use jobwright_model::{Ending, StepUuid, TaskUuid};
use serde::{Deserialize, Serialize};

/// One decision. Never holds a secret's value: what an engine said is masked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// The task is about to be set up on that backend; whatever carries its uuid there is ours to remove.
    TaskOpened {
        /// The task.
        task: TaskUuid,
        /// The backend's name.
        backend: String,
        /// The job's name.
        job: String,
    },
    /// The step is about to be started.
    StepStarting {
        /// Its task.
        task: TaskUuid,
        /// The step.
        step: StepUuid,
    },
    /// The step ended.
    StepEnded {
        /// Its task.
        task: TaskUuid,
        /// The step.
        step: StepUuid,
        /// How.
        ending: Ending,
    },
    /// Nothing of the task is left.
    TaskClosed {
        /// The task.
        task: TaskUuid,
    },
}

/// The tasks that were opened and not closed, with their backends: what a dead owner left behind.
#[must_use]
pub fn open_tasks(records: &[Record]) -> BTreeMap<TaskUuid, String> {
    let mut open = BTreeMap::new();
    for record in records {
        match record {
            Record::TaskOpened { task, backend, .. } => {
                open.insert(task.clone(), backend.clone());
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

    #[test]
    fn a_task_is_open_until_it_is_closed() {
        let opened = |task: &str| Record::TaskOpened {
            task: TaskUuid::new(task).unwrap(),
            backend: "process".into(),
            job: "build".into(),
        };
        let closed = Record::TaskClosed { task: TaskUuid::new("t1").unwrap() };
        let open = open_tasks(&[opened("t1"), opened("t2"), closed]);
        assert_eq!(
            open.into_iter().collect::<Vec<_>>(),
            [(TaskUuid::new("t2").unwrap(), "process".to_owned())]
        );
    }

    #[test]
    fn a_record_reads_as_what_it_says() {
        let record = Record::TaskClosed { task: TaskUuid::new("t1").unwrap() };
        assert_eq!(serde_json::to_string(&record).unwrap(), r#"{"record":"task_closed","task":"t1"}"#);
    }
}
