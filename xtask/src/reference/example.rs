//! The comments that an example begins with: what the reference says of its key, and what running it must show. Not for running it.

use anyhow::{Context, Result, bail};

/// A pipeline file that shows one key.
pub(super) struct Example {
    /// What it shows, in words.
    pub(super) about: String,
    /// What holds when the key is not there: words, or in back quotes a value that means the same.
    pub(super) default: String,
    /// What else is to be known of its values.
    pub(super) limits: Vec<String>,
    pub(super) refused: Vec<Refused>,
    /// Variables of the environment that it runs in.
    pub(super) environment: Vec<(String, String)>,
    /// At least one.
    pub(super) runs: Vec<Run>,
    /// The file without those comments.
    pub(super) text: String,
}

/// A value that the check of files refuses or warns of.
pub(super) struct Refused {
    /// The key with its value.
    pub(super) value: String,
    /// What the finding says.
    pub(super) message: String,
}

/// One call of the program.
pub(super) struct Run {
    pub(super) command: Called,
    /// Texts that a line of the output has, in this order.
    pub(super) prints: Vec<String>,
    /// Texts that no line of the output has.
    pub(super) hides: Vec<String>,
    /// The exit code.
    pub(super) ends: i32,
}

/// What is called.
pub(super) enum Called {
    /// The example itself, with more flags.
    Example(String),
    /// `jobwright` with these arguments.
    Program(String),
}

impl Run {
    fn new(command: Called) -> Self {
        Self { command, prints: Vec::new(), hides: Vec::new(), ends: 0 }
    }
}

impl Example {
    /// Reads the comments at the top of `text`.
    ///
    /// # Errors
    /// When one is not known, or when what the reference must say is not there.
    pub(super) fn read(text: &str) -> Result<Self> {
        let mut example = Self {
            about: String::new(),
            default: String::new(),
            limits: Vec::new(),
            refused: Vec::new(),
            environment: Vec::new(),
            runs: Vec::new(),
            text: without_comments(text),
        };
        for line in text.lines().map_while(|line| line.strip_prefix('#')) {
            example.take(line.trim()).with_context(|| format!("failed to read `#{line}`"))?;
        }
        if example.runs.is_empty() {
            example.runs.push(Run::new(Called::Example(String::new())));
        }
        example.complete()
    }

    /// Whether a job of it names an image, so that it runs in containers.
    pub(super) fn has_images(&self) -> bool {
        self.text.lines().any(|line| line.trim_start().starts_with("image:"))
    }

    fn take(&mut self, line: &str) -> Result<()> {
        let Some((word, rest)) = directive(line) else {
            self.about = format!("{} {line}", self.about).trim().to_owned();
            return Ok(());
        };
        let rest_of = || rest.to_owned();
        match word {
            "default" => self.default = rest_of(),
            "limits" => self.limits.push(rest_of()),
            "refused" => {
                let (value, message) =
                    rest.split_once(" => ").context("it must be `KEY: VALUE => WHAT IS SAID`")?;
                self.refused
                    .push(Refused { value: value.trim().to_owned(), message: message.trim().to_owned() });
            }
            "with" => {
                let (name, value) = rest.split_once('=').context("it must be `NAME=VALUE`")?;
                self.environment.push((name.to_owned(), value.to_owned()));
            }
            "run" => self.runs.push(Run::new(Called::Example(rest_of()))),
            "then" => self.runs.push(Run::new(Called::Program(rest_of()))),
            "prints" => self.last_run().prints.push(rest_of()),
            "hides" => self.last_run().hides.push(rest_of()),
            _ => self.last_run().ends = rest.parse().context("it must be an exit code")?,
        }
        Ok(())
    }

    fn last_run(&mut self) -> &mut Run {
        if self.runs.is_empty() {
            self.runs.push(Run::new(Called::Example(String::new())));
        }
        let last = self.runs.len() - 1;
        &mut self.runs[last]
    }

    fn complete(self) -> Result<Self> {
        if self.about.is_empty() {
            bail!("the first comment must say what the example shows");
        }
        if self.default.is_empty() {
            bail!("`# default: ` must say what holds when the key is not there");
        }
        if self.refused.is_empty() {
            bail!("`# refused: KEY: VALUE => WHAT IS SAID` must show a wrong value");
        }
        if self.runs.iter().all(|run| run.prints.is_empty()) {
            bail!("`# prints: ` must say what its output shows");
        }
        Ok(self)
    }
}

/// A directive and what it says.
fn directive(line: &str) -> Option<(&str, &str)> {
    const WORDS: [&str; 9] =
        ["default", "limits", "refused", "with", "run", "then", "prints", "hides", "ends"];
    let (word, rest) = line.split_once(':')?;
    WORDS.contains(&word).then_some((word, rest.trim()))
}

/// The file without the comments at its top.
pub(super) fn without_comments(text: &str) -> String {
    let lines = text.lines().skip_while(|line| line.starts_with('#') || line.is_empty());
    lines.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_run_belongs_to_the_run_before_it() {
        let example = Example::read(
            "# Shows it,\n# twice.\n# default: `0`\n# refused: x: 1 => wrong\n# prints: a\n# run: --parallel\n# prints: b: c\n# ends: 1\n# then: cache ls\n# hides: d\n\nstages: []\n# kept\n",
        )
        .unwrap();
        assert_eq!(
            (example.about.as_str(), example.text.as_str()),
            ("Shows it, twice.", "stages: []\n# kept\n")
        );
        let ends: Vec<_> =
            example.runs.iter().map(|run| (run.prints.len(), run.hides.len(), run.ends)).collect();
        assert_eq!(ends, [(1, 0, 0), (1, 0, 1), (0, 1, 0)]);
        assert!(matches!(&example.runs[2].command, Called::Program(command) if command == "cache ls"));
    }

    #[test]
    fn an_example_that_shows_nothing_is_refused() {
        for text in
            ["# Only words.\n", "# default: 0\n# refused: a => b\n# prints: x\n", "# A.\n# refused: a\n"]
        {
            assert!(Example::read(text).is_err(), "{text}");
        }
    }
}
