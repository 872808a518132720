//! A step's output from any position on, followed until its end mark.
//!
//! A position is the offset of a frame in the output file: exact, and reading from it costs nothing of what came before.
//! The file is read by the thread that polls: the shim has just written it, so it comes from memory.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use jobwright_backend::{Error, LogChunk, LogPosition, LogStream, Result, StreamKind};
use jobwright_model::{Step, TaskUuid};
use jobwright_shim::frame::{Frame, FrameReader, Stream};
use jobwright_shim::slot;

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
    // Begins before the file is opened: from now on it is not used again.
    let watch = watcher.watch(&path);
    let file = File::open(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::unknown_step(step, task),
        _ => Error::io(format!("opening the output of step {}", place.id), error),
    })?;
    let mark = slot::mark(&file)
        .map_err(|error| Error::io(format!("reading the output of step {}", place.id), error))?;
    // Still under its name, so that mark is this step's.
    if !fs::metadata(&path).is_ok_and(|named| file.metadata().is_ok_and(|file| file.ino() == named.ino())) {
        return Err(Error::unknown_step(step, task));
    }
    let shim = match shims.locate(place).await? {
        Whereabouts::Under(link) => Some(link),
        Whereabouts::Gone | Whereabouts::Nowhere => None,
    };
    let follower = Follower {
        step: place.id.to_string(),
        file,
        mark,
        reader: FrameReader::at(from.get()),
        buffer: vec![0; FIRST_PIECE],
        watch,
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
    /// By what the file is this step's; `None` until the shim wrote it.
    mark: Option<[u8; slot::TOKEN]>,
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
        if length > 0 && !self.is_still_its_own()? {
            self.is_last_look = true;
            return Ok(false);
        }
        self.reader.push(&self.buffer[..length]);
        if length == self.buffer.len() && length < PIECE {
            self.buffer.resize(PIECE, 0);
        }
        Ok(length > 0)
    }

    /// Whether what was just read is this step's: once it is destroyed, its file may become another's.
    fn is_still_its_own(&mut self) -> io::Result<bool> {
        let now = slot::mark(&self.file)?;
        self.mark = self.mark.or(now);
        Ok(self.mark == now)
    }

    /// Until the file grew, or it is certain that it will not.
    async fn wait(&mut self) -> io::Result<()> {
        // A half-written frame may be taken back when a disk is full; it is read again when it is whole.
        self.reader.forget_partial();
        let now = self.file.metadata()?;
        // One that another process destroyed may have been emptied to be used again.
        let has_name = now.nlink() > 0 && now.len() >= self.reader.offset();
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
                Frame::Exit | Frame::Start(_) => continue,
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
