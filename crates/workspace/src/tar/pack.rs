//! Makes a tar archive of a tree or of what globs select in it.
//!
//! Everything is opened beneath the directory and no symlink is followed, so an archive made of what a job left holds
//! nothing from elsewhere. Not here: how one member is written (`member`).

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;
use tar::{Builder, EntryType};
use tokio::sync::oneshot;

use super::TarStream;
use super::chunks::{ChunkWriter, channel, stream_of};
use super::member::{Contents, Style, write};
use crate::beneath::{Beneath, open_file};
use crate::offload::blocking;
use crate::tree::{
    Directory, Globs, Kind, Leaf, Listing, Project, RuleProblem, SkipReason, Skipped, TreeOptions, list_globs,
};
use crate::{Error, Owner, Result};

/// What of a directory goes into an archive.
#[derive(Debug, Clone)]
pub enum Selection {
    /// The tree, under its ignore rules.
    Tree(TreeOptions),
    /// What the globs match, whatever the ignore rules say. A glob that matches nothing is an error.
    Globs(Globs),
}

/// How an archive is made.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// Whom the members belong to. Default: their owners' numbers.
    pub owner: Option<Owner>,
    /// Whether times keep their nanoseconds, for 1 KiB more for each member. Default: true: build tools compare them.
    pub precise_times: bool,
    /// Whether a glob may match nothing. Default: false.
    pub allow_unmatched: bool,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self { owner: None, precise_times: true, allow_unmatched: false }
    }
}

/// What went into an archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackReport {
    /// Members of all kinds.
    pub members: u64,
    /// Bytes of the files' contents.
    pub bytes: u64,
    /// What was selected and yet left out.
    pub skipped: Vec<Skipped>,
    /// Lines of ignore files that could not be understood.
    pub rule_problems: Vec<RuleProblem>,
}

/// A tar stream of what `selection` takes from the directory `dir`: paths relative to it, without an entry for `dir` itself.
///
/// Kept: symlinks as they are, modes, times, hard links within the selection, names of any length and any bytes. The tree is listed before
/// this returns; the archive is made on a blocking thread as it is read, a few hundred KiB ahead, and that thread ends when the
/// stream is dropped. A file that vanishes meanwhile is left out. An error while packing is the stream's last item.
///
/// # Errors
///
/// [`Error::NothingMatched`] with every glob that matches nothing; [`Error::NotADirectory`]; [`Error::Unreadable`]; [`Error::Stopped`].
///
/// # Panics
///
/// Outside of a tokio runtime.
pub async fn pack(dir: &Path, selection: &Selection, options: &PackOptions) -> Result<TarStream> {
    pack_with_report(dir, selection, options).await.map(|(stream, _)| stream)
}

/// As [`pack`], with the report that is ready when the stream has been read to its end; none comes when packing failed.
///
/// # Errors
///
/// As [`pack`].
///
/// # Panics
///
/// Outside of a tokio runtime.
pub async fn pack_with_report(
    dir: &Path,
    selection: &Selection,
    options: &PackOptions,
) -> Result<(TarStream, oneshot::Receiver<PackReport>)> {
    let (root, selection, options) = (dir.to_path_buf(), selection.clone(), options.clone());
    let plan = blocking(dir, move || Plan::new(root, &selection, &options)).await?;
    let (sender, receiver) = channel();
    let (report_to, report) = oneshot::channel();
    let writer = tokio::task::spawn_blocking(move || {
        let mut chunks = ChunkWriter::new(sender);
        let outcome = plan.write(&mut chunks).map_err(io::Error::other).map(|report| {
            // Nobody has to want the report.
            let _ = report_to.send(report);
        });
        chunks.finish(outcome);
    });
    Ok((stream_of(receiver, writer), report))
}

/// The same, written to `output` by this thread.
///
/// # Errors
///
/// As [`pack`], and [`Error::Unwritable`] when `output` fails, [`Error::ChangedWhileRead`] when a file shrinks.
pub fn pack_into(
    dir: &Path,
    selection: &Selection,
    options: &PackOptions,
    output: impl Write,
) -> Result<PackReport> {
    Plan::new(dir.to_path_buf(), selection, options)?.write(output)
}

/// What is to be packed, listed and found right.
struct Plan {
    root: PathBuf,
    listing: Listing,
    style: Style,
}

impl Plan {
    fn new(root: PathBuf, selection: &Selection, options: &PackOptions) -> Result<Self> {
        let listing = match selection {
            Selection::Tree(tree) => Project::new(&root, tree.clone()).list()?,
            Selection::Globs(globs) => {
                let (listing, unmatched) = list_globs(&root, globs)?;
                if !unmatched.is_empty() && !options.allow_unmatched {
                    return Err(Error::NothingMatched { globs: unmatched, root });
                }
                listing
            }
        };
        let style = Style { owner: options.owner, precise_times: options.precise_times };
        Ok(Self { root, listing, style })
    }

