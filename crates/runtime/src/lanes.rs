//! The two streams of a step's log, masked on their way to the observer, with the place from which each can be read again. Not
//! for reading them: that is `pump.rs`.

use std::collections::VecDeque;

use bytes::Bytes;
use jobwright_backend::{LogChunk, LogPosition, StreamKind};
use jobwright_redact::{DEFAULT_REPLACEMENT, MaskStream, Masker};

use crate::observer::{MaskedChunk, ResumePoint};

/// The two streams of a log, each masked on its own: a secret is not put together from pieces of both.
pub(crate) struct Lanes {
    stdout: Lane,
    stderr: Lane,
    /// Where reading goes on if the log breaks off.
    pub(crate) read_up_to: LogPosition,
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
    /// Nothing read so far.
    pub(crate) fn new(masker: &Masker) -> Self {
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

    /// What may be shown now that this was read.
    pub(crate) fn mask(&mut self, chunk: LogChunk) -> Option<MaskedChunk> {
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
    pub(crate) fn finish(&mut self) -> Vec<MaskedChunk> {
        self.close(|lane| lane.mask.finish(&mut lane.out))
    }

    /// What stands for what was held back when nobody knows what follows: it may be the beginning of a secret, and is not shown.
    pub(crate) fn withhold(&mut self) -> Vec<MaskedChunk> {
        self.close(Lane::withhold)
    }

    fn close(&mut self, close: impl Fn(&mut Lane)) -> Vec<MaskedChunk> {
        let end = self.read_up_to;
        let close = |lane: &mut Lane| {
            close(lane);
            lane.take(end)
        };
        let rest = [close(&mut self.stdout), close(&mut self.stderr)];
        rest.into_iter().flatten().collect()
    }
}

impl Lane {
    /// Puts a mask over what is held back, if anything is.
    fn withhold(&mut self) {
        if self.mask.held() > 0 {
            self.mask = MaskStream::new(&Masker::default());
            self.out.extend_from_slice(DEFAULT_REPLACEMENT.as_bytes());
        }
    }

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

    #[test]
    fn the_beginning_of_a_secret_is_not_shown_when_the_log_is_cut_off_within_it() {
        let mut lanes = Lanes::new(&masker(&["hunter2"]));
        assert_eq!(text(&lanes.mask(chunk(StreamKind::Stdout, "a hunter", 8)).unwrap()), "a ");
        assert_eq!(lanes.withhold().iter().map(text).collect::<Vec<_>>(), ["********"]);
        let mut lanes = Lanes::new(&masker(&["hunter2"]));
        assert_eq!(text(&lanes.mask(chunk(StreamKind::Stdout, "a ", 2)).unwrap()), "a ");
        assert!(lanes.withhold().is_empty(), "what was shown whole needs nothing in its place");
    }
}
