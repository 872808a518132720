//! A step's log on its way from the backend to the observer: masked before anybody sees it (DESIGN rule 3), and remembered for
//! the silence timeout and for resuming.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use jobwright_backend::{Backend, Error, LogChunk, LogPosition, LogStream, StreamKind};
use jobwright_model::{Step, TaskUuid};
use jobwright_redact::{MaskStream, Masker};
use tokio::time::Instant;

use crate::observer::{MaskedChunk, Observer, ResumePoint};

/// How long to wait before a log that broke off is asked for again.
const RETRY: Duration = Duration::from_millis(200);

/// When the step printed last, for the silence timeout and for the end of a log that does not end by itself.
#[derive(Debug)]
pub(crate) struct Activity {
    last: Mutex<Instant>,
    /// The observer is busy with what came before.
    busy: AtomicBool,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self { last: Mutex::new(Instant::now()), busy: AtomicBool::new(false) }
    }

    /// Counts silence from now on.
    pub(crate) fn note(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until nothing was printed for `silence`.
    pub(crate) async fn silent_for(&self, silence: Duration) {
        loop {
            let now = Instant::now();
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let due = if self.busy.load(Ordering::Relaxed) { now + silence } else { last + silence };
            if due <= now {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

/// Everything that a pump needs; it runs as a task of its own.
pub(crate) struct Pump {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) step: Arc<Step>,
    pub(crate) task: TaskUuid,
    pub(crate) activity: Arc<Activity>,
    /// How long an engine may not answer before the log is given up.
    pub(crate) patience: Duration,
}

impl Pump {
    /// Reads the log from `stream` to its end. A log that breaks off because the engine does not answer is asked for again
    /// from where it broke off.
    pub(crate) async fn run(self, stream: LogStream, masker: &Masker) {
        let mut lanes = Lanes::new(masker);
        let mut stream = stream;
        let mut broken_since = None;
        loop {
            self.wait_for_observer().await;
            match stream.next().await {
                Some(Ok(chunk)) => {
                    broken_since = None;
                    self.activity.note();
                    self.pass_on(&mut lanes, chunk);
                }
                None => break,
                Some(Err(error)) => match self.reconnect(error, lanes.read_up_to, &mut broken_since).await {
                    Some(again) => stream = again,
                    None => break,
                },
            }
        }
        for chunk in lanes.finish() {
            self.show(chunk);
        }
    }

    /// What is waiting for a slow observer is not the step's silence.
    async fn wait_for_observer(&self) {
        self.activity.busy.store(true, Ordering::Relaxed);
        self.observer.ready().await;
        self.activity.busy.store(false, Ordering::Relaxed);
    }

    fn pass_on(&self, lanes: &mut Lanes, chunk: LogChunk) {
        if let Some(masked) = lanes.mask(chunk) {
            self.show(masked);
        }
    }

    fn show(&self, chunk: MaskedChunk) {
        if let Err(error) = self.observer.log(&self.step, chunk) {
            tracing::warn!(step = %self.step.uuid, %error, "a piece of output was not recorded");
        }
    }

    /// A new stream from `from` on, or none when there is nothing more to be had.
    async fn reconnect(
        &self,
        error: Error,
        from: LogPosition,
        since: &mut Option<Instant>,
    ) -> Option<LogStream> {
        let mut error = error;
        loop {
            let since = *since.get_or_insert_with(Instant::now);
            if !matches!(error, Error::EngineGone { .. }) || since.elapsed() >= self.patience {
                self.observer.notice(Some(&self.step), &format!("the log breaks off here: {error}"));
                return None;
            }
            tokio::time::sleep(RETRY).await;
            match self.backend.tail_step(&self.step, &self.task, from).await {
                Ok(stream) => return Some(stream),
                Err(again) => error = again,
            }
        }
    }
}

/// The two streams of a log, each masked on its own: a secret is not put together from pieces of both.
struct Lanes {
    stdout: Lane,
    stderr: Lane,
    /// Where reading goes on if the log breaks off.
    read_up_to: LogPosition,
}

struct Lane {
    stream: StreamKind,
    mask: MaskStream,
    out: Vec<u8>,
    /// The chunks of which the masker still holds something back, the oldest first.
    pending: VecDeque<Pending>,
}

struct Pending {
    /// Where the chunk began.
    from: LogPosition,
    length: u64,
}

impl Lanes {
    fn new(masker: &Masker) -> Self {
        let lane = |stream| Lane {
            stream,
            mask: MaskStream::new(masker),
            out: Vec::new(),
            pending: VecDeque::new(),
        };
        Self {
            stdout: lane(StreamKind::Stdout),
            stderr: lane(StreamKind::Stderr),
            read_up_to: LogPosition::START,
        }
    }

    fn mask(&mut self, chunk: LogChunk) -> Option<MaskedChunk> {
        let from = std::mem::replace(&mut self.read_up_to, chunk.next);
        let lane = match chunk.stream {
            StreamKind::Stdout => &mut self.stdout,
            StreamKind::Stderr => &mut self.stderr,
        };
        lane.mask.push(&chunk.bytes, &mut lane.out);
        lane.pending.push_back(Pending { from, length: chunk.bytes.len() as u64 });
        lane.take(chunk.next)
    }

    /// What was held back, now that nothing follows.
    fn finish(&mut self) -> Vec<MaskedChunk> {
        let end = self.read_up_to;
        let finish = |lane: &mut Lane| {
            lane.mask.finish(&mut lane.out);
            lane.take(end)
        };
        let rest = [finish(&mut self.stdout), finish(&mut self.stderr)];
        rest.into_iter().flatten().collect()
    }
}

impl Lane {
    fn take(&mut self, end: LogPosition) -> Option<MaskedChunk> {
        let resume = self.settle(end);
        if self.out.is_empty() {
            return None;
        }
        let bytes = Bytes::from(std::mem::take(&mut self.out));
        Some(MaskedChunk { stream: self.stream, bytes, resume })
    }

    /// Forgets the chunks of which nothing is held back any more; where to resume is within the first one that stays.
    fn settle(&mut self, end: LogPosition) -> ResumePoint {
        let held = self.mask.held();
        let mut after: u64 = self.pending.iter().map(|pending| pending.length).sum();
        while let Some(first) = self.pending.front() {
            after -= first.length;
            if held > after {
                let skip = first.length + after - held.min(first.length + after);
                return ResumePoint { from: first.from, skip };
            }
            self.pending.pop_front();
        }
        ResumePoint { from: end, skip: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker(secrets: &[&str]) -> Masker {
        secrets.iter().fold(Masker::builder(), |builder, secret| builder.secret("S", secret)).build().masker
    }

    fn chunk(stream: StreamKind, text: &str, next: u64) -> LogChunk {
        LogChunk { stream, bytes: Bytes::copy_from_slice(text.as_bytes()), next: LogPosition::new(next) }
    }

    fn text(chunk: &MaskedChunk) -> &str {
        std::str::from_utf8(&chunk.bytes).unwrap()
    }

    #[test]
    fn each_stream_is_masked_on_its_own() {
        let mut lanes = Lanes::new(&masker(&["hunter2"]));
        let first = lanes.mask(chunk(StreamKind::Stdout, "a hunt", 6)).unwrap();
        let other = lanes.mask(chunk(StreamKind::Stderr, "er2 b", 11)).unwrap();
        assert_eq!((text(&first), text(&other)), ("a ", "er2 b"));
        let rest = lanes.mask(chunk(StreamKind::Stdout, "er2", 14)).unwrap();
        assert_eq!(text(&rest), "********");
    }

    #[test]
    fn a_log_is_resumed_at_the_first_byte_that_was_held_back() {
        let mut lanes = Lanes::new(&masker(&["hunter2"]));
        let first = lanes.mask(chunk(StreamKind::Stdout, "a hunt", 6)).unwrap();
        assert_eq!(first.resume, ResumePoint { from: LogPosition::START, skip: 2 });
        let other = lanes.mask(chunk(StreamKind::Stderr, "x", 7)).unwrap();
        assert_eq!(other.resume, ResumePoint { from: LogPosition::new(7), skip: 0 });
        assert!(lanes.mask(chunk(StreamKind::Stdout, "er", 9)).is_none());
        let last = lanes.finish();
        assert_eq!(last.iter().map(text).collect::<Vec<_>>(), ["hunter"]);
        assert_eq!(last[0].resume, ResumePoint { from: LogPosition::new(9), skip: 0 });
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_last_output() {
        let activity = Arc::new(Activity::new());
        let begun = Instant::now();
        let chatty = Arc::clone(&activity);
        let printer = tokio::spawn(async move {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(2)).await;
                chatty.note();
            }
        });
        activity.silent_for(Duration::from_secs(3)).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(9));
        printer.await.unwrap();
    }
}
