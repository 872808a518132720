//! The [`MaskStream`]: masking of text that comes in pieces, cut anywhere.
//!
//! Not for lines, time or positions in a file: it counts bytes of its own input, from 0.

use std::fmt;

use crate::automaton::{ROOT, StateId};
use crate::intervals::{Interval, Intervals};
use crate::masker::{Masker, Rules};

/// Input is worked off in blocks of this many bytes, so that the intervals of a huge piece are not all kept at once.
const BLOCK: usize = 64 << 10;

/// Masks one stream. The law is in the [crate's documentation](crate).
///
/// A stream that is dropped without [`finish`](Self::finish) has put out nothing wrong, only less: everything but the
/// last [`held`](Self::held) bytes.
#[derive(Clone)]
pub struct MaskStream {
    masker: Masker,
    progress: Progress,
}

/// How far a stream has come. Positions are counts of input bytes.
#[derive(Clone, Default)]
struct Progress {
    /// The automaton's state after all that was read. It remembers the bytes that may still become a match.
    at: StateId,
    read: u64,
    /// All before this was put out, replaced where it had to be.
    released: u64,
    /// Those of the matches so far that end after `released`.
    intervals: Intervals,
    has_replaced: bool,
}

/// The bytes that can still be shown: what was pending before this block, and the block.
struct Window<'b> {
    pending: &'b [u8],
    block: &'b [u8],
    /// The position of the block's first byte.
    start: u64,
}

impl MaskStream {
    /// A stream that has read nothing.
    pub fn new(masker: &Masker) -> Self {
        Self { masker: masker.clone(), progress: Progress::default() }
    }

    /// Reads the next piece of input and appends to `out` what can be shown of all input so far.
    ///
    /// Takes time linear in `input`, except that bytes held back are put out when they are released.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        let Some(rules) = self.masker.rules() else {
            return self.progress.pass(input, out);
        };
        out.reserve(input.len());
        for block in input.chunks(BLOCK) {
            self.progress.read_block(rules, block, out);
        }
    }

    /// Appends what was held back, because nothing follows that could make it a match; then nothing is held.
    ///
    /// What is pushed afterwards is a new text: no match reaches over a finish.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let Some(rules) = self.masker.rules() else { return };
        let progress = &mut self.progress;
        let window =
            Window { pending: rules.automaton.pending(progress.at), block: &[], start: progress.read };
        progress.release(rules, progress.read, &window, out);
        progress.at = ROOT;
    }

    /// How many bytes at the end of the input are held back: nothing of them is in the output, all before them is.
    ///
    /// Masking may begin anew that many bytes before the end with the same result. While matches of a secret overlap
    /// without end (`aaaa` in a long row of `a`), this grows without end; memory does not.
    pub fn held(&self) -> u64 {
        self.progress.read - self.progress.released
    }

    /// Whether any replacement was put out so far.
    pub fn has_replaced(&self) -> bool {
        self.progress.has_replaced
    }
}

impl Progress {
    /// Without secrets, input is output.
    fn pass(&mut self, input: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(input);
        self.read += input.len() as u64;
        self.released = self.read;
    }

    fn read_block(&mut self, rules: &Rules, block: &[u8], out: &mut Vec<u8>) {
        let window = Window { pending: rules.automaton.pending(self.at), block, start: self.read };
        self.find(rules, block);
        self.read += block.len() as u64;
        let settled = self.read - rules.automaton.pending(self.at).len() as u64;
        self.release(rules, settled, &window, out);
    }

    /// Adds the matches that end in the block, skipping what cannot match.
    fn find(&mut self, rules: &Rules, block: &[u8]) {
        let mut index = 0;
        while index < block.len() {
            if self.at == ROOT {
                index = rules.sieve.next(block, index);
            }
            let Some(&byte) = block.get(index) else { return };
            let (next, ending) = rules.automaton.step(self.at, byte);
            self.at = next;
            index += 1;
            if let Some(pattern) = ending {
                let end = self.read + index as u64;
                let start = end - pattern.bytes.len() as u64;
                self.intervals.add(Interval { start, end, replacement: pattern.replacement });
            }
        }
    }

