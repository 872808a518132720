//! The agent's loop: asks for jobs while there is a slot, gives signs of life whatever happens, and drains when it is to end (sourcegraph.md 4.1 to 4.3).

use std::fs::File;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jobwright_backend::Backend;
use jobwright_journal::StateDir;
use jobwright_model::JobRef;
use jobwright_queue::wire::Job;
use jobwright_runtime::Scope;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::error::{Error, Result};
use crate::job::{Ground, JobCourse};
use crate::leftovers;
use crate::metrics::{Measured, Metrics};
use crate::pace::{Pace, jittered};
use crate::running::{Ended, Running};
use crate::settings::{AgentSettings, Identity};
use crate::source::{Held, JobSource, SourceError};

/// The pause between two first signs of life, until one is answered.
const FIRST_SIGNS: Duration = Duration::from_secs(1);
/// How long what is ended may take to be taken away and reported.
const LAST: Duration = Duration::from_secs(180);

/// Why the loop is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was asked to end, and all its jobs have ended by themselves.
    Drained,
    /// It has run as many jobs, or for as long, as it was to.
    Done,
    /// It was asked to end, and what ran for too long was ended.
    CutShort,
}

/// An agent. There is one for a state directory at a time.
pub struct Agent {
    ground: Arc<Ground>,
    metrics: Metrics,
    /// Held for as long as the agent lives.
    _lock: File,
}

