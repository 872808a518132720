//! Reads the output of `cargo test -- --show-output`: which tests passed, failed and were skipped. Not for
//! running it.
//!
//! A test that lacks something on this machine passes and prints a line `skipped <what>: <why>`; it is counted
//! as skipped here, and shown. `--show-output` makes libtest show what passing tests printed.

use super::summary::Tally;

/// A reader that is fed line by line.
#[derive(Default)]
pub(crate) struct Reader {
    tally: Tally,
    /// The binary whose tests run, as cargo names it.
    binary: String,
    /// The test whose output follows.
    test: String,
    /// Tests that printed at least one skip; they are not counted as passed.
    skipping: Option<String>,
    section: Section,
}

#[derive(Default, PartialEq)]
enum Section {
    #[default]
    Tests,
    Successes,
    Failures,
}

impl Reader {
    /// Takes one line; answers whether a person wants to see it (what passing tests printed is left out).
    pub(crate) fn read(&mut self, line: &str) -> bool {
        if let Some(rest) = line.trim_start().strip_prefix("Running ") {
            self.begin(rest);
        } else if let Some(rest) = line.trim_start().strip_prefix("Doc-tests ") {
            self.begin(rest);
        } else if line.starts_with("test result: ") {
            self.section = Section::Tests;
        } else if line == "successes:" {
            self.section = Section::Successes;
        } else if line == "failures:" {
            self.section = Section::Failures;
        } else if self.section == Section::Tests {
            self.verdict(line);
        } else if let Some(test) = output_of(line) {
            test.clone_into(&mut self.test);
        } else if self.section == Section::Successes {
            self.skip(line);
        }
        self.section != Section::Successes
    }

    /// What all lines came to.
    pub(crate) fn finish(self) -> Tally {
        self.tally
    }

    fn begin(&mut self, binary: &str) {
        binary.split(" (").next().unwrap_or(binary).clone_into(&mut self.binary);
        self.section = Section::Tests;
    }

    fn verdict(&mut self, line: &str) {
        let Some((test, verdict)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        else {
            return;
        };
        match verdict.split(',').next().unwrap_or(verdict) {
            "ok" => self.tally.passed += 1,
            "FAILED" => self.tally.failed.push(format!("{test} ({})", self.binary)),
            "ignored" => {
                let why = verdict.split_once(", ").map_or("marked as ignored", |(_, why)| why);
                // The other half of a test, which starts it as a process of its own, is not left out.
                if why.starts_with("run by ") || why.starts_with("started by ") {
                    return;
                }
                self.tally.skipped.push(format!("{test} ({}): {why}", self.binary));
            }
            _ => {}
        }
    }

    /// A test that only skipped did not pass; one that ran cases and skipped some did. The first line of what
    /// a test printed tells them apart: a suite of cases ends with "N cases passed".
    fn skip(&mut self, line: &str) {
        const MARK: &str = "skipped";
        if line.get(..MARK.len()).is_some_and(|mark| mark.eq_ignore_ascii_case(MARK)) {
            let what = line[MARK.len()..].trim_start_matches([':', ' ']);
            self.tally.skipped.push(format!("{} ({}): {what}", self.test, self.binary));
            if self.skipping.as_deref() != Some(&self.test) {
                self.skipping = Some(self.test.clone());
                self.tally.passed = self.tally.passed.saturating_sub(1);
            }
        } else if let Some(cases) =
            line.strip_suffix(" skipped").and_then(|l| l.split_once(" cases passed, "))
        {
            // A conformance suite: each case is a test, and the function that ran them is none.
            let was_skipping = self.skipping.as_deref() == Some(&self.test);
            self.tally.passed += cases.0.parse::<u64>().unwrap_or(0);
            self.tally.passed = self.tally.passed.saturating_sub(u64::from(!was_skipping));
        }
    }
}

fn output_of(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" stdout ----")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Tally {
        let mut reader = Reader::default();
        text.lines().for_each(|line| {
            reader.read(line);
        });
        reader.finish()
    }

    const OUTPUT: &str = "     Running unittests src/lib.rs (/t/debug/deps/a-1)\n\nrunning 4 tests\ntest a::one ... ok\n\
        test a::two ... ok\ntest a::three ... FAILED\ntest a::four ... ignored, needs a VM\n\nsuccesses:\n\n\
        ---- a::two stdout ----\nSKIPPED: podman: no socket\n\n\nsuccesses:\n    a::one\n    a::two\n\nfailures:\n\n\
        ---- a::three stdout ----\nskipped nothing\n\nfailures:\n    a::three\n\n\
        test result: FAILED. 2 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn a_test_that_only_says_what_it_lacks_counts_as_skipped() {
        let tally = read(OUTPUT);
        assert_eq!(tally.passed, 1);
        assert_eq!(tally.failed, ["a::three (unittests src/lib.rs)"]);
        let skipped = [
            "a::four (unittests src/lib.rs): needs a VM",
            "a::two (unittests src/lib.rs): podman: no socket",
        ];
        assert_eq!(tally.skipped, skipped);
    }

    #[test]
    fn each_case_of_a_conformance_suite_counts() {
        let text = "test conforms ... ok\nsuccesses:\n---- conforms stdout ----\nskipped oom: needs limits\n\
            skipped x: needs images\n40 cases passed, 2 skipped\ntest result: ok.\n";
        let tally = read(text);
        assert_eq!((tally.passed, tally.skipped.len()), (40, 2));
        let none_skipped =
            "test conforms ... ok\nsuccesses:\n---- conforms stdout ----\n40 cases passed, 0 skipped\n";
        assert_eq!(read(none_skipped).passed, 40);
    }

    #[test]
    fn a_test_that_another_one_starts_is_not_skipped() {
        let tally = read("test a::child ... ignored, run by a::parent\ntest a::other ... ignored\n");
        assert_eq!(tally.skipped, ["a::other (): marked as ignored"]);
    }

    #[test]
    fn what_passing_tests_printed_is_not_shown_again() {
        let mut reader = Reader::default();
        let shown: Vec<&str> = OUTPUT.lines().filter(|line| reader.read(line)).collect();
        assert!(!shown.contains(&"SKIPPED: podman: no socket"));
        assert!(shown.contains(&"test a::one ... ok") && shown.contains(&"---- a::three stdout ----"));
    }
}
