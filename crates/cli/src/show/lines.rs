//! Chunks of several writers, put together into whole lines so that the lines of one do not cut those of another.

use std::collections::BTreeMap;

/// Who writes: job, step, and which stream.
pub(crate) type Writer = (String, String, &'static str);

/// The longest line that is waited for, in bytes; a longer one is cut.
const LONGEST: usize = 16 * 1024;

/// What each writer has written of a line that is not whole yet.
#[derive(Default)]
pub(crate) struct Lines(BTreeMap<Writer, Vec<u8>>);

impl Lines {
    /// Takes a chunk; gives every line that is whole now to `show`, with its line feed.
    pub(crate) fn push(&mut self, writer: Writer, chunk: &[u8], mut show: impl FnMut(&[u8])) {
        let open = self.0.entry(writer).or_default();
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            if open.is_empty() && piece.ends_with(b"\n") {
                show(piece);
                continue;
            }
            open.extend_from_slice(piece);
            if open.len() > LONGEST && !open.ends_with(b"\n") {
                open.push(b'\n');
            }
            if open.ends_with(b"\n") {
                show(open);
                open.clear();
            }
        }
    }

    /// Gives the unfinished last lines of `job` to `show`, each with its step, ended by a line feed.
    pub(crate) fn finish(&mut self, job: &str, mut show: impl FnMut(&str, &[u8])) {
        self.0.retain(|(of, step, _), line| {
            if of == job && !line.is_empty() {
                line.push(b'\n');
                show(step, line);
            }
            of != job
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(step: &str) -> Writer {
        ("job".into(), step.into(), "stdout")
    }

    fn pushed(lines: &mut Lines, step: &str, chunk: &str) -> Vec<String> {
        let mut shown = Vec::new();
        lines.push(writer(step), chunk.as_bytes(), |line| {
            shown.push(String::from_utf8_lossy(line).into_owned())
        });
        shown
    }

    #[test]
    fn a_line_is_shown_when_it_is_whole_whoever_writes_between() {
        let mut lines = Lines::default();
        assert!(pushed(&mut lines, "a", "one").is_empty());
        assert_eq!(pushed(&mut lines, "b", "two\nth"), ["two\n"]);
        assert_eq!(pushed(&mut lines, "a", "\nfour\n"), ["one\n", "four\n"]);
        let mut rest = Vec::new();
        lines.finish("job", |step, line| {
            rest.push((step.to_owned(), String::from_utf8_lossy(line).into_owned()))
        });
        assert_eq!(rest, [("b".to_owned(), "th\n".to_owned())]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::default();
        let shown = pushed(&mut lines, "a", &"x".repeat(LONGEST + 1));
        assert_eq!(shown.len(), 1);
    }
}
