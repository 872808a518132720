//! Directories that jobs left behind are removed, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{is_root, mkfifo, rich_tree};
use jobwright_workspace::{Error, remove_tree};
use rustix::fs::{CWD, Mode, OFlags};

struct Scene {
    _dir: tempfile::TempDir,
    job: PathBuf,
    outside: PathBuf,
}

fn scene() -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let (job, outside) = (dir.path().join("job"), dir.path().join("outside"));
    fs::create_dir(&job).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("mine"), "").unwrap();
    Scene { _dir: dir, job, outside }
}

#[test]
fn everything_in_it_is_removed_and_counted() {
    let scene = scene();
    rich_tree(&scene.job);
    mkfifo(&scene.job.join("fifo"));
    let report = remove_tree(&scene.job).unwrap();
    assert_eq!((report.directories, report.others), (6, 13));
    assert!(!scene.job.exists());
    assert_eq!(remove_tree(&scene.job).unwrap().directories, 0, "a second removal finds nothing to do");
}

#[test]
fn symlinks_are_removed_and_not_followed() {
    let scene = scene();
    symlink(&scene.outside, scene.job.join("link")).unwrap();
    remove_tree(&scene.job).unwrap();
    assert!(scene.outside.join("mine").exists());
    symlink(&scene.outside, &scene.job).unwrap();
    let error = remove_tree(&scene.job).unwrap_err();
    assert!(matches!(error, Error::NotADirectory { .. }), "{error}");
    assert!(scene.outside.join("mine").exists());
}

#[test]
fn modes_do_not_stand_in_the_way() {
    let scene = scene();
    closed_tree(&scene.job);
    remove_tree(&scene.job).unwrap();
    assert!(!scene.job.exists());
}

