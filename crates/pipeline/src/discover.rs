//! Which files of a directory are pipeline files (local-ci.md 1.1). Not for choosing among them.

use std::io;
use std::path::{Path, PathBuf};

/// Whether a file of that name is a pipeline file: `.jobwright.yaml`, and by local-ci's rules `.local-ci.yaml` or any name whose stem ends
/// in `local-ci` after a `.`, `-` or `_`; with `.yml` as well, in any case.
#[must_use]
pub fn is_pipeline_file_name(name: &str) -> bool {
    rank(name).is_some()
}

/// The pipeline files of `directory`, the one to take when nothing else is said first: `.jobwright.yaml`, `.jobwright.yml`, then
/// `.local-ci.yaml` and `.local-ci.yml`, then the others by name without regard to case.
///
/// # Errors
/// When the directory cannot be read.
pub fn discover(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let Some(rank) = rank(&name) else { continue };
        // Through links, so that a linked file counts; a link to nowhere is no file.
        if std::fs::metadata(entry.path()).is_ok_and(|metadata| !metadata.is_dir()) {
            found.push((rank, name.to_lowercase(), name, entry.path()));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(.., path)| path).collect())
}

/// Whose name a pipeline file has.
pub(crate) enum Family {
    /// `.jobwright.yaml` or `.jobwright.yml`.
    Jobwright,
    /// Any other pipeline file.
    LocalCi,
}

/// Whose name it is; none for a name that only an `include` or a person can give.
pub(crate) fn family(name: &str) -> Option<Family> {
    rank(name).map(|rank| if rank <= 1 { Family::Jobwright } else { Family::LocalCi })
}

/// Where a name stands in the order of names; `None` for one that is no pipeline file's.
fn rank(name: &str) -> Option<u8> {
    let name = name.to_lowercase();
    let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"))?;
    match (name.as_str(), stem) {
        (".jobwright.yaml", _) => Some(0),
        (".jobwright.yml", _) => Some(1),
        (".local-ci.yaml", _) => Some(2),
        (".local-ci.yml", _) => Some(3),
        (_, "local-ci") => Some(4),
        (_, stem) => stem.strip_suffix("local-ci")?.ends_with(['.', '-', '_']).then_some(4),
    }
}
