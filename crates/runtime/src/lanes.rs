//! The two streams of a step's log, masked on their way to the observer and cut at the borders of characters, with the place from
//! which both can be read again. Not for reading them: that is `pump.rs`.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use jobwright_backend::{LogChunk, LogPosition, StreamKind};
use jobwright_events::Utf8Splitter;
use jobwright_redact::{DEFAULT_REPLACEMENT, MaskStream, Masker};

use crate::observer::{MaskedChunk, ResumePoint};

/// So many pieces are remembered one by one while something is held back; beyond that the newest grows.
const REMEMBERED: usize = 64;

/// The two streams of a log, each masked on its own: a secret is not put together from pieces of both.
pub(crate) struct Lanes {
    lanes: [Lane; 2],
    /// Where reading goes on if the log breaks off.
    pub(crate) read_up_to: LogPosition,
    /// What was read from the first byte on that is still held back, the oldest first.
    read: VecDeque<Read>,
    /// The bytes of each stream in `read`.
    total: [u64; 2],
    /// The bytes of each stream that are to come and were shown before.
    shown_before: [u64; 2],
}

struct Lane {
    stream: StreamKind,
    mask: MaskStream,
    out: Vec<u8>,
    characters: Utf8Splitter,
}

/// A piece that was read: where it begins, and how many bytes of each stream it has.
struct Read {
    from: LogPosition,
    lengths: [u64; 2],
}

impl Lanes {
    /// A log that is read from where `resume` says, the beginning for one of which nothing was shown.
    pub(crate) fn new(masker: &Masker, resume: ResumePoint) -> Self {
        let lane = |stream| Lane {
            stream,
            mask: MaskStream::new(masker),
            out: Vec::new(),
            characters: Utf8Splitter::default(),
        };
        Self {
            lanes: [lane(StreamKind::Stdout), lane(StreamKind::Stderr)],
            read_up_to: resume.from,
            read: VecDeque::new(),
            total: [0; 2],
            shown_before: [resume.skip_stdout, resume.skip_stderr],
        }
    }

    /// What may be shown now that this was read.
    pub(crate) fn mask(&mut self, chunk: LogChunk) -> Option<MaskedChunk> {
        let from = std::mem::replace(&mut self.read_up_to, chunk.next);
        let at = index(chunk.stream);
        self.remember(from, at, chunk.bytes.len() as u64);
        let known = self.shown_before[at].min(chunk.bytes.len() as u64);
        self.shown_before[at] -= known;
        let lane = &mut self.lanes[at];
        // It is no longer than the chunk, so it fits.
        lane.mask.push(&chunk.bytes[known as usize..], &mut lane.out);
        let bytes = lane.take();
        self.show(at, bytes)
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
        let rest = [0, 1].map(|at| {
            let lane = &mut self.lanes[at];
            close(lane);
            let bytes = lane.take_all();
            self.show(at, bytes)
        });
        rest.into_iter().flatten().collect()
    }

    fn show(&mut self, at: usize, bytes: Bytes) -> Option<MaskedChunk> {
        let resume = self.resume_point();
        (!bytes.is_empty()).then(|| MaskedChunk { stream: self.lanes[at].stream, bytes, resume })
    }

    fn remember(&mut self, from: LogPosition, at: usize, length: u64) {
        self.total[at] += length;
        if self.read.len() < REMEMBERED {
            self.read.push_back(Read { from, lengths: [0; 2] });
        }
        if let Some(last) = self.read.back_mut() {
            last.lengths[at] += length;
        }
    }

