//! Where cgroups can be made on this machine: by controller, whichever version of cgroups has it. Looks only.
//!
//! With the first version that is below Jobwright's own cgroup, so that a step stays within what bounds Jobwright. With the second one,
//! a cgroup that holds processes can give no controllers to others, so it is beside Jobwright's own cgroup, or, for root, at the
//! top, as container engines do it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

/// What a controller limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Controller {
    Memory,
    Cpu,
    Pids,
}

impl Controller {
    pub(crate) const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }
}

/// A folder below which cgroups of one controller can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) folder: PathBuf,
    /// Whether it is of the second version.
    pub(crate) unified: bool,
}

/// All that can be had.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hierarchy(BTreeMap<Controller, Seat>);

impl Hierarchy {
    /// That of this process. `below` names the folder to be used instead, where an operator knows better.
    pub(crate) fn of_this_process(below: Option<&Path>) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let mounts = mounts(&read("/proc/self/mountinfo"));
        Self::find(&mounts, &read("/proc/self/cgroup"), below, rustix::process::geteuid().is_root())
    }

    pub(crate) fn seat(&self, controller: Controller) -> Option<&Seat> {
        self.0.get(&controller)
    }

    fn find(mounts: &[Mount], own: &str, below: Option<&Path>, is_root: bool) -> Self {
        let seat = |controller: Controller| {
            if let Some(folder) = below {
                let seat =
                    Seat { folder: folder.to_owned(), unified: folder.join("cgroup.controllers").exists() };
                return usable(&seat, controller).then_some(seat);
            }
            split(mounts, own, controller).or_else(|| unified(mounts, own, controller, is_root))
        };
        Self(Controller::ALL.into_iter().filter_map(|of| Some((of, seat(of)?))).collect())
    }
}

/// The seat of a controller of the first version.
fn split(mounts: &[Mount], own: &str, controller: Controller) -> Option<Seat> {
    let mount = mounts.iter().find(|mount| !mount.unified && mount.has(controller))?;
    let is_it = |names: &str| names.split(',').any(|name| name == controller.name());
    let folder = mount.folder_of(own_path(own, is_it)?);
    let seat = Seat { folder, unified: false };
    usable(&seat, controller).then_some(seat)
}

/// The seat of a controller of the second version: beside this process's own cgroup, else, for root, at the top.
fn unified(mounts: &[Mount], own: &str, controller: Controller, is_root: bool) -> Option<Seat> {
    let mount = mounts.iter().find(|mount| mount.unified)?;
    let own = mount.folder_of(own_path(own, str::is_empty)?);
    let beside = own.parent().filter(|_| own != mount.point).unwrap_or(&own).to_owned();
    let top = is_root.then(|| mount.point.clone());
    let seats = [Some(beside), top].into_iter().flatten().map(|folder| Seat { folder, unified: true });
    seats.into_iter().find(|seat| usable(seat, controller))
}

/// Whether a cgroup with that controller can be made there.
fn usable(seat: &Seat, controller: Controller) -> bool {
    let folder = &seat.folder;
    let may_write = |path: &Path| rustix::fs::access(path, Access::WRITE_OK).is_ok();
    if !folder.join("cgroup.procs").exists() || !may_write(folder) {
        return false;
    }
    if !seat.unified {
        return true;
    }
    let lists = |file: &str| {
        let text = fs::read_to_string(folder.join(file)).unwrap_or_default();
        text.split_ascii_whitespace().any(|name| name == controller.name())
    };
    // The top of all has no events, and alone may hold processes and give controllers too.
    let is_top = !folder.join("cgroup.events").exists();
    let is_empty = || fs::read_to_string(folder.join("cgroup.procs")).is_ok_and(|procs| procs.is_empty());
    let can_give = || may_write(&folder.join("cgroup.subtree_control")) && (is_top || is_empty());
    // Whoever moves a process needs to write to the folder above both of its cgroups.
    may_write(&folder.join("cgroup.procs"))
        && (lists("cgroup.subtree_control") || (lists("cgroup.controllers") && can_give()))
}

/// This process's cgroup in the hierarchy whose controllers satisfy `is_it`.
fn own_path(own: &str, is_it: impl Fn(&str) -> bool) -> Option<&Path> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        is_it(names).then(|| Path::new(path))
    })
}

/// A mounted cgroup file system.
#[derive(Debug)]
struct Mount {
    /// What of the hierarchy is mounted.
    root: PathBuf,
    point: PathBuf,
    unified: bool,
    options: String,
}

impl Mount {
    fn has(&self, controller: Controller) -> bool {
        self.options.split(',').any(|option| option == controller.name())
    }

