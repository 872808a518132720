//! Reading an execution's output: what there is, then what comes, piece by piece as it is asked for, so that a slow reader holds nothing but its own
//! place. For whoever owns the execution and for others alike.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::Bytes;
use jobwright_backend::StreamKind;

use crate::output::{DATA, INDEX, Piece, RECORD, lane};
use crate::port::OutputChunk;

/// So many records of the index are looked at in one go.
const RECORDS: usize = 1024;
/// Small pieces of one stream come as one of about this length.
const CHUNK: usize = 64 << 10;

/// The files of an execution's output. What was opened is read to its end, also when the execution is removed meanwhile.
pub(crate) struct Written {
    data: File,
    index: File,
}

impl Written {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self { data: File::open(folder.join(DATA))?, index: File::open(folder.join(INDEX))? })
    }

    /// How many pieces there are.
    fn pieces(&self) -> io::Result<u64> {
        Ok(self.index.metadata()?.len() / RECORD as u64)
    }

    /// How many bytes there are.
    pub(crate) fn length(&self) -> io::Result<u64> {
        let last = self.pieces()?.checked_sub(1);
        last.map_or(Ok(0), |last| Ok(self.piece(last)?.map_or(0, |piece| piece.end())))
    }

    fn piece(&self, number: u64) -> io::Result<Option<Piece>> {
        Ok(self.records(number, 1)?.pop())
    }

    /// The number of the piece that the byte at `place` is in; behind the last when there is no such byte.
    fn piece_at(&self, place: u64) -> io::Result<u64> {
        let (mut first, mut behind) = (0, self.pieces()?);
        while first < behind {
            let middle = first + (behind - first) / 2;
            match self.piece(middle)? {
                Some(piece) if piece.end() <= place => first = middle + 1,
                _ => behind = middle,
            }
        }
        Ok(first)
    }

    fn records(&self, first: u64, most: usize) -> io::Result<Vec<Piece>> {
        let mut block = vec![0; RECORD * most];
        let mut length = 0;
        while length < block.len() {
            match self.index.read_at(&mut block[length..], first * RECORD as u64 + length as u64)? {
                0 => break,
                more => length += more,
            }
        }
        Ok(block[..length].chunks_exact(RECORD).map_while(Piece::from_bytes).collect())
    }
}

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// At so many bytes from the beginning.
    At(u64),
    /// Behind what there is now.
    Now,
}

/// A place in an execution's output.
pub(crate) struct Reader {
    written: Written,
    /// The number of the next record.
    next: u64,
    /// What lies before this byte is not wanted.
    from: u64,
    pieces: VecDeque<Piece>,
}

impl Reader {
    /// Of the output in `folder`.
    pub(crate) fn open(folder: &Path, begin: Begin) -> io::Result<Self> {
        let written = Written::open(folder)?;
        let (next, from) = match begin {
            Begin::At(place) => (written.piece_at(place)?, place),
            Begin::Now => (written.pieces()?, 0),
        };
        Ok(Self { written, next, from, pieces: VecDeque::new() })
    }

    /// The next piece; none when there is none now.
    pub(crate) fn read(&mut self) -> io::Result<Option<OutputChunk>> {
        if self.pieces.is_empty() {
            self.look()?;
        }
        let Some(first) = self.pieces.pop_front() else { return Ok(None) };
        let mut end = first.end();
        while let Some(more) = self.pieces.front() {
            let joined = usize::try_from(more.end() - first.offset).unwrap_or(usize::MAX);
            if more.stream != first.stream || more.offset != end || joined > CHUNK {
                break;
            }
            end = more.end();
            self.pieces.pop_front();
        }
        let offset = first.offset.max(self.from.min(end));
        let mut bytes = vec![0; usize::try_from(end - offset).map_err(io::Error::other)?];
        self.written.data.read_exact_at(&mut bytes, offset)?;
        Ok(Some(OutputChunk { stream: first.stream, bytes: Bytes::from(bytes), offset }))
    }

