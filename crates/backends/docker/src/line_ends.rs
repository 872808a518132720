//! Puts back the line feeds that Docker's `local` log driver loses: it keeps a line that is longer than 16 KiB in pieces, and in
//! 20.10 the last of these comes back without the end of the line. Not for Podman, whose pieces have any size.
//!
//! Pieces but the last are exactly that long, and a line that fits into one keeps its end. So a shorter frame without an end is a
//! last piece, or the end of all output; what follows it on its stream tells which. Two cases stay as Docker tells them, for
//! nothing tells them apart: a long line at the very end of the output, and one whose length is a multiple of the size.

use bytes::{BufMut, Bytes, BytesMut};
use jobwright_backend::StreamKind;

/// How much of a line Docker keeps in one piece.
const PIECE: usize = 16 << 10;

/// What is owed to the two streams of one reading of a log, frame after frame from its start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LineEnds {
    stdout: bool,
    stderr: bool,
}

impl LineEnds {
    /// The next frame, with the line feed that the one before it on its stream has lost.
    pub(crate) fn mend(&mut self, stream: StreamKind, frame: Bytes) -> Bytes {
        let owed = match stream {
            StreamKind::Stdout => &mut self.stdout,
            StreamKind::Stderr => &mut self.stderr,
        };
        let lost_its_end = frame.len() < PIECE && !frame.ends_with(b"\n");
        if !std::mem::replace(owed, lost_its_end) {
            return frame;
        }
        let mut mended = BytesMut::with_capacity(frame.len() + 1);
        mended.put_u8(b'\n');
        mended.extend_from_slice(&frame);
        mended.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mended(frames: &[(StreamKind, &[u8])]) -> Vec<Bytes> {
        let mut ends = LineEnds::default();
        frames.iter().map(|(stream, frame)| ends.mend(*stream, Bytes::copy_from_slice(frame))).collect()
    }

    #[test]
    fn the_end_of_a_long_line_is_put_before_what_follows_it_on_its_stream() {
        use StreamKind::{Stderr, Stdout};
        let piece = vec![b'a'; PIECE];
        let frames: [(_, &[u8]); 5] =
            [(Stdout, &piece), (Stdout, b"rest"), (Stderr, b"e\n"), (Stdout, b"next\n"), (Stdout, b"end")];
        assert_eq!(mended(&frames).concat()[PIECE..], *b"reste\n\nnext\nend");
    }

    #[test]
    fn whole_lines_and_pieces_of_one_line_stay_as_they_are() {
        let piece = vec![b'a'; PIECE];
        let frames: [&[u8]; 5] = [b"one\n", &piece, &piece, b"end of it\n", b"two\n"];
        let frames = frames.map(|frame| (StreamKind::Stdout, frame));
        assert!(mended(&frames).iter().zip(&frames).all(|(mended, (_, frame))| mended == frame));
    }
}