    /// Puts out everything up to `settled`, before which no further match can start, or up to the beginning of an interval
    /// that reaches over it: that one may still grow.
    fn release(&mut self, rules: &Rules, settled: u64, window: &Window<'_>, out: &mut Vec<u8>) {
        while let Some(interval) = self.intervals.take_until(settled) {
            window.copy(self.released, interval.start, out);
            out.extend_from_slice(rules.replacement(interval.replacement));
            self.released = interval.end;
            self.has_replaced = true;
        }
        let until = self.intervals.first().map_or(settled, |open| open.start.min(settled));
        window.copy(self.released, until, out);
        self.released = until;
    }
}

impl Window<'_> {
    /// Appends the bytes of `from..to`, which lie in no interval and therefore in this window: whatever was neither
    /// pending before the block nor in an interval is released already.
    fn copy(&self, from: u64, to: u64, out: &mut Vec<u8>) {
        let pending_start = self.start - self.pending.len() as u64;
        out.extend_from_slice(part(self.pending, pending_start, from, to));
        out.extend_from_slice(part(self.block, self.start, from, to));
    }
}

/// What of `from..to` lies in bytes that begin at `start`.
fn part(bytes: &[u8], start: u64, from: u64, to: u64) -> &[u8] {
    let index = |position: u64| position.saturating_sub(start).min(bytes.len() as u64) as usize;
    &bytes[index(from)..index(to)]
}

impl fmt::Debug for MaskStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { masker, progress } = self;
        f.debug_struct("MaskStream")
            .field("masker", masker)
            .field("read", &progress.read)
            .field("released", &progress.released)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(secret: &str) -> (MaskStream, Vec<u8>) {
        (MaskStream::new(&Masker::builder().secret("S", secret).build().masker), Vec::new())
    }

    // covers: sourcegraph 46
    #[test]
    fn a_secret_split_over_two_chunks_is_masked_at_every_split() {
        let text = b"<secret-value>";
        for split in 0..=text.len() {
            let (mut stream, mut out) = stream("secret-value");
            stream.push(&text[..split], &mut out);
            stream.push(&text[split..], &mut out);
            assert_eq!(out, b"<********>");
        }
    }

    #[test]
    fn a_whole_secret_is_replaced_at_once() {
        let (mut stream, mut out) = stream("secret-value");
        stream.push(b"login: secret-value", &mut out);
        assert_eq!((out.as_slice(), stream.held()), (&b"login: ********"[..], 0));
    }

    #[test]
    fn what_only_began_like_a_secret_is_shown_when_it_goes_on_otherwise() {
        let (mut stream, mut out) = stream("secret-value");
        stream.push(b"my secret-", &mut out);
        assert_eq!((out.as_slice(), stream.held()), (&b"my "[..], 7));
        stream.push(b"key", &mut out);
        assert_eq!((out.as_slice(), stream.held()), (&b"my secret-key"[..], 0));
    }

    #[test]
    fn an_interval_that_may_grow_is_held_from_its_first_byte() {
        let masker = Masker::builder().secret("A", "abcd").secret("B", "cdef").build().masker;
        let (mut stream, mut out) = (MaskStream::new(&masker), Vec::new());
        stream.push(b"-abcd", &mut out);
        assert_eq!((out.as_slice(), stream.held()), (&b"-"[..], 4));
        stream.push(b"ef", &mut out);
        assert_eq!((out.as_slice(), stream.held()), (&b"-********"[..], 0));
    }

    #[test]
    fn no_match_reaches_over_a_finish() {
        let (mut stream, mut out) = stream("secret-value");
        stream.push(b"secret-", &mut out);
        stream.finish(&mut out);
        assert_eq!((out.as_slice(), stream.held()), (&b"secret-"[..], 0));
        stream.push(b"value", &mut out);
        assert_eq!((out.as_slice(), stream.held()), (&b"secret-value"[..], 0));
    }

    #[test]
    fn without_secrets_nothing_is_held() {
        let (mut stream, mut out) = (MaskStream::new(&Masker::default()), Vec::new());
        stream.push(b"any\xff\0", &mut out);
        assert_eq!((out.as_slice(), stream.held(), stream.has_replaced()), (&b"any\xff\0"[..], 0, false));
        stream.finish(&mut out);
        assert_eq!(out, b"any\xff\0");
    }
}
