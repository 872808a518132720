//! What git knows of a project, and fetching one. By the git command line (DESIGN section 9).

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

/// What is checked out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The commit; empty outside a repository and before the first commit.
    pub(crate) commit: String,
    /// The branch; `HEAD` when detached.
    pub(crate) branch: String,
}

/// Looks up what is checked out in `directory`. Whatever keeps git from answering means that it is not known.
pub(crate) async fn head(directory: &Path) -> Head {
    if !directory.ancestors().any(|above| above.join(".git").exists()) {
        return Head::default();
    }
    let answer = git(directory).args(["rev-parse", "HEAD", "--abbrev-ref", "HEAD"]).output().await;
    match answer {
        Ok(answer) if answer.status.success() => parse_head(&String::from_utf8_lossy(&answer.stdout)),
        _ => Head::default(),
    }
}

fn parse_head(answer: &str) -> Head {
    let mut lines = answer.lines().map(str::to_owned);
    Head { commit: lines.next().unwrap_or_default(), branch: lines.next().unwrap_or_default() }
}

/// Why a repository could not be fetched. Holds no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloneError {
    /// The address is not one.
    #[error(
        "{0:?} is not the address of a repository (use https://, http://, ssh://, git://, file://, host:path or a path)"
    )]
    Address(String),
    /// Git is not there, or cannot be started.
    #[error("git cannot be started: {0}")]
    NoGit(std::io::Error),
    /// Git failed.
    #[error("git clone of {url} failed: {message}")]
    Failed {
        /// The address, without credentials.
        url: String,
        /// Git's own words, without credentials.
        message: String,
    },
}

/// Fetches the newest commit of `url` into the new directory `target`. Asks nobody for a password. The git process ends when the
/// future is dropped.
pub(crate) async fn clone(url: &str, target: &Path) -> Result<(), CloneError> {
    if url.is_empty() || url.starts_with('-') || url.contains("::") || url.chars().any(char::is_control) {
        return Err(CloneError::Address(without_credentials(url)));
    }
    let parent = target.parent().map_or_else(PathBuf::new, Path::to_owned);
    let output = git(&parent)
        .args(["clone", "--quiet", "--depth", "1", "--", url])
        .arg(target)
        .env("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh")
        .output()
        .await
        .map_err(CloneError::NoGit)?;
    if output.status.success() {
        return Ok(());
    }
    let shown = without_credentials(url);
    let message = String::from_utf8_lossy(&output.stderr).trim().replace(url, &shown);
    Err(CloneError::Failed { message, url: shown })
}

fn git(directory: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .kill_on_drop(true);
    command
}

/// `https://user:password@host/x` as `https://host/x`.
pub(crate) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((credentials, _)) => format!("{scheme}://{}", &rest[credentials.len() + 1..]),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn repository() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let script =
            "git init -q -b main . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m one";
        let made = Command::new("sh").args(["-c", script]).current_dir(dir.path()).status().await.unwrap();
        assert!(made.success());
        dir
    }

    // covers: local-ci 17
    #[tokio::test]
    async fn a_repository_tells_its_commit_and_branch_and_nothing_else_does() {
        let dir = repository().await;
        let found = head(dir.path()).await;
        assert_eq!((found.commit.len(), found.branch.as_str()), (40, "main"));
        git(dir.path()).args(["checkout", "-q", "--detach"]).status().await.unwrap();
        assert_eq!(head(dir.path()).await.branch, "HEAD");
        assert_eq!(head(tempfile::tempdir().unwrap().path()).await, Head::default());
    }

    #[tokio::test]
    async fn a_repository_is_cloned_and_one_that_is_not_there_is_an_error_without_credentials() {
        let source = repository().await;
        let dir = tempfile::tempdir().unwrap();
        let url = format!("file://{}", source.path().display());
        clone(&url, &dir.path().join("clone")).await.unwrap();
        assert_eq!(head(&dir.path().join("clone")).await, head(source.path()).await);
        let error = clone("http://me:hunter2@127.0.0.1:1/x.git", &dir.path().join("no"))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("127.0.0.1") && !error.contains("hunter2"), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_git_would_take_for_an_option_or_a_command_is_refused() {
        for url in ["--upload-pack=touch x", "ext::sh -c touch% x", "", "a\nb"] {
            let error = clone(url, Path::new("/nonexistent/x")).await.unwrap_err();
            assert!(matches!(error, CloneError::Address(_)), "{url}: {error}");
        }
    }

    #[test]
    fn credentials_are_left_out_of_an_address() {
        assert_eq!(without_credentials("https://me:pass@host/a@b"), "https://host/a@b");
        assert_eq!(without_credentials("https://host/a@b"), "https://host/a@b");
        assert_eq!(without_credentials("git@host:a/b"), "git@host:a/b");
    }
}
