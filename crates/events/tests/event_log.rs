//! The event log as behaviours: what is written is what was emitted, a crash costs the torn tail only, the index is never
//! believed against the log.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::{Memory, all, bytes_and_gaps, diagnostic, logged_bus, output, run_finished, run_id, seqs};
use jobwright_events::{
    Bus, EventKind, EventLog, EventLogReader, INDEX_FILE, LOG_FILE, LogError, LogOptions, OutputPosition,
    ResumePosition, WireEvent,
};
use jobwright_model::RunId;
use tempfile::tempdir;

fn lines_of(folder: &Path) -> Vec<WireEvent> {
    let text = fs::read_to_string(folder.join(LOG_FILE)).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

// covers: local-ci 24, local-ci 25, local-ci 107
#[test]
fn every_event_is_a_line_in_the_order_of_the_bus() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    let memory = Memory::default();
    bus.attach("memory", memory.clone());
    bus.emit(diagnostic("begin\n"));
    bus.emit(output("a", "text \"quoted\" \\ <&> \u{7f}\u{1}é\n", Some(1)));
    bus.emit(output("a", vec![0xff, 0xfe, 0], Some(2)));
    bus.emit(run_finished());
    let summary = log.close().unwrap();
    assert_eq!((summary.last_seq, summary.missing_bytes, summary.missing_events), (4, 0, 0));
    let expected: Vec<_> = memory.events().iter().map(|event| WireEvent::from(&**event)).collect();
    assert_eq!(lines_of(folder.path()), expected);
}

#[test]
fn the_files_are_their_owners_only_and_reserved_space_is_given_back() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    bus.emit(run_finished());
    log.close().unwrap();
    for name in [LOG_FILE, INDEX_FILE] {
        let data = fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!(data.permissions().mode() & 0o777, 0o600, "{name}");
        let used = std::os::unix::fs::MetadataExt::blocks(&data) * 512;
        assert!(used <= 16 << 10, "{name} uses {used} bytes of disk");
    }
}

// covers: local-ci 28
#[tokio::test]
async fn the_bytes_of_one_job_come_back_exactly_and_without_the_others() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    let mut expected = Vec::new();
    for round in 0..3000_u32 {
        let data: Vec<u8> = round.to_le_bytes().repeat(round as usize % 50);
        expected.extend_from_slice(&data);
        bus.emit(output("a", data, None));
        bus.emit(output("b", "not this", None));
        bus.emit(EventKind::notice("nor this"));
    }
    bus.emit(run_finished());
    log.flush().await.unwrap();
    let reader = log.reader().unwrap();
    assert_eq!(bytes_and_gaps(reader.job_output("a")).await, (expected, 0));
    assert_eq!(bytes_and_gaps(reader.job_output("nobody")).await, (vec![], 0));
}

/// Bytes of an index record, and of the header before the first.
const RECORD: usize = 64;

/// A log of ten events: lengths and kinds differ.
fn small_log(folder: &Path) {
    let (bus, log) = logged_bus(folder);
    bus.emit(diagnostic("begin\n"));
    bus.emit(EventKind::StepStarted { job: "a".into(), step: "s".into(), attempt: 1 });
    for position in 1..=7 {
        bus.emit(output("a", "x".repeat(position as usize * 3), Some(position)));
    }
    bus.emit(diagnostic("end\n"));
    log.close().unwrap();
}

#[tokio::test]
async fn wherever_a_crash_cut_the_log_whole_lines_are_kept_and_writing_goes_on_without_a_gap() {
    let whole = tempdir().unwrap();
    small_log(whole.path());
    let bytes = fs::read(whole.path().join(LOG_FILE)).unwrap();
    for cut in 0..=bytes.len() {
        let folder = tempdir().unwrap();
        fs::copy(whole.path().join(INDEX_FILE), folder.path().join(INDEX_FILE)).unwrap();
        fs::write(folder.path().join(LOG_FILE), &bytes[..cut]).unwrap();
        let kept = bytes[..cut].iter().filter(|byte| **byte == b'\n').count() as u64;

        let reader = EventLogReader::open(folder.path(), &run_id()).unwrap();
        assert_eq!(
            seqs(&all(reader.replay(0)).await),
            (1..=kept).collect::<Vec<_>>(),
            "a reader, cut at {cut}"
        );

        let (bus, log) = logged_bus(folder.path());
        assert_eq!(log.recovered().last_seq, kept, "cut at {cut}");
        let expected = match kept {
            0..=2 => ResumePosition::Start,
            3..=9 => ResumePosition::At(OutputPosition::at(kept - 2)),
            _ => ResumePosition::At(OutputPosition::at(7)),
        };
        assert_eq!(log.recovered().resume_position("a", "s", 1), expected, "cut at {cut}");
        bus.emit(run_finished());
        log.close().unwrap();
        let written: Vec<_> = lines_of(folder.path()).iter().map(|wire| wire.seq).collect();
        assert_eq!(written, (1..=kept + 1).collect::<Vec<_>>(), "cut at {cut}");
        let reader = EventLogReader::open(folder.path(), &run_id()).unwrap();
        assert_eq!(seqs(&all(reader.replay(kept)).await), [kept + 1], "cut at {cut}");
    }
}

