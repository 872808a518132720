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

/// A place in an execution's output.
pub(crate) struct Reader {
    data: File,
    index: File,
    /// The number of the next record.
    next: u64,
    pieces: VecDeque<Piece>,
}

impl Reader {
    /// At the beginning of the output in `folder`, or behind what there is now.
    pub(crate) fn open(folder: &Path, from_now_on: bool) -> io::Result<Self> {
        let (data, index) = (File::open(folder.join(DATA))?, File::open(folder.join(INDEX))?);
        let next = if from_now_on { index.metadata()?.len() / RECORD as u64 } else { 0 };
        Ok(Self { data, index, next, pieces: VecDeque::new() })
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
        let mut bytes = vec![0; usize::try_from(end - first.offset).map_err(io::Error::other)?];
        self.data.read_exact_at(&mut bytes, first.offset)?;
        Ok(Some(OutputChunk { stream: first.stream, bytes: Bytes::from(bytes), offset: first.offset }))
    }

    /// Whether there is a piece that was not read.
    pub(crate) fn has_more(&mut self) -> io::Result<bool> {
        if self.pieces.is_empty() {
            self.look()?;
        }
        Ok(!self.pieces.is_empty())
    }

    fn look(&mut self) -> io::Result<()> {
        let records = read_records(&self.index, self.next, RECORDS)?;
        self.next += records.len() as u64;
        self.pieces.extend(records);
        Ok(())
    }
}

fn read_records(index: &File, first: u64, most: usize) -> io::Result<Vec<Piece>> {
    let mut block = vec![0; RECORD * most];
    let mut length = 0;
    while length < block.len() {
        match index.read_at(&mut block[length..], first * RECORD as u64 + length as u64)? {
            0 => break,
            more => length += more,
        }
    }
    Ok(block[..length].chunks_exact(RECORD).map_while(Piece::from_bytes).collect())
}

/// The end of each stream.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ends {
    pub(crate) texts: [String; 2],
    /// Bytes of both that lie before that.
    pub(crate) left_out: u64,
}

impl Ends {
    /// No more than `most` bytes of each stream of the output in `folder`.
    pub(crate) fn read(folder: &Path, most: usize) -> io::Result<Self> {
        let (data, index) = (File::open(folder.join(DATA))?, File::open(folder.join(INDEX))?);
        let mut before = index.metadata()?.len() / RECORD as u64;
        let (mut wanted, mut all): ([Vec<Piece>; 2], u64) = ([Vec::new(), Vec::new()], 0);
        let mut found = [0_usize; 2];
        while before > 0 && found.iter().any(|found| *found < most) {
            let first = before.saturating_sub(RECORDS as u64);
            let pieces = read_records(&index, first, (before - first) as usize)?;
            all = all.max(pieces.last().map_or(0, Piece::end));
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
                data.read_exact_at(&mut bytes[start..], piece.offset)?;
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
        let output = Output::open(folder.path(), None, u64::MAX).unwrap();
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
        let mut all = Reader::open(folder.path(), false).unwrap();
        let mut later = Reader::open(folder.path(), true).unwrap();
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
        let chunks = rest(&mut Reader::open(folder.path(), false).unwrap());
        assert!(chunks.len() < 6 && chunks.iter().all(|(_, text, _)| text.len() <= CHUNK));
        assert_eq!(chunks.iter().map(|(_, text, _)| text.len()).sum::<usize>(), 200_000);
    }

    #[test]
    fn the_ends_of_both_streams_are_read_without_what_lies_before() {
        let mut pieces = vec![(Stderr, "first words;")];
        pieces.extend(vec![(Stdout, "0123456789"); 3000]);
        pieces.push((Stderr, "last words"));
        let (folder, _output) = written(&pieces);
        let ends = Ends::read(folder.path(), 15).unwrap();
        assert_eq!(ends.texts, ["567890123456789", "ords;last words"].map(str::to_owned));
        assert_eq!(ends.left_out, 30_000 + 22 - 30);
        assert_eq!(Ends::read(folder.path(), 1 << 20).unwrap().left_out, 0);
    }
}
