//! What counts as a change of a project.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use jobwright_workspace::{Project, TreeOptions};
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("a", "1");
        place.write("d/b", "1");
        place.write(".gitignore", "ignored\n*.log\n");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    fn project(&self) -> Project {
        let options = TreeOptions { git: false, ..TreeOptions::default() };
        Project::new(self.0.path(), options)
    }

    /// What `act` changes.
    fn changed(&self, act: impl FnOnce(&Self)) -> Vec<String> {
        let before = self.project().snapshot().unwrap();
        act(self);
        let after = self.project().snapshot().unwrap();
        after.changes_since(&before).iter().map(|path| path.display().to_string()).collect()
    }
}

// covers: local-ci 114 (what counts)
#[test]
fn written_replaced_new_and_removed_files_are_changes() {
    let place = Place::new();
    assert_eq!(place.changed(|_| {}), [""; 0]);
    assert_eq!(place.changed(|place| place.write("a", "22")), ["a"]);
    let replace = |place: &Place| {
        place.write("new", "33");
        fs::rename(place.path("new"), place.path("a")).unwrap();
    };
    assert_eq!(place.changed(replace), ["a"]);
    assert_eq!(place.changed(|place| place.write("d/e/f", "1")), ["d/e", "d/e/f"]);
    assert_eq!(place.changed(|place| fs::remove_dir_all(place.path("d/e")).unwrap()), ["d/e", "d/e/f"]);
    assert_eq!(place.changed(|place| symlink("a", place.path("link")).unwrap()), ["link"]);
    let relink = |place: &Place| {
        fs::remove_file(place.path("link")).unwrap();
        symlink("d/b", place.path("link")).unwrap();
    };
    assert_eq!(place.changed(relink), ["link"]);
}

// covers: local-ci 114 (what does not count)
#[test]
fn what_a_job_does_not_get_and_who_may_read_a_file_are_no_changes() {
    let place = Place::new();
    let ignored = |place: &Place| {
        place.write("ignored/x", "1");
        place.write("x.log", "1");
        place.write(".git/HEAD", "1");
    };
    assert_eq!(place.changed(ignored), [""; 0]);
    let mode =
        |place: &Place| fs::set_permissions(place.path("a"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.changed(mode), [""; 0]);
    let passing = |place: &Place| {
        place.write("4913", "");
        fs::remove_file(place.path("4913")).unwrap();
    };
    assert_eq!(place.changed(passing), [""; 0]);
}

#[test]
fn a_rule_that_changes_brings_files_in_and_takes_them_out() {
    let place = Place::new();
    place.write("x.log", "1");
    assert_eq!(place.changed(|place| place.write(".gitignore", "a\n")), [".gitignore", "a", "x.log"]);
}

#[test]
fn a_file_beside_the_project_can_be_looked_at_too() {
    let (place, beside) = (Place::new(), Place::new());
    let look = || {
        let mut snapshot = place.project().snapshot().unwrap();
        snapshot.add_file(&beside.path("a"));
        snapshot
    };
    let before = look();
    assert!(before.directories().any(|(path, _)| path == beside.0.path()));
    beside.write("a", "22");
    beside.write("d/b", "22");
    assert_eq!(look().changes_since(&before), [beside.path("a")]);
}

#[test]
fn a_directory_that_was_made_again_is_another() {
    let place = Place::new();
    let id = |place: &Place| {
        let (path, snapshot) = (place.path("d").canonicalize().unwrap(), place.project().snapshot().unwrap());
        let found = snapshot.directories().find(|(directory, _)| *directory == path);
        found.map(|(_, id)| id).unwrap()
    };
    let before = id(&place);
    assert_eq!(before, id(&place));
    fs::remove_dir_all(place.path("d")).unwrap();
    place.write("d/b", "1");
    let after = id(&place);
    assert!(before != after || !after.is_certain());
    assert!(!place.project().snapshot().unwrap().directories().any(|(path, _)| path == Path::new("")));
}
