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

/// `✓ build  1.2s`, `✗ test  3.1s  exited with non-zero status 3`.
pub(crate) fn finished(job: &str, ending: &Ending, duration: Duration, error: Option<&str>) -> String {
    let (mark, style) = mark(ending.outcome);
    let took = format_duration(duration);
    let why = error.map(|error| format!("  {}", strip_job(error, job))).unwrap_or_default();
    format!("{style}{mark} {job}{style:#}  {took}{why}")
}

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
pub(crate) struct Tally([usize; 5]);

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
        let (EventKind::JobFinished { ending, .. } | EventKind::JobSkipped { ending, .. }) = &event.kind
        else {
            return;
        };
        for ((outcome, _), count) in OUTCOMES.iter().zip(&mut self.0) {
            *count += usize::from(*outcome == ending.outcome);
        }
    }

    /// Whether no job has ended.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// `✗ run 2026… failed in 4.2s: 1 passed, 1 failed`.
    pub(crate) fn summary(&self, run: &str, ending: &Ending, duration: Duration) -> String {
        let (mark, style) = mark(ending.outcome);
        let counts: Vec<_> = OUTCOMES
            .iter()
            .zip(&self.0)
            .filter(|(_, count)| **count > 0)
            .map(|((_, word), count)| format!("{count} {word}"))
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

    #[test]
    fn a_job_is_named_once_in_the_line_of_its_end() {
        let line = |error: &str| {
            let shown = finished("a b", &Ending::new(Cause::ExitCode), Duration::from_secs(1), Some(error));
            anstream::adapter::strip_str(&shown).to_string()
        };
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
