//! What the log could not write yet: the events that must not be lost, and for output, how much of it is missing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::event::{Event, EventKind};
use crate::kinds::{GapReason, Name};

/// So many events are kept; a run has few besides its output.
const MOST: usize = 1 << 16;

/// Whose output it is.
type Source = (Option<Name>, Option<Name>);

/// In the order of `seq`; output is merged into one gap per step, which takes the place of the last piece that it stands for.
#[derive(Default)]
pub(crate) struct Owed {
    events: BTreeMap<u64, Arc<Event>>,
    gaps: HashMap<Source, u64>,
    /// Bytes of output that are missing in all.
    pub(crate) missing_bytes: u64,
    /// Events that are lost for good.
    pub(crate) missing_events: u64,
}

impl Owed {
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether something waits that is not only missing output.
    pub(crate) fn is_urgent(&self) -> bool {
        self.events.len() > self.gaps.len()
    }

    pub(crate) fn add(&mut self, event: &Arc<Event>) {
        match as_gap(event) {
            Some((gap, new_bytes)) => {
                self.missing_bytes += new_bytes;
                self.add_gap(gap);
            }
            None if self.events.len() < MOST => {
                self.events.insert(event.seq, Arc::clone(event));
            }
            None => self.missing_events += 1,
        }
    }

    fn add_gap(&mut self, mut gap: Event) {
        let EventKind::LogGap { job, step, bytes, .. } = &mut gap.kind else { return };
        let source = (job.clone(), step.clone());
        if let Some(seq) = self.gaps.insert(source, gap.seq)
            && let Some(before) = self.events.remove(&seq)
            && let EventKind::LogGap { bytes: more, .. } = before.kind
        {
            *bytes += more;
        }
        self.events.insert(gap.seq, Arc::new(gap));
    }

    /// Everything, in order; nothing is owed afterwards, so what cannot be written now is to be added again.
    pub(crate) fn take(&mut self) -> Vec<Arc<Event>> {
        self.gaps.clear();
        std::mem::take(&mut self.events).into_values().collect()
    }

    /// Gives up on what is still owed.
    pub(crate) fn forgo(&mut self) {
        self.missing_events += self.take().len() as u64;
    }
}

/// The gap that stands for a piece of output, and how many bytes it newly misses; none for other events. A gap for another
/// reason (a quota) merges too: its bytes are missing, whatever for, but not by our doing.
fn as_gap(event: &Event) -> Option<(Event, u64)> {
    let (job, step, exec, stream, bytes, position, new) = match &event.kind {
        EventKind::LogLine { job, step, exec, stream, data, position } => {
            (job, step, exec, stream, data.len() as u64, position, data.len() as u64)
        }
        EventKind::LogGap { job, step, exec, stream, bytes, position, .. } => {
            (job, step, exec, stream, *bytes, position, 0)
        }
        _ => return None,
    };
    let kind = EventKind::LogGap {
        job: job.clone(),
        step: step.clone(),
        exec: *exec,
        stream: *stream,
        bytes,
        reason: GapReason::DiskFull,
        position: *position,
    };
    Some((Event { kind, run_id: event.run_id.clone(), ..*event }, new))
}
