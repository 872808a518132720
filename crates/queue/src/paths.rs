//! Which names from a job are safe to be joined to a workspace's path, or to be looked up as a repository. Not for what lies there: a symbolic link
//! inside of a workspace is the business of whoever opens the path.

use std::fmt;

/// The longest path or name in bytes; what Linux takes as a path.
const LONGEST: usize = 4096;

/// Why a path of a job is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the path {} {problem}; give one relative to the workspace that stays in it", Shown(.path))]
pub struct InvalidPath {
    path: String,
    problem: &'static str,
}

/// Why a repository's name is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the repository name {} {problem}; a name looks like github.com/owner/name", Shown(.name))]
pub struct InvalidRepository {
    name: String,
    problem: &'static str,
}

/// The quoted beginning of a text, so that an error stays readable whatever it is about.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(100) {
            Some((end, _)) => write!(f, "{:?} (cut)", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// The path of a directory of a job, without `.`, `..` and doubled slashes; empty for the workspace itself.
///
/// # Errors
/// [`InvalidPath`] when it is absolute, leads out of the workspace, has a NUL, or is longer than 4096 bytes.
pub fn directory_path(path: &str) -> Result<String, InvalidPath> {
    let invalid = |problem| InvalidPath { path: path.to_owned(), problem };
    if path.len() > LONGEST {
        return Err(invalid("is longer than 4096 bytes"));
    }
    if path.contains('\0') {
        return Err(invalid("has a NUL in it"));
    }
    if path.starts_with('/') {
        return Err(invalid("is absolute"));
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(|| invalid("leads out of the workspace"))?;
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// The path of a file of a job, as [`directory_path`] gives it.
///
/// # Errors
/// As there, and when it is the workspace itself or ends as a directory's.
pub fn file_path(path: &str) -> Result<String, InvalidPath> {
    let clean = directory_path(path)?;
    let last = path.rsplit('/').next().unwrap_or_default();
    if clean.is_empty() || matches!(last, "" | "." | "..") {
        return Err(InvalidPath { path: path.to_owned(), problem: "names no file" });
    }
    Ok(clean)
}

/// Whether a repository's name is safe in a URL's path and as an argument of git.
///
/// # Errors
/// [`InvalidRepository`] when it is empty, absolute, has control characters or an empty, `.` or `..` part, or begins with a hyphen, which git
/// would take for an option.
pub fn check_repository(name: &str) -> Result<(), InvalidRepository> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > LONGEST {
        "is longer than 4096 bytes"
    } else if name.starts_with('-') {
        "begins with a hyphen"
    } else if name.chars().any(char::is_control) {
        "has control characters"
    } else if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        "has a part that is empty, . or .."
    } else {
        return Ok(());
    };
    Err(InvalidRepository { name: name.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // covers: sourcegraph 41 (the rule alone)
    #[test]
    fn a_path_that_leads_out_of_the_workspace_is_refused() {
        for (path, problem) in [
            ("../x", "leads out"),
            ("a/../../x", "leads out"),
            ("/etc/passwd", "absolute"),
            ("a\0b", "NUL"),
            (&"a/".repeat(3000), "longer"),
        ] {
            let error = directory_path(path).unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("relative to the workspace"), "{error}");
            assert!(error.len() < 300, "{error}");
            assert!(file_path(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_path_that_stays_in_the_workspace_comes_without_detours() {
        for (path, clean) in
            [("", ""), (".", ""), ("a//./b/", "a/b"), ("a/../b", "b"), ("..a/...", "..a/...")]
        {
            assert_eq!(directory_path(path).unwrap(), clean);
        }
        assert_eq!(file_path("./a/../b.txt").unwrap(), "b.txt");
        for path in ["", ".", "a/", "a/..", "a/b/..", "a/."] {
            assert!(file_path(path).unwrap_err().to_string().contains("names no file"), "{path:?}");
        }
    }

    #[test]
    fn a_repository_is_a_path_without_surprises() {
        for name in ["github.com/sourcegraph/sourcegraph", "a", "host:7000/My Repo.git", "perforce/-x"] {
            assert_eq!(check_repository(name), Ok(()));
        }
        for name in ["", "/a", "a/", "a//b", "a/../b", ".", "-u/x", "a\nb", "a\0", &"x".repeat(5000)] {
            assert!(
                check_repository(name).unwrap_err().to_string().contains("github.com/owner/name"),
                "{name:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_has_no_way_out(path in "[a./\\\\\0-]{0,12}") {
            if let Ok(clean) = directory_path(&path) {
                prop_assert!(!clean.starts_with('/') && !clean.contains('\0'));
                prop_assert!(clean.is_empty() || clean.split('/').all(|part| !matches!(part, "" | "." | "..")));
            }
        }
    }
}
