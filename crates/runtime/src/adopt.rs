//! Taking over a step that another process began and did not see through: it died. What is done for which trace is the table of
//! `docs/adr/0008`; nothing that may have run is run a second time.

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use jobwright_backend::{Error, LogStream, Resumed};
use jobwright_model::{Cause, Ending, FailurePolicy};

use crate::clock::BootTime;
use crate::observer::{ResumePoint, ToldBefore, Trace};
use crate::outage::insist;
use crate::past::StepPast;
use crate::running::{Running, Watch};
use crate::shared::Shared;
use crate::step::{Start, StepLife, StepResult};

/// The cause and the evidence of a step that nobody can speak for.
const GONE: &str = "it was started by a Jobwright that died, and nothing of it is left";
const CANNOT: &str = "it was started by a Jobwright that died, and this backend cannot take it over";

impl StepLife {
    /// Goes on with the step from where its `past` left it. The end of the scope does not keep it from being taken over: only then can
    /// it be ended.
    pub(crate) async fn take_over(self, past: StepPast, failed_before: bool) -> Start {
        match past {
            StepPast::Ended(ending) => {
                self.trace_end(&ending);
                Start::Over(self.counted(ending).that_was_over())
            }
            StepPast::Stopping(ending) => {
                if let Err(error) = self.destroy().await {
                    self.notice(&format!("the step could not be removed yet: {}", self.shared.mask(&error)));
                }
                Start::Over(self.over(ending))
            }
            StepPast::Begun(at) => self.attach(at, failed_before).await,
        }
    }

    async fn attach(self, began: BootTime, failed_before: bool) -> Start {
        let Shared { backend, task, limits, .. } = &*self.shared;
        let Some(resumer) = backend.resumer() else {
            return Start::Over(self.lost(Cause::StatusUnreadable, CANNOT));
        };
        let resumed = insist(&**backend, limits.patience, || resumer.resume_step(&self.step, task)).await;
        match resumed {
            Ok(resumed) => Start::Running(Box::new(self.follow(began, resumed).await)),
            Err(Error::NotStarted(_)) => self.begin_anew(failed_before).await,
            Err(Error::UnknownStep { .. }) => Start::Over(self.lost(Cause::StatusUnreadable, GONE)),
            Err(error) => {
                let gone = matches!(error, Error::EngineGone { .. });
                let cause = if gone { Cause::EngineVanished } else { Cause::StatusUnreadable };
                let text = self.shared.mask(&error);
                Start::Over(self.lost(cause, &text))
            }
        }
    }

    /// Nothing of it ran, which its backend is certain of; what was prepared is of no use to this process.
    async fn begin_anew(self, failed_before: bool) -> Start {
        if let Err(error) = self.destroy().await {
            let text = self.shared.mask(&error);
            return Start::Over(self.lost(Cause::StatusUnreadable, &text));
        }
        self.begin(failed_before).await
    }

    async fn follow(self, began: BootTime, resumed: Resumed) -> Running {
        let ran = began.elapsed();
        let ago = SignedDuration::try_from(ran).unwrap_or_default();
        let started = Timestamp::now().checked_sub(ago).unwrap_or_else(|_| Timestamp::now());
        self.shared.trace(&self.step, &Trace::Started(started));
        self.shared.observer.runs(&self.step);
        let resume = self.resume_point();
        let log = self.log_from(resume).await;
        let watch = Watch::over(&self.shared, &self.step, log, resume);
        let running = Running::new(self, watch, started, ran);
        if resumed == Resumed::Ended { running.that_was_over() } else { running }
    }

    fn resume_point(&self) -> ResumePoint {
        if self.shared.secrets_are_gone {
            self.notice("its output is withheld from here on: the values of its secrets are gone");
        }
        match self.shared.observer.told_before(&self.step) {
            ToldBefore::UpTo(point) => point,
            ToldBefore::Unknown => {
                self.notice("how much of its output was told is not known; it is told from its beginning");
                ResumePoint::default()
            }
        }
    }

    /// A log that cannot be read does not end a step that runs.
    async fn log_from(&self, resume: ResumePoint) -> LogStream {
        let Shared { backend, task, limits, .. } = &*self.shared;
        let opened =
            insist(&**backend, limits.patience, || backend.tail_step(&self.step, task, resume.from)).await;
        opened.unwrap_or_else(|error| {
            self.notice(&format!("its output cannot be read: {}", self.shared.mask(&error)));
            stream::empty().boxed()
        })
    }

    fn lost(&self, cause: Cause, why: &str) -> StepResult {
        self.over(Ending::new(cause).because(why).timed(self.shared.started, Timestamp::now()))
    }

    fn over(&self, ending: Ending) -> StepResult {
        self.record_end(&ending);
        self.trace_end(&ending);
        self.counted(ending)
    }

    /// One in the background, or whose failure is to be ignored, never fails its workflow, but for one that did not get ready.
    fn counted(&self, ending: Ending) -> StepResult {
        let ignored = self.step.failure_policy() == FailurePolicy::Ignore;
        let left_alone = self.step.runs_in_background() && ending.cause != Cause::NotReady;
        StepResult::of(ending).unless(ignored || left_alone)
    }
}
