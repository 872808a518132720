//! Tar archives on their way: checked before they go in, sifted by globs on their way out. Streams stay streams; the work is
//! done on blocking threads, as the `tar` crate reads and writes synchronously. Not for where the files are (`files`).

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use futures_util::Stream;
use globset::{Glob, GlobSet, GlobSetBuilder};
use jobwright_backend::TarStream;
use tar::{Archive, Builder, Entry, EntryType};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::{StreamReader, SyncIoBridge};

/// How many pieces may be on their way between two threads.
const PIECES: usize = 16;
/// The size of a piece.
const PIECE: usize = 64 * 1024;
/// How much an entry's headers may take; path names of a megabyte are no file's.
const HEADERS: usize = 1 << 20;

/// The bytes of an archive as one end of a channel between threads.
type Pieces = mpsc::Sender<io::Result<Bytes>>;

/// Lets an archive through as it is, entry by entry, each only after it was seen to be sound: it stays below the place where
/// it is unpacked, and is complete. The second value tells what was wrong, once the stream has ended.
pub(crate) fn checked(
    archive: TarStream,
) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, JoinHandle<Result<(), String>>) {
    let (pieces, stream) = mpsc::channel(PIECES);
    let verdict = tokio::task::spawn_blocking(move || {
        let source = SyncIoBridge::new(StreamReader::new(archive));
        let checked = check(source, pieces.clone());
        match &checked {
            // The engine stopped reading, and says why itself.
            Err(_) if pieces.is_closed() => Ok(()),
            Err(reason) => {
                let _ = pieces.blocking_send(Err(io::Error::other(reason.clone())));
                checked
            }
            Ok(()) => checked,
        }
    });
    (ReceiverStream::new(stream), verdict)
}

fn check(source: impl Read, pieces: Pieces) -> Result<(), String> {
    let gate = Rc::new(RefCell::new(Gate { pieces, held: Some(Vec::new()) }));
    let mut archive = Archive::new(Gated { source, gate: Rc::clone(&gate) });
    let broken = |error: io::Error| format!("the archive is broken: {error}");
    let mut links = HashSet::new();
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        stays_below(&entry, &mut links)?;
        gate.borrow_mut().open().map_err(broken)?;
        let copied = io::copy(&mut entry, &mut io::sink()).map_err(broken)?;
        if copied != entry.size() {
            return Err(format!("the archive is broken: it ends within {}", shown(&entry.path_bytes())));
        }
        gate.borrow_mut().close();
    }
    gate.borrow_mut().open().map_err(broken)?;
    // What comes after the end of the archive is padding.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map(drop).map_err(broken)
}

/// Holds back what was read until it is let through.
struct Gate {
    pieces: Pieces,
    held: Option<Vec<u8>>,
}

impl Gate {
    fn open(&mut self) -> io::Result<()> {
        match self.held.take() {
            Some(held) if !held.is_empty() => self.send(held.into()),
            _ => Ok(()),
        }
    }

    fn close(&mut self) {
        self.held = Some(Vec::new());
    }

    fn pass(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.held {
            Some(held) if held.len() + bytes.len() > HEADERS => {
                Err(io::Error::other("an entry's headers have no end"))
            }
            Some(held) => {
                held.extend_from_slice(bytes);
                Ok(())
            }
            None => self.send(Bytes::copy_from_slice(bytes)),
        }
    }

