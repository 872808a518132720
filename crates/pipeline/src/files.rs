//! Files that outlive a job: caches and artifacts, as a file declares them. Not for keeping or finding them.

use crate::source::Span;
use serde::{Deserialize, Serialize};

/// Files that later runs find again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// What they are kept under: jobs with one key share them.
    pub key: CacheKey,
    /// The directories, at least one: relative to the working directory without `..`, or absolute.
    pub paths: Vec<String>,
    /// What the job does with them.
    pub policy: CachePolicy,
    /// Where it is in the file.
    pub span: Span,
}

/// What a job does with a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CachePolicy {
    /// It takes them and changes nothing.
    Pull,
    /// It leaves them, and begins without.
    Push,
    /// Both.
    #[default]
    PullPush,
}

impl CachePolicy {
    /// Its word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::PullPush => "pull-push",
        }
    }

    /// Whether the job begins with what is kept.
    #[must_use]
    pub fn pulls(self) -> bool {
        self != Self::Push
    }

    /// Whether what the job leaves is kept.
    #[must_use]
    pub fn pushes(self) -> bool {
        self != Self::Pull
    }
}

/// A text in which `${NAME}` stands for a variable's value and `$$` for a `$`. Everything else is as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheKey {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

/// Why a text is no cache key: a `${` without a name or a `}` behind it. The byte of the text where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`${{` without a name and `}}` behind it")]
pub struct InvalidCacheKey(pub usize);

impl CacheKey {
    /// Reads a key.
    ///
    /// # Errors
    /// [`InvalidCacheKey`] when a `${` is not closed, or holds no name out of letters, digits and `_`.
    pub fn parse(text: &str) -> Result<Self, InvalidCacheKey> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            let here = text.len() - rest.len() + at;
            rest = &rest[at..];
            if let Some(behind) = rest.strip_prefix("$$") {
                plain.push('$');
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix("${") {
                let (name, behind) = behind.split_once('}').ok_or(InvalidCacheKey(here))?;
                if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                    return Err(InvalidCacheKey(here));
                }
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Variable(name.to_owned()));
                rest = behind;
            } else {
                plain.push('$');
                rest = &rest[1..];
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The key with the values of `variable` filled in; a variable that is not set is empty. It may have any characters, `/` among them.
    #[must_use]
    pub fn expand<'a>(&self, variable: impl Fn(&str) -> Option<&'a str>) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(name) => variable(name).unwrap_or_default().to_owned(),
        };
        self.parts.iter().map(part).collect()
    }

    /// The variables that it names, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }
}

/// Files that the run keeps and later jobs get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifacts {
    /// Paths from the working directory on, at least one, without `..`; they may be globs in the syntax of `globset`.
    pub paths: Vec<String>,
    /// After which ending.
    pub when: KeepWhen,
    /// Where they are in the file.
    pub span: Span,
}

/// After which ending of a job its artifacts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum KeepWhen {
    /// When it passed.
    #[default]
    OnSuccess,
    /// When it did not.
    OnFailure,
    /// Whatever became of it, its cancellation included.
    Always,
}

impl KeepWhen {
    /// Its word in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnSuccess => "on_success",
            Self::OnFailure => "on_failure",
            Self::Always => "always",
        }
    }

    /// Whether they are kept after a job that passed or not.
    #[must_use]
    pub fn holds(self, passed: bool) -> bool {
        match self {
            Self::OnSuccess => passed,
            Self::OnFailure => !passed,
            Self::Always => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(text: &str) -> String {
        let variable = |name: &str| (name == "V").then_some("1.2/3");
        CacheKey::parse(text).unwrap().expand(variable)
    }

    #[test]
    fn only_braces_make_a_variable() {
        assert_eq!(expand("deps-${V}-x${V}"), "deps-1.2/3-x1.2/3");
        assert_eq!(expand("a$V $$V $${V} $"), "a$V $V ${V} $");
        assert_eq!(expand("${UNSET}|é"), "|é");
        assert_eq!(CacheKey::parse("a${V}${W}").unwrap().variables().collect::<Vec<_>>(), ["V", "W"]);
    }

    #[test]
    fn an_open_or_empty_brace_is_no_key() {
        for (text, at) in [("a${", 1), ("${}", 0), ("é${a b}", 2), ("$$${V", 2)] {
            assert_eq!(CacheKey::parse(text), Err(InvalidCacheKey(at)), "{text}");
        }
    }
}
