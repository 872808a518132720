//! One step's life: asked for, started, watched, ended, destroyed. [`StepLife`] is a step until it runs, [`Running`] from then
//! on; both end in a [`StepResult`].

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jobwright_backend::{Error, LogPosition, Progress, ProgressEvent};
use jobwright_model::{Cause, Ending, ExitStatus, FailurePolicy, Fault, Outcome, Step, StepExit};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::environment;
use crate::gate::{Situation, Verdict};
use crate::observer::{Observer, Trace};
use crate::pump::{Activity, Pump};
use crate::record::Record;
use crate::workflow::Shared;

/// Pause between two looks at an engine that does not answer.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long a step that was destroyed may take to tell how it ended.
const LAST_WORD: Duration = Duration::from_secs(2);

/// What the workflow learns of a step.
#[derive(Debug)]
pub(crate) struct StepResult {
    pub(crate) ending: Ending,
    /// Whether the workflow fails by it.
    pub(crate) fails_workflow: bool,
    /// What went wrong that is not the step's own failure: then the run itself has an error (woodpecker.md 8, item 44).
    pub(crate) error: Option<String>,
}

/// What came of the attempt to start a step.
pub(crate) enum Start {
    /// It runs.
    Running(Box<Running>),
    /// It does not, and will not.
    Over(StepResult),
}

/// A step before it runs.
pub(crate) struct StepLife {
    shared: Arc<Shared>,
    step: Arc<Step>,
}

impl StepLife {
    /// A step that is next, with the environment that only this moment can give it.
    pub(crate) fn new(shared: Arc<Shared>, step: &Step, failed_before: bool) -> Self {
        let step = Arc::new(environment::at_start(step, failed_before, shared.started));
        Self { shared, step }
    }

    /// Asks the gates, then starts the step.
    pub(crate) async fn begin(self, failed_before: bool) -> Start {
        let not_run = |ending| Start::Over(StepResult { ending, fails_workflow: false, error: None });
        match self.ask_gates(failed_before).await {
            Verdict::Run => self.start().await,
            Verdict::Skip(cause) => {
                let ending = Ending::new(cause);
                self.trace(&Trace::Skipped(ending.clone()));
                not_run(ending)
            }
            Verdict::Stop(cause) => {
                self.shared.scope.cancel(cause.clone());
                not_run(Ending::new(cause))
            }
        }
    }

    async fn ask_gates(&self, failed_before: bool) -> Verdict {
        for gate in &self.shared.gates {
            let verdict = gate.ask(Situation { step: &self.step, failed_before }).await;
            if verdict != Verdict::Run {
                return verdict;
            }
        }
        Verdict::Run
    }

    async fn start(self) -> Start {
        let started = Timestamp::now();
        self.trace(&Trace::Started(started));
        let attempt = tokio::select! {
            biased;
            cause = self.shared.scope.cancelled() => Err(Ending::new(cause)),
            attempt = self.prepare_and_start() => {
                attempt.map_err(|error| Ending::new(error.cause()).because(self.shared.mask(&error)))
            }
        };
        match attempt {
            Ok(watch) => {
                Start::Running(Box::new(Running { life: self, watch, started, since: Instant::now() }))
            }
            Err(ending) => Start::Over(self.not_started(ending, started).await),
        }
    }

    /// A log that cannot be read is a failure to start (woodpecker.md 8, item 22).
    async fn prepare_and_start(&self) -> Result<Watch, Error> {
        let Shared { backend, task, .. } = &*self.shared;
        let progress = Forward { observer: &*self.shared.observer, step: &self.step };
        backend.prepare_step(&self.step, task, &progress).await?;
        self.shared.deliver_files().await?;
        let intent = Record::StepStarting { task: task.clone(), step: self.step.uuid.clone() };
        self.shared.record(&intent).map_err(|error| Error::start(&self.step, error.to_string()))?;
        backend.start_step(&self.step, task).await?;
        let log = backend.tail_step(&self.step, task, LogPosition::START).await?;
        let activity = Arc::new(Activity::new());
        let pump = Pump {
            backend: Arc::clone(backend),
            observer: Arc::clone(&self.shared.observer),
            step: Arc::clone(&self.step),
            task: task.clone(),
            activity: Arc::clone(&activity),
            patience: self.shared.limits.patience,
        };
        let masker = self.shared.masker.clone();
        let pump = AbortOnDrop(tokio::spawn(async move { pump.run(log, &masker).await }));
        let exit = AbortOnDrop(tokio::spawn(wait(Arc::clone(&self.shared), Arc::clone(&self.step))));
        Ok(Watch { pump, exit, activity })
    }

