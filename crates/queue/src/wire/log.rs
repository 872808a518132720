//! What a command of a job prints, on its way to the queue (sourcegraph.md 2). Not for masking it, which is `redact`'s.

use std::time::Duration;

use jiff::Timestamp;
use jobwright_model::LogEntry;
use serde::Serialize;

use super::{Fields, Malformed, ZERO_TIME, written};

/// One command of a job (`ExecutionLogEntry`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutionLogEntry {
    /// What of the job it is, such as `step.docker.0`.
    pub key: String,
    /// Its arguments; `None` for what is no command.
    pub command: Option<Vec<String>>,
    /// When it began.
    pub start_time: Timestamp,
    /// How it ended; none while it runs.
    pub exit_code: Option<i32>,
    /// All that it printed so far.
    pub out: String,
    /// How long it ran, once it has ended, in milliseconds.
    pub duration_ms: Option<i64>,
}

/// In which form an entry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogForm {
    /// Before July 2021: one entry for a command that has ended, with all keys.
    Early,
    /// Since then: what is not known yet is left out.
    Live,
}

/// An agent adds an entry (`AddExecutionLogEntryRequest`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddExecutionLogEntryRequest {
    /// Who says it.
    pub executor_name: String,
    /// The job's number in the queue that the path names.
    pub job_id: i64,
    /// The entry; its fields stand at the same level.
    pub entry: ExecutionLogEntry,
}

/// An agent says anew what an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateExecutionLogEntryRequest {
    /// Who says it.
    pub executor_name: String,
    /// The job's number in the queue that the path names.
    pub job_id: i64,
    /// The entry's number, from 1: the answer to adding it.
    pub entry_id: i64,
    /// What it is now, its whole output included.
    pub entry: ExecutionLogEntry,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    executor_name: &'a str,
    job_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry_id: Option<i64>,
    key: &'a str,
    command: Option<&'a [String]>,
    start_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
}

impl AddExecutionLogEntryRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::read(body)?;
        Ok(Self {
            executor_name: fields.text("executorName")?,
            job_id: fields.integer("jobId")?.unwrap_or_default(),
            entry: ExecutionLogEntry::take(&mut fields)?,
        })
    }

    /// The body.
    #[must_use]
    pub fn encode(&self, form: LogForm) -> Vec<u8> {
        written(&self.entry.body(&self.executor_name, self.job_id, None, form))
    }
}

impl UpdateExecutionLogEntryRequest {
    /// Reads a body. A missing `entryId` is 0, which no entry is.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::read(body)?;
        Ok(Self {
            executor_name: fields.text("executorName")?,
            job_id: fields.integer("jobId")?.unwrap_or_default(),
            entry_id: fields.integer("entryId")?.unwrap_or_default(),
            entry: ExecutionLogEntry::take(&mut fields)?,
        })
    }

    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        written(&self.entry.body(&self.executor_name, self.job_id, Some(self.entry_id), LogForm::Live))
    }
}

/// The answer to adding an entry: its number. None from a server of before July 2021, which has no body.
///
/// # Errors
/// [`Malformed`].
pub fn entry_id(body: &[u8]) -> Result<Option<i64>, Malformed> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let value: serde_json::Value = serde_json::from_slice(body).map_err(Malformed::Syntax)?;
    Fields::of(serde_json::json!({"entryId": value}))?.integer("entryId")
}

impl ExecutionLogEntry {
    fn take(fields: &mut Fields) -> Result<Self, Malformed> {
        let exit_code = fields.integer("exitCode")?.map(i32::try_from).transpose();
        let too_large = |_| Malformed::Kind {
            place: "exitCode".into(),
            wanted: "a number of 32 bits",
            found: "a larger one",
        };
        Ok(Self {
            key: fields.text("key")?,
            command: fields.optional_texts("command")?,
            start_time: fields.moment("startTime")?.unwrap_or_else(zero_time),
            exit_code: exit_code.map_err(too_large)?,
            out: fields.text("out")?,
            duration_ms: fields.integer("durationMs")?,
        })
    }

    fn body<'a>(
        &'a self,
        executor_name: &'a str,
        job_id: i64,
        entry_id: Option<i64>,
        form: LogForm,
    ) -> Body<'a> {
        let early = form == LogForm::Early;
        Body {
            executor_name,
            job_id,
            entry_id,
            key: &self.key,
            command: self.command.as_deref(),
            start_time: self.start_time.to_string(),
            exit_code: if early { self.exit_code.or(Some(0)) } else { self.exit_code },
            out: (early || !self.out.is_empty()).then_some(self.out.as_str()),
            duration_ms: if early { self.duration_ms.or(Some(0)) } else { self.duration_ms },
        }
    }

    /// How it ended and how long it ran, once it has ended. Where only the exit code was told, the time is taken for none.
    #[must_use]
    pub fn end(&self) -> Option<(i32, Duration)> {
        self.exit_code.map(|code| (code, self.duration().unwrap_or_default()))
    }

    /// How long it ran; a time below zero, of a clock that was set back, is none.
    fn duration(&self) -> Option<Duration> {
        self.duration_ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default()))
    }
}

/// The moment that stands for none.
fn zero_time() -> Timestamp {
    ZERO_TIME.parse().unwrap_or(Timestamp::MIN)
}

impl From<ExecutionLogEntry> for LogEntry {
    fn from(entry: ExecutionLogEntry) -> Self {
        let duration = entry.duration();
        Self {
            key: entry.key,
            command: entry.command,
            started_at: entry.start_time,
            exit_code: entry.exit_code,
            out: entry.out,
            duration,
        }
    }
}

impl From<LogEntry> for ExecutionLogEntry {
    fn from(entry: LogEntry) -> Self {
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self {
            key: entry.key,
            command: entry.command,
            start_time: entry.started_at,
            exit_code: entry.exit_code,
            out: entry.out,
            duration_ms: entry.duration.map(ms),
        }
    }
}
