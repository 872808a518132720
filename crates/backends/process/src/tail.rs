//! A step's output from any position on, followed until its end mark.
//!
//! A position is the offset of a frame in the output file: exact, and reading from it costs nothing of what came before.
//! The file is read by the thread that polls: the shim has just written it, so it comes from memory.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use jobwright_backend::{Error, LogChunk, LogPosition, LogStream, Result, StreamKind};
use jobwright_model::{Step, TaskUuid};
use jobwright_shim::frame::{Frame, FrameReader, Stream};

use crate::backend::NAME;
use crate::link::Link;
use crate::place::StepPlace;
use crate::shims::{Shims, Whereabouts};
use crate::watch::{Watch, Watcher};

/// What is read at once, at first: most steps say little.
const FIRST_PIECE: usize = 8 << 10;
/// What is read at once from a step that says much.
const PIECE: usize = 256 << 10;
/// Up to this many bytes, small frames of one stream become one chunk.
const CHUNK: usize = 64 << 10;

/// Opens the output of `step` at `from`.
pub(crate) async fn tail(
    shims: &Shims,
    watcher: &Watcher,
    place: &StepPlace,
    (step, task): (&Step, &TaskUuid),
    from: LogPosition,
) -> Result<LogStream> {
    let path = place.files.output();
    let file = File::open(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::unknown_step(step, task),
        _ => Error::io(format!("opening the output of step {}", place.id), error),
    })?;
    let shim = match shims.locate(place).await? {
        Whereabouts::Under(link) => Some(link),
        Whereabouts::Gone | Whereabouts::Nowhere => None,
    };
    let follower = Follower {
        step: place.id.to_string(),
        file,
        reader: FrameReader::at(from.get()),
        buffer: vec![0; FIRST_PIECE],
        watch: watcher.watch(&path),
        shim,
        is_last_look: false,
        ended: false,
    };
    Ok(Box::pin(stream::try_unfold(follower, |mut follower| async move {
        Ok(follower.next().await?.map(|chunk| (chunk, follower)))
    })))
}

struct Follower {
    step: String,
    file: File,
    reader: FrameReader,
    buffer: Vec<u8>,
    watch: Watch,
    /// Who writes the file; `None` when nobody does any more.
    shim: Option<Arc<Link>>,
    /// Nobody will write any more, so the next end of the file is the end of the output.
    is_last_look: bool,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Result<Option<LogChunk>> {
        loop {
            if let Some(chunk) = self.chunk()? {
                return Ok(Some(chunk));
            }
            if self.ended {
                return Ok(None);
            }
            if self.read().map_err(|error| self.failed(error))? {
                continue;
            }
            if self.is_last_look {
                // Without its end mark: the shim died or the step was destroyed. `wait_step` tells which.
                return Ok(None);
            }
            self.wait().await.map_err(|error| self.failed(error))?;
        }
    }

    /// Takes what the file has beyond what was read; false when there is nothing.
    fn read(&mut self) -> io::Result<bool> {
        let length = self.file.read_at(&mut self.buffer, self.reader.wanted())?;
        self.reader.push(&self.buffer[..length]);
        if length == self.buffer.len() && length < PIECE {
            self.buffer.resize(PIECE, 0);
        }
        Ok(length > 0)
    }

    /// Until the file grew, or it is certain that it will not.
    async fn wait(&mut self) -> io::Result<()> {
        // A half-written frame may be taken back when a disk is full; it is read again when it is whole.
        self.reader.forget_partial();
        let has_name = self.file.metadata()?.nlink() > 0;
        match &self.shim {
            Some(shim) if has_name => tokio::select! {
                () = self.watch.grown() => {}
                () = shim.gone() => self.shim = None,
            },
            _ => self.is_last_look = true,
        }
        Ok(())
    }

    /// The next bytes of what was read, small frames put together.
    fn chunk(&mut self) -> Result<Option<LogChunk>> {
        let mut gathered: Option<(StreamKind, BytesMut, u64)> = None;
        loop {
            let before = self.reader.offset();
            let placed = self.reader.next_frame().map_err(|error| damaged(&self.step, &error))?;
            let Some(placed) = placed else { break };
            let next = placed.next;
            let (stream, bytes) = match placed.frame {
                Frame::Start(_) => continue,
                Frame::End(_) => {
                    self.ended = true;
                    break;
                }
                Frame::Gap { stream, lost } => (kind(stream), Bytes::from(gap(lost))),
                Frame::Data { stream, bytes } => match &mut gathered {
                    Some((same, gathered, end))
                        if *same == kind(stream) && gathered.len() + bytes.len() <= CHUNK =>
                    {
                        gathered.extend_from_slice(bytes);
                        *end = next;
                        continue;
                    }
                    Some(_) => {
                        self.reader.step_back(before);
                        break;
                    }
                    None if bytes.is_empty() => continue,
                    None => {
                        gathered = Some((kind(stream), BytesMut::from(bytes), next));
                        continue;
                    }
                },
            };
            if gathered.is_some() {
                self.reader.step_back(before);
                break;
            }
            return Ok(Some(LogChunk { stream, bytes, next: LogPosition::new(next) }));
        }
        Ok(gathered.map(|(stream, bytes, next)| LogChunk {
            stream,
            bytes: bytes.freeze(),
            next: LogPosition::new(next),
        }))
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io(format!("reading the output of step {}", self.step), error)
    }
}

/// What stands in the output where bytes are missing (DESIGN rule 7).
fn gap(lost: u64) -> String {
    format!("\n[jobwright: {lost} bytes of output are missing here, the disk took no more]\n")
}

fn damaged(step: &str, error: &jobwright_shim::ShimError) -> Error {
    Error::Engine {
        engine: NAME,
        operation: format!("read the output of step {step}"),
        message: error.to_string(),
    }
}

fn kind(stream: Stream) -> StreamKind {
    match stream {
        Stream::Stdout => StreamKind::Stdout,
        Stream::Stderr => StreamKind::Stderr,
    }
}
