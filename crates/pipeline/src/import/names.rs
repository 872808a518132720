//! What a job of another system is called in our language. Not for what it does.

use std::collections::HashSet;

use crate::import::Notes;
use crate::keys::PIPELINE_KEYS;
use crate::source::Span;
use crate::text::{is_showable, shown};

/// The names that jobs have.
pub(super) struct JobNames {
    taken: HashSet<String>,
}

impl JobNames {
    /// For jobs that have these names in the other system.
    pub(super) fn new(taken: impl IntoIterator<Item = String>) -> Self {
        Self { taken: taken.into_iter().collect() }
    }

    /// The name of a job that has `name` in the other system, and has it at `span`: the same, unless it is a key or a template here or
    /// cannot be shown. Then it is another that no job has, and that is noted.
    pub(super) fn called(&mut self, name: &str, span: Span, notes: &mut Notes) -> String {
        let printable: String = name.chars().filter(|c| is_showable(*c)).collect();
        let printable = printable.trim().trim_start_matches('.').trim_start();
        let is_key = PIPELINE_KEYS.iter().any(|key| key.name == name);
        if !is_key && printable == name.trim() && !printable.is_empty() {
            return name.to_owned();
        }
        let mut called = if printable.is_empty() { "job".to_owned() } else { format!("{printable}-job") };
        while !self.taken.insert(called.clone()) {
            called.push('_');
        }
        let message = format!(
            "`{}` is called `{}` here, as the name means something else",
            shown(name),
            shown(&called)
        );
        notes.note(span, message);
        called
    }
}
