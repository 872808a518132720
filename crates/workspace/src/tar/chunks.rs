//! Between a blocking thread that writes or reads an archive and the stream of chunks outside.
//!
//! The channel is short, so a slow reader holds the writer back and memory stays bounded.

use std::io::{self, Read, Write};
use std::path::Path;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::TarStream;
use crate::Result;
use crate::offload::blocking;

const CHUNK: usize = 128 * 1024;
const IN_FLIGHT: usize = 4;

type Chunk = std::result::Result<Bytes, io::Error>;

/// A channel for an archive's chunks.
pub(crate) fn channel() -> (mpsc::Sender<Chunk>, mpsc::Receiver<Chunk>) {
    mpsc::channel(IN_FLIGHT)
}

/// Collects what is written into chunks and sends them; when nobody receives any more, writing fails with `BrokenPipe`.
pub(crate) struct ChunkWriter {
    sender: mpsc::Sender<Chunk>,
    buffer: BytesMut,
}

impl ChunkWriter {
    pub(crate) fn new(sender: mpsc::Sender<Chunk>) -> Self {
        Self { sender, buffer: BytesMut::with_capacity(CHUNK) }
    }

    /// Sends what is left, or the error that ends the stream.
    pub(crate) fn finish(mut self, outcome: io::Result<()>) {
        let last = match outcome {
            Ok(()) => self.flush(),
            Err(error) => self.send(Err(error)),
        };
        // It fails only when the reader is gone, and then nobody is left to be told.
        drop(last);
    }

    fn send(&mut self, chunk: Chunk) -> io::Result<()> {
        self.sender.blocking_send(chunk).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, BytesMut::with_capacity(CHUNK));
        self.send(Ok(full.freeze()))
    }
}

/// The stream of what `writer`, a blocking task, sends. When that task dies the stream ends with an error and not as if all was sent.
pub(crate) fn stream_of(receiver: mpsc::Receiver<Chunk>, writer: JoinHandle<()>) -> TarStream {
    Box::pin(stream::unfold((receiver, Some(writer)), |(mut receiver, writer)| async move {
        if let Some(chunk) = receiver.recv().await {
            return Some((chunk, (receiver, writer)));
        }
        let died = writer?.await.err()?;
        Some((Err(io::Error::other(died)), (receiver, None)))
    }))
}

/// Has `work` read `stream` on a blocking thread. When the future is dropped, the reader is told at the next chunk that it is the end.
pub(crate) async fn read_blocking<T: Send + 'static>(
    mut stream: TarStream,
    path: &Path,
    work: impl FnOnce(ChunkReader) -> Result<T> + Send + 'static,
) -> Result<T> {
    let (sender, receiver) = channel();
    let work = blocking(path, move || work(ChunkReader::new(receiver)));
    let pump = async move {
        while let Some(chunk) = stream.next().await {
            let is_last = chunk.is_err();
            if sender.send(chunk).await.is_err() || is_last {
                break;
            }
        }
    };
    tokio::pin!(work);
    // The worker may end before the stream does: at the end marker, or by an error while the sender is silent.
    tokio::select! {
        biased;
        done = &mut work => done,
        () = pump => work.await,
    }
}

/// Reads the chunks of a channel as one sequence of bytes. A sender that is gone is the end.
pub(crate) struct ChunkReader {
    receiver: mpsc::Receiver<Chunk>,
    chunk: Bytes,
}

impl ChunkReader {
    fn new(receiver: mpsc::Receiver<Chunk>) -> Self {
        Self { receiver, chunk: Bytes::new() }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let taken = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}
