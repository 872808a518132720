//! The executor itself: one implementation over every backend. Which executions there are is in the `store`; those that this process owns are
//! `Live`. What belongs to another process that lives is looked at and asked for, never touched.

mod adopt;
mod ask;
mod begin;
mod folder;
mod look;
mod steps;
mod visit;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_backend::Backend;
use jobwright_journal::StateDir;
use jobwright_model::{
    Cause, ExecOutput, ExecutionId, ExecutionInfo, ExecutionListItem, ExecutionRequest, ExecutionResult,
    ExecutionStats, ExecutionStatus, LogStreamRequest, NetInfo, Outcome, RunId,
};
use jobwright_runtime::{Backends, Limits};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Error, Result};
use crate::live::Live;
use crate::port::{DEFAULT_WAIT, Executor, OutputStream};
use crate::reader::Begin;
use crate::store::Store;

pub use folder::ExecutionFolder;
pub use visit::Sink;
use watch::Watch;

/// How often is looked at what another process owns.
const LOOK: Duration = Duration::from_millis(50);

/// What an executor is told when it is made.
#[derive(Debug, Clone, Copy)]
pub struct ExecutorOptions {
    /// Bounds on surroundings that do not answer.
    pub limits: Limits,
    /// How many bytes of an execution's output are kept; more is left out, visibly.
    pub quota: u64,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self { limits: Limits::default(), quota: 16 << 30 }
    }
}

/// The executions of one state directory, on these backends. Cheap to clone; all clones are one. When the last is dropped, what runs goes on
/// where its backend lets it, and is taken over by whoever comes next.
#[derive(Clone)]
pub struct Executions {
    shared: Arc<Shared>,
    _ear: Arc<AbortOnDropHandle<()>>,
}

pub(crate) struct Shared {
    store: Store,
    backends: Backends,
    options: ExecutorOptions,
    live: Mutex<HashMap<ExecutionId, Arc<Live>>>,
    /// Which engine each backend reached, once it was asked.
    engines: HashMap<String, OnceCell<Option<String>>>,
}

/// Where an execution is to be looked for.
enum Place {
    /// This process owns it.
    Here(Arc<Live>),
    /// It has ended; what it wrote is not in this result.
    Over(RunId, Box<ExecutionResult>),
    /// Another process owns it, or nobody does.
    Elsewhere(RunId),
}

impl Place {
    fn run(&self) -> &RunId {
        match self {
            Self::Here(live) => &live.run,
            Self::Over(run, _) | Self::Elsewhere(run) => run,
        }
    }
}

impl Executions {
    /// Opens the executions of `state`. Nothing is taken over: that is done for all by [`adopt`](Self::adopt), and for a single one when it is
    /// waited for or to be changed. A backend is loaded when it is needed first. Within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Store`] when the state directory cannot be written to.
    pub fn open(
        state: StateDir,
        backends: impl IntoIterator<Item = Arc<dyn Backend>>,
        options: ExecutorOptions,
    ) -> Result<Self> {
        let backends: Backends =
            backends.into_iter().map(|backend| (backend.name().to_owned(), backend)).collect();
        let engines = backends.keys().map(|name| (name.clone(), OnceCell::new())).collect();
        let store = Store::open(state)?;
        let shared = Arc::new(Shared { store, backends, options, live: Mutex::default(), engines });
        let ear = Arc::new(AbortOnDropHandle::new(tokio::spawn(ask::listen(Arc::downgrade(&shared)))));
        Ok(Self { shared, _ear: ear })
    }

    /// Takes over every execution whose owner died, and removes logs that are due. Those that could not be taken over are told, each with why.
    ///
    /// # Errors
    /// [`Error::Store`] when they cannot be listed.
    pub async fn adopt(&self) -> Result<Vec<(ExecutionId, Error)>> {
        self.shared.adopt_all().await
    }
}

impl Shared {
    fn live(&self) -> MutexGuard<'_, HashMap<ExecutionId, Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The execution of that id, when this process owns it.
    fn live_of(&self, id: &ExecutionId) -> Option<Arc<Live>> {
        self.live().get(id).cloned()
    }

    /// This process has nothing more to do with it. Another one under its id stays.
    fn let_go(&self, id: &ExecutionId, run: &RunId) {
        let mut all = self.live();
        if all.get(id).is_some_and(|live| live.run == *run) {
            all.remove(id);
        }
    }

