//! A dummy step's output in memory: readable from any byte on, by any number of readers, while it grows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{LogChunk, LogPosition, StreamKind};

/// All that a step wrote. Positions are byte counts over both streams.
pub(super) struct Spool {
    pieces: Mutex<Vec<LogChunk>>,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Progress {
    length: u64,
    closed: bool,
}

impl Spool {
    pub(super) fn new() -> Self {
        Self { pieces: Mutex::default(), progress: watch::Sender::default() }
    }

    /// Adds to the output; nothing for no bytes, and nothing after it was closed.
    pub(super) fn write(&self, stream: StreamKind, bytes: Bytes) {
        let now = *self.progress.borrow();
        if bytes.is_empty() || now.closed {
            return;
        }
        let mut pieces = self.pieces();
        let start = pieces.last().map_or(0, |piece| piece.next.get());
        let next = start + bytes.len() as u64;
        pieces.push(LogChunk { stream, bytes, next: LogPosition::new(next) });
        // Within the lock, so that of two writers the later one's length stands.
        self.progress.send_modify(|progress| progress.length = next);
    }

    /// Says that nothing comes any more.
    pub(super) fn close(&self) {
        self.progress.send_modify(|progress| progress.closed = true);
    }

    /// Waits until nothing comes any more.
    pub(super) async fn closed(&self) {
        let mut progress = self.progress.subscribe();
        // The sender is this spool's own, so it is there as long as the borrow of it.
        let _ = progress.wait_for(|progress| progress.closed).await;
    }

    /// The next piece after `from`; waits for it. `None` at the end.
    pub(super) async fn next(&self, from: LogPosition) -> Option<LogChunk> {
        let mut progress = self.progress.subscribe();
        loop {
            let now = *progress.borrow_and_update();
            if from.get() < now.length {
                return self.piece_at(from);
            }
            if now.closed || progress.changed().await.is_err() {
                return None;
            }
        }
    }

    /// What is left of the piece in which `from` lies.
    fn piece_at(&self, from: LogPosition) -> Option<LogChunk> {
        let pieces = self.pieces();
        let index = pieces.partition_point(|piece| piece.next <= from);
        let piece = pieces.get(index)?;
        let left = (piece.next.get() - from.get()) as usize;
        let bytes = piece.bytes.slice(piece.bytes.len().saturating_sub(left)..);
        Some(LogChunk { bytes, ..piece.clone() })
    }

    fn pieces(&self) -> MutexGuard<'_, Vec<LogChunk>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