    fn write(self, output: impl Write) -> Result<PackReport> {
        let beneath = Beneath::new(&self.root).map_err(|errno| Error::reading(&self.root, errno))?;
        let mut packing = Packing {
            root: &self.root,
            style: self.style,
            builder: Builder::new(output),
            first_names: HashMap::new(),
            report: PackReport {
                skipped: self.listing.skipped,
                rule_problems: self.listing.rule_problems,
                ..PackReport::default()
            },
        };
        for directory in &self.listing.directories {
            packing.directory(&beneath, directory)?;
        }
        packing
            .builder
            .finish()
            .and_then(|()| packing.builder.get_mut().flush())
            .map_err(|error| packing.sending(error))?;
        Ok(packing.report)
    }
}

struct Packing<'a, W: Write> {
    root: &'a Path,
    style: Style,
    builder: Builder<W>,
    /// Under which name a file with several was packed.
    first_names: HashMap<(u64, u64), PathBuf>,
    report: PackReport,
}

impl<W: Write> Packing<'_, W> {
    fn directory(&mut self, beneath: &Beneath, directory: &Directory) -> Result<()> {
        let path = &directory.path;
        let open = match beneath.directory(path) {
            Ok(open) => open,
            Err(errno) => return self.skip_or_fail(path, errno),
        };
        if directory.is_chosen && !path.as_os_str().is_empty() {
            let stat = rustix::fs::fstat(&open).map_err(|errno| self.unreadable(path, errno))?;
            self.member(path, EntryType::Directory, &stat, Contents::Nothing)?;
        }
        directory.leaves.iter().try_for_each(|leaf| self.leaf(&open, path, leaf))
    }

    fn leaf(&mut self, directory: &OwnedFd, parent: &Path, leaf: &Leaf) -> Result<()> {
        let path = parent.join(&leaf.name);
        let packed = match leaf.kind {
            Kind::Symlink => self.symlink(directory, leaf, &path),
            _ => self.file(directory, leaf, &path),
        };
        match packed {
            Ok(done) => done,
            Err(errno) => self.skip_or_fail(&path, errno),
        }
    }

    /// The outer error says that the symlink cannot be looked at, the inner one that packing failed.
    fn symlink(&mut self, directory: &OwnedFd, leaf: &Leaf, path: &Path) -> rustix::io::Result<Result<()>> {
        use std::os::unix::ffi::OsStrExt;
        let target = rustix::fs::readlinkat(directory, &leaf.name, Vec::new())?;
        let stat = rustix::fs::statat(directory, &leaf.name, AtFlags::SYMLINK_NOFOLLOW)?;
        let target = std::ffi::OsStr::from_bytes(target.to_bytes());
        Ok(self.member(path, EntryType::Symlink, &stat, Contents::Target(target)))
    }

    fn file(&mut self, directory: &OwnedFd, leaf: &Leaf, path: &Path) -> rustix::io::Result<Result<()>> {
        let file = open_file(directory, &leaf.name)?;
        let stat = rustix::fs::fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            self.skip(path, SkipReason::Changed);
            return Ok(Ok(()));
        }
        let identity = (stat.st_dev as u64, stat.st_ino as u64);
        if stat.st_nlink > 1 {
            if let Some(first) = self.first_names.get(&identity).cloned() {
                return Ok(self.member(path, EntryType::Link, &stat, Contents::Target(first.as_os_str())));
            }
            self.first_names.insert(identity, path.to_path_buf());
        }
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let mut source = Source { file: file.into(), error: None };
        let written = self.member(path, EntryType::Regular, &stat, Contents::Bytes(size, &mut source));
        self.report.bytes += size;
        Ok(match source.error {
            // A broken file must not be told as a broken connection.
            Some(Ending::Failed(error)) => Err(self.unreadable(path, error)),
            Some(Ending::Early) if written.is_err() => Err(Error::ChangedWhileRead {
                path: self.root.join(path),
                reason: "it became shorter while it was read",
            }),
            _ => written,
        })
    }

    fn member(&mut self, path: &Path, kind: EntryType, stat: &Stat, contents: Contents<'_>) -> Result<()> {
        write(&mut self.builder, path, kind, stat, contents, self.style)
            .map_err(|error| self.sending(error))?;
        self.report.members += 1;
        Ok(())
    }

    fn skip(&mut self, path: &Path, reason: SkipReason) {
        self.report.skipped.push(Skipped { path: path.to_path_buf(), reason });
    }

    fn skip_or_fail(&mut self, path: &Path, errno: Errno) -> Result<()> {
        match errno {
            Errno::NOENT => self.skip(path, SkipReason::Vanished),
            Errno::LOOP | Errno::NOTDIR | Errno::INVAL | Errno::NXIO => self.skip(path, SkipReason::Changed),
            errno => return Err(self.unreadable(path, errno)),
        }
        Ok(())
    }

    fn unreadable(&self, path: &Path, source: impl Into<io::Error>) -> Error {
        Error::reading(self.root.join(path), source)
    }

    fn sending(&self, source: io::Error) -> Error {
        Error::Unwritable { path: PathBuf::from("the archive"), source }
    }
}

/// A file that is packed, which remembers how reading it ended when that was not well.
struct Source {
    file: std::fs::File,
    error: Option<Ending>,
}

enum Ending {
    Early,
    Failed(io::Error),
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Ok(0) => {
                self.error = Some(Ending::Early);
                Ok(0)
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                let kind = error.kind();
                self.error = Some(Ending::Failed(error));
                Err(kind.into())
            }
            answer => answer,
        }
    }
}
