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

/// A tag that points to what is checked out in `directory`, the highest version of several; empty without one.
pub(crate) async fn tag(directory: &Path) -> String {
    let tags = answer(directory, &["tag", "--points-at", "HEAD", "--sort=-version:refname"]).await;
    tags.and_then(|tags| tags.lines().next().map(str::to_owned)).unwrap_or_default()
}

/// The files in `directory` that changed, as paths from there: all that differs between the base and the files as they are now, new ones
/// that are not ignored included. The base is where the branch left the remote's default branch (`origin/HEAD`); on that branch itself, or
/// without a remote, the commit before. None when git does not know it: outside a repository, in a clone of one commit, at the first commit.
pub(crate) async fn changed(directory: &Path) -> Option<Vec<String>> {
    let base = base(directory).await?;
    let tracked = ["diff", "--name-only", "--no-renames", "--relative", "-z", &base];
    let new = ["ls-files", "--others", "--exclude-standard", "-z"];
    let names = answer(directory, &tracked).await? + &answer(directory, &new).await?;
    Some(names.split_terminator('\0').map(str::to_owned).collect())
}

async fn base(directory: &Path) -> Option<String> {
    let commit = async |name: &str| answer(directory, &["rev-parse", "--verify", "--quiet", name]).await;
    let head = commit("HEAD^{commit}").await?;
    match answer(directory, &["merge-base", "origin/HEAD", "HEAD"]).await {
        Some(left) if left.trim() != head.trim() => Some(left.trim().to_owned()),
        _ => Some(commit("HEAD^1^{commit}").await?.trim().to_owned()),
    }
}

/// What git says; none when it fails, whatever the reason.
async fn answer(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = git(directory).args(arguments).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
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

    async fn sh(directory: &Path, script: &str) {
        let script = format!("set -e; g() {{ git -c user.name=a -c user.email=a@b \"$@\"; }}; {script}");
        let done = Command::new("sh").args(["-c", &script]).current_dir(directory).status().await.unwrap();
        assert!(done.success(), "{script}");
    }

    async fn changes(directory: &Path) -> Vec<String> {
        let mut found = changed(directory).await.unwrap();
        found.sort();
        found
    }

    #[tokio::test]
    async fn what_changed_is_told_from_where_the_branch_began_and_with_what_is_not_committed() {
        let source = repository().await;
        sh(
            source.path(),
            "mkdir src; echo 1 > src/a; echo 1 > b; echo ignored > .gitignore; g add .; g commit -qm two",
        )
        .await;
        let dir = tempfile::tempdir().unwrap();
        let url = format!("file://{}", source.path().display());
        sh(dir.path(), &format!("git clone -q {url} here")).await;
        let here = dir.path().join("here");
        assert_eq!(
            changes(&here).await,
            [".gitignore", "b", "src/a"],
            "on the default branch: the last commit"
        );
        sh(
            &here,
            "git checkout -qb topic; echo 2 > b; g commit -qam three; echo 2 > src/a; g commit -qam four",
        )
        .await;
        sh(&here, "echo 2 > new; echo 2 > ignored").await;
        assert_eq!(changes(&here).await, ["b", "new", "src/a"]);
        assert_eq!(changes(&here.join("src")).await, ["a"], "from the project's directory on");
    }

    #[tokio::test]
    async fn what_changed_is_not_known_at_the_first_commit_and_outside_a_repository() {
        assert_eq!(changed(repository().await.path()).await, None);
        assert_eq!(changed(tempfile::tempdir().unwrap().path()).await, None);
    }

    #[tokio::test]
    async fn a_tag_is_told_when_it_points_to_what_is_checked_out() {
        let dir = repository().await;
        assert_eq!(tag(dir.path()).await, "");
        sh(dir.path(), "git tag v1.9; git tag v1.10").await;
        assert_eq!(tag(dir.path()).await, "v1.10");
        sh(dir.path(), "g commit -qm two --allow-empty").await;
        assert_eq!(tag(dir.path()).await, "");
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
