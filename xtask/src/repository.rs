//! Where this repository and its references lie, and which of its files a check reads.
//! Not for running anything.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ignore::WalkBuilder;

/// The root of the clone that this xtask was started from.
pub(crate) fn root() -> PathBuf {
    // Cargo sets the variable for `cargo run`; the compiled-in value serves a directly started binary.
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// The folder of references (`$JOBWRIGHT_SHARED`, else `../shared`), when this machine has it.
pub(crate) fn shared() -> Option<PathBuf> {
    let folder = std::env::var_os("JOBWRIGHT_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    folder.join("reference").is_dir().then_some(folder)
}

/// The folder that cargo builds into.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A text file of the repository.
pub(crate) struct Source {
    /// Relative to the root.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// All files below `folder` (relative to the root) with one of the extensions, in path order. What git
/// ignores is left out, uncommitted files are not.
pub(crate) fn sources(folder: &str, extensions: &[&str]) -> Result<Vec<Source>> {
    let root = root();
    let mut found = Vec::new();
    for entry in WalkBuilder::new(root.join(folder)).hidden(false).require_git(false).build() {
        let path = entry?.into_path();
        let wanted = path.extension().and_then(|e| e.to_str()).is_some_and(|e| extensions.contains(&e));
        if wanted && path.is_file() {
            found.push(Source { text: read(&path)?, path: path.strip_prefix(&root)?.to_path_buf() });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// A file's text, with the path in the error.
pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}
