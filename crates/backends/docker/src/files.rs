//! Files into the task's workspace and out of it (`put`, `get`), through a container that has it; and into a step's own container. Not for finding that
//! container (`reach`), and not for the archives themselves (`tree`).

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::Docker as Client;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use globset::Glob;
use jobwright_backend::{Error, Result, TarStream};
use jobwright_model::{Step, TaskUuid};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::engine::{Engine, EngineKind};
use crate::reach::Reach;
use crate::tree::{self, Part, Selection, Sieve};
use crate::{Inner, failure};

/// How many pieces of an archive may wait for a slow reader.
const PIECES: usize = 16;

/// How often, and after which time, is looked again for what is not there.
const LOOKS: usize = 3;
const MOMENT: Duration = Duration::from_millis(250);

impl Inner {
    /// Unpacks `archive` below `path` of the workspace.
    pub(crate) async fn put(self: &Arc<Self>, task: &TaskUuid, path: &str, archive: TarStream) -> Result<()> {
        let engine = self.engine().await?;
        let path = tree::below(Path::new(path))
            .ok_or_else(|| Error::Workspace(format!("{path:?} is not a path within the workspace")))?;
        let reach = self.reach(engine, task).await?;
        let done = upload(engine, &reach, &path, archive).await;
        let released = self.release(engine, &reach).await;
        done.and(released)
    }

    /// Unpacks `archive` below the root of a step's own container.
    pub(crate) async fn put_into_step(
        self: &Arc<Self>,
        step: &Step,
        task: &TaskUuid,
        archive: TarStream,
    ) -> Result<()> {
        let engine = self.engine().await?;
        let container =
            self.container_of(step, task).await?.ok_or_else(|| Error::unknown_step(step, task))?;
        upload(engine, &Reach::into(container), Path::new(""), archive).await
    }

    /// What matches `globs` in a step's own container, from its root on.
    pub(crate) async fn get_from_step(
        self: &Arc<Self>,
        step: &Step,
        task: &TaskUuid,
        globs: &[Glob],
    ) -> Result<TarStream> {
        let engine = self.engine().await?.clone();
        let container =
            self.container_of(step, task).await?.ok_or_else(|| Error::unknown_step(step, task))?;
        self.read(engine, Reach::into(container), globs).await
    }

    /// What of the workspace matches `globs`.
    pub(crate) async fn get(self: &Arc<Self>, task: &TaskUuid, globs: &[Glob]) -> Result<TarStream> {
        let engine = self.engine().await?.clone();
        let reach = self.reach(&engine, task).await?;
        self.read(engine, reach, globs).await
    }

    async fn read(self: &Arc<Self>, engine: Engine, reach: Reach, globs: &[Glob]) -> Result<TarStream> {
        let selection = match Selection::new(globs) {
            Ok(selection) => selection,
            Err(reason) => {
                self.release(&engine, &reach).await?;
                return Err(Error::Workspace(reason));
            }
        };
        let (pieces, stream) = mpsc::channel(PIECES);
        let (tell, verdict) = oneshot::channel();
        let inner = Arc::clone(self);
        // Outlives a caller who gives up, so that the carrier is removed; it ends with the first piece that nobody takes.
        tokio::spawn(async move {
            let source = Source {
                client: engine.patient.clone(),
                kind: engine.kind,
                container: reach.container.id.clone(),
                root: reach.root.clone(),
            };
            let work = tokio::task::spawn_blocking(move || source.send(&selection, pieces, tell));
            // A panic in there drops its end of both channels, which the caller sees.
            let _ = work.await;
            if let Err(error) = inner.release(&engine, &reach).await {
                tracing::warn!("a container that carried files stays until its task is destroyed: {error}");
            }
        });
        match verdict.await {
            Ok(Ok(())) => Ok(ReceiverStream::new(stream).boxed()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Workspace("the reading of the workspace was given up".to_owned())),
        }
    }
}

async fn upload(engine: &Engine, reach: &Reach, path: &Path, archive: TarStream) -> Result<()> {
    let id = &reach.container.id;
    engine.initialise(id).await?;
    let target = Path::new(&reach.root).join(path);
    make_folders(engine, id, &target).await?;
    let (stream, verdict) = tree::checked(archive);
    let options = UploadToContainerOptionsBuilder::new().path(&target.to_string_lossy()).build();
    let sent = engine.patient.upload_to_container(id, Some(options), bollard::body_try_stream(stream)).await;
    // A body that breaks off looks to the connection as if the engine had gone, so what the checking found goes first.
    match (verdict.await, sent) {
        (Ok(Err(reason)), _) => Err(Error::Workspace(reason)),
        (_, Err(error)) => Err(refused(engine, &error)),
        (_, Ok(())) => Ok(()),
    }
}

fn refused(engine: &Engine, error: &EngineError) -> Error {
    match engine.error("unpack files into the workspace", error) {
        Error::Engine { message, .. } => Error::Workspace(message),
        other => other,
    }
}

