//! A run that waits to be let on, and a look at all that a directory holds.

use std::path::{Path, PathBuf};

use crate::support::{Bench, Running, wait_for_file};

/// A run whose only job says that it runs and then waits for a gate.
pub(crate) fn waiting(bench: &Bench) -> Running {
    let (ready, gate) = (bench.root().join("ready"), bench.root().join("gate"));
    bench.file(
        ".jobwright.yaml",
        format!(
            "stages: [a]\nx: {{stage: a, script: ['touch {}; until test -e {}; do sleep 0.02; done']}}\n",
            ready.display(),
            gate.display()
        ),
    );
    let running = bench.start(bench.command(&["run"]));
    wait_for_file(&ready);
    running
}

/// Every path below `directory` with what makes up its state.
pub(crate) fn tree(directory: &Path) -> Vec<(PathBuf, u64, Option<std::time::SystemTime>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let metadata = entry.path().symlink_metadata().unwrap();
        found.push((entry.path(), metadata.len(), metadata.modified().ok()));
        if metadata.is_dir() {
            found.extend(tree(&entry.path()));
        }
    }
    found.sort();
    found
}
