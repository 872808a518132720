//! One step from its start to its end: its log pumped, its exit waited for, its timeouts watched; then drained, destroyed and
//! judged.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jobwright_backend::{Error, LogStream};
use jobwright_model::{Cause, Ending, ExitStatus, FailurePolicy, Step, StepExit, StepType};
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::activity::Activity;
use crate::job::Slot;
use crate::limits;
use crate::observer::ResumePoint;
use crate::outage::insist;
use crate::pump::Pump;
use crate::readiness::{self, Unready};
use crate::shared::Shared;
use crate::step::{StepLife, StepResult};
use crate::visit;

/// How long a step that was destroyed may take to tell how it ended.
const LAST_WORD: Duration = Duration::from_secs(2);

/// How a step whose environment is kept is ended, how long it may take for it, and how often it is looked at.
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
const GRACE: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// Exit codes above this one are how a shell tells of a signal.
const SIGNAL_CODES: i32 = 128;

/// What follows a running step: its log and its exit.
pub(crate) struct Watch {
    pump: AbortOnDropHandle<()>,
    exit: AbortOnDropHandle<Result<StepExit, Error>>,
    activity: Arc<Activity>,
    /// Ends the pump.
    cut: CancellationToken,
}

impl Watch {
    /// Begins to watch `step`, whose log goes on at `resume` with `log`.
    pub(crate) fn over(shared: &Arc<Shared>, step: &Arc<Step>, log: LogStream, resume: ResumePoint) -> Self {
        let activity = Arc::new(Activity::new());
        let cut = CancellationToken::new();
        let pump = Pump {
            backend: Arc::clone(&shared.backend),
            observer: Arc::clone(&shared.observer),
            masker: shared.masker.clone(),
            step: Arc::clone(step),
            task: shared.task.clone(),
            activity: Arc::clone(&activity),
            resume,
            withheld: shared.secrets_are_gone,
            patience: shared.limits.patience,
            cut: cut.clone(),
        };
        Self {
            pump: AbortOnDropHandle::new(tokio::spawn(pump.run(log))),
            exit: AbortOnDropHandle::new(tokio::spawn(wait(Arc::clone(shared), Arc::clone(step)))),
            activity,
            cut,
        }
    }
}

/// Waits for the exit, with patience for an engine that does not answer; then the step is lost, never passed (DESIGN rule 1).
async fn wait(shared: Arc<Shared>, step: Arc<Step>) -> Result<StepExit, Error> {
    let Shared { backend, task, limits, .. } = &*shared;
    insist(&**backend, limits.patience, || backend.wait_step(&step, task)).await
}

/// A step that was started.
pub(crate) struct Running {
    life: StepLife,
    watch: Watch,
    started: Timestamp,
    since: Instant,
    /// The job's place, of a step that is all of it.
    slot: Option<Slot>,
    /// It had ended before it was taken over: its exit says how, and nothing else counts.
    was_over: bool,
}

/// Why the watch over a running step is over.
enum Watched {
    /// It ended by itself.
    Exited(StepExit),
    /// It did so before it was ready.
    TooEarly(StepExit),
    /// It is to be ended, and ends so.
    Stop(Ending),
    /// It goes on in an environment that is kept.
    Stays,
    /// It was there for a visit that is over, and ends as that did.
    Left(Ending),
    /// Nobody can say what becomes of it.
    Lost(Error),
}

