//! The jobs that this agent holds, by their identity, and how each is ended from outside (sourcegraph.md 4.2).

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jobwright_model::{Cause, JobRef};
use jobwright_runtime::Scope;

use crate::source::Beat;

/// Why a job's scope was ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The queue does not know it as ours any more.
    Lost,
    /// The queue wants its end.
    Cancelled,
    /// The agent ends and cannot wait any longer.
    ShutDown,
}

struct Job {
    scope: Scope,
    ended: Option<Ended>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Running(Mutex<HashMap<JobRef, Job>>);

impl Running {
    fn jobs(&self) -> MutexGuard<'_, HashMap<JobRef, Job>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a job in; false when it is held already.
    pub(crate) fn add(&self, job: &JobRef, scope: &Scope) -> bool {
        let mut jobs = self.jobs();
        if jobs.contains_key(job) {
            return false;
        }
        jobs.insert(job.clone(), Job { scope: scope.clone(), ended: None });
        true
    }

    pub(crate) fn remove(&self, job: &JobRef) {
        self.jobs().remove(job);
    }

    pub(crate) fn ended(&self, job: &JobRef) -> Option<Ended> {
        self.jobs().get(job)?.ended
    }

    /// What is said in a sign of life: all but those that are lost.
    pub(crate) fn held(&self) -> Vec<JobRef> {
        let jobs = self.jobs();
        let mut held: Vec<_> = jobs
            .iter()
            .filter(|(_, job)| job.ended != Some(Ended::Lost))
            .map(|(job, _)| job.clone())
            .collect();
        held.sort();
        held
    }

    /// Takes in what was answered to a sign of life that named `said`.
    pub(crate) fn heard(&self, said: &[JobRef], beat: &Beat) {
        for job in said {
            if beat.cancel.contains(job) {
                self.end(job, Ended::Cancelled);
            } else if !beat.known.contains(job) {
                self.end(job, Ended::Lost);
            }
        }
    }

    /// Ends all that still runs.
    pub(crate) fn end_all(&self, how: Ended) {
        let all: Vec<JobRef> = self.jobs().keys().cloned().collect();
        all.iter().for_each(|job| self.end(job, how));
    }

    fn end(&self, job: &JobRef, how: Ended) {
        let mut jobs = self.jobs();
        let Some(held) = jobs.get_mut(job) else { return };
        if held.ended.is_none() {
            tracing::info!(%job, ?how, "the job is ended from outside");
            held.ended = Some(how);
            held.scope.cancel(match how {
                Ended::ShutDown => Cause::ByShutdown,
                Ended::Lost | Ended::Cancelled => Cause::ByQueue,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use jobwright_model::QueueName;

    use super::*;

    fn job(id: i64, queue: &str) -> JobRef {
        JobRef::new(QueueName::new(queue).unwrap(), id)
    }

    // covers: sourcegraph 7 (the set of what runs), 50, 51 (what is ended)
    #[test]
    fn what_a_sign_of_life_does_not_know_is_lost_and_what_is_cancelled_is_still_held() {
        let running = Running::default();
        let scopes = [Scope::new(), Scope::new(), Scope::new(), Scope::new()];
        let jobs = [job(1, "a"), job(1, "b"), job(2, "a"), job(3, "a")];
        for (job, scope) in jobs.iter().zip(&scopes) {
            assert!(running.add(job, scope) && !running.add(job, scope));
        }
        // The last was taken while the sign of life was under way.
        let beat = Beat { known: vec![jobs[0].clone(), jobs[2].clone()], cancel: vec![jobs[2].clone()] };
        running.heard(&jobs[..3], &beat);
        let causes: Vec<_> = scopes.iter().map(Scope::cause).collect();
        assert_eq!(causes, [None, Some(Cause::ByQueue), Some(Cause::ByQueue), None]);
        assert_eq!(running.held(), [jobs[0].clone(), jobs[2].clone(), jobs[3].clone()]);
        assert_eq!(running.ended(&jobs[2]), Some(Ended::Cancelled));
    }
}