    /// Whether there is a piece that was not read.
    pub(crate) fn has_more(&mut self) -> io::Result<bool> {
        if self.pieces.is_empty() {
            self.look()?;
        }
        Ok(!self.pieces.is_empty())
    }

    fn look(&mut self) -> io::Result<()> {
        let records = self.written.records(self.next, RECORDS)?;
        self.next += records.len() as u64;
        self.pieces.extend(records.into_iter().filter(|piece| piece.end() > self.from));
        Ok(())
    }
}

/// The end of each stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) texts: [String; 2],
    /// Bytes of both that lie before that.
    pub(crate) left_out: u64,
}

impl Ends {
    /// No more than `most` bytes of each stream; `lengths` are theirs, where they are known: then no more is looked for than there is.
    pub(crate) fn read(written: &Written, most: usize, lengths: Option<[u64; 2]>) -> io::Result<Self> {
        let mut before = written.pieces()?;
        let all = written.length()?;
        let mut wanted: [Vec<Piece>; 2] = [Vec::new(), Vec::new()];
        let mut found = [0_usize; 2];
        let enough = lengths.map_or([most; 2], |lengths| {
            lengths.map(|length| usize::try_from(length).unwrap_or(usize::MAX).min(most))
        });
        while before > 0 && (found[0] < enough[0] || found[1] < enough[1]) {
            let first = before.saturating_sub(RECORDS as u64);
            let pieces = written.records(first, (before - first) as usize)?;
            for piece in pieces.into_iter().rev() {
                let stream = lane(piece.stream);
                if found[stream] < most {
                    found[stream] += piece.length as usize;
                    wanted[stream].push(piece);
                }
            }
            before = first;
        }
        let read = |pieces: &[Piece]| -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            for piece in pieces.iter().rev() {
                let start = bytes.len();
                bytes.resize(start + piece.length as usize, 0);
                written.data.read_exact_at(&mut bytes[start..], piece.offset)?;
            }
            Ok(bytes.split_off(bytes.len().saturating_sub(most)))
        };
        let (stdout, stderr) =
            (read(&wanted[lane(StreamKind::Stdout)])?, read(&wanted[lane(StreamKind::Stderr)])?);
        let left_out = all - (stdout.len() + stderr.len()) as u64;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self { texts: [text(stdout), text(stderr)], left_out })
    }
}

#[cfg(test)]
mod tests {
    use jobwright_runtime::ResumePoint;

    use super::*;
    use crate::output::Output;

    fn written(pieces: &[(StreamKind, &str)]) -> (tempfile::TempDir, Output) {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::open(folder.path(), u64::MAX).unwrap();
        for (stream, text) in pieces {
            output.add(*stream, text.as_bytes(), ResumePoint::default());
        }
        (folder, output)
    }

    fn rest(reader: &mut Reader) -> Vec<(StreamKind, String, u64)> {
        let chunks = std::iter::from_fn(|| reader.read().unwrap());
        chunks
            .map(|chunk| (chunk.stream, String::from_utf8(chunk.bytes.to_vec()).unwrap(), chunk.offset))
            .collect()
    }

    use StreamKind::{Stderr, Stdout};

    // covers: nunet 46, 52
    #[test]
    fn the_streams_come_in_order_and_apart_from_the_beginning_or_from_now_on() {
        let (folder, output) = written(&[(Stdout, "a"), (Stdout, "b"), (Stderr, "c"), (Stdout, "d")]);
        let mut all = Reader::open(folder.path(), Begin::At(0)).unwrap();
        let mut later = Reader::open(folder.path(), Begin::Now).unwrap();
        let expected =
            [(Stdout, "ab".to_owned(), 0), (Stderr, "c".to_owned(), 2), (Stdout, "d".to_owned(), 3)];
        assert_eq!(rest(&mut all), expected);
        assert_eq!(rest(&mut later), []);
        output.add(Stderr, b"e", ResumePoint::default());
        assert_eq!(rest(&mut later), [(Stderr, "e".to_owned(), 4)]);
        assert_eq!(rest(&mut all), [(Stderr, "e".to_owned(), 4)]);
    }