#[tokio::test]
async fn an_index_that_does_not_fit_is_made_anew_and_never_believed() {
    let whole = tempdir().unwrap();
    small_log(whole.path());
    let index = fs::read(whole.path().join(INDEX_FILE)).unwrap();
    let mut damaged: Vec<Option<Vec<u8>>> = (0..index.len()).map(|cut| Some(index[..cut].to_vec())).collect();
    damaged.extend([None, Some(vec![0; index.len()]), Some([&index[..], &[7; 100]].concat())]);
    let mut shifted = index.clone();
    shifted.drain(RECORD..2 * RECORD);
    damaged.push(Some([&shifted[..RECORD], &[1; RECORD], &shifted[RECORD..]].concat()));
    for bytes in damaged {
        let folder = tempdir().unwrap();
        fs::copy(whole.path().join(LOG_FILE), folder.path().join(LOG_FILE)).unwrap();
        if let Some(bytes) = &bytes {
            fs::write(folder.path().join(INDEX_FILE), bytes).unwrap();
        }
        let reader = EventLogReader::open(folder.path(), &run_id()).unwrap();
        for after in 0..=11 {
            let expected: Vec<_> = (after + 1..=10).collect();
            assert_eq!(seqs(&all(reader.replay(after)).await), expected, "after {after} of {bytes:?}");
        }
        let log = EventLog::open(folder.path(), &run_id(), LogOptions::default()).unwrap();
        assert_eq!(log.recovered().last_seq, 10);
        log.close().unwrap();
        let repaired = fs::read(folder.path().join(INDEX_FILE)).unwrap();
        assert_eq!(repaired.len(), index.len());
        let reader = EventLogReader::open(folder.path(), &run_id()).unwrap();
        assert_eq!(bytes_and_gaps(reader.job_output("a")).await, (vec![b'x'; 84], 0));
    }
}

#[test]
fn positions_that_were_only_in_a_lost_index_are_unknown_and_not_the_start() {
    let folder = tempdir().unwrap();
    small_log(folder.path());
    fs::remove_file(folder.path().join(INDEX_FILE)).unwrap();
    let log = EventLog::open(folder.path(), &run_id(), LogOptions::default()).unwrap();
    assert_eq!(log.recovered().resume_position("a", "s", 1), ResumePosition::Unknown);
    assert_eq!(log.recovered().resume_position("a", "other", 1), ResumePosition::Start);
}

#[test]
fn a_new_attempt_of_a_step_begins_at_the_start() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    bus.emit(output("a", "x", Some(9)));
    bus.emit(EventKind::StepStarted { job: "a".into(), step: "s".into(), attempt: 2 });
    log.close().unwrap();
    let (_, log) = logged_bus(folder.path());
    assert_eq!(log.recovered().resume_position("a", "s", 2), ResumePosition::Start);
}

#[test]
fn an_attempt_whose_start_did_not_come_into_the_log_has_nothing_of_the_one_before_it() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    bus.emit(EventKind::StepStarted { job: "a".into(), step: "s".into(), attempt: 1 });
    bus.emit(output("a", "x", Some(9)));
    log.close().unwrap();
    let (_, log) = logged_bus(folder.path());
    let position = |attempt| log.recovered().resume_position("a", "s", attempt);
    assert_eq!(position(1), ResumePosition::At(OutputPosition::at(9)));
    assert_eq!(position(2), ResumePosition::Start);
}

#[test]
fn a_log_says_when_it_was_finished_and_a_power_cuts_zeros_are_cut() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    bus.emit(run_finished());
    log.close().unwrap();
    let path = folder.path().join(LOG_FILE);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], &[0; 70_000], b"\n\0\n", &[0; 9]].concat()).unwrap();
    let (_, log) = logged_bus(folder.path());
    assert!(log.recovered().finished);
    assert_eq!((log.recovered().last_seq, log.recovered().torn_bytes), (1, 70_012));
    log.close().unwrap();
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn the_log_of_another_run_is_refused_untouched() {
    let folder = tempdir().unwrap();
    small_log(folder.path());
    let before = [LOG_FILE, INDEX_FILE].map(|name| fs::read(folder.path().join(name)).unwrap());
    let other = RunId::new("20261120T134644Z-ffffff").unwrap();
    let error = EventLog::open(folder.path(), &other, LogOptions::default()).unwrap_err();
    assert!(matches!(error, LogError::OtherRun { .. }), "{error}");
    let after = [LOG_FILE, INDEX_FILE].map(|name| fs::read(folder.path().join(name)).unwrap());
    assert_eq!(before, after);
}

#[test]
fn a_log_that_cannot_be_opened_is_one_clear_error() {
    let error = EventLog::open(Path::new("/nowhere/at/all"), &run_id(), LogOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot open /nowhere/at/all/events.ndjson: No such file or directory (os error 2)"
    );
    assert!(EventLogReader::open(Path::new("/nowhere/at/all"), &run_id()).is_err());
}

// covers: local-ci 109
#[test]
fn a_log_that_is_closed_early_does_not_stop_the_run() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    bus.emit(diagnostic("x"));
    log.close().unwrap();
    assert_eq!(bus.emit(diagnostic("y")), 2);
    assert_eq!(lines_of(folder.path()).len(), 1);
}

#[tokio::test]
async fn what_was_emitted_before_a_flush_is_visible_after_it_and_a_sync_succeeds() {
    let folder = tempdir().unwrap();
    let (bus, log) = logged_bus(folder.path());
    for round in 1..=100 {
        bus.emit(diagnostic("x"));
        log.flush().await.unwrap();
        assert_eq!(lines_of(folder.path()).len(), round);
    }
    log.sync().await.unwrap();
}

#[test]
fn a_log_that_is_dropped_is_written_all_the_same() {
    let folder = tempdir().unwrap();
    let (bus, log): (Bus, EventLog) = logged_bus(folder.path());
    for _ in 0..1000 {
        bus.emit(diagnostic("x"));
    }
    drop(log);
    assert_eq!(lines_of(folder.path()).len(), 1000);
}