    /// Where `path` of the hierarchy is; the mount itself when it is not below what is mounted, as in some containers.
    fn folder_of(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix(&self.root).ok().map(|below| self.point.join(below));
        below.filter(|folder| folder.is_dir()).unwrap_or_else(|| self.point.clone())
    }
}

/// The lines of `mountinfo` (`proc_pid_mountinfo(5)`) that are cgroups.
fn mounts(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (first, last) = line.split_once(" - ")?;
        let mut last = last.split(' ');
        let (kind, options) = (last.next()?, last.nth(1).unwrap_or_default());
        let unified = match kind {
            "cgroup" => false,
            "cgroup2" => true,
            _ => return None,
        };
        let mut first = first.split(' ').skip(3).map(unescaped);
        Some(Mount { root: first.next()?, point: first.next()?, unified, options: options.to_owned() })
    };
    text.lines().filter_map(mount).collect()
}

/// A path in which blanks and the like are written as `\040`.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, others @ ..] = rest {
        let escaped = others
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &others[3..] } else { others };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like a cgroup.
    fn cgroup(path: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("cgroup.procs"), "").unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
    }

    fn found(mountinfo: &str, own: &str, is_root: bool) -> Vec<(Controller, PathBuf, bool)> {
        let found = Hierarchy::find(&mounts(mountinfo), own, None, is_root);
        found.0.into_iter().map(|(of, seat)| (of, seat.folder, seat.unified)).collect()
    }

    #[test]
    fn the_first_version_is_used_below_our_own_cgroup_and_the_second_for_what_it_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        cgroup(&at("memory/ours"), &[]);
        cgroup(&at("cpu"), &[]);
        cgroup(&at("unified"), &[("cgroup.controllers", "pids hugetlb"), ("cgroup.subtree_control", "")]);
        let mountinfo = format!(
            "1 0 0:1 / / rw - ext4 /dev/vda rw\n\
             2 1 0:2 / {0}/memory rw shared:1 - cgroup cgroup rw,memory\n\
             3 1 0:3 / {0}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
             4 1 0:4 / {0}/unified rw - cgroup2 cgroup2 rw\n",
            dir.path().display()
        );
        let own = "4:memory:/ours\n1:cpu,cpuacct:/\n0::/\n";
        let expected = vec![
            (Controller::Memory, at("memory/ours"), false),
            (Controller::Cpu, at("cpu"), false),
            (Controller::Pids, at("unified"), true),
        ];
        assert_eq!(found(&mountinfo, own, true), expected);
    }

    #[test]
    fn in_the_second_version_it_is_beside_our_own_cgroup_where_controllers_are_given() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        cgroup(
            top,
            &[("cgroup.controllers", "cpu memory pids"), ("cgroup.subtree_control", "cpu memory pids")],
        );
        let given = [
            ("cgroup.events", ""),
            ("cgroup.controllers", "cpu memory pids"),
            ("cgroup.subtree_control", "memory pids"),
        ];
        cgroup(&top.join("service"), &given);
        cgroup(&top.join("service/main"), &[("cgroup.events", "")]);
        let mountinfo = format!("4 1 0:4 / {} rw - cgroup2 cgroup2 rw\n", top.display());
        let of = |own: &str, is_root| {
            found(&mountinfo, own, is_root)
                .into_iter()
                .map(|(of, folder, _)| (of, folder))
                .collect::<Vec<_>>()
        };
        let service = top.join("service");
        let beside = |of| (of, service.clone());
        assert_eq!(
            of("0::/service/main\n", false),
            [Controller::Memory, Controller::Cpu, Controller::Pids].map(beside),
            "an empty one can give cpu, too"
        );
        fs::write(service.join("cgroup.procs"), "7\n").unwrap();
        assert_eq!(of("0::/service/main\n", false), [Controller::Memory, Controller::Pids].map(beside));
        assert_eq!(
            of("0::/service/main\n", true)[1],
            (Controller::Cpu, top.to_owned()),
            "root takes the top"
        );
    }

    #[test]
    fn where_nothing_is_mounted_or_nothing_can_be_made_there_is_nothing() {
        assert_eq!(found("1 0 0:1 / / rw - ext4 /dev/vda rw\n", "0::/\n", true), []);
        assert_eq!(found("4 1 0:4 / /nonexistent rw - cgroup2 cgroup2 rw\n", "0::/\n", true), []);
        assert_eq!(found("", "", true), []);
        assert_eq!(found("no - line\n- cgroup2\n", "::\n", true), []);
    }

    #[test]
    fn a_mount_point_with_a_blank_is_read() {
        assert_eq!(unescaped(r"/a\040b\\"), Path::new(r"/a b\\"));
    }
}
