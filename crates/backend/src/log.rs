//! A step's output on its way out of a backend: bytes, not lines.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};

pub use jobwright_model::StreamKind;

use crate::Result;

/// A place in a step's output from which it can be read again. Only the backend that made it knows what the number means;
/// everybody else stores it and hands it back. Positions of one step grow with its output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LogPosition(u64);

impl LogPosition {
    /// The beginning of the output.
    pub const START: Self = Self(0);

    /// For backends: a position that `number` stands for.
    #[must_use]
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// For backends and for storing: the number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}

/// A piece of output.
#[derive(Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// Where it was written to.
    pub stream: StreamKind,
    /// What was written; not empty. May be cut anywhere, within a character too.
    pub bytes: Bytes,
    /// Where the output goes on after this piece.
    pub next: LogPosition,
}

/// Shows the length, never the content: raw output may hold secrets.
impl fmt::Debug for LogChunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogChunk")
            .field("stream", &self.stream)
            .field("length", &self.bytes.len())
            .field("next", &self.next)
            .finish()
    }
}

/// Output as it comes. The order of the two streams is kept where the backend can.
pub type LogStream = Pin<Box<dyn Stream<Item = Result<LogChunk>> + Send>>;
