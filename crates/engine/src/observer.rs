//! What the runtime tells of a job's steps, as the run's events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use jobwright_backend::{LogPosition, ProgressEvent, StreamKind as RawStream};
use jobwright_events::{EventKind, EventLog, Name, OutputPosition, Quota, ResumePosition, StreamKind};
use jobwright_model::{Ending, Step, StepUuid};
use jobwright_runtime::{MaskedChunk, Observer, ObserverError, ResumePoint, ToldBefore, Trace};

use crate::executor::JobOutput;

/// Tells one attempt of one job.
pub(crate) struct JobObserver {
    output: JobOutput,
    log: Arc<EventLog>,
    state: Mutex<State>,
}

struct State {
    quota: Quota,
    steps: HashMap<StepUuid, StepState>,
}

struct StepState {
    name: Name,
    /// None for a step that was never begun.
    started: Option<Timestamp>,
    /// Where its output goes on after what was told.
    position: Option<OutputPosition>,
}

impl JobObserver {
    /// Tells about the job that `output` is of, keeping at most `quota` bytes of its output, as fast as `log` takes it.
    pub(crate) fn new(output: JobOutput, quota: u64, log: Arc<EventLog>) -> Self {
        Self { output, log, state: Mutex::new(State { quota: Quota::new(quota), steps: HashMap::new() }) }
    }

    fn emit_log(
        &self,
        state: &mut State,
        step: &Name,
        stream: StreamKind,
        data: Bytes,
        position: Option<OutputPosition>,
    ) {
        let admitted = state.quota.admit(data);
        let (job, exec) = (self.output.job.as_ref(), self.output.exec);
        if !admitted.kept.is_empty() {
            self.output.bus.emit(EventKind::LogLine {
                job: job.cloned(),
                step: Some(step.clone()),
                exec,
                stream,
                data: admitted.kept,
                position,
            });
        }
        if admitted.reached {
            let gap = state.quota.gap(job, Some(step), exec, stream, position);
            self.emit_gap(gap);
        }
    }

    fn emit_gap(&self, gap: Option<EventKind>) {
        if let Some(gap) = gap {
            self.output.bus.emit(gap);
        }
    }

    /// Tells how much the quota cut since it was last said.
    fn flush(&self, state: &mut State, uuid: &StepUuid) {
        let Some(StepState { name, position, .. }) = state.steps.get(uuid) else { return };
        let (job, exec) = (self.output.job.as_ref(), self.output.exec);
        let gap = state.quota.gap(job, Some(name), exec, StreamKind::Stdout, *position);
        self.emit_gap(gap);
    }

    fn finished(&self, step: Name, started: Option<Timestamp>, ending: &Ending) {
        // Steps that belong to no job have no events of their own: the run tells what becomes of them.
        let Some(job) = self.output.job.clone() else { return };
        let took = ending.finished.zip(started).map(|(end, start)| end.duration_since(start));
        self.output.bus.emit(EventKind::StepFinished {
            job,
            step,
            attempt: self.output.attempt,
            duration: took.and_then(|took| Duration::try_from(took).ok()).unwrap_or_default(),
            ending: ending.clone(),
        });
    }
}

impl State {
    fn step(&mut self, step: &Step) -> &mut StepState {
        self.steps.entry(step.uuid.clone()).or_insert_with(|| StepState {
            name: step.name.as_str().into(),
            started: None,
            position: None,
        })
    }
}

#[async_trait]
impl Observer for JobObserver {
    async fn ready(&self) {
        self.log.room().await;
    }

    async fn settled(&self) {
        // An event log that cannot be written says so itself, and fails nothing (DESIGN rule 7).
        let _ = self.log.flush().await;
    }

    fn told_before(&self, step: &Step) -> ToldBefore {
        let job = self.output.job.as_deref().unwrap_or_default();
        match self.log.recovered().resume_position(job, &step.name, self.output.attempt) {
            ResumePosition::Start => ToldBefore::UpTo(ResumePoint::default()),
            ResumePosition::At(OutputPosition { from, skip_stdout, skip_stderr }) => {
                let from = LogPosition::new(from);
                ToldBefore::UpTo(ResumePoint { from, skip_stdout, skip_stderr })
            }
            ResumePosition::Unknown => ToldBefore::Unknown,
        }
    }

    fn trace(&self, step: &Step, trace: &Trace) -> Result<(), ObserverError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let name = state.step(step).name.clone();
        match trace {
            Trace::Started(at) => {
                state.step(step).started = Some(*at);
                if let Some(job) = self.output.job.clone() {
                    let attempt = self.output.attempt;
                    self.output.bus.emit(EventKind::StepStarted { job, step: name, attempt });
                }
            }
            Trace::Skipped(ending) => self.finished(name, None, ending),
            Trace::Ended(ending) => {
                self.flush(&mut state, &step.uuid);
                let started = state.step(step).started;
                self.finished(name, started, ending);
            }
        }
        Ok(())
    }

    fn log(&self, step: &Step, chunk: MaskedChunk) -> Result<(), ObserverError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let ResumePoint { from, skip_stdout, skip_stderr } = chunk.resume;
        let position = Some(OutputPosition { from: from.get(), skip_stdout, skip_stderr });
        let of_step = state.step(step);
        of_step.position = position;
        let name = of_step.name.clone();
        let stream = match chunk.stream {
            RawStream::Stdout => StreamKind::Stdout,
            RawStream::Stderr => StreamKind::Stderr,
        };
        self.emit_log(&mut state, &name, stream, chunk.bytes, position);
        Ok(())
    }

    fn progress(&self, step: &Step, event: &ProgressEvent) {
        let text = match event {
            ProgressEvent::PullStarted { image } => format!("pulling {image}"),
            ProgressEvent::PullFinished { image } => format!("pulled {image}"),
            ProgressEvent::PullFailedUsingLocal { image, reason } => {
                format!("{image} could not be pulled, the one that is here is used: {reason}")
            }
            // Layers come by the hundred; whoever wants a progress bar asks the backend itself.
            _ => return,
        };
        self.notice(Some(step), &text);
    }

    fn notice(&self, _step: Option<&Step>, text: &str) {
        self.output.diagnostic(text);
    }
}
