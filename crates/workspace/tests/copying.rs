//! Copies of a tree, on the real file system.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use common::{facts, is_root, mkfifo, rich_tree};
use jobwright_workspace::{CopyOptions, Error, Owner, SkipReason, TreeOptions, copy_tree, offload};

struct Trees {
    _dir: tempfile::TempDir,
    source: std::path::PathBuf,
    dest: std::path::PathBuf,
}

fn trees() -> Trees {
    let dir = tempfile::tempdir().unwrap();
    let (source, dest) = (dir.path().join("source"), dir.path().join("dest"));
    fs::create_dir(&source).unwrap();
    Trees { _dir: dir, source, dest }
}

fn with_owner(owner: Owner) -> CopyOptions {
    CopyOptions { owner: Some(owner), ..CopyOptions::default() }
}

// covers: local-ci 121
#[test]
fn a_copy_keeps_contents_modes_times_symlinks_and_hard_links() {
    let trees = trees();
    rich_tree(&trees.source);
    let report = copy_tree(&trees.source, &trees.dest, &CopyOptions::default()).unwrap();
    assert_eq!(facts(&trees.dest), facts(&trees.source));
    assert_eq!((report.files, report.hard_links, report.symlinks), (6, 2, 4));
    assert_eq!((report.directories, report.bytes, report.skipped), (6, 300_000 + 10 + 1 + 4 + 3, vec![]));
    let inode = |path: &str| fs::metadata(trees.dest.join(path)).unwrap().ino();
    assert_eq!(inode("bin/tool"), inode("again"));
    assert_ne!(inode("bin/tool"), fs::metadata(trees.source.join("bin/tool")).unwrap().ino());
}

#[test]
fn a_large_tree_copied_by_several_threads_is_the_same() {
    let trees = trees();
    for directory in 0..20 {
        let directory = trees.source.join(format!("d{directory}"));
        fs::create_dir(&directory).unwrap();
        for file in 0..100 {
            fs::write(directory.join(format!("f{file}")), format!("{file}")).unwrap();
        }
    }
    fs::hard_link(trees.source.join("d0/f0"), trees.source.join("d9/link")).unwrap();
    copy_tree(&trees.source, &trees.dest, &CopyOptions::default()).unwrap();
    assert_eq!(facts(&trees.dest), facts(&trees.source));
}

#[test]
fn a_copy_can_be_given_to_another_user_whole() {
    if !is_root() {
        return eprintln!("skipped: only root can give files away");
    }
    let trees = trees();
    rich_tree(&trees.source);
    copy_tree(&trees.source, &trees.dest, &with_owner(Owner { uid: 65534, gid: 65533 })).unwrap();
    let copied = facts(&trees.dest);
    assert!(copied.values().all(|facts| facts.owner == (65534, 65533)), "{copied:?}");
    assert_eq!(fs::metadata(&trees.dest).unwrap().uid(), 65534);
    let mut expected = facts(&trees.source);
    expected.values_mut().for_each(|facts| facts.owner = (65534, 65533));
    assert_eq!(copied, expected);
}

#[test]
fn set_user_id_bits_are_not_copied_to_another_owner() {
    let trees = trees();
    fs::write(trees.source.join("su"), "").unwrap();
    fs::set_permissions(trees.source.join("su"), fs::Permissions::from_mode(0o6755)).unwrap();
    copy_tree(&trees.source, &trees.dest, &CopyOptions::default()).unwrap();
    assert_eq!(fs::metadata(trees.dest.join("su")).unwrap().mode() & 0o7777, 0o755);
}

