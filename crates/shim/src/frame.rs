//! A step's `output` file: frames in the order in which the shim read them from the step's two pipes.
//!
//! A frame is a header of 16 bytes (nanoseconds since 1970 as u64, payload length as u32, kind as u8, three zero
//! bytes; all little-endian) and its payload. The first frame is [`Frame::Exit`], room for the exit record that is filled when the
//! step ends (see [`crate::slot`]); the second is [`Frame::Start`], the last [`Frame::End`]; a file
//! without an end frame is still written to, or its shim died. A frame that is only partly there is not there yet.
//! Byte offsets of frames are exact positions: a reader may go on from any of them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::ShimError;
use crate::protocol::StepId;

/// Bytes of a frame's header.
pub const HEADER: usize = 16;
/// The largest payload the shim writes.
pub const MAX_PAYLOAD: usize = 256 << 10;

/// One of a step's two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How the output came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputEnd {
    /// Nothing holds the step's pipes any more.
    Eof,
    /// The owner closed it while something still held a pipe.
    Closed,
}

/// The second frame's content: who writes here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartInfo {
    /// The format's version, 1.
    pub version: u32,
    /// The step's name in its shim.
    pub step: StepId,
    /// The step's first process.
    pub pid: u32,
    /// Its start time in clock ticks since boot.
    pub start_time: u64,
    /// The boot in which those numbers hold.
    pub boot_id: String,
    /// The value of [`crate::protocol::TOKEN_VARIABLE`].
    pub token: String,
    /// What people call the step.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// The directory that its shim serves; absent under `--stdio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shim: Option<PathBuf>,
}

/// A frame without its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The place of the exit record; what is in it changes, and is read by [`crate::slot`].
    Exit,
    /// Who writes here.
    Start(StartInfo),
    /// Bytes that the step wrote.
    Data {
        /// Where to.
        stream: Stream,
        /// What.
        bytes: &'a [u8],
    },
    /// Bytes that the step wrote here and that could not be kept.
    Gap {
        /// Where to.
        stream: Stream,
        /// How many.
        lost: u64,
    },
    /// Nothing follows.
    End(OutputEnd),
}

/// A frame with its time and the offset of what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<'a> {
    /// When the shim read it, in nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// The frame.
    pub frame: Frame<'a>,
    /// Offset of the next frame in the file.
    pub next: u64,
}

const START: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const GAP: u8 = 3;
const END: u8 = 4;
const EXIT: u8 = 5;

