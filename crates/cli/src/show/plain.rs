//! Lines that are never repainted, for files, pipes and other people's CI. A job that runs alone is shown as it prints; jobs that
//! run side by side have their lines marked with their names.

use anstyle::Style;
use jobwright_events::{Event, EventKind, ExecKind};

use super::lines::Lines;
use super::sink::Out;
use super::words::{self, Finished, Tally};
use super::{Show, aside};

pub(crate) struct Plain {
    out: Out,
    lines: Lines,
    tally: Tally,
    /// Whether what a job that runs alone printed last was a whole line.
    at_line_start: bool,
    /// Whether the run has no other job than one, whose lines then need no mark.
    one_job: bool,
}

impl Plain {
    pub(crate) fn new() -> Self {
        Self {
            out: Out::new(),
            lines: Lines::default(),
            tally: Tally::default(),
            at_line_start: true,
            one_job: false,
        }
    }

    pub(crate) fn has_one_job(&self) -> bool {
        self.one_job
    }

    /// A line of our own.
    pub(crate) fn say(&mut self, text: &str) {
        self.end_line();
        let text = stripped(&format!("{text}\n"));
        self.out.write(&[text.as_bytes()]);
    }

    fn end_line(&mut self) {
        if !self.at_line_start {
            self.out.write(&[b"\n"]);
            self.at_line_start = true;
        }
    }

    fn output(&mut self, job: &str, step: &str, stream: &'static str, exec: ExecKind, data: &[u8]) {
        if (exec == ExecKind::Standalone || self.one_job) && step == job {
            self.out.write(&[data]);
            self.at_line_start = data.ends_with(b"\n");
            return;
        }
        let prefix = prefix(job, step);
        let out = &mut self.out;
        let alone = std::mem::replace(&mut self.at_line_start, true);
        if !alone {
            out.write(&[b"\n"]);
        }
        self.lines.push((job.to_owned(), step.to_owned(), stream), data, |line| {
            out.write(&[prefix.as_bytes(), line])
        });
    }
}

/// `[build] `, `[build/db] ` for a step beside the job's own.
fn prefix(job: &str, step: &str) -> String {
    let dim = Style::new().dimmed();
    let name = if step.is_empty() || step == job { job.to_owned() } else { format!("{job}/{step}") };
    stripped(&format!("{dim}[{name}]{dim:#} "))
}

/// With colours only where standard output takes them.
fn stripped(text: &str) -> String {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(text).to_string(),
        _ => text.to_owned(),
    }
}

impl Show for Plain {
    fn event(&mut self, event: &Event) {
        self.tally.note(event);
        match &event.kind {
            EventKind::RunStarted { order, .. } => self.one_job = order.len() == 1,
            EventKind::JobStarted { job, stage, .. } => {
                let bold = Style::new().bold();
                self.say(&format!("{bold}▶ {job}{bold:#} ({stage})"));
            }
            EventKind::LogLine { job: Some(job), step, exec, stream, data, .. } => {
                let step = step.as_deref().unwrap_or(job);
                self.output(job, step, stream.as_str(), *exec, data);
            }
            // What runs around all jobs prints as a job does that runs alone.
            EventKind::LogLine { job: None, step: Some(step), exec, stream, data, .. } => {
                self.output(step, step, stream.as_str(), *exec, data);
            }
            // What is skipped has an event of its own, which says why, too.
            EventKind::LogLine { job: None, data, .. } if data.starts_with(b"Skipping job ") => {}
            EventKind::LogLine { job: None, data, .. } => self.say(String::from_utf8_lossy(data).trim_end()),
            EventKind::LogGap { bytes, .. } => {
                self.say(&format!("[{bytes} bytes of output are missing here]"))
            }
            EventKind::Diagnostic { data } => aside::write_line(data.trim_end()),
            EventKind::JobFinished { job, ending, duration, error, allowed, .. } => {
                let out = &mut self.out;
                self.lines.finish(job, |step, line| out.write(&[prefix(job, step).as_bytes(), line]));
                let (duration, error, allowed) = (*duration, error.as_deref(), *allowed);
                self.say(&words::finished(&Finished { job, ending, duration, error, allowed }));
            }
            EventKind::JobSkipped { job, ending, .. } => self.say(&words::skipped(job, ending)),
            // Why a run could not begin is its failure's to say; there is nothing to sum up.
            EventKind::RunFinished { error: Some(_), .. } if self.tally.is_empty() => {}
            EventKind::RunFinished { duration, ending, .. } => {
                self.say(&self.tally.summary(event.run_id.as_str(), ending, *duration));
            }
            _ => {}
        }
    }
}
