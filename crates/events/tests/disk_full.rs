//! A disk that is full costs output, visibly, and nothing else. Needs a file system of its own (root, for `mount`); without it
//! the tests say so and pass.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod common;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use common::{Memory, all, bytes_and_gaps, diagnostic, logged_bus, output, run_finished, run_id};
use jobwright_events::{EventKind, EventLogReader, GapReason};
use tempfile::{TempDir, tempdir};

/// A file system of 4 MiB.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = tempdir().unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder.path()).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(folder));
        }
        eprintln!("skipped: cannot mount a small file system (needs root)");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all space but what is allocated already.
    fn fill(&self) -> File {
        use std::io::Write as _;
        let mut file = File::create(self.path().join("other")).unwrap();
        while file.write(&[7; 4096]).is_ok_and(|written| written == 4096) {}
        file
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} is still mounted", self.path().display());
    }
}

// covers: local-ci 109
#[tokio::test]
async fn output_is_left_out_and_counted_and_everything_else_is_there() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (bus, log) = logged_bus(disk.path());
    let memory = Memory::default();
    bus.attach("memory", memory.clone());
    let mut written = 0;
    for round in 0..100 {
        bus.emit(output("a", vec![b'x'; 60_000], Some(round)));
        bus.emit(output("b", vec![b'y'; 100], Some(round)));
        written += 60_000;
        if round % 10 == 0 {
            bus.emit(diagnostic("still there\n"));
        }
    }
    log.flush().await.unwrap();
    let told = log.missing_bytes();
    bus.emit(run_finished());
    let summary = log.close().unwrap();
    assert!(summary.missing_bytes > 1 << 20, "{summary:?}");
    assert_eq!((summary.missing_bytes, summary.missing_events), (told, 0));

    let reader = EventLogReader::open(disk.path(), &run_id()).unwrap();
    let (kept, missing) = bytes_and_gaps(reader.job_output("a")).await;
    assert_eq!(kept.len() as u64 + missing, written, "every byte is there or counted, per job");
    let (kept_b, missing_b) = bytes_and_gaps(reader.job_output("b")).await;
    assert_eq!((kept_b.len() as u64 + missing_b, missing + missing_b), (10_000, summary.missing_bytes));

    let lines = all(reader.replay(0)).await;
    assert!(lines.is_sorted_by(|one, two| one.seq < two.seq));
    assert!(lines.last().unwrap().is_last);
    let logged: Vec<_> = lines.iter().map(|line| line.event().unwrap()).collect();
    for event in memory.events() {
        if !matches!(event.kind, EventKind::LogLine { .. }) {
            assert!(logged.iter().any(|logged| logged.seq == event.seq), "{event:?} is missing");
        }
    }
    assert!(logged.iter().any(|e| matches!(e.kind, EventKind::LogGap { reason: GapReason::DiskFull, .. })));
    // Resuming behind any number that is there, or in a gap, gives exactly what comes later.
    for after in 0..=memory.events().len() as u64 {
        let expected: Vec<_> = lines.iter().filter(|line| line.seq > after).map(|line| line.seq).collect();
        assert_eq!(common::seqs(&all(reader.replay(after)).await), expected);
    }
}

#[tokio::test]
async fn events_are_written_into_the_reserve_while_somebody_else_fills_the_disk() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (bus, log) = logged_bus(disk.path());
    bus.emit(diagnostic("before\n"));
    log.flush().await.unwrap();
    let _other = disk.fill();
    for _ in 0..300 {
        bus.emit(diagnostic("the disk is full\n"));
        bus.emit(output("a", vec![b'x'; 300_000], None));
    }
    bus.emit(run_finished());
    let summary = log.close().unwrap();
    assert_eq!((summary.missing_events, summary.last_seq), (0, 602));
    assert_eq!(summary.missing_bytes, 90_000_000);
}

#[tokio::test]
async fn when_there_is_room_again_output_is_written_again_behind_the_gap() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (bus, log) = logged_bus(disk.path());
    bus.emit(output("a", "before", Some(1)));
    log.flush().await.unwrap();
    drop(disk.fill());
    bus.emit(output("a", vec![b'x'; 400_000], Some(2)));
    log.flush().await.unwrap();
    assert_eq!(log.missing_bytes(), 400_000);
    fs::remove_file(disk.path().join("other")).unwrap();
    let mut position = 2;
    // The writer looks for room every now and then; until it has, output goes into the gap.
    while log.missing_bytes() > 0 {
        position += 1;
        let missing = log.missing_bytes();
        bus.emit(output("a", "after", Some(position)));
        log.flush().await.unwrap();
        if log.missing_bytes() == missing {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    bus.emit(run_finished());
    let missing = log.close().unwrap().missing_bytes;
    let reader = EventLogReader::open(disk.path(), &run_id()).unwrap();
    let (kept, gap) = bytes_and_gaps(reader.job_output("a")).await;
    assert_eq!((kept, gap), (b"beforeafter".to_vec(), missing));
    let (_, log) = logged_bus(disk.path());
    let expected = jobwright_events::ResumePosition::At(jobwright_events::OutputPosition::at(position));
    assert_eq!(log.recovered().resume_position("a", "s", 1), expected);
}

#[tokio::test]
async fn what_cannot_be_written_at_all_is_counted_and_the_run_still_ends() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (bus, log) = logged_bus(disk.path());
    bus.emit(diagnostic("before\n"));
    log.flush().await.unwrap();
    let _other = disk.fill();
    for _ in 0..20 {
        bus.emit(diagnostic(&"too much even for the reserve ".repeat(4000)));
    }
    bus.emit(run_finished());
    let summary = log.close().unwrap();
    assert!(summary.missing_events > 0, "{summary:?}");
    let reader = EventLogReader::open(disk.path(), &run_id()).unwrap();
    assert_eq!(all(reader.replay(0)).await.len() as u64 + summary.missing_events, 22);
}
