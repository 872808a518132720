//! Names of a step's container in an engine, from (task, step) and the step's `container_name_scheme`.
//!
//! A scheme is text with placeholders: `{task}`, `{uuid}`, `{step}` (the step's name) and `{type}`. The default is
//! `jw_{task}_{uuid}`. Woodpecker's own `wp_{uuid}` may be asked for; as it lacks the task, the same workflow cannot run twice
//! at the same time under it, and the second is refused with [`crate::Error::NameTaken`].

use jobwright_model::{Step, TaskUuid};

use crate::{Error, Result};

/// The scheme of a step that names none.
pub const DEFAULT_SCHEME: &str = "jw_{task}_{uuid}";

/// The longest name in bytes that engines take without complaint as a host name's source and a file name.
const LONGEST: usize = 200;

/// The container name of `step` in `task`. Characters that engines refuse become `-`.
///
/// # Errors
/// [`Error::InvalidStep`] for a scheme with an unknown placeholder or an unclosed brace, and for one that gives an empty
/// name or one longer than 200 bytes.
pub fn container_name(step: &Step, task: &TaskUuid) -> Result<String> {
    let scheme =
        if step.container_name_scheme.is_empty() { DEFAULT_SCHEME } else { &step.container_name_scheme };
    let name = sanitise(&expand(scheme, step, task)?);
    if name.is_empty() || name.len() > LONGEST {
        let why = format!(
            "container_name_scheme {scheme:?} gives a name of {} bytes (1 to {LONGEST} are allowed)",
            name.len()
        );
        return Err(Error::invalid_step(step, why));
    }
    Ok(name)
}

fn expand(scheme: &str, step: &Step, task: &TaskUuid) -> Result<String> {
    let mut name = String::new();
    let mut rest = scheme;
    while let Some((before, after)) = rest.split_once('{') {
        name.push_str(before);
        let (placeholder, after) = after.split_once('}').ok_or_else(|| {
            Error::invalid_step(
                step,
                format!("container_name_scheme {scheme:?} has a brace that is not closed"),
            )
        })?;
        name.push_str(match placeholder {
            "task" => task.as_str(),
            "uuid" => step.uuid.as_str(),
            "step" => &step.name,
            "type" => step.kind.as_str(),
            other => {
                let why = format!(
                    "container_name_scheme knows no {{{other}}}; use {{task}}, {{uuid}}, {{step}} or {{type}}"
                );
                return Err(Error::invalid_step(step, why));
            }
        });
        rest = after;
    }
    name.push_str(rest);
    Ok(name)
}

/// Engines take `[a-zA-Z0-9][a-zA-Z0-9_.-]*`.
fn sanitise(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') { c } else { '-' })
        .collect();
    safe.trim_start_matches(['_', '.', '-']).to_owned()
}

#[cfg(test)]
mod tests {
    use jobwright_model::StepUuid;

    use super::*;

    fn named(scheme: &str) -> Result<String> {
        let mut step = Step::new("build & test", StepUuid::new("s1").unwrap());
        step.container_name_scheme = scheme.to_owned();
        container_name(&step, &TaskUuid::new("t1").unwrap())
    }

    #[test]
    fn a_name_derives_from_task_and_step() {
        assert_eq!(named("").unwrap(), "jw_t1_s1");
    }

    // covers: woodpecker 62
    #[test]
    fn a_scheme_alters_the_name_and_is_made_safe() {
        assert_eq!(named("wp_{uuid}").unwrap(), "wp_s1");
        assert_eq!(named("ci-{step}-{type}").unwrap(), "ci-build---test-commands");
    }

    #[test]
    fn a_scheme_that_gives_no_name_is_an_error() {
        for scheme in ["{nope}", "{task", "---", &"x".repeat(201)] {
            assert!(matches!(named(scheme), Err(Error::InvalidStep { .. })), "{scheme}");
        }
    }
}