/// Makes `target` and what is missing above it; what is there stays as it is.
async fn make_folders(engine: &Engine, id: &str, target: &Path) -> Result<()> {
    let mut missing = Vec::new();
    let mut present = Path::new("/");
    for folder in target.ancestors() {
        let options = ContainerArchiveInfoOptionsBuilder::new().path(&folder.to_string_lossy()).build();
        match engine.quick.get_container_archive_info(id, Some(options)).await {
            Ok(_) => {
                present = folder;
                break;
            }
            Err(error) if failure::is_absent(&error) => missing.push(folder),
            Err(error) => return Err(refused(engine, &error)),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut archive = tar::Builder::new(Vec::new());
    for folder in missing.iter().rev() {
        let Ok(name) = folder.strip_prefix(present) else { continue };
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        archive
            .append_data(&mut header, name, io::empty())
            .map_err(|error| Error::io("making folders", error))?;
    }
    let bytes = archive.into_inner().map_err(|error| Error::io("making folders", error))?;
    let options = UploadToContainerOptionsBuilder::new().path(&present.to_string_lossy()).build();
    let sent = engine.quick.upload_to_container(id, Some(options), bollard::body_full(bytes.into())).await;
    sent.map_err(|error| refused(engine, &error))
}

/// A workspace to read from, on a blocking thread.
struct Source {
    client: Client,
    kind: EngineKind,
    container: String,
    root: String,
}

impl Source {
    /// Sends what is selected. The caller is told through `tell`, once: that something was found, or why nothing will come.
    fn send(
        &self,
        selection: &Selection,
        pieces: mpsc::Sender<io::Result<Bytes>>,
        tell: oneshot::Sender<Result<()>>,
    ) {
        let tell = RefCell::new(Some(tell));
        let say = |verdict| match tell.take() {
            Some(tell) => drop(tell.send(verdict)),
            None => {
                if let Err(error) = verdict {
                    let _ = pieces.blocking_send(Err(io::Error::other(error.to_string())));
                }
            }
        };
        let found = || say(Ok(()));
        let mut sieve = Sieve::new(selection, pieces.clone(), &found);
        match self.read_again(selection, &mut sieve) {
            Err(error) => say(Err(error)),
            Ok(()) if !sieve.found() => {
                say(Err(Error::NothingMatches(selection.asked.clone())));
            }
            Ok(()) => {
                if let Err(error) = sieve.finish() {
                    say(Err(Error::io("sending files of the workspace", error)));
                }
            }
        }
    }

    /// Reads, and once more after a moment what gave nothing: Podman takes the file system of a container that has just ended out of
    /// its place for a moment, and then shows nothing of it.
    fn read_again(&self, selection: &Selection, sieve: &mut Sieve<'_>) -> Result<()> {
        self.read_all(selection, sieve)?;
        let looks = if self.kind == EngineKind::Podman { LOOKS } else { 0 };
        for _ in 0..looks {
            if sieve.found() {
                break;
            }
            std::thread::sleep(MOMENT);
            self.read_all(selection, sieve)?;
        }
        Ok(())
    }

    fn read_all(&self, selection: &Selection, sieve: &mut Sieve<'_>) -> Result<()> {
        for part in &selection.parts {
            self.read(sieve, part)?;
        }
        for path in std::mem::take(&mut sieve.cut_off) {
            self.read(sieve, &Part::Exactly(path))?;
        }
        Ok(())
    }

    /// Reads one part; a part that is not there holds nothing.
    fn read(&self, sieve: &mut Sieve<'_>, part: &Part) -> Result<()> {
        let (path, folder) = self.request(part);
        let options = DownloadFromContainerOptionsBuilder::new().path(&path).build();
        let download =
            self.client.download_from_container(&self.container, Some(options)).map_err(io::Error::other);
        let archive = SyncIoBridge::new(StreamReader::new(Box::pin(download)));
        sieve.sift(archive, &folder).or_else(|error| {
            let engine = error.get_ref().and_then(|inner| inner.downcast_ref::<EngineError>());
            match engine {
                Some(refusal) if failure::is_absent(refusal) || is_no_folder(refusal) => Ok(()),
                Some(refusal) => Err(match failure::translate(self.kind, "read the workspace", refusal) {
                    Error::Engine { message, .. } => Error::Workspace(message),
                    other => other,
                }),
                None => Err(Error::Workspace(error.to_string())),
            }
        })
    }

    /// The path to ask the engine for, and what the names in its answer are relative to. The folder's own entry is in
    /// Docker's answer and not in Podman's, and Podman follows a symbolic link that Docker shows; asking Podman for the
    /// folder above makes the two alike.
    fn request(&self, part: &Part) -> (String, PathBuf) {
        let within = |folder: &Path| {
            (format!("{}/.", Path::new(&self.root).join(folder).display()), folder.to_owned())
        };
        match part {
            Part::Within(folder) => within(folder),
            Part::Exactly(path) => {
                let above = path.parent().unwrap_or(Path::new(""));
                match self.kind {
                    EngineKind::Podman => within(above),
                    EngineKind::Docker => {
                        (Path::new(&self.root).join(path).display().to_string(), above.to_owned())
                    }
                }
            }
        }
    }
}

/// A plain file where a glob has a folder.
fn is_no_folder(error: &EngineError) -> bool {
    failure::words(error).contains("not a directory")
}
