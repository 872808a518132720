//! Rules for names that a person chose: of jobs, stages, aliases and variables.

use crate::text::{is_showable, shown};

/// The longest name of a job or stage, in characters.
const LONGEST_NAME: usize = 200;

/// Why a name of a job or stage cannot be used: it is shown in terminals and logs, so nothing in it may act on them.
pub(super) fn wrong_name(name: &str) -> Option<String> {
    if name.trim().is_empty() {
        return Some("is empty".to_owned());
    }
    if let Some(c) = name.chars().find(|c| !is_showable(*c)) {
        return Some(format!("has the character U+{:04X}, which cannot be shown", u32::from(c)));
    }
    let length = name.chars().count();
    (length > LONGEST_NAME).then(|| format!("has {length} characters ({LONGEST_NAME} are allowed)"))
}

/// Whether a service can be reached by that name (`^[a-zA-Z0-9_.-]+$`, local-ci.md 1.7).
pub(super) fn is_alias(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Why a text cannot be the name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidVariableName {
    /// It is empty.
    #[error("the name of a variable is empty")]
    Empty,
    /// `=` ends a name, NUL ends everything.
    #[error("the variable name `{0}` has a `=` or a NUL character inside")]
    Separator(String),
}

/// Checks that the system can hold a variable of that name, for `--env` as well as for the file.
///
/// # Errors
/// [`InvalidVariableName`] when it is empty or has `=` or NUL inside.
pub fn check_variable_name(name: &str) -> Result<(), InvalidVariableName> {
    match name {
        "" => Err(InvalidVariableName::Empty),
        name if name.contains(['=', '\0']) => Err(InvalidVariableName::Separator(shown(name))),
        _ => Ok(()),
    }
}

/// Whether a shell can read it as `$NAME`.
pub(super) fn is_shell_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_printable_text_up_to_200_characters_names_a_job() {
        for name in ["build", "build & test: ünit (1/3)", "日本語", "a/b", &"ü".repeat(200)] {
            assert_eq!(wrong_name(name), None, "{name}");
        }
        for name in ["", "  ", "a\nb", "a\u{1b}[31m", "a\u{202e}b", "\u{85}", &"ü".repeat(201)] {
            assert!(wrong_name(name).is_some(), "{name:?}");
        }
    }

    #[test]
    fn a_variable_name_is_neither_empty_nor_has_an_equals_sign_or_nul() {
        assert_eq!(check_variable_name("my.var-1"), Ok(()));
        assert_eq!(check_variable_name(""), Err(InvalidVariableName::Empty));
        assert!(check_variable_name("A=B").is_err());
        assert!(check_variable_name("A\0").is_err());
    }
}