impl Agent {
    /// An agent that keeps what it does below `state` and runs steps on `backends`.
    ///
    /// # Errors
    /// [`Error::InUse`] when another agent lives there; [`Error::Setting`]; [`Error::Keep`].
    pub fn new(
        source: Arc<dyn JobSource>,
        settings: AgentSettings,
        identity: Identity,
        backends: impl IntoIterator<Item = Arc<dyn Backend>>,
        state: StateDir,
    ) -> Result<Self> {
        if settings.queues.is_empty() {
            return Err(Error::Setting("an agent needs at least one queue".to_owned()));
        }
        if settings.max_jobs == 0 {
            return Err(Error::Setting("an agent runs at least one job at a time".to_owned()));
        }
        let folder = state.path().join("agent");
        std::fs::create_dir_all(&folder).map_err(Error::keep(format!("making {}", folder.display())))?;
        let lock = File::create(folder.join("lock")).map_err(Error::keep("locking the agent's state"))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(Error::InUse(state.path().display().to_string()));
        }
        let backends = backends.into_iter().map(|backend| (backend.name().to_owned(), backend)).collect();
        let metrics = Metrics::new();
        let source = Arc::new(Measured::new(source, metrics.clone()));
        let ground = Ground { source, settings, identity, backends, state, running: Running::default() };
        Ok(Self { ground: Arc::new(ground), metrics, _lock: lock })
    }

    /// Works until `asked` resolves, or as long as it is to, and then until all its jobs have ended, or for as long as a drain may take.
    ///
    /// # Errors
    /// [`Error::Source`] when the queue refuses the agent's first sign of life for good.
    pub async fn run(self, asked: impl Future<Output = ()>) -> Result<Outcome> {
        let stop = CancellationToken::new();
        let mut asked = std::pin::pin!(asked);
        tokio::select! {
            alive = self.say_hello() => alive?,
            () = &mut asked => return Ok(Outcome::Drained),
        }
        let beating =
            AbortOnDropHandle::new(tokio::spawn(beat(Arc::clone(&self.ground), self.metrics.clone())));
        let jobs = TaskTracker::new();
        let tidying = AbortOnDropHandle::new(tokio::spawn(tidy(Arc::clone(&self.ground), jobs.clone())));
        let was_asked = tokio::select! {
            () = self.poll(&jobs, &stop) => false,
            () = &mut asked => true,
        };
        stop.cancel();
        drop(tidying);
        jobs.close();
        let outcome = self.drain(&jobs, was_asked).await;
        drop(beating);
        Ok(outcome)
    }

    async fn say_hello(&self) -> Result<()> {
        loop {
            match self.ground.source.heartbeat(&[], String::new()).await {
                Ok(_) => return Ok(()),
                Err(error @ SourceError::Refused(_)) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "the queue does not answer yet");
                    sleep(FIRST_SIGNS).await;
                }
            }
        }
    }

    /// Takes jobs while there is a slot, until as many were taken, or so much time has passed, as is wanted.
    async fn poll(&self, jobs: &TaskTracker, stop: &CancellationToken) {
        let settings = &self.ground.settings;
        let slots = Arc::new(Semaphore::new(settings.max_jobs));
        let mut pace = Pace::new(settings.poll_interval, settings.poll_at_most);
        let until = settings.max_active.map(|active| Instant::now() + active);
        let taken = AtomicU64::new(0);
        while settings.total_jobs.is_none_or(|total| taken.load(Ordering::Relaxed) < total) {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            if until.is_some_and(|until| Instant::now() >= until) || stop.is_cancelled() {
                return;
            }
            let asked = Instant::now();
            let pause = match self.ground.source.dequeue().await {
                Ok(Some((place, job))) => {
                    pace.reset();
                    taken.fetch_add(1, Ordering::Relaxed);
                    self.begin(place, job, slot, jobs);
                    continue;
                }
                Ok(None) => {
                    pace.reset();
                    // A queue that waited for a job is asked again at once.
                    jittered(settings.poll_interval).saturating_sub(asked.elapsed())
                }
                Err(error) => {
                    tracing::warn!(%error, "no job could be asked for");
                    pace.pause()
                }
            };
            drop(slot);
            let rest = until.map(|until| until.saturating_duration_since(Instant::now()));
            sleep(rest.map_or(pause, |rest| pause.min(rest))).await;
        }
    }

    fn begin(&self, place: JobRef, job: Job, slot: OwnedSemaphorePermit, jobs: &TaskTracker) {
        let scope = Scope::new();
        if !self.ground.running.add(&place, &scope) {
            // Two attempts at one job must not run at the same time.
            tracing::error!(job = %place, "the queue gave a job that is still held; it is left alone");
            return;
        }
        tracing::info!(job = %place, "took a job");
        let held = Held { job: place, token: job.token };
        let course = JobCourse { ground: Arc::clone(&self.ground), held, payload: job.payload, scope };
        let ends = self.metrics.begin(&course.held.job);
        jobs.spawn(async move {
            ends(course.run().await);
            drop(slot);
        });
    }

    async fn drain(&self, jobs: &TaskTracker, was_asked: bool) -> Outcome {
        let outcome = if was_asked { Outcome::Drained } else { Outcome::Done };
        let Some(within) = self.ground.settings.drain_within else {
            jobs.wait().await;
            return outcome;
        };
        if timeout(within, jobs.wait()).await.is_ok() {
            return outcome;
        }
        tracing::warn!("what still runs after {within:?} is ended");
        self.ground.running.end_all(Ended::ShutDown);
        if timeout(LAST, jobs.wait()).await.is_err() {
            tracing::error!("not all jobs could be reported; the next agent here does it");
        }
        Outcome::CutShort
    }
}

/// Takes over what agents that died left, at once and then now and again: also jobs whose end nobody heard of when it was told.
async fn tidy(ground: Arc<Ground>, jobs: TaskTracker) {
    loop {
        leftovers::take_over(&ground).into_iter().for_each(|one| drop(jobs.spawn(one)));
        sleep(ground.settings.tidy_interval).await;
    }
}

/// Gives signs of life for as long as the agent lives; one that fails kills nothing.
async fn beat(ground: Arc<Ground>, metrics: Metrics) {
    loop {
        sleep(ground.settings.heartbeat_interval).await;
        let held = ground.running.held();
        match ground.source.heartbeat(&held, metrics.text()).await {
            Ok(beat) => ground.running.heard(&held, &beat),
            Err(error) => tracing::warn!(%error, "a sign of life was not answered; what runs goes on"),
        }
    }
}