    /// The end of a step that does not run. It is removed, because an attempt that was broken off may have got half-way.
    async fn not_started(self, ending: Ending, started: Timestamp) -> StepResult {
        let ending = ending.timed(started, Timestamp::now());
        if let Err(error) = self.destroy().await {
            self.notice(&format!("what a failed start left behind could not be removed yet: {error}"));
        }
        let cancelled = ending.outcome == Outcome::Cancelled;
        let error = (!cancelled).then(|| ending.evidence.clone().unwrap_or_default());
        self.end(&ending);
        StepResult { ending, fails_workflow: true, error }
    }

    /// Ends the step in its backend, outside of any scope and under the deadline of cleanup (DESIGN rule 2).
    async fn destroy(&self) -> Result<(), Error> {
        let Shared { backend, task, limits, .. } = &*self.shared;
        let destroyed = timeout(limits.cleanup, backend.destroy_step(&self.step, task)).await;
        destroyed.unwrap_or_else(|_| Err(limits.cleanup_overdue(&**backend)))
    }

    fn trace(&self, trace: &Trace) {
        if let Err(error) = self.shared.observer.trace(&self.step, trace) {
            tracing::warn!(step = %self.step.uuid, %error, "a step's state was not recorded");
        }
    }

    fn notice(&self, text: &str) {
        self.shared.observer.notice(Some(&self.step), &self.shared.masker.mask_str(text));
    }

    fn end(&self, ending: &Ending) {
        let (task, step) = (self.shared.task.clone(), self.step.uuid.clone());
        if let Err(error) = self.shared.record(&Record::StepEnded { task, step, ending: ending.clone() }) {
            tracing::warn!(step = %self.step.uuid, %error, "a step's end was not journaled");
        }
        self.trace(&Trace::Ended(ending.clone()));
    }
}

/// A step that was started.
pub(crate) struct Running {
    life: StepLife,
    watch: Watch,
    started: Timestamp,
    since: Instant,
}

/// What follows a running step: its log and its exit.
struct Watch {
    pump: AbortOnDrop<()>,
    exit: AbortOnDrop<Result<StepExit, Error>>,
    activity: Arc<Activity>,
}

/// Why the watch over a running step is over.
enum Watched {
    /// It ended by itself.
    Exited(StepExit),
    /// It is to be ended, for this cause and with this evidence.
    Stop(Cause, Option<String>),
    /// Nobody can say what becomes of it.
    Lost(Error),
}

impl Running {
    /// Watches the step to its end: its exit, a timeout, or the end of its scope.
    pub(crate) async fn finish(mut self) -> StepResult {
        let watched = tokio::select! {
            biased;
            cause = self.life.shared.scope.cancelled() => Watched::Stop(cause, None),
            exit = &mut self.watch.exit.0 => Watched::of(exit),
            stop = timeouts(&self.life.shared, self.since, &self.watch.activity) => stop,
        };
        let ignored = self.life.step.failure_policy() == FailurePolicy::Ignore;
        let result = self.conclude(watched).await;
        StepResult { fails_workflow: result.fails_workflow && !ignored, ..result }
    }

    /// Watches a step in the background: it has no timeouts of its own, ends at the latest when `workflow_over` says so, and
    /// never fails its workflow (woodpecker.md 8, item 40).
    pub(crate) async fn finish_in_background(mut self, workflow_over: CancellationToken) -> StepResult {
        let watched = tokio::select! {
            biased;
            cause = self.life.shared.scope.cancelled() => Watched::Stop(cause, None),
            exit = &mut self.watch.exit.0 => Watched::of(exit),
            () = workflow_over.cancelled() => Watched::Stop(Cause::WorkflowEnded, None),
        };
        StepResult { fails_workflow: false, ..self.conclude(watched).await }
    }

    async fn conclude(self, watched: Watched) -> StepResult {
        match watched {
            Watched::Exited(exit) => self.exited(exit).await,
            Watched::Stop(cause, evidence) => self.stop(cause, evidence).await,
            Watched::Lost(error) => self.lost(&error),
        }
    }

    async fn exited(mut self, exit: StepExit) -> StepResult {
        let finished = Timestamp::now();
        let drained = self.drain().await;
        let destroyed = self.life.destroy().await;
        if !drained {
            self.end_log().await;
        }
        let ending = self.judge(exit).timed(self.started, finished);
        self.report(ending, destroyed)
    }

    async fn stop(mut self, cause: Cause, evidence: Option<String>) -> StepResult {
        let destroyed = self.life.destroy().await;
        let mut ending = Ending::new(cause);
        ending.evidence = evidence;
        if let Ok(Ok(Ok(exit))) = timeout(LAST_WORD, &mut self.watch.exit.0).await {
            ending = ending.with_exit(&self.masked(exit));
        }
        self.end_log().await;
        let ending = ending.timed(self.started, Timestamp::now());
        self.report(ending, destroyed)
    }

