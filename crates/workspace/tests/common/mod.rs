//! What the tests of this crate share: making trees and describing them.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps};

/// Everything that a copy has to keep of one path.
#[derive(PartialEq, Eq, Clone)]
pub(crate) struct Facts {
    pub(crate) kind: &'static str,
    pub(crate) mode: u32,
    pub(crate) mtime: (i64, i64),
    pub(crate) owner: (u32, u32),
    pub(crate) names: u64,
    pub(crate) contents: Vec<u8>,
}

impl std::fmt::Debug for Facts {
    /// On one line, with the beginning of the contents.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, mode, mtime, owner, names, contents } = self;
        let start = String::from_utf8_lossy(&contents[..contents.len().min(20)]);
        write!(f, "{kind} {mode:o} {mtime:?} {owner:?} {names} names, {} bytes {start:?}", contents.len())
    }
}

/// The facts of everything beneath `root`, by path.
pub(crate) fn facts(root: &Path) -> BTreeMap<Vec<u8>, Facts> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root.to_path_buf()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let stat = path.symlink_metadata().unwrap();
            let (kind, contents) = if stat.is_symlink() {
                ("symlink", fs::read_link(&path).unwrap().into_os_string().into_vec())
            } else if stat.is_dir() {
                ("directory", Vec::new())
            } else if stat.is_file() {
                ("file", fs::read(&path).unwrap())
            } else {
                ("other", Vec::new())
            };
            let facts = Facts {
                kind,
                mode: stat.permissions().mode() & 0o7777,
                mtime: (stat.mtime(), stat.mtime_nsec()),
                owner: (stat.uid(), stat.gid()),
                names: if stat.is_dir() { 0 } else { stat.nlink() },
                contents,
            };
            if stat.is_dir() {
                pending.push(path.clone());
            }
            found.insert(path.strip_prefix(root).unwrap().as_os_str().to_os_string().into_vec(), facts);
        }
    }
    found
}

/// A tree with one of everything that has to survive a copy or an archive.
pub(crate) fn rich_tree(root: &Path) {
    fs::create_dir_all(root.join("bin/deep")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::create_dir(root.join("read-only")).unwrap();
    fs::write(root.join("bin/tool"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(root.join("bin/deep/data"), vec![7; 300_000]).unwrap();
    fs::write(root.join("read-only/secret"), "s").unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    fs::set_permissions(root.join("read-only/secret"), fs::Permissions::from_mode(0o400)).unwrap();
    fs::hard_link(root.join("bin/tool"), root.join("again")).unwrap();
    fs::hard_link(root.join("bin/tool"), root.join("bin/deep/again")).unwrap();
    symlink("bin/tool", root.join("link")).unwrap();
    symlink("/nowhere/at/all", root.join("dangling")).unwrap();
    symlink("..", root.join("bin/./up")).unwrap();
    symlink(format!("./a//{}", "t".repeat(150)), root.join("bin/long-target")).unwrap();
    let long = "n".repeat(200);
    fs::create_dir(root.join(&long)).unwrap();
    fs::write(root.join(&long).join(&long), "long").unwrap();
    let odd = std::ffi::OsString::from_vec(b"not-\xff-utf8\n".to_vec());
    fs::write(root.join(odd), "odd").unwrap();
    let times = [(1_000_000_000, 123_456_789), (5, 0), (-5, 500_000_000), (1_700_000_000, 1)];
    for (path, time) in ["bin/tool", "empty", "link", "bin"].into_iter().zip(times) {
        set_mtime(&root.join(path), time);
    }
    fs::set_permissions(root.join("read-only"), fs::Permissions::from_mode(0o555)).unwrap();
}

pub(crate) fn set_mtime(path: &Path, (seconds, nanoseconds): (i64, i64)) {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

pub(crate) fn mkfifo(path: &Path) {
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
