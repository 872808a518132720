//! What a condition asks of the run: each becomes a plain value before the expression is evaluated. Not for the expression.

use cel::Value;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::condition::ConditionContext;

/// One thing that a condition asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Input {
    /// The value of a variable; empty when it is not set.
    Variable(String),
    /// Whether a variable is set.
    IsSet(String),
    Branch,
    Commit,
    Tag,
    Event,
    /// Whether a file changed that one of the globs means; without any, whether any file did.
    Changed(Vec<String>),
}

/// Under which name the expression has the input of that number.
pub(super) fn name(number: usize) -> String {
    format!("input{number}")
}

impl Input {
    /// What it is in a run.
    pub(super) fn value(&self, context: &ConditionContext<'_>) -> Result<Value, String> {
        let text = |text: &str| Value::from(text.to_owned());
        Ok(match self {
            Self::Variable(name) => text(context.variables.get(name).map_or("", String::as_str)),
            Self::IsSet(name) => Value::Bool(context.variables.contains_key(name)),
            Self::Branch => text(context.branch),
            Self::Commit => text(context.commit),
            Self::Tag => text(context.tag),
            Self::Event => text(context.event),
            Self::Changed(globs) => Value::Bool(has_changed(globs, context.changed)?),
        })
    }
}

fn has_changed(globs: &[String], changed: Option<&[String]>) -> Result<bool, String> {
    match changed {
        None => Ok(true),
        Some(files) if globs.is_empty() => Ok(!files.is_empty()),
        Some(files) => {
            let globs = set(globs).map_err(|error| error.to_string())?;
            Ok(files.iter().any(|file| globs.is_match(file)))
        }
    }
}

/// `*` stays within a directory, `**` does not, and a glob that ends in `/` means all that is below.
fn set(globs: &[String]) -> Result<GlobSet, globset::Error> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let glob = if glob.ends_with('/') { format!("{glob}**") } else { glob.clone() };
        set.add(GlobBuilder::new(&glob).literal_separator(true).build()?);
    }
    set.build()
}
