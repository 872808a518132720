//! A dummy task's workspace in memory: files, directories and symlinks with mode and time, in and out as real tar archives.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use globset::{Glob, GlobSetBuilder};
use tar::{Archive, Builder, EntryType, Header};
use tokio::sync::watch;

use crate::{Error, Result};

/// How many symlinks a path may lead through.
const MOST_LINKS: usize = 16;

/// The workspace's tree; paths are relative to it.
#[derive(Default)]
pub(super) struct Files {
    tree: Mutex<Tree>,
    changed: watch::Sender<()>,
}

type Tree = BTreeMap<PathBuf, Node>;

#[derive(Debug, Clone)]
struct Node {
    kind: Kind,
    mode: u32,
    modified: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    Directory,
    File(Bytes),
    Symlink(PathBuf),
}

impl Files {
    /// Makes or replaces the file `path`.
    pub(super) fn write(&self, path: &Path, content: Bytes) {
        let path = path.components().filter(|part| matches!(part, Component::Normal(_))).collect::<PathBuf>();
        let modified = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut tree = self.tree();
        make_parents(&mut tree, &path, modified);
        tree.insert(path, Node { kind: Kind::File(content), mode: 0o644, modified });
        drop(tree);
        self.changed.send_replace(());
    }

    /// The content of the file to which `path` leads.
    pub(super) fn read(&self, path: &Path) -> Option<Bytes> {
        let tree = self.tree();
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            match &tree.get(&path)?.kind {
                Kind::File(content) => return Some(content.clone()),
                Kind::Directory => return None,
                Kind::Symlink(target) => path = path.parent()?.join(target),
            }
        }
        None
    }

    /// Waits until there is something at `path`.
    pub(super) async fn appears(&self, path: &Path) {
        let mut changed = self.changed.subscribe();
        while !self.tree().contains_key(path) {
            // The sender is this value's own, so it is there as long as the borrow of it.
            let _ = changed.changed().await;
        }
    }

    /// Unpacks `archive` below `path`: all of it, or nothing.
    pub(super) fn unpack(&self, path: &str, archive: &[u8]) -> Result<()> {
        let base = inside(Path::new(path)).ok_or_else(|| outside(Path::new(path)))?;
        let mut tree = self.tree();
        let mut unpacked = tree.clone();
        unpack(&mut unpacked, &base, archive)?;
        *tree = unpacked;
        drop(tree);
        self.changed.send_replace(());
        Ok(())
    }

    /// An archive of all that any of `globs` matches, and of all below matching directories.
    pub(super) fn pack(&self, globs: &[Glob]) -> Result<Vec<u8>> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            set.add(glob.clone());
        }
        let set = set.build().map_err(|why| Error::Workspace(why.to_string()))?;
        let tree = self.tree();
        let chosen = tree.iter().filter(|(path, _)| path.ancestors().any(|part| set.is_match(part)));
        let chosen: Vec<_> = chosen.collect();
        if chosen.is_empty() {
            let globs: Vec<_> = globs.iter().map(Glob::glob).collect();
            return Err(Error::NothingMatches(globs.join(", ")));
        }
        pack(&chosen).map_err(|why| Error::io("packing the workspace", why))
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unpack(tree: &mut Tree, base: &Path, archive: &[u8]) -> Result<()> {
    let broken = |why: io::Error| Error::Workspace(format!("the archive is broken: {why}"));
    let mut archive = Archive::new(Cursor::new(archive));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let named = entry.path().map_err(broken)?.into_owned();
        let path = base.join(inside(&named).ok_or_else(|| outside(&named))?);
        refuse_links_above(tree, &path)?;
        let kind = match entry.header().entry_type() {
            EntryType::Directory => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(broken)?;
                Kind::File(content.into())
            }
            EntryType::Symlink => Kind::Symlink(target(&entry, &named)?),
            EntryType::Link => {
                let target = target(&entry, &named)?;
                let target = base.join(inside(&target).ok_or_else(|| outside(&target))?);
                tree.get(&target).map(|node| node.kind.clone()).ok_or_else(|| missing(&named, &target))?
            }
            EntryType::XGlobalHeader => continue,
            other => {
                let why = format!("{} is a {other:?}, which has no place in a workspace", named.display());
                return Err(Error::Workspace(why));
            }
        };
        let mode = entry.header().mode().map_err(broken)? & 0o7777;
        let modified = entry.header().mtime().map_err(broken)?;
        make_parents(tree, &path, modified);
        if path.components().next().is_some() {
            tree.insert(path, Node { kind, mode, modified });
        }
    }
    Ok(())
}

fn target(entry: &tar::Entry<'_, Cursor<&[u8]>>, named: &Path) -> Result<PathBuf> {
    let target = entry.link_name().map_err(|why| Error::Workspace(why.to_string()))?;
    target
        .map(|target| target.into_owned())
        .ok_or_else(|| Error::Workspace(format!("{} is a link that does not say where to", named.display())))
}

fn pack(chosen: &[(&PathBuf, &Node)]) -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    for (path, node) in chosen {
        let mut header = Header::new_gnu();
        header.set_mode(node.mode);
        header.set_mtime(node.modified);
        header.set_size(0);
        match &node.kind {
            Kind::Directory => {
                header.set_entry_type(EntryType::Directory);
                archive.append_data(&mut header, path, io::empty())?;
            }
            Kind::File(content) => {
                header.set_entry_type(EntryType::Regular);
                header.set_size(content.len() as u64);
                archive.append_data(&mut header, path, content.as_ref())?;
            }
            Kind::Symlink(target) => {
                header.set_entry_type(EntryType::Symlink);
                archive.append_link(&mut header, path, target)?;
            }
        }
    }
    archive.into_inner()
}

fn make_parents(tree: &mut Tree, path: &Path, modified: u64) {
    let parents = path.ancestors().skip(1).filter(|parent| parent.components().next().is_some());
    for parent in parents {
        let directory = Node { kind: Kind::Directory, mode: 0o755, modified };
        tree.entry(parent.to_owned()).or_insert(directory);
    }
}

/// `path` without its `.` parts, if it stays inside.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// An entry below a symlink would be written wherever that leads.
fn refuse_links_above(tree: &Tree, path: &Path) -> Result<()> {
    let above = path.ancestors().skip(1);
    let mut links = above.filter(|part| matches!(tree.get(*part), Some(Node { kind: Kind::Symlink(_), .. })));
    match links.next() {
        Some(link) => {
            let why = format!("{} would be written through the symlink {}", path.display(), link.display());
            Err(Error::Workspace(why))
        }
        None => Ok(()),
    }
}

fn outside(path: &Path) -> Error {
    Error::Workspace(format!("{} is outside of the workspace", path.display()))
}

fn missing(named: &Path, target: &Path) -> Error {
    Error::Workspace(format!(
        "{} is a hard link to {}, which is not there",
        named.display(),
        target.display()
    ))
}
