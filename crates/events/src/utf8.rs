//! Cuts a stream of bytes at the borders of characters. Not a decoder: bytes that are no UTF-8 pass as they are.

use bytes::{Bytes, BytesMut};

/// The longest beginning of a character that can be held back.
const LONGEST: usize = 3;

/// Holds back an incomplete character at the end of a chunk, at most 3 bytes, until the next chunk completes it, so that a
/// character that was cut by a read is not cut in an event. One per stream of a step; [`Utf8Splitter::finish`] at its end.
#[derive(Debug, Default, Clone)]
pub struct Utf8Splitter {
    held: Bytes,
}

impl Utf8Splitter {
    /// Takes a chunk and gives what can go on now: what was held back, and the chunk without an incomplete character at its
    /// end. Empty when nothing can. Copies only when something was held back.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        if chunk.is_empty() {
            return chunk;
        }
        let mut chunk = if self.held.is_empty() { chunk } else { join(&self.held, &chunk) };
        self.held = chunk.split_off(chunk.len() - incomplete_tail(&chunk));
        chunk
    }

    /// What is still held back, at the end of the stream: the beginning of a character that never came. Often empty.
    #[must_use = "these are the last bytes of the stream"]
    pub fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.held)
    }

    /// How many bytes are held back: the raw log position of what [`Utf8Splitter::push`] gave is that much before the chunk's.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }
}

fn join(first: &[u8], second: &[u8]) -> Bytes {
    let mut joined = BytesMut::with_capacity(first.len() + second.len());
    joined.extend_from_slice(first);
    joined.extend_from_slice(second);
    joined.freeze()
}

/// How many bytes at the end begin a character that more bytes could complete: 0 to 3.
fn incomplete_tail(bytes: &[u8]) -> usize {
    let tail = &bytes[bytes.len().saturating_sub(LONGEST)..];
    let start = tail.iter().rposition(|byte| !is_continuation(*byte));
    let Some(start) = start else { return 0 };
    let begun = &tail[start..];
    match std::str::from_utf8(begun) {
        Err(error) if error.valid_up_to() == 0 && error.error_len().is_none() => begun.len(),
        _ => 0,
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(chunks: impl IntoIterator<Item = Vec<u8>>) -> Vec<Bytes> {
        let mut splitter = Utf8Splitter::default();
        let mut pieces: Vec<_> = chunks.into_iter().map(|chunk| splitter.push(chunk.into())).collect();
        pieces.push(splitter.finish());
        pieces
    }

    // covers: local-ci 28
    #[test]
    fn a_character_cut_by_a_read_is_whole_in_one_piece() {
        let text = "aé€😀".as_bytes();
        for cut in 1..text.len() {
            for piece in pieces([text[..cut].to_vec(), text[cut..].to_vec()]) {
                assert!(std::str::from_utf8(&piece).is_ok(), "cut at {cut}: {piece:?}");
            }
        }
    }

    #[test]
    fn a_character_that_comes_byte_by_byte_is_held_until_it_is_whole() {
        let given = pieces("😀!".as_bytes().iter().map(|byte| vec![*byte]));
        assert_eq!(given, ["", "", "", "😀", "!", ""]);
    }

    #[test]
    fn bytes_that_can_become_no_character_are_not_held_back() {
        for garbage in [&b"\xff"[..], b"a\x80\x80\x80", b"\xc0", b"\xed\xa0", b"\xf5"] {
            let mut splitter = Utf8Splitter::default();
            assert_eq!(splitter.push(Bytes::copy_from_slice(garbage)), garbage);
        }
    }

    #[test]
    fn a_beginning_that_is_never_completed_comes_at_the_end() {
        let mut splitter = Utf8Splitter::default();
        assert_eq!(splitter.push(Bytes::from_static(b"ab\xe2\x82")), "ab");
        assert_eq!(splitter.held(), 2);
        assert_eq!(splitter.finish(), &b"\xe2\x82"[..]);
        assert_eq!(splitter.finish(), "");
    }

    proptest! {
        #[test]
        fn no_byte_is_lost_doubled_or_moved(chunks: Vec<Vec<u8>>) {
            let whole: Vec<u8> = chunks.concat();
            prop_assert_eq!(pieces(chunks).concat(), whole);
        }

        #[test]
        fn of_valid_text_every_piece_is_valid(text: String, cuts: Vec<prop::sample::Index>) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|cut| text.as_bytes()[cut[0]..cut[1]].to_vec()).collect();
            for piece in pieces(chunks) {
                prop_assert!(std::str::from_utf8(&piece).is_ok());
            }
        }
    }
}
