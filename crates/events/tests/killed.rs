//! A writer that is killed with SIGKILL at any moment: what its log says afterwards is whole, and says exactly how far each
//! step's output is, so that none of it is lost or doubled when the run is resumed.
#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

mod common;

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{all, bytes_and_gaps, logged_bus, output, run_finished, run_id};
use jobwright_events::{EventLogReader, ResumePosition};
use tempfile::tempdir;

const FOLDER: &str = "JOBWRIGHT_TEST_LOG_FOLDER";

/// So many deaths: with the index written after the lines, about one in thirty of them shows it.
const ROUNDS: u64 = 40;

/// The byte at a position of the steps' endless output.
fn byte_at(position: u64) -> u8 {
    (position % 251) as u8
}

/// Not a test of its own: the process that the test below kills. It goes on where the log is, as a resumed run does.
#[test]
#[ignore = "started by a_killed_writer_leaves_a_log_that_knows_how_far_it_is"]
fn writer_that_runs_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let (bus, log) = logged_bus(&folder);
    let start = |job| match log.recovered().resume_position(job, "s", 1) {
        ResumePosition::Start => 0,
        ResumePosition::At(position) => position.from,
        ResumePosition::Unknown => panic!("{job} does not know how far it is"),
    };
    let mut positions = [("a", start("a")), ("b", start("b"))];
    println!("writing");
    for round in 0.. {
        for (job, position) in &mut positions {
            let data: Vec<u8> = (*position..*position + (round * 97) % 20_000).map(byte_at).collect();
            *position += data.len() as u64;
            bus.emit(output(job, data, Some(*position)));
        }
    }
}

#[tokio::test]
async fn a_killed_writer_leaves_a_log_that_knows_how_far_it_is() {
    let folder = tempdir().unwrap();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "writer_that_runs_until_it_is_killed", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = Vec::new();
        let mut stdout = child.stdout.take().unwrap();
        while !said.ends_with(b"writing\n") {
            let mut byte = [0];
            stdout.read_exact(&mut byte).unwrap();
            said.extend_from_slice(&byte);
        }
        // Any moment will do; each round dies at another one.
        tokio::time::sleep(std::time::Duration::from_millis(round)).await;
        child.kill().unwrap();
        child.wait().unwrap();

        let (bus, log) = logged_bus(folder.path());
        let reader = log.reader().unwrap();
        for job in ["a", "b"] {
            let (bytes, missing) = bytes_and_gaps(reader.job_output(job)).await;
            let position = match log.recovered().resume_position(job, "s", 1) {
                ResumePosition::At(position) => position.from,
                ResumePosition::Start => 0,
                ResumePosition::Unknown => panic!("round {round}: {job} does not know how far it is"),
            };
            assert_eq!((bytes.len() as u64, missing), (position, 0), "round {round}");
            assert!(bytes.iter().zip(0..).all(|(byte, at)| *byte == byte_at(at)), "round {round}");
        }
        let last = log.recovered().last_seq;
        assert_eq!(common::seqs(&all(reader.replay(0)).await), (1..=last).collect::<Vec<_>>());
        if round == ROUNDS - 1 {
            bus.emit(run_finished());
        }
        log.close().unwrap();
    }
    let reader = EventLogReader::open(folder.path(), &run_id()).unwrap();
    assert!(all(reader.subscribe(0)).await.last().unwrap().is_last);
}
