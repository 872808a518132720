//! What a person is told while a step is being prepared.

/// One thing that happened on the way to a step that is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProgressEvent {
    /// The image is not here; its pull begins.
    PullStarted {
        /// The image reference.
        image: String,
    },
    /// The pull of one layer went on.
    Layer {
        /// The layer's short id.
        layer: String,
        /// What is being done with it, in the engine's words.
        status: String,
        /// Bytes done.
        current: u64,
        /// Bytes in all; 0 when not known.
        total: u64,
    },
    /// The image is here.
    PullFinished {
        /// The image reference.
        image: String,
    },
    /// A pull failed, and what is here already is used instead.
    PullFailedUsingLocal {
        /// The image reference.
        image: String,
        /// What the engine or registry said.
        reason: String,
    },
}

/// Is told of progress. Returns at once; whether anybody looks is not the backend's business.
pub trait Progress: Send + Sync {
    /// Takes note of `event`.
    fn report(&self, event: ProgressEvent);
}

/// Takes note of nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn report(&self, _event: ProgressEvent) {}
}
