//! Brings a step's log from the backend to the observer: masked before anybody sees it (DESIGN rule 3), asked for again when it
//! breaks off. Not for how it is masked: that is `lanes.rs`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jobwright_backend::{Backend, Error, LogStream};
use jobwright_model::{Step, TaskUuid};
use jobwright_redact::Masker;
use tokio::task::coop::consume_budget;
use tokio_util::sync::CancellationToken;

use crate::activity::{Activity, Doing};
use crate::lanes::Lanes;
use crate::observer::{MaskedChunk, Observer, ResumePoint};
use crate::outage::Outage;

/// Everything that a pump needs; it runs as a task of its own.
pub(crate) struct Pump {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) masker: Masker,
    pub(crate) step: Arc<Step>,
    pub(crate) task: TaskUuid,
    pub(crate) activity: Arc<Activity>,
    /// Where the log goes on, of which a part was shown before.
    pub(crate) resume: ResumePoint,
    /// Nothing of it may be shown.
    pub(crate) withheld: bool,
    /// How long an engine may not answer before the log is given up.
    pub(crate) patience: Duration,
    /// Ends the reading, wherever it is.
    pub(crate) cut: CancellationToken,
}

impl Pump {
    /// Reads the log from `stream`, which begins at the point to resume at, to its end. A log that breaks off because the engine does not answer is asked for again
    /// from where it broke off.
    pub(crate) async fn run(self, stream: LogStream) {
        let mut lanes = Lanes::new(&self.masker, self.resume);
        let ended = tokio::select! {
            biased;
            () = self.cut.cancelled() => false,
            ended = self.read(stream, &mut lanes) => ended,
        };
        let rest = if ended { lanes.finish() } else { lanes.withhold() };
        rest.into_iter().for_each(|chunk| self.show(chunk));
    }

    /// Whether the log came to its own end.
    async fn read(&self, mut stream: LogStream, lanes: &mut Lanes) -> bool {
        let mut outage = Outage::none(&*self.backend, self.patience);
        loop {
            self.activity.turn_to(Doing::Recording);
            self.observer.ready().await;
            self.activity.turn_to(Doing::Reading);
            let error = match outage.hear(stream.next()).await {
                Some(None) => return true,
                Some(Some(Ok(chunk))) => {
                    outage.ended();
                    lanes.mask(chunk).into_iter().for_each(|chunk| self.show(chunk));
                    // A step that writes faster than it is read is always ready: others have to have their turns.
                    consume_budget().await;
                    continue;
                }
                Some(Some(Err(error))) => error,
                None => self.unheard(),
            };
            self.activity.turn_to(Doing::BrokenOff);
            match self.reconnect(error, lanes, &mut outage).await {
                Ok(again) => stream = again,
                Err(error) => {
                    self.give_up(&error);
                    return false;
                }
            }
        }
    }

    /// A new stream from where the old one broke off; the error, when there is nothing more to be had.
    async fn reconnect(
        &self,
        mut error: Error,
        lanes: &Lanes,
        outage: &mut Outage<'_>,
    ) -> Result<LogStream, Error> {
        while matches!(error, Error::EngineGone { .. }) && outage.look_again().await {
            let again = self.backend.tail_step(&self.step, &self.task, lanes.read_up_to);
            error = match outage.hear(again).await {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(again)) => again,
                None => return Err(self.unheard()),
            };
        }
        Err(error)
    }

    fn unheard(&self) -> Error {
        let reason = format!("nothing was heard of it for {:?}", self.patience);
        Error::EngineGone { engine: self.backend.name(), reason }
    }

    fn give_up(&self, error: &Error) {
        let text = format!("the log breaks off here: {error}");
        self.observer.notice(Some(&self.step), &self.masker.mask_str(&text));
    }

    fn show(&self, chunk: MaskedChunk) {
        if self.withheld {
            return self.observer.withheld(&self.step, chunk.bytes.len() as u64);
        }
        if let Err(error) = self.observer.log(&self.step, chunk) {
            tracing::warn!(step = %self.step.uuid, %error, "a piece of output was not recorded");
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use jobwright_backend::dummy::Dummy;
    use jobwright_backend::{LogChunk, LogPosition, StreamKind};
    use jobwright_model::StepUuid;

    use super::*;
    use crate::Trace;
    use crate::observer::ObserverError;

    struct Nobody;

    impl Observer for Nobody {
        fn trace(&self, _step: &Step, _trace: &Trace) -> Result<(), ObserverError> {
            Ok(())
        }
        fn log(&self, _step: &Step, _chunk: MaskedChunk) -> Result<(), ObserverError> {
            Ok(())
        }
        fn notice(&self, _step: Option<&Step>, _text: &str) {}
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_log_that_never_waits_lets_others_have_their_turns() {
        let cut = CancellationToken::new();
        let pump = Pump {
            backend: Arc::new(Dummy::default()),
            observer: Arc::new(Nobody),
            masker: Masker::builder().build().masker,
            step: Arc::new(Step::new("step", StepUuid::random())),
            task: TaskUuid::random(),
            activity: Arc::new(Activity::new()),
            resume: ResumePoint::default(),
            withheld: false,
            patience: Duration::from_secs(1),
            cut: cut.clone(),
        };
        let line = LogChunk {
            stream: StreamKind::Stdout,
            bytes: Bytes::from_static(b"y\n"),
            next: LogPosition::new(2),
        };
        let endless = stream::repeat_with(move || Ok(line.clone()));
        let pumping = tokio::spawn(pump.run(Box::pin(endless)));
        // Were this thread the pump's for ever, nobody would come to end it.
        tokio::task::yield_now().await;
        cut.cancel();
        pumping.await.unwrap();
    }
}
