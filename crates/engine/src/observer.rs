//! What the runtime tells of a job's steps, as the run's events.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use jobwright_backend::{ProgressEvent, StreamKind as RawStream};
use jobwright_events::{EventKind, EventLog, Name, Quota, StreamKind, Utf8Splitter};
use jobwright_model::{Ending, Step, StepUuid};
use jobwright_runtime::{MaskedChunk, Observer, ObserverError, Trace};

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
    stdout: Utf8Splitter,
    stderr: Utf8Splitter,
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
        position: Option<u64>,
    ) {
        let admitted = state.quota.admit(data);
        let (job, exec) = (&self.output.job, self.output.exec);
        if !admitted.kept.is_empty() {
            self.output.bus.emit(EventKind::LogLine {
                job: Some(job.clone()),
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

    /// Puts out what was held back of a step's last characters, and how much the quota cut since it was last said.
    fn flush(&self, state: &mut State, uuid: &StepUuid) {
        let Some(step) = state.steps.get_mut(uuid) else { return };
        let name = step.name.clone();
        let rest = [(StreamKind::Stdout, step.stdout.finish()), (StreamKind::Stderr, step.stderr.finish())];
        for (stream, data) in rest.into_iter().filter(|(_, data)| !data.is_empty()) {
            self.emit_log(state, &name, stream, data, None);
        }
        let gap = state.quota.gap(&self.output.job, Some(&name), self.output.exec, StreamKind::Stdout, None);
        self.emit_gap(gap);
    }

    fn finished(&self, step: Name, started: Option<Timestamp>, ending: &Ending) {
        let took = ending.finished.zip(started).map(|(end, start)| end.duration_since(start));
        self.output.bus.emit(EventKind::StepFinished {
            job: self.output.job.clone(),
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
            stdout: Utf8Splitter::default(),
            stderr: Utf8Splitter::default(),
        })
    }
}

#[async_trait]
impl Observer for JobObserver {
    async fn ready(&self) {
        self.log.room().await;
    }

    fn trace(&self, step: &Step, trace: &Trace) -> Result<(), ObserverError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let name = state.step(step).name.clone();
        match trace {
            Trace::Started(at) => {
                state.step(step).started = Some(*at);
                let (job, attempt) = (self.output.job.clone(), self.output.attempt);
                self.output.bus.emit(EventKind::StepStarted { job, step: name, attempt });
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
        let of_step = state.step(step);
        let name = of_step.name.clone();
        let (stream, splitter) = match chunk.stream {
            RawStream::Stdout => (StreamKind::Stdout, &mut of_step.stdout),
            RawStream::Stderr => (StreamKind::Stderr, &mut of_step.stderr),
        };
        let data = splitter.push(chunk.bytes);
        // A position is only told when all before it is in the stream.
        let whole = splitter.held() == 0 && chunk.resume.skip == 0;
        let position = whole.then_some(chunk.resume.from.get());
        if !data.is_empty() {
            self.emit_log(&mut state, &name, stream, data, position);
        }
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
