//! Files with several names: put aside while the rest is copied, then copied once and linked.
//!
//! Doing them last and by one thread keeps the two copying threads free of a shared table of what is where.

use std::collections::HashMap;
use std::path::PathBuf;

use rustix::fs::AtFlags;

use super::transfer::{Tally, Trees, parent_and_name};
use crate::{Error, Result};

/// A file that has other names, with what identifies it.
pub(super) struct ManyNamed {
    pub(super) path: PathBuf,
    pub(super) identity: (u64, u64),
}

/// Copies each of `files` under its first name and links the further ones to it.
pub(super) fn copy_and_link(trees: &Trees<'_>, mut files: Vec<ManyNamed>, tally: &mut Tally) -> Result<()> {
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut copies: HashMap<(u64, u64), PathBuf> = HashMap::new();
    for file in files {
        match copies.get(&file.identity) {
            Some(first) => {
                link(trees, first, &file.path)?;
                tally.report.hard_links += 1;
            }
            None => {
                if trees.copy_many_named(&file.path, tally)? {
                    copies.insert(file.identity, file.path);
                }
            }
        }
    }
    Ok(())
}

fn link(trees: &Trees<'_>, first: &std::path::Path, further: &std::path::Path) -> Result<()> {
    let failed = |errno| Error::writing(trees.dest_path.join(further), errno);
    let ((old_dir, old_name), (new_dir, new_name)) = (parent_and_name(first), parent_and_name(further));
    let old = trees.dest.directory(old_dir).map_err(failed)?;
    let new = trees.dest.directory(new_dir).map_err(failed)?;
    rustix::fs::linkat(&old, old_name, &new, new_name, AtFlags::empty()).map_err(failed)
}
