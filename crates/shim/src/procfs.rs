//! The few facts about processes that `/proc` tells and that finding a step's tree needs.
//!
//! Everything here is a look at a moment; a process may be gone when the answer is used. Absent means `None` or an
//! empty list, never an error.

use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

/// What `/proc/PID/stat` says that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// One letter: `R`, `S`, `D`, `Z` (ended, not waited for) ...
    pub state: u8,
    /// The parent.
    pub parent: u32,
    /// The process group.
    pub group: u32,
    /// The session.
    pub session: u32,
    /// Clock ticks since boot.
    pub start_time: u64,
}

impl Stat {
    /// Whether the process ended and only waits to be waited for.
    pub fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// Looks at one process.
pub fn stat(pid: u32) -> Option<Stat> {
    let mut file = fs::File::open(format!("/proc/{pid}/stat")).ok()?;
    // Far more than the line ever takes; the kernel gives it whole.
    let mut line = [0; 2048];
    let length = file.read(&mut line).ok()?;
    parse_stat(&line[..length])
}

/// The name in the second field may hold spaces and brackets, so fields are counted from its last bracket on.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let after_name = text.iter().rposition(|byte| *byte == b')')? + 2;
    let rest = std::str::from_utf8(text.get(after_name..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let session = fields.next()?.parse().ok()?;
    let start_time = fields.nth(15)?.parse().ok()?;
    Some(Stat { state, parent, group, session, start_time })
}

/// What one process has used so far, and what it uses now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Clock ticks of processor time, its own and that of the children that it waited for.
    pub cpu_ticks: u64,
    /// Pages of memory that it has, those included that it shares with others.
    pub resident_pages: u64,
    /// Its threads.
    pub threads: u64,
}

/// Looks at what one process uses.
pub fn load(pid: u32) -> Option<Load> {
    parse_load(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_load(text: &[u8]) -> Option<Load> {
    let after_name = text.iter().rposition(|byte| *byte == b')')? + 2;
    let rest = std::str::from_utf8(text.get(after_name..)?).ok()?;
    // The state, a letter, is field 0.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let cpu_ticks = (11..=14).map(number).sum::<Option<u64>>()?;
    Some(Load { cpu_ticks, resident_pages: number(21)?, threads: number(17)? })
}

/// All process numbers.
pub fn all() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The children of all threads of one process. `None` where the kernel does not list them.
pub fn children(pid: u32) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    let mut listed = false;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        if let Ok(text) = fs::read_to_string(thread.path().join("children")) {
            listed = true;
            found.extend(text.split_ascii_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    listed.then_some(found)
}

/// Every process below `roots`, the roots not included. Does not recurse, so depth does not matter.
pub fn descendants(roots: impl IntoIterator<Item = u32>) -> Vec<u32> {
    let mut found = Vec::new();
    let mut seen: std::collections::HashSet<u32> = std::collections::HashSet::new();
    let mut open: Vec<u32> = roots.into_iter().collect();
    let mut parents = None;
    while let Some(pid) = open.pop() {
        if !seen.insert(pid) {
            continue;
        }
        let below = match children(pid) {
            Some(below) => below,
            None if fs::exists(format!("/proc/{pid}/task/{pid}/children")).unwrap_or(false) => Vec::new(),
            None => children_by_parent(parents.get_or_insert_with(all_parents), pid),
        };
        found.extend_from_slice(&below);
        open.extend(below);
    }
    found
}

fn all_parents() -> Vec<(u32, u32)> {
    all().into_iter().filter_map(|pid| Some((pid, stat(pid)?.parent))).collect()
}

fn children_by_parent(parents: &[(u32, u32)], parent: u32) -> Vec<u32> {
    parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid).collect()
}

/// The value of a variable in the environment with which a process was started, or re-executed last.
pub fn environment(pid: u32, name: &str) -> Option<Vec<u8>> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    environ
        .split(|byte| *byte == 0)
        .find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=").map(<[u8]>::to_vec))
}

/// The pipes that a process holds, as inode numbers.
pub fn held_pipes(pid: u32) -> Vec<u64> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let inode = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        let number = target.as_os_str().as_bytes().strip_prefix(b"pipe:[")?.strip_suffix(b"]")?;
        std::str::from_utf8(number).ok()?.parse().ok()
    };
    entries.flatten().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = b"42 (a) b) c) S 1 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        let stat = parse_stat(line).unwrap();
        assert_eq!((stat.parent, stat.group, stat.session, stat.start_time), (1, 40, 39, 98765));
    }

    #[test]
    fn a_load_is_time_memory_and_threads() {
        let line = b"42 (a) b) S 1 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 98765 1000 22 9";
        let load = parse_load(line).unwrap();
        assert_eq!(load, Load { cpu_ticks: 26, resident_pages: 22, threads: 3 });
        assert_eq!(parse_load(b"42 (x) S 1"), None);
    }

    #[test]
    fn a_half_written_line_is_absent_not_a_panic() {
        assert_eq!(parse_stat(b"42 (x"), None);
        assert_eq!(parse_stat(b"42 (x) S 1"), None);
        assert_eq!(parse_stat(b""), None);
    }

    #[test]
    fn children_are_found_below_their_parent() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(descendants([std::process::id()]).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!descendants([std::process::id()]).contains(&child.id()));
    }
}
