//! What came of each suite, and the table that ends a test run. Not for running suites.

use std::fmt;
use std::time::Duration;

/// What came of one suite.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    /// One line each.
    pub(crate) failed: Vec<String>,
    /// What was skipped, and why.
    pub(crate) skipped: Vec<String>,
    /// What failed and passed when it was run again by itself: shown, because it is a defect of the test or of what it tests.
    pub(crate) flaky: Vec<String>,
}

impl Tally {
    /// One check that passed.
    pub(crate) fn passed() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    /// One check that failed.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self { failed: vec![why.into()], ..Self::default() }
    }

    /// Counts what came of another part too.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
        self.flaky.extend(other.flaky);
    }

    /// One check that was not made.
    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Self { skipped: vec![why.into()], ..Self::default() }
    }
}

impl From<anyhow::Result<()>> for Tally {
    fn from(outcome: anyhow::Result<()>) -> Self {
        outcome.map_or_else(|error| Self::failed(format!("{error:#}")), |()| Self::passed())
    }
}

/// One row of the table.
pub(crate) struct Row {
    pub(crate) suite: &'static str,
    pub(crate) tally: Tally,
    pub(crate) took: Duration,
}

/// Everything that came of a test run.
#[derive(Default)]
pub(crate) struct Summary {
    pub(crate) rows: Vec<Row>,
}

impl Summary {
    pub(crate) fn has_failed(&self) -> bool {
        self.rows.iter().any(|row| !row.tally.failed.is_empty())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12} {:>7} {:>7} {:>8} {:>8}", "suite", "passed", "failed", "skipped", "seconds")?;
        for Row { suite, tally, took } in &self.rows {
            let (failed, skipped) = (tally.failed.len(), tally.skipped.len());
            writeln!(
                f,
                "{suite:<12} {:>7} {failed:>7} {skipped:>8} {:>8.1}",
                tally.passed,
                took.as_secs_f64()
            )?;
        }
        for Row { suite, tally, .. } in &self.rows {
            for why in &tally.skipped {
                writeln!(f, "skipped in {suite}: {why}")?;
            }
        }
        for Row { suite, tally, .. } in &self.rows {
            for which in &tally.flaky {
                writeln!(f, "FLAKY in {suite}: {which} failed once and passed when it was run again")?;
            }
        }
        for Row { suite, tally, .. } in &self.rows {
            for why in &tally.failed {
                writeln!(f, "FAILED in {suite}: {why}")?;
            }
        }
        let passed: u64 = self.rows.iter().map(|row| row.tally.passed).sum();
        let failed: usize = self.rows.iter().map(|row| row.tally.failed.len()).sum();
        let skipped: usize = self.rows.iter().map(|row| row.tally.skipped.len()).sum();
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_each_suite_why_something_was_skipped_and_the_totals_last() {
        let good = Tally { passed: 3, skipped: vec!["podman: not installed".into()], ..Tally::default() };
        let row = |suite, tally| Row { suite, tally, took: Duration::from_millis(1500) };
        let summary =
            Summary { rows: vec![row("cargo", good), row("layers", Tally::failed("x is not below y"))] };
        let text = summary.to_string();
        assert!(text.contains("cargo              3       0        1      1.5\n"), "{text}");
        assert!(
            text.contains("skipped in cargo: podman: not installed\nFAILED in layers: x is not below y\n")
        );
        assert!(text.ends_with("3 passed, 1 failed, 1 skipped"), "{text}");
        assert!(summary.has_failed());
    }
}