    /// Forgets the pieces of which nothing is held back any more; reading is resumed with the first one that stays.
    fn resume_point(&mut self) -> ResumePoint {
        let held = [self.lanes[0].held(), self.lanes[1].held()];
        while let Some(first) = self.read.front() {
            let holds = |at: usize| first.lengths[at] > 0 && held[at] > self.total[at] - first.lengths[at];
            if holds(0) || holds(1) {
                let shown = |at: usize| self.total[at] - held[at].min(self.total[at]);
                return ResumePoint { from: first.from, skip_stdout: shown(0), skip_stderr: shown(1) };
            }
            let [stdout, stderr] = first.lengths;
            self.total = [self.total[0] - stdout, self.total[1] - stderr];
            self.read.pop_front();
        }
        ResumePoint { from: self.read_up_to, ..ResumePoint::default() }
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

    /// What can be shown up to the last whole character.
    fn take(&mut self) -> Bytes {
        self.characters.push(Bytes::from(std::mem::take(&mut self.out)))
    }

    fn take_all(&mut self) -> Bytes {
        let shown = self.take();
        let rest = self.characters.finish();
        if rest.is_empty() {
            return shown;
        }
        let mut both = BytesMut::from(shown);
        both.extend_from_slice(&rest);
        both.freeze()
    }

    /// How many bytes at the end of what was read are not shown yet.
    fn held(&self) -> u64 {
        self.mask.held() + self.characters.held() as u64
    }
}

fn index(stream: StreamKind) -> usize {
    match stream {
        StreamKind::Stdout => 0,
        StreamKind::Stderr => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masker(secrets: &[&str]) -> Masker {
        secrets.iter().fold(Masker::builder(), |builder, secret| builder.secret("S", secret)).build().masker
    }

    fn lanes(secrets: &[&str]) -> Lanes {
        Lanes::new(&masker(secrets), ResumePoint::default())
    }

    fn chunk(stream: StreamKind, text: &str, next: u64) -> LogChunk {
        LogChunk { stream, bytes: Bytes::copy_from_slice(text.as_bytes()), next: LogPosition::new(next) }
    }

    fn at(from: u64, skip_stdout: u64, skip_stderr: u64) -> ResumePoint {
        ResumePoint { from: LogPosition::new(from), skip_stdout, skip_stderr }
    }

    fn text(chunk: &MaskedChunk) -> &str {
        std::str::from_utf8(&chunk.bytes).unwrap()
    }

    #[test]
    fn each_stream_is_masked_on_its_own() {
        let mut lanes = lanes(&["hunter2"]);
        let first = lanes.mask(chunk(StreamKind::Stdout, "a hunt", 6)).unwrap();
        let other = lanes.mask(chunk(StreamKind::Stderr, "er2 b", 11)).unwrap();
        assert_eq!((text(&first), text(&other)), ("a ", "er2 b"));
        let rest = lanes.mask(chunk(StreamKind::Stdout, "er2", 14)).unwrap();
        assert_eq!(text(&rest), "********");
    }

    #[test]
    fn a_log_is_resumed_at_the_first_byte_that_was_held_back() {
        let mut lanes = lanes(&["hunter2"]);
        let first = lanes.mask(chunk(StreamKind::Stdout, "a hunt", 6)).unwrap();
        assert_eq!(first.resume, at(0, 2, 0));
        let other = lanes.mask(chunk(StreamKind::Stderr, "x", 7)).unwrap();
        assert_eq!(other.resume, at(0, 2, 1), "what the other stream showed since is not shown again");
        assert!(lanes.mask(chunk(StreamKind::Stdout, "er", 9)).is_none());
        let last = lanes.finish();
        assert_eq!(last.iter().map(text).collect::<Vec<_>>(), ["hunter"]);
        assert_eq!(last[0].resume, at(9, 0, 0));
    }

    #[test]
    fn a_character_that_a_read_cut_is_shown_whole_and_resumed_at_its_first_byte() {
        let mut lanes = lanes(&[]);
        let cut = LogChunk { bytes: Bytes::from_static(b"a\xe2\x82"), ..chunk(StreamKind::Stdout, "", 3) };
        let first = lanes.mask(cut).unwrap();
        assert_eq!((text(&first), first.resume), ("a", at(0, 1, 0)));
        let rest = LogChunk { bytes: Bytes::from_static(b"\xac"), ..chunk(StreamKind::Stdout, "", 4) };
        let rest = lanes.mask(rest).unwrap();
        assert_eq!((text(&rest), rest.resume), ("€", at(4, 0, 0)));
    }

    #[test]
    fn the_beginning_of_a_secret_is_not_shown_when_the_log_is_cut_off_within_it() {
        let mut cut = lanes(&["hunter2"]);
        assert_eq!(text(&cut.mask(chunk(StreamKind::Stdout, "a hunter", 8)).unwrap()), "a ");
        assert_eq!(cut.withhold().iter().map(text).collect::<Vec<_>>(), ["********"]);
        let mut whole = lanes(&["hunter2"]);
        assert_eq!(text(&whole.mask(chunk(StreamKind::Stdout, "a ", 2)).unwrap()), "a ");
        assert!(whole.withhold().is_empty(), "what was shown whole needs nothing in its place");
    }

    /// What was shown of each stream.
    #[derive(Debug, Default, PartialEq)]
    struct Shown([Vec<u8>; 2]);

    impl Shown {
        fn add(&mut self, chunk: MaskedChunk) {
            self.0[index(chunk.stream)].extend_from_slice(&chunk.bytes);
        }
    }

    /// The log of `pieces`, in chunks of at most `size` bytes, from the position `from` on; positions count the bytes of both streams.
    fn chunks(pieces: &[(bool, String)], from: u64, size: usize) -> Vec<LogChunk> {
        let mut position = 0_u64;
        let mut chunks = Vec::new();
        for (is_stderr, text) in pieces {
            for bytes in text.as_bytes().chunks(size) {
                let start = position;
                position += bytes.len() as u64;
                let skipped = from.saturating_sub(start).min(bytes.len() as u64) as usize;
                if skipped < bytes.len() {
                    let stream = if *is_stderr { StreamKind::Stderr } else { StreamKind::Stdout };
                    let (bytes, next) =
                        (Bytes::copy_from_slice(&bytes[skipped..]), LogPosition::new(position));
                    chunks.push(LogChunk { stream, bytes, next });
                }
            }
        }
        chunks
    }

    proptest! {
        #[test]
        fn a_log_that_is_left_anywhere_and_resumed_shows_each_byte_once(
            pieces in proptest::collection::vec((any::<bool>(), "(a|é|hunter2|hunt|er2|😀){0,6}"), 0..12),
            sizes in (1_usize..9, 1_usize..9),
            left_after in any::<prop::sample::Index>(),
        ) {
            let masker = masker(&["hunter2"]);
            let mut expected = Shown::default();
            let mut whole = Lanes::new(&masker, ResumePoint::default());
            let all = chunks(&pieces, 0, 1 << 20);
            all.into_iter().filter_map(|chunk| whole.mask(chunk)).for_each(|chunk| expected.add(chunk));
            whole.finish().into_iter().for_each(|chunk| expected.add(chunk));

            let mut shown = Shown::default();
            let mut resume = ResumePoint::default();
            let mut first = Lanes::new(&masker, resume);
            let all = chunks(&pieces, 0, sizes.0);
            let read = left_after.index(all.len() + 1);
            for chunk in all.into_iter().take(read).filter_map(|chunk| first.mask(chunk)) {
                resume = chunk.resume;
                shown.add(chunk);
            }
            let mut second = Lanes::new(&masker, resume);
            let rest = chunks(&pieces, resume.from.get(), sizes.1);
            rest.into_iter().filter_map(|chunk| second.mask(chunk)).for_each(|chunk| shown.add(chunk));
            second.finish().into_iter().for_each(|chunk| shown.add(chunk));
            prop_assert_eq!(shown, expected);
        }
    }
}