    #[test]
    fn small_pieces_are_joined_up_to_a_bound() {
        let line = "x".repeat(1000);
        let (folder, _output) = written(&vec![(Stdout, line.as_str()); 200]);
        let chunks = rest(&mut Reader::open(folder.path(), Begin::At(0)).unwrap());
        assert!(chunks.len() < 6 && chunks.iter().all(|(_, text, _)| text.len() <= CHUNK));
        assert_eq!(chunks.iter().map(|(_, text, _)| text.len()).sum::<usize>(), 200_000);
    }

    #[test]
    fn from_any_byte_on_the_rest_comes_and_nothing_before_it() {
        let (folder, output) = written(&[(Stdout, "abc"), (Stderr, "de"), (Stdout, "f")]);
        let from = |place| rest(&mut Reader::open(folder.path(), Begin::At(place)).unwrap());
        assert_eq!(
            from(1),
            [(Stdout, "bc".to_owned(), 1), (Stderr, "de".to_owned(), 3), (Stdout, "f".to_owned(), 5)]
        );
        assert_eq!(from(3), [(Stderr, "de".to_owned(), 3), (Stdout, "f".to_owned(), 5)]);
        assert_eq!(from(5), [(Stdout, "f".to_owned(), 5)]);
        assert_eq!((from(6), Written::open(folder.path()).unwrap().length().unwrap()), (vec![], 6));
        let mut later = Reader::open(folder.path(), Begin::At(8)).unwrap();
        output.add(Stdout, b"ghijk", ResumePoint::default());
        assert_eq!(rest(&mut later), [(Stdout, "ijk".to_owned(), 8)]);
    }

    #[test]
    fn a_place_that_is_beyond_the_end_is_waited_for() {
        let (folder, output) = written(&[]);
        let mut later = Reader::open(folder.path(), Begin::At(3)).unwrap();
        for text in ["a", "b", "cd"] {
            output.add(Stdout, text.as_bytes(), ResumePoint::default());
            output.add(Stderr, b"", ResumePoint::default());
        }
        assert_eq!(rest(&mut later), [(Stdout, "d".to_owned(), 3)]);
    }

    #[test]
    fn the_ends_of_both_streams_are_read_and_what_lies_before_is_counted() {
        let mut pieces = vec![(Stderr, "first words;")];
        pieces.extend(vec![(Stdout, "0123456789"); 3000]);
        pieces.push((Stderr, "last words"));
        let (folder, output) = written(&pieces);
        let written = Written::open(folder.path()).unwrap();
        for lengths in [None, Some(output.lengths())] {
            let ends = Ends::read(&written, 15, lengths).unwrap();
            assert_eq!(ends.texts, ["567890123456789", "ords;last words"].map(str::to_owned));
            assert_eq!(ends.left_out, 30_000 + 22 - 30);
            assert_eq!(Ends::read(&written, 1 << 20, lengths).unwrap().left_out, 0);
        }
    }

    #[test]
    fn of_a_stream_that_wrote_nothing_nothing_is_looked_for() {
        let (folder, output) = written(&vec![(Stdout, "0123456789"); 3000]);
        // Were the beginning of the index read, its zeros would end the reading of what lies behind them.
        let index = std::fs::File::options().write(true).open(folder.path().join(INDEX)).unwrap();
        index.write_all_at(&[0; RECORD], 0).unwrap();
        let ends = Ends::read(&Written::open(folder.path()).unwrap(), 10, Some(output.lengths())).unwrap();
        assert_eq!((ends.texts[0].as_str(), ends.left_out), ("0123456789", 29_990));
    }
}