fn closed_tree(root: &Path) {
    fs::create_dir_all(root.join("a/b/c")).unwrap();
    fs::write(root.join("a/b/c/x"), "").unwrap();
    fs::write(root.join("a/y"), "").unwrap();
    for (path, mode) in [("a/b/c", 0o000), ("a/b", 0o555), ("a", 0o300), ("", 0o400)] {
        fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn modes_do_not_stand_in_the_way_of_a_user_who_is_not_root_either() {
    if !is_root() {
        return eprintln!("skipped: modes_do_not_stand_in_the_way has tested just this");
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = dir.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    let output = command
        .args(["--exact", "modes_do_not_stand_in_the_way"])
        .env("TMPDIR", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn root_removes_what_others_own() {
    if !is_root() {
        return eprintln!("skipped: only root can give files away");
    }
    let scene = scene();
    closed_tree(&scene.job);
    let status = Command::new("chown").args(["-R", "65534:65534"]).arg(&scene.job).status();
    assert!(status.unwrap().success());
    remove_tree(&scene.job).unwrap();
    assert!(!scene.job.exists());
}

#[test]
fn root_removes_what_was_made_immutable() {
    let scene = scene();
    fs::create_dir(scene.job.join("d")).unwrap();
    fs::write(scene.job.join("d/x"), "").unwrap();
    fs::write(scene.job.join("append"), "").unwrap();
    let chattr = |flag: &str, path: &str| {
        Command::new("chattr")
            .arg(flag)
            .arg(scene.job.join(path))
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !(chattr("+i", "d/x") && chattr("+a", "append") && chattr("+i", "d") && chattr("+i", "")) {
        return eprintln!("skipped: chattr does not work here");
    }
    remove_tree(&scene.job).unwrap();
    assert!(!scene.job.exists());
}

#[test]
fn a_tree_deeper_than_paths_and_open_files_reach_is_removed() {
    let scene = scene();
    let depth = 5000;
    let mut here =
        rustix::fs::openat(CWD, &scene.job, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    for _ in 0..depth {
        rustix::fs::mkdirat(&here, "directory", Mode::RWXU).unwrap();
        here =
            rustix::fs::openat(&here, "directory", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    }
    drop(here);
    assert_eq!(remove_tree(&scene.job).unwrap().directories, depth + 1);
    assert!(!scene.job.exists());
}

#[test]
fn a_mount_inside_is_named_and_what_is_mounted_stays() {
    let scene = scene();
    let point = scene.job.join("a/mounted");
    fs::create_dir_all(&point).unwrap();
    let Some(mount) = BindMount::new(&scene.outside, &point) else {
        return eprintln!("skipped: cannot mount");
    };
    let error = remove_tree(&scene.job).unwrap_err();
    assert!(
        matches!(&error, Error::MountPoint { path } if path == &point.canonicalize().unwrap()),
        "{error}"
    );
    assert!(scene.outside.join("mine").exists());
    drop(mount);
    remove_tree(&scene.job).unwrap();
    assert!(scene.outside.join("mine").exists());
}

#[test]
fn a_mounted_file_and_a_mount_on_the_directory_itself_are_named_too() {
    let scene = scene();
    fs::write(scene.job.join("file"), "").unwrap();
    let Some(mount) = BindMount::new(&scene.outside.join("mine"), &scene.job.join("file")) else {
        return eprintln!("skipped: cannot mount");
    };
    let error = remove_tree(&scene.job).unwrap_err();
    assert!(matches!(&error, Error::MountPoint { path } if path.ends_with("job/file")), "{error}");
    drop(mount);
    let _mount = BindMount::new(&scene.outside, &scene.job).unwrap();
    let error = remove_tree(&scene.job).unwrap_err();
    assert!(matches!(&error, Error::MountPoint { path } if path.ends_with("job")), "{error}");
    assert!(scene.outside.join("mine").exists());
}

struct BindMount(PathBuf);

impl BindMount {
    fn new(from: &Path, to: &Path) -> Option<Self> {
        let mounted = Command::new("mount").arg("--bind").arg(from).arg(to).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(to.to_path_buf()))
    }
}

impl Drop for BindMount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn what_is_never_a_jobs_directory_is_refused() {
    let home = std::env::var("HOME").unwrap_or("/root".to_owned());
    for path in [
        "/",
        "/usr",
        "/tmp",
        "/.",
        "relative",
        "",
        "/tmp/../etc",
        "/var/../",
        "//",
        "/home",
        "/tmp/./x/../y",
        &home,
    ] {
        let error = remove_tree(Path::new(path)).unwrap_err();
        assert!(matches!(error, Error::RefusedRemoval { .. }), "{path}: {error}");
        assert!(error.to_string().starts_with("remove "), "{error}");
    }
}

#[test]
fn a_home_reached_through_a_symlink_is_refused() {
    let scene = scene();
    let home = PathBuf::from(std::env::var("HOME").unwrap_or("/root".to_owned()));
    symlink(home.parent().unwrap(), scene.outside.join("link")).unwrap();
    let error = remove_tree(&scene.outside.join("link").join(home.file_name().unwrap())).unwrap_err();
    assert!(matches!(error, Error::RefusedRemoval { .. }), "{error}");
}

#[test]
fn a_file_is_not_removed_as_a_directory() {
    let scene = scene();
    let error = remove_tree(&scene.outside.join("mine")).unwrap_err();
    assert!(matches!(error, Error::NotADirectory { .. }), "{error}");
    assert!(scene.outside.join("mine").exists());
}

#[test]
fn files_that_appear_during_the_removal_are_removed_or_told_of() {
    let scene = scene();
    let job = scene.job.clone();
    let writing = std::thread::spawn(move || {
        (0..3000).take_while(|name| fs::write(job.join(format!("f{name}")), "").is_ok()).count()
    });
    match remove_tree(&scene.job) {
        Ok(_) => assert!(!scene.job.exists()),
        Err(error) => assert!(matches!(error, Error::StillInUse { .. }), "{error}"),
    }
    writing.join().unwrap();
}

#[test]
fn several_may_remove_the_same_tree_at_once() {
    for _ in 0..20 {
        let scene = scene();
        for n in 0..40 {
            let deep = scene.job.join(format!("d{n}/a/b/c"));
            fs::create_dir_all(&deep).unwrap();
            fs::write(deep.join("file"), "").unwrap();
        }
        let removed: u64 = std::thread::scope(|scope| {
            let removals: Vec<_> = (0..4).map(|_| scope.spawn(|| remove_tree(&scene.job))).collect();
            removals.into_iter().map(|removal| removal.join().unwrap().unwrap().directories).sum()
        });
        assert!(!scene.job.exists());
        assert_eq!(removed, 1 + 40 * 4, "each directory was removed by one of them");
    }
}
