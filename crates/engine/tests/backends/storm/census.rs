//! What there is of one owner, wherever it could be left, so that it can be compared with what there was.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::world::World;

/// Everything that was found, each in words.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Census(BTreeSet<String>);

impl Census {
    /// Looks for it: in the engine, among the processes and mounts of this machine, in the state directory, and where temporary
    /// files lie.
    pub(super) async fn take(world: &World) -> Self {
        let mut found: BTreeSet<String> = world.leftovers().await.into_iter().collect();
        let mut names = vec![world.owner()];
        if let Some(bench) = world.bench() {
            let state = bench.root.path();
            names.push(state.display().to_string());
            list(state, &mut found);
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let of_ours = |text: &str| names.iter().any(|name| text.contains(name.as_str()));
        found.extend(mounts.lines().filter(|line| of_ours(line)).map(|line| format!("mount {line}")));
        for folder in ["/tmp", "/var/tmp"] {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let paths = entries.map(|entry| entry.path().display().to_string());
            found.extend(paths.filter(|path| path.contains(&world.owner())));
        }
        Self(found)
    }
}

/// Every file and folder below, but for those of the shim and the spare folders, which go with their backend.
fn list(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.ends_with("process/shims") || path.ends_with("process/spare") {
            continue;
        }
        found.insert(path.display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&path, found);
        }
    }
}
