//! `if:` conditions: expressions of CEL over what a run knows. They are read and checked for types when the file is loaded and evaluated
//! when a job is due. Not for what becomes of a job whose condition does not hold.

mod bounds;
mod inputs;
mod syntax;
mod types;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use cel::common::ast::IdedExpr;
use cel::{Context, Env, Value};

use crate::condition::inputs::Input;

/// A checked condition. What it may hold: texts in either quote, numbers, `true` and `false`; `vars.NAME`, `branch`, `commit`, `tag`, `event`;
/// `== != < <= > >=`, `in [..]`, `&& || !`, `?:`, `+` of texts; `has(vars.NAME)`, `changed("GLOB", ..)`, `size(..)`, `int(..)`, and of a text
/// `.startsWith(..)`, `.endsWith(..)`, `.contains(..)`, `.matches("REGEX")`.
///
/// A variable that is not set is the empty text. Evaluation costs no more than the length of the texts times that of the condition.
#[derive(Debug, Clone)]
pub struct Condition {
    text: String,
    /// What the run gives stands in it as the variables `input0`, `input1`, …
    expression: IdedExpr,
    inputs: Vec<Input>,
}

/// Conditions are equal when they are written alike.
impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Condition {}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct InvalidCondition {
    /// The part of the text that is wrong, in bytes, on character boundaries.
    pub place: Range<usize>,
    /// What is wrong with it.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

/// Why a condition has no answer: `int("x")`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the condition `{condition}` cannot be evaluated: {reason}")]
#[non_exhaustive]
pub struct EvaluationError {
    /// The condition as it is written.
    pub condition: String,
    /// What went wrong.
    pub reason: String,
}

/// What a run knows of itself when a job is due.
#[derive(Debug, Clone, Copy)]
pub struct ConditionContext<'a> {
    /// The job's variables, all levels merged, without secrets.
    pub variables: &'a BTreeMap<String, String>,
    /// The branch; empty outside a repository.
    pub branch: &'a str,
    /// The commit's whole id; empty outside a repository.
    pub commit: &'a str,
    /// The tag that points to the commit; empty without one.
    pub tag: &'a str,
    /// What began the run, in the caller's words.
    pub event: &'a str,
    /// The files that changed, from the project's directory on with `/`. Nothing when nobody can tell, and then everything counts as
    /// changed: what is not known is no reason to skip a job.
    pub changed: Option<&'a [String]>,
}

impl Condition {
    /// Reads and checks a condition. Whatever the text is, this neither panics nor needs more than a bounded stack and time.
    ///
    /// # Errors
    /// All violations, at least one, in the order of their places.
    pub fn parse(text: &str) -> Result<Self, Vec<InvalidCondition>> {
        bounds::check(text).map_err(|error| vec![error])?;
        let parsed = syntax::parse(text).map_err(|error| vec![error])?;
        let (expression, inputs) = types::check(text, parsed)?;
        Ok(Self { text: text.to_owned(), expression, inputs })
    }

    /// The condition as it is written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it asks which files changed, which may cost the caller something to find out.
    #[must_use]
    pub fn asks_for_changes(&self) -> bool {
        self.inputs.iter().any(|input| matches!(input, Input::Changed(_)))
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// [`EvaluationError`] when a text that is no number is taken for one with `int(..)`.
    pub fn evaluate(&self, context: &ConditionContext<'_>) -> Result<bool, EvaluationError> {
        let failed = |reason: String| EvaluationError { condition: self.text.clone(), reason };
        let mut given = Context::with_env(environment());
        for (number, input) in self.inputs.iter().enumerate() {
            given.add_variable_from_value(inputs::name(number), input.value(context).map_err(failed)?);
        }
        match Value::resolve(&self.expression, &given) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(failed(format!("it is {other:?}"))),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// CEL's own functions and operators.
fn environment() -> Arc<Env> {
    static ENVIRONMENT: OnceLock<Arc<Env>> = OnceLock::new();
    Arc::clone(ENVIRONMENT.get_or_init(|| Arc::new(Env::stdlib())))
}
