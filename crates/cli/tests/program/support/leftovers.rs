//! What a run might leave on the host: processes, workspaces, user ids, temporary files, mounts.

use std::fs;
use std::path::Path;

/// What belongs to the bench at `root` and outlived its run.
pub(crate) fn of_host(root: &Path, state: &Path) -> Vec<String> {
    let mut left: Vec<String> = processes_that_mention(root)
        .into_iter()
        .map(|(pid, what)| format!("process {pid}: {what}"))
        .collect();
    for folder in [state.join("process/tasks"), state.join("process/uids"), root.join("tmp")] {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        left.extend(entries.map(|entry| entry.path().display().to_string()));
    }
    let runs = fs::read_dir(state.join("runs")).into_iter().flatten().flatten();
    left.extend(
        runs.map(|run| run.path().join("clone"))
            .filter(|clone| clone.exists())
            .map(|clone| clone.display().to_string()),
    );
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    left.extend(mounts.lines().filter(|mount| mount.contains(&*root.to_string_lossy())).map(str::to_owned));
    left
}

/// Processes that have this path in their command line, environment or working directory, with their command lines.
pub(crate) fn processes_that_mention(path: &Path) -> Vec<(i32, String)> {
    let needle = path.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let read = |file: &str| fs::read(entry.path().join(file)).unwrap_or_default();
        let (command, environment) = (read("cmdline"), read("environ"));
        let folder = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let mentions = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&needle);
        if mentions(&command) || mentions(&environment) || folder.starts_with(path) {
            found.push((pid, String::from_utf8_lossy(&command).replace('\0', " ")));
        }
    }
    found
}
