//! What there is to say around a shell in a job's environment, on standard error, as standard output is the shell's: what happens before it
//! is there and after it has ended. While it is there the terminal is its own; all of it is in the event log anyway.

use jobwright_events::{Event, EventKind};

use super::lines::Lines;
use super::{Show, aside};
use crate::shell;

#[derive(Default)]
pub(crate) struct Around {
    lines: Lines,
}

impl Show for Around {
    fn event(&mut self, event: &Event) {
        match &event.kind {
            _ if shell::is_open() => {}
            // What only waits has nothing to say.
            EventKind::LogLine { job: Some(job), step: Some(step), .. } if step == job => {}
            EventKind::LogLine { job: Some(job), step: Some(step), stream, data, .. } => {
                let key = (job.to_string(), step.to_string(), stream.as_str());
                self.lines.push(key, data, |line| {
                    aside::write_line(format_args!("[{step}] {}", String::from_utf8_lossy(line).trim_end()));
                });
            }
            EventKind::JobFinished { job, .. } => self.lines.finish(job, |step, line| {
                aside::write_line(format_args!("[{step}] {}", String::from_utf8_lossy(line).trim_end()));
            }),
            EventKind::Diagnostic { data } => aside::write_line(data.trim_end()),
            _ => {}
        }
    }
}
