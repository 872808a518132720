//! Between a blocking thread that writes or reads an archive and the stream of chunks outside.
//!
//! The channel is short, so a slow reader holds the writer back and memory stays bounded.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::TarStream;

const CHUNK: usize = 128 * 1024;
const IN_FLIGHT: usize = 4;

type Chunk = Result<Bytes, io::Error>;

/// A channel for an archive's chunks.
pub(super) fn channel() -> (mpsc::Sender<Chunk>, mpsc::Receiver<Chunk>) {
    mpsc::channel(IN_FLIGHT)
}

/// Collects what is written into chunks and sends them; when nobody receives any more, writing fails with `BrokenPipe`.
pub(super) struct ChunkWriter {
    sender: mpsc::Sender<Chunk>,
    buffer: BytesMut,
}

impl ChunkWriter {
    pub(super) fn new(sender: mpsc::Sender<Chunk>) -> Self {
        Self { sender, buffer: BytesMut::with_capacity(CHUNK) }
    }

    /// Sends what is left, or the error that ends the stream.
    pub(super) fn finish(mut self, outcome: io::Result<()>) {
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
pub(super) fn stream_of(receiver: mpsc::Receiver<Chunk>, writer: JoinHandle<()>) -> TarStream {
    Box::pin(stream::unfold((receiver, Some(writer)), |(mut receiver, writer)| async move {
        if let Some(chunk) = receiver.recv().await {
            return Some((chunk, (receiver, writer)));
        }
        let died = writer?.await.err()?;
        Some((Err(io::Error::other(died)), (receiver, None)))
    }))
}

/// Reads the chunks of a channel as one sequence of bytes. A sender that is gone is the end.
pub(super) struct ChunkReader {
    receiver: mpsc::Receiver<Chunk>,
    chunk: Bytes,
}

impl ChunkReader {
    pub(super) fn new(receiver: mpsc::Receiver<Chunk>) -> Self {
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
