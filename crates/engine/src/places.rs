//! Who may run now: the run's own limit, the limits of groups of jobs (`concurrency`, `max_parallel`), and the locks that hold a
//! group's limit across the runs of one state directory. Not for the order in which jobs come to ask.
//!
//! A job takes its places from the outside in: its group, its matrix, its way, its slot. Whoever waits holds only places that
//! nobody further in waits for, so that no two jobs wait for each other.

use std::collections::HashMap;
use std::sync::Arc;

use jobwright_runtime::Slot;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::job::PreparedJob;
use crate::shared_groups::{GroupLock, SharedGroups, SharedGroupsError};

/// The places of one run.
pub(crate) struct Places {
    chain: Lane,
    detached: Lane,
    groups: HashMap<String, Arc<Semaphore>>,
    matrices: HashMap<String, Arc<Semaphore>>,
    shared: Option<SharedGroups>,
}

/// What a job holds from before its first attempt until after its last.
pub(crate) struct Held {
    _group: Option<OwnedSemaphorePermit>,
    _lock: Option<GroupLock>,
    _matrix: Option<OwnedSemaphorePermit>,
    _way: Option<OwnedSemaphorePermit>,
}

/// At most so many jobs run at the same time, and as many again may be cleaning up after themselves; but one at a time means just
/// that.
struct Lane {
    slots: Arc<Semaphore>,
    ways: Arc<Semaphore>,
}

impl Lane {
    fn new(limit: usize) -> Self {
        let limit = limit.clamp(1, Semaphore::MAX_PERMITS / 2);
        let ways = if limit == 1 { 1 } else { limit * 2 };
        Self { slots: Arc::new(Semaphore::new(limit)), ways: Arc::new(Semaphore::new(ways)) }
    }
}

impl Places {
    /// The places for `jobs`, of which at most `limit` run at the same time; at least 1. Detached jobs have as many places of
    /// their own: they must hold nobody up. Groups are shared with other runs where `shared` says so.
    pub(crate) fn new(limit: usize, jobs: &[PreparedJob], shared: Option<SharedGroups>) -> Self {
        let (mut groups, mut matrices) = (HashMap::new(), HashMap::new());
        for job in jobs {
            if let Some(concurrency) = &job.concurrency {
                limit_to(&mut groups, &concurrency.group, concurrency.limit.get());
            }
            if let Some((matrix, most)) =
                job.matrix.as_ref().and_then(|matrix| Some((matrix, matrix.max_parallel?)))
            {
                limit_to(&mut matrices, &matrix.name, most.get());
            }
        }
        Self { chain: Lane::new(limit), detached: Lane::new(limit), groups, matrices, shared }
    }

    /// Waits until `job` may begin but for its [slot](Self::slot). `waits` is called once when another run keeps it waiting.
    ///
    /// # Errors
    /// [`SharedGroupsError`] when nobody can tell whether another run has the place: the job must not run then.
    pub(crate) async fn take(
        &self,
        job: &PreparedJob,
        detached: bool,
        waits: impl Fn(&str),
    ) -> Result<Held, SharedGroupsError> {
        let concurrency = job.concurrency.as_ref();
        let group = concurrency.and_then(|concurrency| self.groups.get(&concurrency.group));
        let matrix = job.matrix_name().and_then(|name| self.matrices.get(&**name));
        let group = permit(group).await;
        let lock = match concurrency.zip(self.shared.as_ref()) {
            Some((concurrency, shared)) => Some(shared.take(concurrency, waits).await?),
            None => None,
        };
        let (matrix, way) = (permit(matrix).await, acquire(&self.lane(detached).ways).await);
        Ok(Held { _group: group, _lock: lock, _matrix: matrix, _way: Some(way) })
    }

    /// The places of a job that runs already. Where there are too few now it has one of its own: it cannot be made to wait.
    pub(crate) fn claim(&self, job: &PreparedJob) -> (Held, Slot) {
        let lane = self.lane(job.detached);
        let concurrency = job.concurrency.as_ref();
        let group = concurrency.and_then(|concurrency| self.groups.get(&concurrency.group));
        let matrix = job.matrix_name().and_then(|name| self.matrices.get(&**name));
        let free = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let lock = concurrency
            .zip(self.shared.as_ref())
            .and_then(|(concurrency, shared)| shared.try_take(concurrency));
        let held = Held {
            _group: group.and_then(free),
            _lock: lock,
            _matrix: matrix.and_then(free),
            _way: free(&lane.ways),
        };
        (held, free(&lane.slots).unwrap_or_else(own_slot))
    }

    /// No place at all, for a job of which nothing runs.
    pub(crate) fn spare(&self) -> (Held, Slot) {
        (Held { _group: None, _lock: None, _matrix: None, _way: None }, own_slot())
    }

    /// Waits for a place among the jobs that run at the same time.
    pub(crate) async fn slot(&self, detached: bool) -> Slot {
        acquire(&self.lane(detached).slots).await
    }

    fn lane(&self, detached: bool) -> &Lane {
        if detached { &self.detached } else { &self.chain }
    }
}

fn limit_to(places: &mut HashMap<String, Arc<Semaphore>>, name: &str, most: u32) {
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
    places.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(most)));
}

async fn permit(places: Option<&Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    match places {
        Some(places) => Some(acquire(places).await),
        None => None,
    }
}

/// A slot that is counted nowhere.
fn own_slot() -> Slot {
    Arc::new(Semaphore::new(1)).try_acquire_owned().expect("nobody else knows it")
}

async fn acquire(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(places).acquire_owned().await.expect("the places are never closed")
}