#[test]
fn holes_stay_holes() {
    let trees = trees();
    let file = fs::File::create(trees.source.join("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 32 << 20).unwrap();
    let report = copy_tree(&trees.source, &trees.dest, &CopyOptions::default()).unwrap();
    let copy = trees.dest.join("sparse");
    assert!(fs::metadata(&copy).unwrap().blocks() * 512 < 1 << 20);
    assert!(fs::read(&copy).unwrap() == fs::read(trees.source.join("sparse")).unwrap());
    assert_eq!(report.bytes, 64 << 20);
}

#[test]
fn a_copy_from_another_file_system_falls_back_to_what_works() {
    let trees = trees();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return eprintln!("skipped: no /dev/shm") };
    rich_tree(other.path());
    copy_tree(other.path(), &trees.dest, &CopyOptions::default()).unwrap();
    assert_eq!(facts(&trees.dest), facts(other.path()));
}

#[test]
fn fifos_are_skipped_and_reported() {
    let trees = trees();
    mkfifo(&trees.source.join("fifo"));
    let report = copy_tree(&trees.source, &trees.dest, &CopyOptions::default()).unwrap();
    assert_eq!((report.skipped.len(), report.skipped[0].reason), (1, SkipReason::Fifo));
}

#[test]
fn a_destination_inside_the_source_is_refused_and_nothing_is_made() {
    let trees = trees();
    for inside in ["state", "a/b"] {
        fs::create_dir_all(trees.source.join("a")).unwrap();
        let dest = trees.source.join(inside);
        let error = copy_tree(&trees.source, &dest, &CopyOptions::default()).unwrap_err();
        assert!(matches!(error, Error::DestinationInsideSource { .. }), "{error}");
        assert!(!dest.exists());
    }
    let through_a_link = trees.dest.with_file_name("link");
    symlink(&trees.source, &through_a_link).unwrap();
    let error = copy_tree(&trees.source, &through_a_link.join("new"), &CopyOptions::default()).unwrap_err();
    assert!(matches!(error, Error::DestinationInsideSource { .. }), "{error}");
}

#[test]
fn a_state_directory_inside_the_project_is_excluded_from_its_own_copies() {
    let trees = trees();
    let state = trees.source.join(".state");
    fs::create_dir_all(state.join("jobs/other")).unwrap();
    fs::write(trees.source.join("x"), "").unwrap();
    let tree = TreeOptions { exclude: vec![state.clone()], ..TreeOptions::default() };
    let options = CopyOptions { tree, ..CopyOptions::default() };
    let dest = state.join("jobs/this");
    copy_tree(&trees.source, &dest, &options).unwrap();
    assert_eq!(facts(&dest).into_keys().collect::<Vec<_>>(), [b"x"]);
}

#[test]
fn a_destination_that_exists_is_refused_and_left_alone() {
    let trees = trees();
    fs::create_dir(&trees.dest).unwrap();
    fs::write(trees.dest.join("mine"), "").unwrap();
    let error = copy_tree(&trees.source, &trees.dest, &CopyOptions::default()).unwrap_err();
    assert!(matches!(error, Error::DestinationExists { .. }), "{error}");
    assert!(trees.dest.join("mine").exists());
}

#[test]
fn an_unreadable_file_is_one_error_with_its_path_and_the_copy_is_taken_back() {
    if !is_root() {
        return unreadable_file();
    }
    // Root reads everything, so the test is run again by a user that does not.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = dir.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    command.args(["--exact", "an_unreadable_file_is_one_error_with_its_path_and_the_copy_is_taken_back"]);
    let output = command.env("TMPDIR", dir.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn unreadable_file() {
    let trees = trees();
    fs::write(trees.source.join("a"), "").unwrap();
    fs::create_dir(trees.source.join("sub")).unwrap();
    fs::write(trees.source.join("sub/closed"), "").unwrap();
    fs::set_permissions(trees.source.join("sub/closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let error = copy_tree(&trees.source, &trees.dest, &CopyOptions::default()).unwrap_err();
    assert!(matches!(&error, Error::Unreadable { path, .. } if path.ends_with("sub/closed")), "{error}");
    assert!(error.to_string().contains(".jobwrightignore"), "{error}");
    assert!(!trees.dest.exists());
}

#[test]
fn a_full_disk_is_its_own_error_and_the_copy_is_taken_back() {
    let trees = trees();
    fs::write(trees.source.join("large"), vec![1; 4 << 20]).unwrap();
    let Some(small) = SmallDisk::mount(&trees.dest) else {
        return eprintln!("skipped: cannot mount a tmpfs");
    };
    let dest = small.0.join("copy");
    let error = copy_tree(&trees.source, &dest, &CopyOptions::default()).unwrap_err();
    assert!(matches!(&error, Error::DiskFull { path } if path.ends_with("copy/large")), "{error}");
    assert!(!dest.exists());
}

/// A file system of one MiB.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "none"])
            .arg(at)
            .status();
        mount.is_ok_and(|status| status.success()).then(|| Self(at.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn files_that_come_and_go_during_a_copy_do_not_break_it() {
    let trees = trees();
    for name in 0..2000 {
        fs::write(trees.source.join(format!("f{name}")), "x").unwrap();
    }
    let source = trees.source.clone();
    let removing = std::thread::spawn(move || {
        for name in (0..2000).rev() {
            fs::remove_file(source.join(format!("f{name}"))).unwrap();
        }
    });
    let report = copy_tree(&trees.source, &trees.dest, &CopyOptions::default()).unwrap();
    removing.join().unwrap();
    assert!(report.skipped.iter().all(|skipped| skipped.reason == SkipReason::Vanished));
    assert_eq!(facts(&trees.dest).len() as u64, report.files);
}

#[tokio::test]
async fn the_asynchronous_twins_do_the_same() {
    let trees = trees();
    fs::write(trees.source.join("x"), "x").unwrap();
    let report = offload::copy_tree(&trees.source, &trees.dest, &CopyOptions::default()).await.unwrap();
    assert_eq!(report.files, 1);
    assert_eq!(offload::remove_tree(&trees.dest).await.unwrap().others, 1);
    assert!(!trees.dest.exists());
}