impl Watched {
    fn of(exit: Result<Result<StepExit, Error>, JoinError>) -> Self {
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

impl Running {
    /// The step of `life`, which runs since `started`: that is, for `ran` already.
    pub(crate) fn new(life: StepLife, watch: Watch, started: Timestamp, ran: Duration) -> Self {
        let now = Instant::now();
        Self { life, watch, started, since: now.checked_sub(ran).unwrap_or(now), slot: None, was_over: false }
    }

    /// The same, of a step that had ended before it was taken over.
    pub(crate) fn that_was_over(self) -> Self {
        Self { was_over: true, ..self }
    }

    /// Watches the step to its end: its exit, a timeout, or the end of its scope. The `slot` is free as soon as nothing of it runs.
    pub(crate) async fn finish(mut self, slot: Option<Slot>) -> StepResult {
        self.slot = slot;
        let shared = Arc::clone(&self.life.shared);
        let watched = match self.was_over {
            true => Watched::of((&mut self.watch.exit).await),
            false => tokio::select! {
                biased;
                cause = shared.scope.cancelled() => Watched::Stop(shared.ended_by(cause)),
                exit = &mut self.watch.exit => Watched::of(exit),
                ending = timeouts(&shared, self.since, &self.watch.activity) => Watched::Stop(ending),
                ending = visited(&shared, &self.life.step) => Watched::Left(ending),
            },
        };
        let ignored = self.life.step.failure_policy() == FailurePolicy::Ignore;
        self.conclude(watched).await.unless(ignored)
    }

    /// Waits until a step in the background may be left alone: it is ready, nobody needs to know, or another one of its kind has not
    /// got ready, so that what waits for all of them will not run. One that ends before that, or takes too long, fails its workflow.
    pub(crate) async fn until_ready(mut self: Box<Self>) -> Result<Box<Self>, StepResult> {
        let shared = Arc::clone(&self.life.shared);
        let Some(readiness) = shared.ready.get(&self.life.step.uuid) else { return Ok(self) };
        let watched = tokio::select! {
            biased;
            // Its end is its own affair from now on, and that of the scope.
            _ = shared.scope.cancelled() => return Ok(self),
            () = shared.given_up.cancelled() => return Ok(self),
            exit = &mut self.watch.exit => match Watched::of(exit) {
                Watched::Exited(exit) => Watched::TooEarly(exit),
                other => other,
            },
            ready = readiness::wait(&shared, &self.life.step, readiness) => match ready {
                Ok(()) => return Ok(self),
                Err(Unready::Late(why)) => Watched::Stop(self.unready(&why)),
                Err(Unready::Unknown(error @ Error::EngineGone { .. })) => Watched::Lost(error),
                Err(Unready::Unknown(error)) => {
                    Watched::Stop(Ending::new(error.cause()).because(shared.mask(&error)))
                }
            },
        };
        shared.given_up.cancel();
        Err(self.conclude(watched).await)
    }

    /// The ending of a step that did not get ready, in local-ci's words (local-ci.md 4, 1).
    fn unready(&self, why: &str) -> Ending {
        let Step { name, kind, .. } = &*self.life.step;
        let what = if *kind == StepType::Service { "service" } else { "step" };
        let text = format!("{what} {name:?}: {why}");
        Ending::new(Cause::NotReady).because(self.life.shared.masker.mask_str(&text).into_owned())
    }

    /// What an exit means for a step that was not ready by then, whatever its code. One that nobody knows stays unknown.
    fn judge_too_early(&self, exit: StepExit) -> Ending {
        let how = match exit.status {
            ExitStatus::Unknown => return self.judge(exit),
            _ if exit.oom => "was ended for using more memory than it may".to_owned(),
            ExitStatus::Code(code) => format!("exited with code {code}"),
            ExitStatus::Signal(signal) => format!("was ended by signal {signal}"),
        };
        self.unready(&format!("{how} before becoming ready")).with_exit(&self.masked(exit))
    }

    /// Watches a step in the background: it has no timeouts of its own, ends at the latest when `workflow_over` says so, and
    /// never fails its workflow (woodpecker.md 8, item 40).
    pub(crate) async fn finish_in_background(mut self, workflow_over: CancellationToken) -> StepResult {
        let shared = Arc::clone(&self.life.shared);
        let watched = match self.was_over {
            true => Watched::of((&mut self.watch.exit).await),
            false => tokio::select! {
                biased;
                cause = shared.scope.cancelled() => match shared.ended_by(cause) {
                    ending if shared.keeps(&ending) => Watched::Stays,
                    ending => Watched::Stop(ending),
                },
                exit = &mut self.watch.exit => Watched::of(exit),
                () = workflow_over.cancelled() => match shared.kept.get() {
                    Some(_) => Watched::Stays,
                    None => Watched::Stop(Ending::new(Cause::WorkflowEnded)),
                },
            },
        };
        self.conclude(watched).await.unless(true)
    }

    async fn conclude(self, watched: Watched) -> StepResult {
        match watched {
            Watched::Exited(exit) => self.exited(exit, Self::judge).await,
            Watched::TooEarly(exit) => self.exited(exit, Self::judge_too_early).await,
            Watched::Stop(ending) => self.stop(ending).await,
            Watched::Left(ending) => self.left(ending).await,
            Watched::Stays => self.stays().await,
            Watched::Lost(error) => self.lost(&error).await,
        }
    }

    async fn exited(mut self, exit: StepExit, judge: fn(&Self, StepExit) -> Ending) -> StepResult {
        let finished = Timestamp::now();
        let drained = self.drain().await;
        if drained {
            self.slot = None;
        }
        if exit.status == ExitStatus::Code(0) && !exit.oom {
            self.life.shared.keep_of(&self.life.step).await;
        }
        let ending = judge(&self, exit).timed(self.started, finished);
        // Whoever finds the step removed must find here how it ended, and its output where it was told.
        self.life.shared.observer.settled().await;
        self.life.record_end(&ending);
        let destroyed = match self.is_kept(&ending) {
            true => Ok(()),
            false => self.life.destroy().await,
        };
        if !drained {
            self.end_log().await;
        }
        self.report(ending, destroyed)
    }

    async fn stop(mut self, mut ending: Ending) -> StepResult {
        self.life.record_stop(&ending);
        let destroyed =
            match self.may_be_kept(&ending) && self.ends_when_told().await && self.is_kept(&ending) {
                true => Ok(()),
                false => self.life.destroy().await,
            };
        if let Ok(Ok(Ok(exit))) = timeout(LAST_WORD, &mut self.watch.exit).await {
            ending = ending.with_exit(&self.masked(exit));
        }
        self.end_log().await;
        let ending = ending.timed(self.started, Timestamp::now());
        self.life.record_end(&ending);
        self.report(ending, destroyed)
    }

    /// Whether the environment of a step that ended so is one to be kept.
    fn may_be_kept(&self, ending: &Ending) -> bool {
        let step = &self.life.step;
        let fails = !step.runs_in_background() && step.failure_policy() != FailurePolicy::Ignore;
        fails && self.life.shared.keeps(ending)
    }

    /// Whether this step's environment is kept because the step ended so: that of the first one that did.
    fn is_kept(&self, ending: &Ending) -> bool {
        self.may_be_kept(ending) && self.life.shared.kept.set(Arc::clone(&self.life.step)).is_ok()
    }

    /// Ends the step's processes and leaves what they worked on: SIGTERM, the grace, SIGKILL. False when that cannot be done or did not
    /// help.
    async fn ends_when_told(&mut self) -> bool {
        let Shared { backend, task, .. } = &*self.life.shared;
        let Some(control) = backend.control() else { return false };
        for signal in [SIGTERM, SIGKILL] {
            // One that has just ended cannot be told, and needs not be.
            let _ = control.signal(&self.life.step, task, signal).await;
            let ended = async {
                while !self.watch.exit.is_finished() {
                    sleep(LOOK).await
                }
            };
            if timeout(GRACE, ended).await.is_ok() {
                return true;
            }
        }
        false
    }

    /// Nobody follows it any longer; it is told to have ended with its workflow.
    async fn stays(mut self) -> StepResult {
        self.watch.cut.cancel();
        self.end_log().await;
        let ending = Ending::new(Cause::WorkflowEnded).because("it goes on in the environment that is kept");
        let ending = ending.timed(self.started, Timestamp::now());
        self.life.record_end(&ending);
        self.report(ending, Ok(()))
    }

    /// How its own process ends says nothing: it only waited.
    async fn left(mut self, ending: Ending) -> StepResult {
        self.watch.cut.cancel();
        let ending = ending.timed(self.started, Timestamp::now());
        self.life.record_end(&ending);
        let destroyed = self.life.destroy().await;
        self.end_log().await;
        self.report(ending, destroyed)
    }

    /// A step that nobody can speak for is not destroyed here: what cannot be asked cannot be told either, and the end of the
    /// workflow tries again (woodpecker.md 8, item 23).
    async fn lost(mut self, error: &Error) -> StepResult {
        let gone = matches!(error, Error::EngineGone { .. });
        let cause = if gone { Cause::EngineVanished } else { Cause::StatusUnreadable };
        let ending =
            Ending::new(cause).because(self.life.shared.mask(error)).timed(self.started, Timestamp::now());
        self.end_log().await;
        self.life.record_end(&ending);
        self.report(ending, Ok(()))
    }

    /// What an exit means for a step that nobody stopped. A process that falls to a signal, or tells of one as shells do, while
    /// its scope is being cancelled did not fail by itself (woodpecker.md 8, item 47); one that had ended before anybody looked did.
    fn judge(&self, exit: StepExit) -> Ending {
        let exit = self.masked(exit);
        let by_signal = match exit.status {
            ExitStatus::Signal(_) | ExitStatus::Unknown => true,
            ExitStatus::Code(code) => code > SIGNAL_CODES,
        };
        match self.life.shared.scope.cause().filter(|_| !self.was_over) {
            Some(cause) if by_signal && !exit.oom => self.life.shared.ended_by(cause).with_exit(&exit),
            _ => Ending::of_exit(&exit),
        }
    }

    fn masked(&self, mut exit: StepExit) -> StepExit {
        exit.message = exit.message.map(|text| self.life.shared.masker.mask_str(&text).into_owned());
        exit
    }

    /// Reads the log on after the process ended, to its end. When something that the step left behind holds the pipe, it must
    /// not hold the step (woodpecker.md 8, item 60); whatever is there to be read at once is read first.
    async fn drain(&mut self) -> bool {
        const HELD: &str =
            "the step has ended, but something that it left behind still holds its output open";
        const TOO_MUCH: &str = "the step has ended, but its output does not come to an end";
        let limits = self.life.shared.limits;
        let activity = &self.watch.activity;
        activity.count_anew();
        let notice = tokio::select! {
            biased;
            pumped = &mut self.watch.pump => {
                self.life.report_pump(pumped);
                return true;
            }
            _ = self.life.shared.scope.cancelled(), if !self.was_over => return false,
            () = activity.silent_for(limits.drain_silence) => HELD,
            () = activity.waited_for(limits.drain) => HELD,
            () = sleep(limits.backlog) => TOO_MUCH,
        };
        self.life.notice(notice);
        false
    }

    /// After the step was destroyed or lost its log ends by itself, or is cut off.
    async fn end_log(&mut self) {
        let limits = self.life.shared.limits;
        self.watch.activity.count_anew();
        let pumped = tokio::select! {
            biased;
            pumped = &mut self.watch.pump => pumped,
            () = async {
                tokio::select! {
                    () = self.watch.activity.silent_for(limits.drain_silence) => {}
                    () = sleep(limits.drain) => {}
                }
            } => {
                self.watch.cut.cancel();
                self.life.notice("the log did not end with its step and is cut off here");
                (&mut self.watch.pump).await
            }
        };
        self.life.report_pump(pumped);
    }

    fn report(self, ending: Ending, destroyed: Result<(), Error>) -> StepResult {
        let undestroyed = destroyed.err().map(|error| self.life.shared.mask(&error));
        let ending = match &undestroyed {
            Some(error) if ending.succeeded() => {
                let ending = ending.recast(Cause::Cleanup).because(error);
                self.life.record_end(&ending);
                ending
            }
            _ => ending,
        };
        self.life.trace_end(&ending);
        let result = StepResult::of(ending);
        StepResult { error: undestroyed.or(result.error), was_over: self.was_over, ..result }
    }
}

impl StepLife {
    /// A defect of ours, or of an observer, must not pass for a whole log.
    fn report_pump(&self, pumped: Result<(), JoinError>) {
        if let Err(panic) = pumped {
            self.notice(&format!("the log is incomplete, because reading it failed inside: {panic}"));
        }
    }
}

/// Resolves when a visit is over; never, when nobody visits.
async fn visited(shared: &Shared, step: &Step) -> Ending {
    match &shared.visitor {
        Some(visitor) => visit::visit(shared, step, &**visitor).await,
        None => std::future::pending().await,
    }
}

/// Resolves when a timeout of the step strikes; never, when it has none.
async fn timeouts(shared: &Shared, since: Instant, activity: &Activity) -> Ending {
    let (total, silence) = (shared.timeouts.step, shared.timeouts.silence);
    tokio::select! {
        limit = within(total, |limit| sleep_until(limits::after(since, limit))) => {
            Ending::new(Cause::Timeout).because(format!("it ran longer than {limit:?}"))
        }
        limit = within(silence, |limit| activity.silent_for(limit)) => {
            Ending::new(Cause::SilenceTimeout).because(format!("it printed nothing for {limit:?}"))
        }
    }
}

/// Waits as `wait` says and gives back the limit; for ever when there is none.
async fn within<F: Future<Output = ()>>(
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
