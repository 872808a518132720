//! What a backend says of itself.

use std::fmt;

/// Whether a backend can be used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Availability {
    /// It can.
    Available,
    /// It cannot, for this reason: a sentence fragment that says what would have to be different.
    Unavailable(String),
}

impl Availability {
    /// Whether it can be used.
    #[must_use]
    pub fn is_available(&self) -> bool {
        matches!(self, Self::Available)
    }
}

/// What a loaded backend reports (`BackendInfo` of the interface document).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendInfo {
    /// Operating system and processor as Go names them, `linux/amd64`.
    pub platform: String,
    /// The engine and its version, for people: `Docker 20.10.24`.
    pub engine: String,
    /// What tells this engine from every other one and stays the same while it is set up anew or its host restarts; none when
    /// it has nothing of the kind. Two equal ones mean the same engine, for comparison only: its form is the backend's own
    /// business, and as it may hold names of this machine it is not for showing around.
    pub engine_id: Option<String>,
}

/// How far a [`crate::LogPosition`] can be trusted when a log is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPrecision {
    /// Reading goes on at exactly that byte.
    Exact,
    /// The log is replayed from its start and discarded up to that byte: exact, but it costs reading what came before.
    ReplayAndDiscard,
    /// Bytes around the position may come twice or not at all.
    BestEffort,
}

/// What a backend can do beyond running steps. A conformance case that needs what is missing is shown as skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Steps run in images of their own, and see nothing of the host but what they were given.
    pub images: bool,
    /// Steps of one workflow reach each other by their names.
    pub network: bool,
    /// Standard output and standard error come apart.
    pub separate_streams: bool,
    /// A line keeps its end however long it is: without this, the line feed of a last line longer than 16 KiB may be lost.
    pub long_lines: bool,
    /// How exact a log position is.
    pub log_precision: LogPrecision,
    /// A death by signal is told from an exit code.
    pub signals: bool,
    /// An end by the memory limit is told from any other.
    pub oom: bool,
    /// Processor and memory limits are enforced.
    pub limits: bool,
    /// What a step used is reported at its end.
    pub usage: bool,
    /// Files go in and out as tar streams.
    pub files: bool,
    /// Steps, their output and their exit statuses outlive Jobwright's own death.
    pub survives_owner: bool,
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            ("images", self.images),
            ("network", self.network),
            ("separate streams", self.separate_streams),
            ("line ends of any length", self.long_lines),
            ("signals", self.signals),
            ("out-of-memory detection", self.oom),
            ("limits", self.limits),
            ("usage", self.usage),
            ("files", self.files),
            ("survives its owner", self.survives_owner),
        ];
        let has: Vec<_> = all.iter().filter(|(_, has)| *has).map(|(name, _)| *name).collect();
        f.write_str(&has.join(", "))
    }
}
