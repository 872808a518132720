//! Standard output, until nobody reads it any more: that a pipe was closed must not end the run behind it (DESIGN rule 7).

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line of a command's answer.
pub(crate) fn say(text: impl Display) {
    Out::new().write(&[format!("{text}\n").as_bytes()]);
}

/// Writes a command's answer as JSON that people can read too.
pub(crate) fn json(answer: &impl serde::Serialize) {
    let text = serde_json::to_string_pretty(answer).expect("an answer's keys are strings");
    say(text);
}

/// Bytes on their way to standard output. After the first failure it takes everything and writes nothing.
pub(crate) struct Out {
    stdout: io::Stdout,
    broken: bool,
}

impl Out {
    pub(crate) fn new() -> Self {
        Self { stdout: io::stdout(), broken: false }
    }

    /// Writes all of `parts`, and lets them be seen at once.
    pub(crate) fn write(&mut self, parts: &[&[u8]]) {
        if self.broken {
            return;
        }
        let mut stdout = self.stdout.lock();
        let written = parts.iter().try_for_each(|part| stdout.write_all(part)).and_then(|()| stdout.flush());
        self.broken = written.is_err();
    }
}
