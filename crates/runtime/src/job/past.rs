//! The phases of a job that an owner which died had begun: what is still to be done about each. Not for single steps, which are taken over
//! in `adopt.rs`.

use jobwright_model::{Cause, Ending, Phase, Step, TaskUuid};
use tokio::time::timeout;

use super::{JobCourse, JobRun};
use crate::handover::Legacy;
use crate::outage::insist;
use crate::past::{StepPast, TaskEnd, TaskPast};
use crate::record::{Inheritance, Record};
use crate::workflow::{StepReport, WorkflowReport};

/// What is to be done about a phase.
pub(super) enum Due {
    /// It is begun: it was not before, or nothing of it was started. Under the task's uuid that it had, where nothing of that is left: what
    /// an engine was asked for by the owner that died, and makes only now, then has the name of what is made anew, and cannot stay beside it.
    Anew(Option<TaskUuid>),
    /// Its task is there, and is gone on with.
    GoOn(Box<TaskPast>),
    /// Its steps have ended, and the job has taken note.
    Nothing,
}

impl JobRun {
    /// What its `past` leaves to be done about a phase. What nobody goes on with is removed.
    pub(super) async fn look_back(
        &self,
        phase: &Phase,
        past: Option<TaskPast>,
        course: &mut JobCourse,
    ) -> Due {
        let Some(past) = past else { return Due::Anew(None) };
        if past.end.is_none() && !past.closed && !past.never_began() {
            return Due::GoOn(Box::new(past));
        }
        let gone_or_kept = past.closed || past.kept;
        let left_behind = if gone_or_kept { None } else { self.clear_away(phase, &past.task).await };
        if past.never_began() {
            return Due::Anew(left_behind.is_none().then_some(past.task));
        }
        course.take_in_past(phase, past, left_behind);
        Due::Nothing
    }

    /// Removes what a task left whose owner died; says what could not be removed.
    async fn clear_away(&self, phase: &Phase, task: &TaskUuid) -> Option<String> {
        let backend = &self.backends[&phase.backend];
        let destroy = || backend.destroy_workflow(&phase.workflow, task);
        let cleared = timeout(self.limits.cleanup, insist(&**backend, self.limits.patience, destroy)).await;
        match cleared.unwrap_or_else(|_| Err(self.limits.cleanup_overdue(&**backend))) {
            Ok(()) => {
                let closed = Record::TaskClosed { task: task.clone() };
                if let Some(Err(error)) = self.journal.as_ref().map(|journal| journal.append(&closed)) {
                    tracing::warn!(%task, %error, "the end of a task was not journaled");
                }
                None
            }
            Err(error) => {
                let text = error.to_string();
                let masked = self.masker.as_ref().map(|masker| masker.mask_str(&text).into_owned());
                let text = masked.unwrap_or(text);
                self.observer.notice(None, &format!("not everything could be removed: {text}"));
                Some(text)
            }
        }
    }
}

impl JobCourse {
    /// Takes note of a phase of which nothing runs any more. One that somebody removed before its end was written down is lost: what may
    /// have run is not run again.
    fn take_in_past(&mut self, phase: &Phase, past: TaskPast, left_behind: Option<String>) {
        let kept = past.kept && !past.closed;
        let end = past.end.unwrap_or_else(|| TaskEnd {
            ending: Ending::new(Cause::StatusUnreadable).because("what its Jobwright left was removed"),
            error: Some("what its Jobwright left was removed before it was taken over".to_owned()),
            inheritance: Inheritance::Unchanged,
        });
        let step = |step: &Step| StepReport {
            uuid: step.uuid.clone(),
            name: step.name.clone(),
            ending: match past.steps.get(&step.uuid) {
                Some(StepPast::Ended(ending)) => ending.clone(),
                _ => Ending::new(end.ending.cause.clone()),
            },
        };
        let steps = phase.workflow.steps().map(step).collect();
        let report = WorkflowReport { ending: end.ending, error: end.error, left_behind, kept, steps };
        self.take_in(report, Legacy::of(end.inheritance));
    }
}