    fn send(&self, bytes: Bytes) -> io::Result<()> {
        self.pieces.blocking_send(Ok(bytes)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

struct Gated<R> {
    source: R,
    gate: Rc<RefCell<Gate>>,
}

impl<R: Read> Read for Gated<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.gate.borrow_mut().pass(&buffer[..count])?;
        Ok(count)
    }
}

/// Neither an entry nor the file that a hard link names may lead out of the archive's own tree, by `..`, by `/`, or through
/// a symbolic link that came before.
fn stays_below<R: Read>(entry: &Entry<'_, R>, links: &mut HashSet<PathBuf>) -> Result<(), String> {
    let name = shown(&entry.path_bytes());
    let path = entry.path().map_err(|error| format!("the archive is broken: {error}"))?;
    let path = below(&path).ok_or_else(|| format!("{name} would be written outside of the workspace"))?;
    if path.ancestors().skip(1).any(|folder| links.contains(folder)) {
        return Err(format!("{name} would be written through a symbolic link of the same archive"));
    }
    let kind = entry.header().entry_type();
    if matches!(kind, EntryType::Char | EntryType::Block | EntryType::Fifo) {
        return Err(format!("{name} is a device or a pipe, which no workspace holds"));
    }
    if kind == EntryType::Link {
        let target = entry.link_name().ok().flatten().and_then(|target| below(&target));
        target.ok_or_else(|| format!("{name} is a hard link to a file outside of the workspace"))?;
    }
    if kind == EntryType::Symlink {
        links.insert(path);
    } else {
        links.remove(&path);
    }
    Ok(())
}

/// `path` without `.`, when it is relative and has no `..`.
pub(crate) fn below(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

fn shown(path: &[u8]) -> String {
    format!("\"{}\"", path.escape_ascii())
}

/// A part of the workspace that has to be read to find what globs match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Everything in this folder; empty for the workspace itself.
    Within(PathBuf),
    /// This one path, whatever it is.
    Exactly(PathBuf),
}

/// Which files are wanted.
pub(crate) struct Selection {
    globs: GlobSet,
    /// What was asked for, for the error when there is nothing.
    pub(crate) asked: String,
    /// What has to be read for it.
    pub(crate) parts: Vec<Part>,
}

impl Selection {
    /// # Errors
    /// Says what is wrong with a glob.
    pub(crate) fn new(globs: &[Glob]) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            set.add(glob.clone());
        }
        let asked: Vec<_> = globs.iter().map(Glob::glob).collect();
        let mut parts: Vec<Part> = Vec::new();
        let wanted: Vec<Part> = asked.iter().map(|glob| part_of(glob)).collect();
        for part in &wanted {
            let covered = wanted.iter().any(|other| other != part && covers(other, part));
            if !covered && !parts.contains(part) {
                parts.push(part.clone());
            }
        }
        let globs = set.build().map_err(|error| error.to_string())?;
        Ok(Self { globs, asked: asked.join(", "), parts })
    }

    /// Whether `path`, or a folder above it, matches.
    fn takes(&self, path: &Path) -> bool {
        path.ancestors().any(|path| !path.as_os_str().is_empty() && self.globs.is_match(path))
    }
}

fn covers(other: &Part, part: &Part) -> bool {
    let (Part::Within(path) | Part::Exactly(path)) = part;
    match other {
        Part::Within(folder) => path.starts_with(folder) && path != folder,
        Part::Exactly(_) => false,
    }
}

/// The longest beginning of a glob that is a plain path.
fn part_of(glob: &str) -> Part {
    let special = |part: &str| part.contains(['*', '?', '[', '{', '\\']);
    let mut folder = PathBuf::new();
    for part in glob.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if special(part) {
            return Part::Within(folder);
        }
        folder.push(part);
    }
    Part::Exactly(folder)
}

/// Copies what is wanted out of the engine's archives into one.
pub(crate) struct Sieve<'a> {
    selection: &'a Selection,
    /// Is called once, before the first entry is written.
    announce: Option<&'a dyn Fn()>,
    out: Builder<BufWriter<PieceWriter>>,
    written: HashSet<PathBuf>,
    /// Hard links whose target was not wanted: their content has to be read by themselves.
    pub(crate) cut_off: Vec<PathBuf>,
}

impl<'a> Sieve<'a> {
    pub(crate) fn new(selection: &'a Selection, pieces: Pieces, announce: &'a dyn Fn()) -> Self {
        let out = Builder::new(BufWriter::with_capacity(PIECE, PieceWriter(pieces)));
        Self { selection, announce: Some(announce), out, written: HashSet::new(), cut_off: Vec::new() }
    }

    /// Whether anything was wanted so far.
    pub(crate) fn found(&self) -> bool {
        self.announce.is_none()
    }

    /// Reads an archive whose entries are relative to `folder`.
    pub(crate) fn sift(&mut self, archive: impl Read, folder: &Path) -> io::Result<()> {
        for entry in Archive::new(archive).entries()? {
            let mut entry = entry?;
            // Podman names what it finds at a mount point from the root.
            let path = folder.join(relative(&entry.path()?));
            let wanted = self.selection.takes(&path) && !self.written.contains(&path);
            if wanted && self.copy(&mut entry, folder, &path)? {
                self.written.insert(path);
            }
        }
        Ok(())
    }

    /// Writes one entry under `path`; false when it has to be read by itself.
    fn copy<R: Read>(&mut self, entry: &mut Entry<'_, R>, folder: &Path, path: &Path) -> io::Result<bool> {
        let mut header = entry.header().clone();
        header.set_size(entry.size());
        let mut link = entry.link_name()?.map(|link| link.into_owned());
        if let (EntryType::Link, Some(target)) = (header.entry_type(), &mut link) {
            *target = folder.join(relative(target));
            if !self.written.contains(target) {
                self.cut_off.push(path.to_owned());
                return Ok(false);
            }
        }
        if let Some(announce) = self.announce.take() {
            announce();
        }
        match (header.entry_type(), link) {
            (EntryType::Symlink | EntryType::Link, Some(target)) => {
                self.out.append_link(&mut header, path, target)?
            }
            _ => self.out.append_data(&mut header, path, entry)?,
        }
        Ok(true)
    }

    /// Ends the archive.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.out.into_inner()?.into_inner()?.flush()
    }
}

fn relative(path: &Path) -> PathBuf {
    path.components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

/// The writing end of a channel.
pub(crate) struct PieceWriter(Pieces);

impl Write for PieceWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
