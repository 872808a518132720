//! What is made ready before an execution's own command: scripts that run in order, and keys (nunet.md 2.8, 2.9). They are files that the
//! execution gets, in its container or, on this host, in its workspace.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use jobwright_backend::{Backend, Error as BackendError, TarStream};
use jobwright_model::{ExecutionRequest, Step, TaskUuid};
use jobwright_runtime::{StepFiles, WorkspaceSource};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::plan::{Command, Target};

/// Where the scripts lie in a container, below its root.
const IN_CONTAINER: &str = "run/jobwright/provision";
/// Where they lie in a workspace.
const IN_WORKSPACE: &str = ".jobwright/provision";
/// Runs the scripts beside it by their order, then what it was given, all in the directory that comes first. The first script that fails is
/// the execution's end.
const RUN: &str = r#"#!/bin/sh
here=${0%/*}
case $here in /*) ;; *) here=$PWD/$here ;; esac
[ -z "$1" ] || cd "$1" || exit
shift
for script in "$here"/[0-9]*; do
  printf 'Executing %s\n' "${script##*/[0-9][0-9][0-9]-}"
  "$script" || exit $?
done
exec "$@"
"#;
const MOST_SCRIPTS: usize = 999;
const SSH_KEYS: &str = "root/.ssh/authorized_keys";

/// Refuses what cannot be made ready.
pub(crate) fn check(request: &ExecutionRequest, target: Target) -> Result<()> {
    if request.provision_scripts.len() > MOST_SCRIPTS {
        return Err(Error::invalid("provision_scripts", format!("there are more than {MOST_SCRIPTS}")));
    }
    for (place, script) in request.provision_scripts.iter().enumerate() {
        let name = &script.name;
        let is_plain = (1..=100).contains(&name.len()) && !name.contains(['/', '\0', '\n']);
        if !is_plain {
            let reason = format!("{name:?} is not 1 to 100 bytes without `/` and line feeds");
            return Err(Error::invalid(format!("provision_scripts[{place}].name"), reason));
        }
    }
    for (place, key) in request.keys.iter().enumerate() {
        let wrong =
            |field: &str, reason: String| Err(Error::invalid(format!("keys[{place}].{field}"), reason));
        if key.kind != "ssh" {
            return wrong("type", format!("{:?} is not known; it is \"ssh\"", key.kind));
        }
        if key.file.trim().is_empty() || key.file.contains('\0') {
            return wrong("file", "it is not the text of a key".to_owned());
        }
        if !key.dest.is_empty() {
            return wrong("dest", "the place of an ssh key is given".to_owned());
        }
    }
    match request.keys.is_empty() || target.images {
        true => Ok(()),
        false => Err(target.unsupported("keys: what it runs is the host's own")),
    }
}

/// What is to be started: the request's command, after its scripts. With scripts an image's own entrypoint does not run: which it is, only
/// the engine knows.
///
/// The directory is the step's. On this host the scripts lie where the step begins when it has none: then the directory is theirs to go to,
/// and is taken from the step.
pub(crate) fn command(
    request: &ExecutionRequest,
    target: Target,
    own: Command,
    directory: &mut String,
) -> Command {
    if request.provision_scripts.is_empty() {
        return own;
    }
    let (run, go_to) = match target.images {
        true => (format!("/{IN_CONTAINER}/run"), String::new()),
        false => (format!("{IN_WORKSPACE}/run"), std::mem::take(directory)),
    };
    let run = ["/bin/sh".to_owned(), run, go_to];
    let entrypoint = run.into_iter().chain(own.entrypoint).chain(own.cmd).collect();
    Command { entrypoint, cmd: Vec::new() }
}

/// The files that a request wants to be there.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Provisions {
    scripts: Vec<(String, String)>,
    ssh_keys: Vec<String>,
}

impl Provisions {
    pub(crate) fn of(request: &ExecutionRequest) -> Self {
        let numbered = request.provision_scripts.iter().enumerate();
        let scripts = numbered
            .map(|(place, script)| (format!("{:03}-{}", place + 1, script.name), script.content.clone()));
        let ssh_keys = request.keys.iter().map(|key| key.file.trim_end().to_owned());
        Self { scripts: scripts.collect(), ssh_keys: ssh_keys.collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.scripts.is_empty() && self.ssh_keys.is_empty()
    }

    fn archive(&self, scripts_in: &str) -> io::Result<Vec<u8>> {
        let mut archive = Archive(tar::Builder::new(Vec::new()));
        if !self.scripts.is_empty() {
            archive.folders(scripts_in)?;
            archive.file(&format!("{scripts_in}/run"), RUN, 0o755)?;
        }
        for (name, content) in &self.scripts {
            archive.file(&format!("{scripts_in}/{name}"), content, 0o755)?;
        }
        if !self.ssh_keys.is_empty() {
            archive.folder("root/.ssh", 0o700)?;
            archive.file(SSH_KEYS, &(self.ssh_keys.join("\n") + "\n"), 0o600)?;
        }
        archive.end()
    }

    fn stream(&self, scripts_in: &str) -> Result<TarStream, BackendError> {
        let failed = |error| BackendError::io("packing what is to be made ready", error);
        let bytes = Bytes::from(self.archive(scripts_in).map_err(failed)?);
        Ok(Box::pin(stream::iter([Ok(bytes)])))
    }
}

/// A tar archive of root's files, in memory: all of it came in one request.
struct Archive(tar::Builder<Vec<u8>>);

impl Archive {
    fn add(&mut self, path: &str, kind: tar::EntryType, mode: u32, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        self.0.append_data(&mut header, path, content)
    }

    fn folder(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.add(path, tar::EntryType::Directory, mode, &[])
    }

    /// A folder and those above it.
    fn folders(&mut self, path: &str) -> io::Result<()> {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        ends.map(|end| &path[..end]).try_for_each(|above| self.folder(above, 0o755))
    }

    fn file(&mut self, path: &str, content: &str, mode: u32) -> io::Result<()> {
        self.add(path, tar::EntryType::Regular, mode, content.as_bytes())
    }

    fn end(self) -> io::Result<Vec<u8>> {
        self.0.into_inner()
    }
}

#[async_trait]
impl StepFiles for Provisions {
    async fn bring(&self, backend: &dyn Backend, task: &TaskUuid, step: &Step) -> Result<(), BackendError> {
        backend.put_into_step(step, task, self.stream(IN_CONTAINER)?).await
    }

    async fn keep(&self, _backend: &dyn Backend, _task: &TaskUuid, _step: &Step) {}
}

#[async_trait]
impl WorkspaceSource for Provisions {
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), BackendError> {
        backend.put(task, "", self.stream(IN_WORKSPACE)?).await
    }
}