impl Stream {
    fn code(self) -> u8 {
        match self {
            Self::Stdout => STDOUT,
            Self::Stderr => STDERR,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        match code {
            STDOUT => Some(Self::Stdout),
            STDERR => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// The header of a data frame; its payload follows as it is.
///
/// `length` is at most [`MAX_PAYLOAD`].
pub fn data_header(stream: Stream, time_ns: u64, length: usize) -> [u8; HEADER] {
    header(stream.code(), time_ns, length)
}

/// The header of an exit record's place; `length` bytes follow.
pub(crate) fn exit_header(length: usize) -> [u8; HEADER] {
    header(EXIT, 0, length)
}

/// A whole frame that is not a data frame, nor the place of an exit record.
///
/// # Errors
/// Never in practice: [`StartInfo`] is plain text.
pub fn encode(frame: &Frame<'_>, time_ns: u64) -> Result<Vec<u8>, serde_json::Error> {
    let (kind, payload) = match frame {
        Frame::Exit => (EXIT, Vec::new()),
        Frame::Start(info) => (START, serde_json::to_vec(info)?),
        Frame::Data { stream, bytes } => (stream.code(), bytes.to_vec()),
        Frame::Gap { stream, lost } => (GAP, [&[stream.code()], lost.to_le_bytes().as_slice()].concat()),
        Frame::End(OutputEnd::Eof) => (END, vec![0]),
        Frame::End(OutputEnd::Closed) => (END, vec![1]),
    };
    let mut bytes = header(kind, time_ns, payload.len()).to_vec();
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

fn header(kind: u8, time_ns: u64, length: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&time_ns.to_le_bytes());
    header[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    header[12] = kind;
    header
}

/// Cuts the bytes of an output file into frames, from any frame's offset on.
#[derive(Debug)]
pub struct FrameReader {
    buffer: Vec<u8>,
    consumed: usize,
    offset: u64,
}

impl FrameReader {
    /// A reader whose first byte will be the one at `offset`, the offset of a frame (0 for the whole file).
    pub fn at(offset: u64) -> Self {
        Self { buffer: Vec::new(), consumed: 0, offset }
    }

    /// Offset of the next frame that [`FrameReader::next_frame`] will give.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Offset of the next byte of the file to be pushed.
    pub fn wanted(&self) -> u64 {
        self.offset + (self.buffer.len() - self.consumed) as u64
    }

    /// Takes the bytes that follow those pushed before.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Drops what is not a whole frame yet. When a disk is full the shim takes a half-written frame back, so a
    /// follower that waits reads again from [`FrameReader::wanted`].
    pub fn forget_partial(&mut self) {
        self.buffer.clear();
        self.consumed = 0;
    }

    /// Goes back to `offset`, where the frame that was given last begins; it will be given again.
    ///
    /// # Panics
    /// When `offset` lies before what the reader still holds.
    pub fn step_back(&mut self, offset: u64) {
        let back = (self.offset - offset) as usize;
        self.consumed = self.consumed.checked_sub(back).expect("the last frame is kept until the next push");
        self.offset = offset;
    }

    /// The next whole frame, `None` when its bytes are not all there.
    ///
    /// # Errors
    /// [`ShimError::Frame`] when the bytes are not frames; the reader stays where it is.
    pub fn next_frame(&mut self) -> Result<Option<Placed<'_>>, ShimError> {
        let rest = &self.buffer[self.consumed..];
        let Some((head, rest)) = rest.split_first_chunk::<HEADER>() else { return Ok(None) };
        let damaged = |why: String| ShimError::Frame { offset: self.offset, why };
        let time_ns = u64::from_le_bytes(*head.first_chunk().expect("16 bytes hold 8"));
        let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        if length > MAX_PAYLOAD || head[13..] != [0, 0, 0] {
            return Err(damaged(format!("length {length}, kind {}", head[12])));
        }
        let Some(payload) = rest.get(..length) else { return Ok(None) };
        let frame = parse(head[12], payload).map_err(damaged)?;
        self.consumed += HEADER + length;
        self.offset += (HEADER + length) as u64;
        Ok(Some(Placed { time_ns, frame, next: self.offset }))
    }
}

fn parse(kind: u8, payload: &[u8]) -> Result<Frame<'_>, String> {
    if let Some(stream) = Stream::from_code(kind) {
        return Ok(Frame::Data { stream, bytes: payload });
    }
    match (kind, payload) {
        (EXIT, _) => Ok(Frame::Exit),
        (START, _) => serde_json::from_slice(payload).map(Frame::Start).map_err(|error| error.to_string()),
        (GAP, [stream, lost @ ..]) => {
            let stream = Stream::from_code(*stream).ok_or("a gap in no stream")?;
            let lost = lost.try_into().map_err(|_| "a gap without a count")?;
            Ok(Frame::Gap { stream, lost: u64::from_le_bytes(lost) })
        }
        (END, [0]) => Ok(Frame::End(OutputEnd::Eof)),
        (END, [1]) => Ok(Frame::End(OutputEnd::Closed)),
        _ => Err(format!("unknown kind {kind} with {} bytes", payload.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Frame<'static>> {
        vec![
            Frame::Exit,
            Frame::Start(StartInfo {
                version: 1,
                step: StepId::new("t/s"),
                pid: 12,
                start_time: 34,
                boot_id: "b".into(),
                token: "k".into(),
                label: String::new(),
                shim: None,
            }),
            Frame::Data { stream: Stream::Stdout, bytes: b"one" },
            Frame::Data { stream: Stream::Stderr, bytes: b"" },
            Frame::Gap { stream: Stream::Stderr, lost: 1 << 40 },
            Frame::End(OutputEnd::Closed),
        ]
    }

    #[test]
    fn frames_come_back_whole_however_the_bytes_are_cut() {
        let file: Vec<u8> = sample().iter().flat_map(|frame| encode(frame, 5).unwrap()).collect();
        for piece in [1, 3, 16, file.len()] {
            let mut reader = FrameReader::at(0);
            let mut seen = 0;
            for bytes in file.chunks(piece) {
                reader.push(bytes);
                while let Some(placed) = reader.next_frame().unwrap() {
                    assert_eq!(placed.frame, sample()[seen]);
                    seen += 1;
                }
            }
            assert_eq!((seen, reader.offset()), (sample().len(), file.len() as u64));
        }
    }

    #[test]
    fn a_reader_goes_on_from_any_offset() {
        let file: Vec<u8> = sample().iter().flat_map(|frame| encode(frame, 5).unwrap()).collect();
        let mut reader = FrameReader::at(0);
        reader.push(&file);
        let after_first = reader.next_frame().unwrap().unwrap().next;
        let mut second = FrameReader::at(after_first);
        second.push(&file[after_first as usize..]);
        assert_eq!(second.next_frame().unwrap().unwrap().frame, sample()[1]);
    }

    #[test]
    fn what_is_no_frame_is_named_with_its_offset() {
        let mut reader = FrameReader::at(100);
        reader.push(&[0xff; 40]);
        assert!(matches!(reader.next_frame(), Err(ShimError::Frame { offset: 100, .. })));
    }
}
