//! The files of a job and the scripts of its docker steps, into its workspace: inside of it, or not at all, whatever links a repository holds
//! (sourcegraph.md 4.5). Not for the repository itself (`checkout`).

use std::io;
use std::path::Path;
use std::time::Instant;

use jiff::Timestamp;
use jobwright_queue::{Payload, file_path};
use jobwright_workspace::{Error as WorkspaceError, Limits, UnpackOptions, unpack_from};

use super::argv::SCRIPTS;
use crate::source::{Held, JobSource, SourceError};

/// Runs a script under bash where there is one, goes on after a command that fails, and shows what it runs.
const PREAMBLE: &str = r#"if [ -z "$BASH" ]; then
  bash=$(command -p -v bash || :)
  if [ -n "$bash" ]; then exec "$bash" "$0" "$@"; fi
  if [ -x /bin/bash ]; then exec /bin/bash "$0" "$@"; fi
fi
set +e
set -x
"#;

/// A file for the workspace.
pub(crate) struct Given {
    pub(crate) path: String,
    content: Vec<u8>,
    modified: Option<Timestamp>,
}

/// Why files are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Wrong(String),
    /// It could not be fetched or written.
    #[error("{0}")]
    Failed(String),
}

/// What the job says of its files, fetched where they lie with the queue.
pub(crate) async fn given(
    payload: &Payload,
    source: &dyn JobSource,
    held: &Held,
) -> Result<Vec<Given>, FilesError> {
    let mut files = Vec::with_capacity(payload.files.len());
    for (name, file) in &payload.files {
        let path = file_path(name).map_err(|error| FilesError::Wrong(error.to_string()))?;
        let content = match file.bucket.is_empty() {
            true => file.content.clone(),
            false => source.file(held, &file.bucket, &file.key).await.map_err(|error| match error {
                SourceError::Refused(why) => FilesError::Wrong(format!("the file {path}: {why}")),
                error => FilesError::Failed(format!("the file {path}: {error}")),
            })?,
        };
        files.push(Given { path, content, modified: file.modified_at });
    }
    Ok(files)
}

/// The name of the script of docker step number `place`.
pub(crate) fn script_name(id: i64, place: usize, payload: &Payload) -> String {
    format!("{id}.{place}_{}@{}.sh", payload.repository_name.replace('/', "_"), payload.commit)
}

/// The scripts of the docker steps. One behind a step that may have left a skip file takes that away, as it was read.
pub(crate) fn scripts(id: i64, payload: &Payload) -> Vec<Given> {
    let mut may_skip = false;
    let steps = payload.docker_steps.iter().enumerate();
    steps
        .map(|(place, step)| {
            let tidy = if may_skip { "rm -f /data/skip.json\n" } else { "" };
            may_skip |= step.key.ends_with(".pre");
            let commands = step.commands.join("\n");
            Given {
                path: format!("{SCRIPTS}/{}", script_name(id, place, payload)),
                content: format!("{tidy}{PREAMBLE}\n{commands}\n").into_bytes(),
                modified: None,
            }
        })
        .collect()
}

/// Writes them below `into`, in their order; gives what is to be said of it.
pub(crate) fn write(files: &[Given], into: &Path) -> Result<String, FilesError> {
    let mut told = String::new();
    for file in files {
        let begun = Instant::now();
        let archive = archive(file).map_err(|error| FilesError::Failed(error.to_string()))?;
        let options = UnpackOptions { limits: Limits::default(), ..UnpackOptions::default() };
        unpack_from(archive.as_slice(), into, &options).map_err(|error| match error {
            WorkspaceError::UnsafeEntry { .. } | WorkspaceError::InTheWay { .. } => {
                FilesError::Wrong(error.to_string())
            }
            error => FilesError::Failed(error.to_string()),
        })?;
        told.push_str(&format!("Wrote {} in {:?}\n", file.path, begun.elapsed()));
    }
    Ok(told)
}

fn archive(file: &Given) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::with_capacity(file.content.len() + 2048));
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o777);
    header.set_size(file.content.len() as u64);
    let modified = file.modified.unwrap_or_else(Timestamp::now);
    header.set_mtime(u64::try_from(modified.as_second()).unwrap_or_default());
    archive.append_data(&mut header, &file.path, file.content.as_slice())?;
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use jobwright_queue::DockerStep;

    use super::*;

    fn file(path: &str) -> Given {
        Given { path: path.to_owned(), content: b"text".to_vec(), modified: None }
    }

    // covers: sourcegraph 13, 41
    #[test]
    fn files_are_in_the_workspace_or_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let workspace = root.path().join("w");
        fs::create_dir(&workspace).unwrap();
        symlink(root.path(), workspace.join("out")).unwrap();
        let modified: Timestamp = "2024-05-06T07:08:09Z".parse().unwrap();
        let told =
            write(&[file("a/b.txt"), Given { modified: Some(modified), ..file("old") }], &workspace).unwrap();
        assert!(told.starts_with("Wrote a/b.txt in ") && told.contains("\nWrote old in "), "{told}");
        let written = fs::metadata(workspace.join("a/b.txt")).unwrap();
        assert_eq!(written.permissions().mode() & 0o7777, 0o777);
        assert!(written.modified().unwrap().elapsed().unwrap().as_secs() < 60);
        assert_eq!(fs::metadata(workspace.join("old")).unwrap().mtime(), modified.as_second());
        for path in ["out/escaped", "../escaped"] {
            let refused = write(&[file(path)], &workspace);
            assert!(matches!(refused, Err(FilesError::Wrong(_) | FilesError::Failed(_))), "{path}");
        }
        assert!(!root.path().join("escaped").exists());
    }

    // covers: sourcegraph 58
    #[test]
    fn a_script_goes_on_after_a_command_that_fails() {
        let step = |key: &str, commands: &[&str]| DockerStep {
            key: key.to_owned(),
            commands: commands.iter().map(|&command| command.to_owned()).collect(),
            ..DockerStep::default()
        };
        let payload = Payload {
            repository_name: "github.com/a/b".to_owned(),
            commit: "c0ffee".to_owned(),
            docker_steps: vec![step("x.pre", &["false", "echo on"]), step("x.run", &["exit 3"])],
            ..Payload::default()
        };
        let scripts = scripts(7, &payload);
        assert_eq!(scripts[0].path, ".sourcegraph-executor/7.0_github.com_a_b@c0ffee.sh");
        let workspace = tempfile::tempdir().unwrap();
        write(&scripts, workspace.path()).unwrap();
        let run = |script: &Given| {
            std::process::Command::new("/bin/sh").arg(workspace.path().join(&script.path)).output().unwrap()
        };
        let first = run(&scripts[0]);
        assert_eq!((first.status.code(), first.stdout.as_slice()), (Some(0), &b"on\n"[..]));
        assert_eq!(String::from_utf8(first.stderr).unwrap(), "+ false\n+ echo on\n");
        assert_eq!(run(&scripts[1]).status.code(), Some(3));
        let tidies = |script: &Given| script.content.starts_with(b"rm -f /data/skip.json\n");
        assert_eq!((tidies(&scripts[0]), tidies(&scripts[1])), (false, true));
    }
}
