//! Which processes belong to which step.
//!
//! A step's first process starts a session of its own and is the shim's child. Whatever it starts stays below it, or,
//! when a process in between ends, becomes the shim's own child (the shim is a subreaper): an *orphan*. So the shim's
//! list of children, which only the shim itself shortens, shows every step's tree by its roots, whole at any time.
//! An orphan's step is told by its session or group, the token in its environment, or the step's pipe in its hands;
//! one that shed all of these is a *stray* and belongs to the last step left that it can have come from.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;

use jobwright_shim::procfs;
use jobwright_shim::protocol::TOKEN_VARIABLE;

use crate::step::{Step, Steps};
use crate::system;

/// The orphans of all steps.
pub(crate) struct Family {
    own: u32,
    /// The kernel's list of the shim's children; absent where it does not keep one.
    children: Option<File>,
    /// Children of the shim that are no step's first process; a program that was started beside a step is one of them.
    orphans: HashMap<u32, Orphan>,
    /// The steps of the programs that were started beside them, by the sessions that these programs lead.
    sessions: HashMap<u32, u64>,
}

struct Orphan {
    start_time: u64,
    /// The step's key; `None` for a stray.
    step: Option<u64>,
}

impl Family {
    pub(crate) fn new() -> Self {
        let own = std::process::id();
        let children = File::open(format!("/proc/{own}/task/{own}/children")).ok();
        Self { own, children, orphans: HashMap::new(), sessions: HashMap::new() }
    }

    /// Looks for new orphans. To be called before a step's first process is waited for: until then its session's
    /// number is certainly its own.
    pub(crate) fn survey(&mut self, steps: &Steps) {
        let children = self.own_children();
        let known: HashSet<u32> = children.iter().copied().collect();
        self.orphans.retain(|pid, _| known.contains(pid));
        for pid in children {
            if steps.key_of_process(pid).is_some() || self.orphans.contains_key(&pid) {
                continue;
            }
            if let Some(stat) = procfs::stat(pid) {
                let beside = self.sessions.get(&stat.session).or_else(|| self.sessions.get(&stat.group));
                let step = beside.copied().or_else(|| owner_of(pid, &stat, steps));
                self.orphans.insert(pid, Orphan { start_time: stat.start_time, step });
            }
        }
    }

    /// A child that was just started beside a step is the step's own, and so is what it leaves behind.
    pub(crate) fn adopt(&mut self, pid: u32, start_time: u64, key: u64) {
        self.orphans.insert(pid, Orphan { start_time, step: Some(key) });
        self.sessions.insert(pid, key);
    }

    /// A child that was no step's first process was waited for.
    pub(crate) fn waited_for(&mut self, pid: u32) {
        self.orphans.remove(&pid);
        self.sessions.remove(&pid);
    }

    /// All processes of a step that the last survey and the present `/proc` show.
    pub(crate) fn members(&self, key: u64, steps: &Steps) -> Vec<u32> {
        let Some(step) = steps.get(key) else { return Vec::new() };
        let mut members = self.roots(key, step, steps);
        if !members.is_empty() {
            members.extend(procfs::descendants(members.iter().copied()));
        }
        members
    }

    /// Whether no process of the step is left, strays that may be its own included.
    pub(crate) fn is_gone(&self, key: u64, step: &Step) -> bool {
        let may_be_its_own =
            |orphan: &Orphan| orphan.step.map_or(step.start_time <= orphan.start_time, |of| of == key);
        !step.is_running() && !self.orphans.values().any(may_be_its_own)
    }

    /// Sends a signal to each process of a step once; gives how many the step has.
    pub(crate) fn signal(&self, key: u64, steps: &Steps, signal: i32) -> usize {
        let Some(step) = steps.get(key) else { return 0 };
        let roots = self.roots(key, step, steps);
        // A root is an unwaited child of the shim, so its number and its group's are pinned. The whole group at once
        // is what a program that forks as fast as it is killed cannot outrun.
        let groups: HashSet<u32> = roots.iter().filter_map(|pid| Some(procfs::stat(*pid)?.group)).collect();
        for group in &groups {
            system::kill(-(*group as i32), signal);
        }
        let below = procfs::descendants(roots.iter().copied());
        let tree: HashSet<u32> = roots.iter().chain(&below).copied().chain([self.own]).collect();
        for pid in &below {
            system::kill_checked(*pid, signal, || {
                let now = procfs::stat(*pid);
                now.is_some_and(|now| tree.contains(&now.parent) && !groups.contains(&now.group))
            });
        }
        roots.len() + below.len()
    }

    fn roots(&self, key: u64, step: &Step, steps: &Steps) -> Vec<u32> {
        let first = step.is_running().then_some(step.pid);
        let orphans = self.orphans.iter().filter(|(_, orphan)| match orphan.step {
            Some(owner) => owner == key,
            None => last_candidate(orphan, steps) == Some(key),
        });
        first.into_iter().chain(orphans.map(|(pid, _)| *pid)).collect()
    }

    fn own_children(&self) -> Vec<u32> {
        let Some(file) = &self.children else {
            let is_own = |pid: &u32| procfs::stat(*pid).is_some_and(|stat| stat.parent == self.own);
            return procfs::all().into_iter().filter(is_own).collect();
        };
        let mut text = Vec::new();
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = file.read_at(&mut piece, text.len() as u64) {
            text.extend_from_slice(&piece[..length]);
        }
        String::from_utf8_lossy(&text).split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
    }
}

/// The step that an orphan shows to belong to. The newest first: an older one with the same number has ended.
fn owner_of(pid: u32, stat: &procfs::Stat, steps: &Steps) -> Option<u64> {
    let same_session = |step: &Step| stat.session == step.pid || stat.group == step.pid;
    let older = |step: &Step| step.start_time <= stat.start_time;
    let by = |is_owner: &dyn Fn(&Step) -> bool| {
        steps.iter().rev().find(|(_, step)| older(step) && is_owner(step)).map(|(key, _)| key)
    };
    by(&same_session)
        .or_else(|| {
            let token = procfs::environment(pid, TOKEN_VARIABLE)?;
            by(&|step| step.token.as_bytes() == token)
        })
        .or_else(|| {
            let pipes = procfs::held_pipes(pid);
            by(&|step| step.pipe_inodes.iter().any(|inode| pipes.contains(inode)))
        })
}

/// The one step left from which a stray can have come.
fn last_candidate(stray: &Orphan, steps: &Steps) -> Option<u64> {
    let mut candidates =
        steps.iter().filter(|(_, step)| !step.is_gone && step.start_time <= stray.start_time);
    let first = candidates.next()?;
    candidates.next().is_none().then_some(first.0)
}
