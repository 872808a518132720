//! What came of the suite: which cases passed, failed and were skipped, and the table that shows it.

use std::fmt;
use std::time::Duration;

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not, for this reason.
    Failed(String),
    /// It needs this, which the backend or the fixture lacks.
    Skipped(&'static str),
}

/// One case's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The case.
    pub name: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took, clean-up included.
    pub took: Duration,
}

/// What came of all cases that ran, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub(super) lines: Vec<Line>,
    /// What was found in the engine after the last case.
    pub(super) leftovers: Vec<String>,
}

impl Report {
    /// Every case's line.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Names of the cases that passed.
    #[must_use]
    pub fn passed(&self) -> Vec<&'static str> {
        self.lines.iter().filter(|line| line.verdict == Verdict::Passed).map(|line| line.name).collect()
    }

    /// Names of the cases that failed, with the reason.
    #[must_use]
    pub fn failed(&self) -> Vec<(&'static str, &str)> {
        let failed = self.lines.iter().filter_map(|line| match &line.verdict {
            Verdict::Failed(reason) => Some((line.name, reason.as_str())),
            _ => None,
        });
        failed.collect()
    }

    /// Names of the cases that were skipped, with what they need.
    #[must_use]
    pub fn skipped(&self) -> Vec<(&'static str, &'static str)> {
        let skipped = self.lines.iter().filter_map(|line| match line.verdict {
            Verdict::Skipped(needs) => Some((line.name, needs)),
            _ => None,
        });
        skipped.collect()
    }

    /// Prints what was skipped, and returns when everything else passed.
    ///
    /// # Panics
    /// With the whole table when a case failed, when anything was left behind, and when no case passed at all.
    #[track_caller]
    pub fn assert_passed(&self) {
        let good = self.failed().is_empty() && self.leftovers.is_empty() && !self.passed().is_empty();
        assert!(good, "the backend does not conform:\n{self}");
        for (name, needs) in self.skipped() {
            println!("skipped {name}: needs {needs}");
        }
        println!("{} cases passed, {} skipped", self.passed().len(), self.skipped().len());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            let milliseconds = line.took.as_millis();
            match &line.verdict {
                Verdict::Passed => writeln!(f, "  passed   {} ({milliseconds} ms)", line.name)?,
                Verdict::Skipped(needs) => writeln!(f, "  skipped  {}: needs {needs}", line.name)?,
                Verdict::Failed(reason) => {
                    writeln!(f, "  FAILED   {} ({milliseconds} ms): {reason}", line.name)?
                }
            }
        }
        for leftover in &self.leftovers {
            writeln!(f, "  left behind after the suite: {leftover}")?;
        }
        let (passed, failed, skipped) = (self.passed().len(), self.failed().len(), self.skipped().len());
        write!(f, "  {passed} passed, {failed} failed, {skipped} skipped")
    }
}
