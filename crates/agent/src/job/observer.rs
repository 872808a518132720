//! What the runtime tells of a job's steps, as entries of its log: each line with the stream that it came from (sourcegraph.md 2). Not for which steps
//! there are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jobwright_backend::StreamKind;
use jobwright_model::{Ending, Step, StepUuid};
use jobwright_runtime::{MaskedChunk, Observer, ObserverError, Trace};

use super::log::JobLog;

/// What is known of a step before it runs.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Under which key its entry is.
    pub(crate) key: String,
    /// The command that is shown for it, masked.
    pub(crate) command: Vec<String>,
}

/// Steps as entries.
pub(crate) struct StepEntries {
    log: Arc<JobLog>,
    steps: HashMap<StepUuid, Known>,
    open: Mutex<HashMap<StepUuid, Open>>,
}

struct Open {
    place: usize,
    /// What of a line came, of each stream.
    lines: [Vec<u8>; 2],
}

/// A line that is longer is broken.
const LONGEST: usize = 1 << 20;

impl StepEntries {
    pub(crate) fn new(log: Arc<JobLog>, steps: HashMap<StepUuid, Known>) -> Self {
        Self { log, steps, open: Mutex::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<StepUuid, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, step: &Step) {
        let Some(known) = self.steps.get(&step.uuid) else { return };
        let place = self.log.begin(&known.key, Some(known.command.clone()));
        self.open().insert(step.uuid.clone(), Open { place, lines: [Vec::new(), Vec::new()] });
    }

    fn end(&self, step: &Step, ending: &Ending) {
        let Some(mut open) = self.open().remove(&step.uuid) else { return };
        for stream in [StreamKind::Stdout, StreamKind::Stderr] {
            let rest = std::mem::take(&mut open.lines[lane(stream)]);
            if !rest.is_empty() {
                self.log.add(open.place, &line(stream, &rest));
            }
        }
        self.log.end(open.place, exit_code(ending));
    }
}

fn lane(stream: StreamKind) -> usize {
    match stream {
        StreamKind::Stdout => 0,
        StreamKind::Stderr => 1,
    }
}

fn line(stream: StreamKind, bytes: &[u8]) -> String {
    let name = match stream {
        StreamKind::Stdout => "stdout",
        StreamKind::Stderr => "stderr",
    };
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    format!("{name}: {}\n", String::from_utf8_lossy(bytes))
}

/// As the original tells it: −1 of what a signal ended, and of what never ran (where the original says 0, and then fails the job).
pub(crate) fn exit_code(ending: &Ending) -> i32 {
    match (ending.succeeded(), ending.exit_code) {
        (true, _) => 0,
        (false, Some(code)) if code != 0 => code,
        _ => -1,
    }
}

impl Observer for StepEntries {
    fn trace(&self, step: &Step, trace: &Trace) -> Result<(), ObserverError> {
        match trace {
            Trace::Started(_) => self.begin(step),
            Trace::Ended(ending) => self.end(step, ending),
            Trace::Skipped(_) => {}
        }
        Ok(())
    }

    fn log(&self, step: &Step, chunk: MaskedChunk) -> Result<(), ObserverError> {
        let mut all = self.open();
        let Some(open) = all.get_mut(&step.uuid) else { return Ok(()) };
        let (place, held) = (open.place, &mut open.lines[lane(chunk.stream)]);
        let mut text = String::new();
        for piece in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
            held.extend_from_slice(piece);
            let is_whole = held.last() == Some(&b'\n');
            if is_whole || held.len() >= LONGEST {
                let whole = held.strip_suffix(b"\n").unwrap_or(held);
                text.push_str(&line(chunk.stream, whole));
                held.clear();
            }
        }
        drop(all);
        if !text.is_empty() {
            self.log.add(place, &text);
        }
        Ok(())
    }

    fn notice(&self, step: Option<&Step>, text: &str) {
        let place = step.and_then(|step| self.open().get(&step.uuid).map(|open| open.place));
        match place {
            Some(place) => self.log.add(place, &format!("stderr: jobwright: {text}\n")),
            None => tracing::warn!("{text}"),
        }
    }
}