    fn backend_named(&self, wanted: &str) -> Result<Arc<dyn Backend>> {
        let found = self.backends.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted.trim()));
        let unknown = || Error::UnknownEngine {
            wanted: wanted.to_owned(),
            known: self.backends.keys().cloned().collect(),
        };
        found.map(|(_, backend)| Arc::clone(backend)).ok_or_else(unknown)
    }

    /// Loads the backend, the first time; which engine it reached.
    async fn engine_of(&self, backend: &dyn Backend) -> Result<Option<String>> {
        let load = async || Ok::<_, Error>(backend.load().await?.engine_id);
        match self.engines.get(backend.name()) {
            Some(engine) => engine.get_or_try_init(load).await.cloned(),
            None => load().await,
        }
    }

    fn place(&self, id: &ExecutionId) -> Result<Place> {
        if let Some(live) = self.live_of(id) {
            return Ok(match live.result() {
                Some(result) => Place::Over(live.run.clone(), Box::new((*result).clone())),
                None => Place::Here(live),
            });
        }
        let run = self.store.run_of(id)?;
        let result = self.store.result(&run);
        Ok(match self.still(id, &run, result)? {
            Some(result) => Place::Over(run, Box::new(result)),
            None => Place::Elsewhere(run),
        })
    }

    /// What was read in the folder of `run`, while that was the execution's: what cannot be read in one that was removed meanwhile was not found.
    fn still<T>(&self, id: &ExecutionId, run: &RunId, read: Result<T>) -> Result<T> {
        match read {
            Err(Error::Store { .. } | Error::Damaged(_)) if !matches!(self.store.run_of(id), Ok(now) if now == *run) => {
                Err(Error::NotFound(id.clone()))
            }
            read => read,
        }
    }

    /// The same, for who wants to wait for it or to change it: what nobody owns is taken over.
    async fn place_or_adopt(self: &Arc<Self>, id: &ExecutionId) -> Result<Place> {
        match self.place(id)? {
            Place::Elsewhere(run) if !self.is_owned(&run)? => {
                let adopted = self.adopt_one(id, &run).await;
                self.still(id, &run, adopted)?;
                self.place(id)
            }
            place => Ok(place),
        }
    }

    fn is_owned(&self, run: &RunId) -> Result<bool> {
        self.store.state().run_is_owned(run).map_err(|error| Error::Store {
            operation: format!("finding out whose the run {run} is"),
            source: std::io::Error::other(error),
        })
    }

    /// The end of the execution in the folder of `run`, whoever owns it; when its owner dies meanwhile, it is taken over.
    async fn conclusion(self: &Arc<Self>, id: &ExecutionId, run: &RunId) -> Result<ExecutionResult> {
        let mut watch = None;
        loop {
            match self.place_or_adopt(id).await {
                Ok(place) if place.run() != run => break,
                Ok(Place::Here(live)) => return Ok((*live.concluded().await).clone()),
                Ok(Place::Over(run, result)) => return Ok(self.store.with_texts(&run, *result)),
                Ok(Place::Elsewhere(run)) => {
                    watch = watch.or_else(|| Watch::begin(&self.store, &run));
                    sleep(LOOK).await;
                }
                Err(Error::NotFound(_)) => break,
                Err(error) => return Err(error),
            }
        }
        // Whoever had it removed it as soon as it had ended.
        let ended = watch.and_then(|watch| watch.result(id));
        ended.ok_or_else(|| Error::NotFound(id.clone()))
    }

    async fn cancel(self: &Arc<Self>, id: &ExecutionId) -> Result<RunId> {
        let place = self.place_or_adopt(id).await?;
        let run = place.run().clone();
        match place {
            Place::Over(_, result) => return Err(self.concluded(id, &run, *result)),
            Place::Here(live) => live.scope.cancel(Cause::ByUser),
            Place::Elsewhere(_) => {
                let asked = self.store.ask_to_cancel(&run);
                asked.map_err(Error::store(format!("asking for the end of {id}")))?;
            }
        }
        let result = self.conclusion(id, &run).await?;
        match result.ending.outcome {
            Outcome::Cancelled => Ok(run),
            // It had ended before it could be cancelled.
            _ => Err(Error::AlreadyConcluded { id: id.clone(), result: Box::new(result) }),
        }
    }

    /// That it has ended, with what came of it.
    fn concluded(&self, id: &ExecutionId, run: &RunId, result: ExecutionResult) -> Error {
        Error::AlreadyConcluded { id: id.clone(), result: Box::new(self.store.with_texts(run, result)) }
    }

    async fn remove(self: &Arc<Self>, id: &ExecutionId, within: Duration) -> Result<()> {
        let run = match self.store.run_of(id) {
            Err(Error::Damaged(why)) => {
                tell_forgotten(id, &why);
                return self.store.free(id);
            }
            run => run?,
        };
        if let Some(why) = self.damage(&run)? {
            tell_forgotten(id, &why);
            return self.store.forget(id, &run);
        }
        match timeout(within, self.cancel(id)).await {
            Ok(Ok(ended)) if ended == run => {}
            Ok(Ok(_)) => return Err(Error::NotFound(id.clone())),
            Ok(Err(Error::AlreadyConcluded { .. })) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let (status, now) = (ExecutionStatus::Failed, self.status(id)?);
                return Err(Error::DidNotReach {
                    id: id.clone(),
                    status,
                    seconds: within.as_secs_f64(),
                    now,
                });
            }
        }
        self.let_go(id, &run);
        self.store.forget(id, &run)
    }

    /// Why nobody can read any more what runs there, when nobody owns it either.
    fn damage(&self, run: &RunId) -> Result<Option<String>> {
        if self.is_owned(run)? {
            return Ok(None);
        }
        Ok(match self.store.kept(run).and_then(|_| self.records(run)) {
            Err(Error::Damaged(why)) => Some(why),
            _ => None,
        })
    }

    fn status(&self, id: &ExecutionId) -> Result<ExecutionStatus> {
        Ok(match self.place(id)? {
            Place::Here(live) => live.status(self.store.is_paused(&live.run)),
            Place::Over(_, result) => result.status(),
            Place::Elsewhere(run) => self.still(id, &run, self.status_by_journal(&run))?,
        })
    }
}

