//! How events read: the words of both human forms.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use jobwright_events::{Event, EventKind};
use jobwright_model::{Ending, Outcome, format_duration};

/// The mark and colour of an outcome.
pub(crate) fn mark(outcome: Outcome) -> (&'static str, Style) {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match outcome {
        Outcome::Succeeded => ("✓", colour(AnsiColor::Green)),
        Outcome::Failed => ("✗", colour(AnsiColor::Red)),
        Outcome::Cancelled => ("■", colour(AnsiColor::Yellow)),
        Outcome::Skipped => ("-", Style::new().dimmed()),
        Outcome::Lost => ("?", colour(AnsiColor::Magenta)),
    }
}

/// `✓ build  1.2s`, `✗ test  3.1s  exited with non-zero status 3`, `! lint  0.4s  may fail: exited with non-zero status 1`.
pub(crate) fn finished(end: &Finished<'_>) -> String {
    let Finished { job, ending, duration, error, allowed } = end;
    let (mark, style) = if *allowed { PASSED_OVER } else { mark(ending.outcome) };
    let took = format_duration(*duration);
    let why = error.map(|error| strip_job(error, job)).unwrap_or_default();
    let why = match (allowed, why) {
        (false, "") => String::new(),
        (true, "") => "  may fail".to_owned(),
        (false, why) => format!("  {why}"),
        (true, why) => format!("  may fail: {why}"),
    };
    format!("{style}{mark} {job}{style:#}  {took}{why}")
}

/// A job's end, as far as it is shown.
pub(crate) struct Finished<'a> {
    pub(crate) job: &'a str,
    pub(crate) ending: &'a Ending,
    pub(crate) duration: Duration,
    pub(crate) error: Option<&'a str>,
    /// It failed, as it may.
    pub(crate) allowed: bool,
}

/// The mark and colour of a failure that the run passes over.
const PASSED_OVER: (&str, Style) =
    ("!", Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Yellow))));

/// An error without the name of the job that stands before it anyway.
fn strip_job<'a>(error: &'a str, job: &str) -> &'a str {
    let rest = error
        .strip_prefix("Job ")
        .and_then(|rest| rest.strip_prefix(job))
        .and_then(|rest| rest.strip_prefix(' '));
    rest.map_or(error, |rest| rest.strip_prefix("failed: ").unwrap_or(rest))
}

/// `- deploy  skipped: test did not pass`.
pub(crate) fn skipped(job: &str, ending: &Ending) -> String {
    let (mark, style) = mark(ending.outcome);
    let why = ending.evidence.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{style}{mark} {job}  {}{why}{style:#}", ending.outcome.as_str())
}

/// How many jobs ended how.
#[derive(Default)]
pub(crate) struct Tally {
    of_outcome: [usize; 5],
    /// Those that failed as they may; they are not among the others.
    passed_over: usize,
}

const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Succeeded, "passed"),
    (Outcome::Failed, "failed"),
    (Outcome::Cancelled, "cancelled"),
    (Outcome::Lost, "lost"),
    (Outcome::Skipped, "skipped"),
];

impl Tally {
    /// Counts a job that ended.
    pub(crate) fn note(&mut self, event: &Event) {
        let ending = match &event.kind {
            EventKind::JobFinished { allowed: true, .. } => {
                self.passed_over += 1;
                return;
            }
            EventKind::JobFinished { ending, .. } | EventKind::JobSkipped { ending, .. } => ending,
            _ => return,
        };
        for ((outcome, _), count) in OUTCOMES.iter().zip(&mut self.of_outcome) {
            *count += usize::from(*outcome == ending.outcome);
        }
    }

    /// Whether no job has ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.passed_over == 0 && self.of_outcome.iter().all(|count| *count == 0)
    }

    /// `✗ run 2026… failed in 4.2s: 1 passed, 1 failed`.
    pub(crate) fn summary(&self, run: &str, ending: &Ending, duration: Duration) -> String {
        let (mark, style) = mark(ending.outcome);
        let counts = OUTCOMES.iter().zip(self.of_outcome).map(|((_, word), count)| (*word, count));
        let counts: Vec<_> = counts
            .chain([("failed as allowed", self.passed_over)])
            .filter(|(_, count)| *count > 0)
            .map(|(word, count)| format!("{count} {word}"))
            .collect();
        let counts = if counts.is_empty() { "no job ran".to_owned() } else { counts.join(", ") };
        let outcome = ending.outcome.as_str();
        format!("{style}{mark} run {run} {outcome}{style:#} in {}: {counts}", format_duration(duration))
    }
}

/// A block of somebody's output, set off from our own lines. Of a line that was written over, the last state.
pub(crate) fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_end_matches('\r').rsplit('\r').next().unwrap_or_default());
    lines.map(|line| format!("  │ {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use jobwright_model::Cause;

    use super::*;

    fn shown(error: Option<&str>, allowed: bool) -> String {
        let (ending, duration) = (&Ending::new(Cause::ExitCode), Duration::from_secs(1));
        let shown = finished(&Finished { job: "a b", ending, duration, error, allowed });
        anstream::adapter::strip_str(&shown).to_string()
    }

    #[test]
    fn a_failure_that_is_allowed_is_marked_as_such() {
        let line = shown(Some("Job a b failed: exited with non-zero status 3"), true);
        assert_eq!(line, "! a b  1.0s  may fail: exited with non-zero status 3");
        assert_eq!(shown(None, true), "! a b  1.0s  may fail");
    }

    #[test]
    fn a_job_is_named_once_in_the_line_of_its_end() {
        let line = |error: &str| shown(Some(error), false);
        assert_eq!(
            line("Job a b failed: exited with non-zero status 3"),
            "✗ a b  1.0s  exited with non-zero status 3"
        );
        assert_eq!(line("Job a b was lost: no answer"), "✗ a b  1.0s  was lost: no answer");
        assert_eq!(line("of another form"), "✗ a b  1.0s  of another form");
    }

    #[test]
    fn of_a_line_that_was_written_over_the_last_state_is_shown() {
        assert_eq!(indented("10%\r50%\r100%\nplain\r\n"), "  │ 100%\n  │ plain");
    }
}
