//! The records that the shim leaves, as JSON: how a step ended, and the shim's own `shim.json`.
//!
//! Both are complete or absent: a step's record has its place in the step's output ([`crate::slot`]), the shim's own is written
//! beside its place and renamed. The step's output is framed and lives in [`crate::frame`].

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ShimError;
use crate::identity::ProcessIdentity;
use crate::protocol::StepId;
use crate::slot::Slot;

/// The shim's own record in its directory.
pub const SHIM_FILE: &str = "shim.json";

/// The name of a file that waits to become an output.
pub const SPARE: &str = "spare";

/// Where a step's file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFiles {
    /// Absolute path of an existing folder.
    pub dir: PathBuf,
    /// What the file's name begins with, so that steps may share a folder; empty for a folder of the step's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stem: String,
}

impl StepFiles {
    /// The file of a step that has a folder of its own.
    pub fn in_folder(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), stem: String::new() }
    }

    /// The framed output, which begins with the place of the exit record: `output`, or `STEM.output`.
    pub fn output(&self) -> PathBuf {
        self.dir.join(if self.stem.is_empty() {
            "output".to_owned()
        } else {
            format!("{}.output", self.stem)
        })
    }

    /// An empty file that the shim makes the output of, instead of a new one: a file system takes longer to make and remove a file
    /// than to give it another name. Only where steps share a folder.
    pub fn spare(&self) -> Option<PathBuf> {
        (!self.stem.is_empty()).then(|| self.dir.join(SPARE))
    }

    /// The token of a step whose shim may have died between its first process and its first word about it; `None` when the shim did
    /// not come to that.
    pub fn noted_token(&self) -> Option<String> {
        Slot::read(&self.output()).ok()??.token()
    }
}

/// One moment on two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instants {
    /// Nanoseconds since 1970-01-01 UTC.
    pub realtime_ns: u64,
    /// Nanoseconds since boot, suspended time counted.
    pub boottime_ns: u64,
}

impl Instants {
    /// The present moment.
    pub fn now() -> Self {
        use rustix::time::{ClockId, clock_gettime};
        Self {
            realtime_ns: nanoseconds(clock_gettime(ClockId::Realtime)),
            boottime_ns: nanoseconds(clock_gettime(ClockId::Boottime)),
        }
    }

    /// Time passed from `earlier` to this moment by the clock that nobody sets; zero if there is none.
    pub fn since(&self, earlier: &Self) -> Duration {
        Duration::from_nanos(self.boottime_ns.saturating_sub(earlier.boottime_ns))
    }
}

/// Both clocks start at zero, so the fields are never negative.
fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

/// How a step's first process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    /// It returned this code, 0 to 255.
    Code(i32),
    /// It was ended by a signal.
    Signal {
        /// The signal's number.
        number: i32,
        /// Whether a core was dumped.
        core_dumped: bool,
    },
}

/// What a step's first process and the children it waited for used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Microseconds of CPU time in user mode.
    pub user_us: u64,
    /// Microseconds of CPU time in the kernel.
    pub system_us: u64,
    /// The largest resident set of any one of them, in bytes.
    pub max_rss_bytes: u64,
}

/// Who ended a step that did not end by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The owner's stop order came while the step ran.
    Stop,
    /// The step's deadline passed while no owner was there to decide.
    Deadline,
    /// The shim was told to end (an order or SIGTERM) while the step ran.
    Shutdown,
}

/// What is known of the output when the record is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputState {
    /// The end mark is in the file. False while something still holds the step's pipes; the record is
    /// written again when that ends.
    pub complete: bool,
    /// Length of the file `output` in bytes.
    pub length: u64,
    /// Bytes of the step's output that could not be written.
    pub lost: u64,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// The format's version, 1.
    pub version: u32,
    /// The step's name in its shim.
    pub step: StepId,
    /// The first process.
    pub pid: u32,
    /// How it ended.
    pub status: ExitStatus,
    /// When it started.
    pub started: Instants,
    /// When its end was seen.
    pub finished: Instants,
    /// What it used.
    pub usage: Usage,
    /// Whether the counters of its cgroup say that the memory limit ended a process of it, and it did not end with 0 all the same.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub out_of_memory: bool,
    /// Who ended it, if not itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    /// What became of its output.
    pub output: OutputState,
}

impl ExitRecord {
    /// Reads a step's record; `None` when there is none (yet).
    pub fn read(files: &StepFiles) -> Result<Option<Self>, ShimError> {
        let path = files.output();
        let Some(slot) = Slot::read(&path)? else { return Ok(None) };
        let record = slot.record().map(serde_json::from_slice).transpose();
        record.map_err(|source| ShimError::Record { path, source })
    }
}

/// The content of `shim.json`: who serves the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShimRecord {
    /// The newest protocol it speaks.
    pub protocol: u32,
    /// Its version, for people.
    pub version: String,
    /// The process.
    #[serde(flatten)]
    pub process: ProcessIdentity,
}

impl ShimRecord {
    /// Reads the record of the shim that serves, or served, `dir`; `None` when there is none.
    pub fn read(dir: &Path) -> Result<Option<Self>, ShimError> {
        read_json(&dir.join(SHIM_FILE))
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, ShimError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(source) => return Err(ShimError::File { path: path.to_owned(), source }),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|source| ShimError::Record { path: path.to_owned(), source })
}