/// What it may have started is found by its labels.
fn tell_forgotten(id: &ExecutionId, why: &str) {
    tracing::warn!(%id, "the execution is forgotten: {why}; `jobwright clean --strays` ends what it may have left");
}

#[async_trait]
impl Executor for Executions {
    fn get_id(&self) -> String {
        self.shared.store.state().owner().to_string()
    }

    async fn start(&self, request: ExecutionRequest) -> Result<()> {
        self.shared.begin(request, None).await.map(drop)
    }

    async fn run(&self, request: ExecutionRequest) -> Result<ExecutionResult> {
        let live = self.shared.begin(request, None).await?;
        Ok((*live.concluded().await).clone())
    }

    async fn wait(&self, id: &ExecutionId) -> Result<ExecutionResult> {
        match self.shared.place(id)? {
            Place::Over(run, result) => Err(self.shared.concluded(id, &run, *result)),
            place => self.shared.conclusion(id, place.run()).await,
        }
    }

    async fn cancel(&self, id: &ExecutionId) -> Result<()> {
        self.shared.cancel(id).await.map(drop)
    }

    async fn pause(&self, id: &ExecutionId) -> Result<()> {
        self.shared.pause(id).await
    }

    async fn resume(&self, id: &ExecutionId) -> Result<()> {
        self.shared.resume(id).await
    }

    async fn remove(&self, id: &ExecutionId, timeout: Duration) -> Result<()> {
        self.shared.remove(id, timeout).await
    }

    async fn cleanup(&self) -> Result<()> {
        self.shared.clean_up().await
    }

    async fn get_log_stream(&self, request: LogStreamRequest) -> Result<OutputStream> {
        let begin = if request.tail { Begin::Now } else { Begin::At(0) };
        self.shared.logs(request, begin).await
    }

    async fn get_log_stream_from(&self, request: LogStreamRequest, from: u64) -> Result<OutputStream> {
        if request.tail {
            return Err(Error::invalid("tail", "what comes from now on does not begin at a byte"));
        }
        self.shared.logs(request, Begin::At(from)).await
    }

    async fn get_log_length(&self, request: LogStreamRequest) -> Result<u64> {
        self.shared.log_length(&request).await
    }

    async fn list(&self) -> Result<Vec<ExecutionListItem>> {
        let shared = Arc::clone(&self.shared);
        // So many small files are read that others would wait.
        let listed = tokio::task::spawn_blocking(move || shared.list()).await;
        listed
            .unwrap_or_else(|error| Err(Error::store("listing the executions")(std::io::Error::other(error))))
    }

    async fn get_status(&self, id: &ExecutionId) -> Result<ExecutionStatus> {
        self.shared.status(id)
    }

    async fn wait_for_status(
        &self,
        id: &ExecutionId,
        status: ExecutionStatus,
        within: Option<Duration>,
    ) -> Result<()> {
        let within = within.unwrap_or(DEFAULT_WAIT);
        let deadline = Instant::now().checked_add(within);
        loop {
            let now = self.shared.status(id)?;
            if now == status {
                return Ok(());
            }
            if now.is_terminal() || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Error::DidNotReach {
                    id: id.clone(),
                    status,
                    seconds: within.as_secs_f64(),
                    now,
                });
            }
            self.shared.change(id, deadline).await;
        }
    }

    async fn exec(&self, id: &ExecutionId, argv: &[String]) -> Result<ExecOutput> {
        self.shared.exec(id, argv).await
    }

    async fn stats(&self, id: &ExecutionId) -> Result<ExecutionStats> {
        self.shared.stats(id).await
    }

    async fn get_info(&self, id: &ExecutionId) -> Result<ExecutionInfo> {
        self.shared.info(id)
    }

    async fn get_net_info(&self, id: &ExecutionId) -> Result<NetInfo> {
        self.shared.network(id).await
    }
}
