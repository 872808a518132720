//! A journal on a disk that is full: what is begun can be written down to its end, and nothing new is begun.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

use jobwright_journal::{Journal, JournalError};

/// A file system of 1 MiB; none where this user may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder.path()).output();
        mount.is_ok_and(|mount| mount.status.success()).then(|| Self(folder))
    }

    fn fill(&self) {
        // The error is that the disk is full.
        let _ = std::fs::write(self.0.path().join("filler"), vec![7; 2 << 20]);
    }

    fn journal(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

fn records(path: &Path) -> Vec<String> {
    Journal::read(path).unwrap().records
}

/// One after the other: while one mounts, its child shortly holds the lock of a journal that the other has just dropped.
#[test]
fn a_full_disk_costs_nothing_that_was_begun_and_lets_nothing_begin() {
    type Behaviour = fn(&SmallDisk);
    let behaviours: [Behaviour; 2] = [
        what_is_begun_is_written_down_and_nothing_new_is_begun,
        a_record_without_room_leaves_nothing_and_those_before_stay,
    ];
    for behaviour in behaviours {
        match SmallDisk::new() {
            Some(disk) => behaviour(&disk),
            None => println!("skipped: this user may not mount a file system"),
        }
    }
}

fn what_is_begun_is_written_down_and_nothing_new_is_begun(disk: &SmallDisk) {
    let path = disk.journal("open");
    let (journal, _) = Journal::<String>::open(&path).unwrap();
    journal.append(&"before".to_owned()).unwrap();
    disk.fill();
    let ends: Vec<String> = (0..100).map(|n| format!("step {n} ended")).collect();
    ends.iter().for_each(|end| journal.append(end).unwrap());
    journal.append_synced(&"closed".to_owned()).unwrap();
    assert_eq!(records(&path).len(), 1 + 100 + 1);

    let error = Journal::<String>::open(&disk.journal("new")).unwrap_err();
    assert!(matches!(&error, JournalError::Io { .. }), "{error}");
}

fn a_record_without_room_leaves_nothing_and_those_before_stay(disk: &SmallDisk) {
    let path = disk.journal("open");
    let (journal, _) = Journal::<String>::open(&path).unwrap();
    disk.fill();
    let long = "x".repeat(10_000);
    let written = (0..100).take_while(|_| journal.append(&long).is_ok()).count();
    assert!((1..100).contains(&written), "{written}");
    assert_eq!(records(&path), vec![long.clone(); written]);
    std::fs::remove_file(disk.journal("filler")).unwrap();
    journal.append(&"after".to_owned()).unwrap();
    drop(journal);
    let (_journal, recovered) = Journal::<String>::open(&path).unwrap();
    assert_eq!((recovered.records.len(), recovered.torn), (written + 1, 0));
}
