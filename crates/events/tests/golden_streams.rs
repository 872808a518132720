//! The recorded streams of the original (`local-ci-golden`) are read and written again without loss.
//! They lie outside the repository: `JOBWRIGHT_SHARED`, else `../shared` beside it.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a failed test")]

use std::path::PathBuf;

use jobwright_events::{Event, EventKind, WireEvent};
use serde_json::Value;

/// The recordings; none, with a message, when they are not on this machine.
fn recordings() -> Vec<(String, String)> {
    let shared = std::env::var_os("JOBWRIGHT_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    let folder = shared.join("corpora/local-ci-golden");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: no recordings in {}; set JOBWRIGHT_SHARED", folder.display());
        return Vec::new();
    };
    let streams: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"))
        .map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    assert!(!streams.is_empty(), "{} holds no stream", folder.display());
    streams
}

// covers: local-ci 14, local-ci 16, local-ci 25
#[test]
fn a_recorded_line_is_read_and_written_again_as_equal_json() {
    for (path, stream) in recordings() {
        for line in stream.lines() {
            let wire: WireEvent = serde_json::from_str(line).unwrap();
            let written = serde_json::to_string(&wire).unwrap();
            let (before, after): (Value, Value) =
                (serde_json::from_str(line).unwrap(), serde_json::from_str(&written).unwrap());
            assert_eq!(before, after, "{path}");
            assert!(!written.contains('\n'));
        }
    }
}

// covers: local-ci 12, local-ci 13, local-ci 15, local-ci 17, local-ci 18, local-ci 19, local-ci 20, local-ci 21
// covers: local-ci 22, local-ci 23, local-ci 26
#[test]
fn every_recorded_event_is_one_of_ours_and_has_the_same_23_fields_again() {
    for (path, stream) in recordings() {
        for line in stream.lines() {
            let wire: WireEvent = serde_json::from_str(line).unwrap();
            let event = Event::try_from(wire.clone()).unwrap();
            assert!(!matches!(event.kind, EventKind::Unknown(_)), "{path}: {line}");
            assert_eq!(WireEvent::from(&event).without_additions(), wire, "{path}");
        }
    }
}