    /// A step that nobody can speak for is not destroyed here: what cannot be asked cannot be told either, and the end of the
    /// workflow tries again (woodpecker.md 8, item 23).
    fn lost(self, error: &Error) -> StepResult {
        let gone = matches!(error, Error::EngineGone { .. });
        let cause = if gone { Cause::EngineVanished } else { Cause::StatusUnreadable };
        let ending =
            Ending::new(cause).because(self.life.shared.mask(error)).timed(self.started, Timestamp::now());
        self.report(ending, Ok(()))
    }

    /// What an exit means for a step that nobody stopped. A process that falls to a signal while its scope is being
    /// cancelled did not fail by itself (woodpecker.md 8, item 47).
    fn judge(&self, exit: StepExit) -> Ending {
        let exit = self.masked(exit);
        match (exit.status, self.life.shared.scope.cause()) {
            (ExitStatus::Signal(_) | ExitStatus::Unknown, Some(cause)) => Ending::new(cause).with_exit(&exit),
            _ => Ending::of_exit(&exit),
        }
    }

    fn masked(&self, mut exit: StepExit) -> StepExit {
        exit.message = exit.message.map(|text| self.life.shared.masker.mask_str(&text).into_owned());
        exit
    }

    /// Reads the log on after the process ended: to its end, or until it is silent or overdue. Then something that the step
    /// left behind holds the pipe, and must not hold the step (woodpecker.md 8, item 60).
    async fn drain(&mut self) -> bool {
        let limits = self.life.shared.limits;
        self.watch.activity.note();
        let drained = tokio::select! {
            biased;
            _ = &mut self.watch.pump.0 => true,
            () = self.watch.activity.silent_for(limits.drain_silence) => false,
            () = sleep(limits.drain) => false,
        };
        if !drained {
            self.life
                .notice("the step has ended, but something that it left behind still holds its output open");
        }
        drained
    }

    /// After the step was destroyed its log ends by itself, or is cut off.
    async fn end_log(&mut self) {
        if timeout(self.life.shared.limits.drain, &mut self.watch.pump.0).await.is_err() {
            self.watch.pump.0.abort();
            self.life.notice("the log did not end with its step and is cut off here");
        }
    }

    fn report(self, ending: Ending, destroyed: Result<(), Error>) -> StepResult {
        let undestroyed = destroyed.err().map(|error| self.life.shared.mask(&error));
        let ending = match &undestroyed {
            Some(error) if ending.succeeded() => ending.recast(Cause::Cleanup).because(error),
            _ => ending,
        };
        self.life.end(&ending);
        let infrastructure =
            ending.outcome != Outcome::Cancelled && ending.cause.fault() == Fault::Infrastructure;
        let error = undestroyed.or_else(|| ending.evidence.clone().filter(|_| infrastructure));
        StepResult { fails_workflow: !ending.succeeded(), ending, error }
    }
}

impl Watched {
    fn of(exit: Result<Result<StepExit, Error>, tokio::task::JoinError>) -> Self {
        match exit {
            Ok(Ok(exit)) => Self::Exited(exit),
            Ok(Err(error)) => Self::Lost(error),
            Err(panic) => Self::Lost(Error::Io {
                operation: "waiting for the step".to_owned(),
                source: std::io::Error::other(panic),
            }),
        }
    }
}

/// Waits for the exit. An engine that does not answer is looked at again until patience ends; then the step is lost, never
/// passed (DESIGN rule 1).
async fn wait(shared: Arc<Shared>, step: Arc<Step>) -> Result<StepExit, Error> {
    let mut unanswered_since = None;
    loop {
        match shared.backend.wait_step(&step, &shared.task).await {
            Err(error @ Error::EngineGone { .. }) => {
                let since: Instant = *unanswered_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= shared.limits.patience {
                    return Err(error);
                }
                sleep(LOOK_AGAIN).await;
            }
            answer => return answer,
        }
    }
}

/// Resolves when a timeout of the step strikes; never, when it has none.
async fn timeouts(shared: &Shared, since: Instant, activity: &Activity) -> Watched {
    let (total, silence) = (shared.timeouts.step, shared.timeouts.silence);
    tokio::select! {
        limit = after(total, |limit| tokio::time::sleep_until(since + limit)) => {
            Watched::Stop(Cause::Timeout, Some(format!("it ran longer than {limit:?}")))
        }
        limit = after(silence, |limit| activity.silent_for(limit)) => {
            Watched::Stop(Cause::SilenceTimeout, Some(format!("it printed nothing for {limit:?}")))
        }
    }
}

/// Waits as `wait` says and gives back the limit; for ever when there is none.
async fn after<F: Future<Output = ()>>(
    limit: Option<Duration>,
    wait: impl FnOnce(Duration) -> F,
) -> Duration {
    match limit {
        Some(limit) => {
            wait(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

/// A task that ends with whoever holds it.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Hands a backend's progress to the observer.
struct Forward<'a> {
    observer: &'a dyn Observer,
    step: &'a Step,
}

impl Progress for Forward<'_> {
    fn report(&self, event: ProgressEvent) {
        self.observer.progress(self.step, &event);
    }
}
