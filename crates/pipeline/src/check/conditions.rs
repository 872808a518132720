//! The rules for `if`: each text is read once, however many jobs have it. Not for the language of conditions (`condition`).

use std::collections::HashMap;
use std::sync::Arc;

use crate::check::fields::Field;
use crate::check::values::scalar;
use crate::condition::{Condition, InvalidCondition};
use crate::finding::Finding;
use crate::findings::Findings;
use crate::source::Span;
use crate::yaml::Scalar;

/// The most different conditions of one pipeline.
const MOST: usize = 5_000;
/// The most of them with a regular expression, which costs more.
const MOST_WITH_REGEX: usize = 200;

type Outcome = Result<Arc<Condition>, Vec<InvalidCondition>>;

/// The conditions read so far.
#[derive(Default)]
pub(super) struct Conditions {
    known: HashMap<String, Outcome>,
    with_regex: usize,
}

impl Conditions {
    pub(super) fn read(&mut self, field: &Field<'_>, findings: &mut Findings) -> Option<Arc<Condition>> {
        let Some(scalar) = scalar(field.value) else {
            findings.push(field.wrong());
            return None;
        };
        let Some(outcome) = self.outcome(&scalar.text) else {
            findings.push(Finding::error(field.place(), "this pipeline has too many different conditions"));
            return None;
        };
        match outcome {
            Ok(condition) => Some(Arc::clone(condition)),
            Err(errors) => {
                for error in errors {
                    let span = place(field, scalar, error);
                    findings.push(Finding::error(span, &error.message).maybe_help(error.help.clone()));
                }
                None
            }
        }
    }

    /// What `text` is; nothing when there are too many already.
    fn outcome(&mut self, text: &str) -> Option<&Outcome> {
        if !self.known.contains_key(text) {
            self.with_regex += usize::from(text.contains("matches"));
            if self.known.len() >= MOST || self.with_regex > MOST_WITH_REGEX {
                return None;
            }
            self.known.insert(text.to_owned(), Condition::parse(text).map(Arc::new));
        }
        self.known.get(text)
    }
}

/// Where an error is in the file: exactly when the text stands there as it is.
fn place(field: &Field<'_>, scalar: &Scalar, error: &InvalidCondition) -> Span {
    let whole = field.place();
    match scalar.verbatim_at {
        Some(at) => Span::new(whole.file, at + error.place.start, at + error.place.end),
        None => whole,
    }
}
