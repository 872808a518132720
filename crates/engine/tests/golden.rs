//! The streams that the original recorded, reproduced: fields, strings and order, but for what DESIGN section 6 names.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

#[path = "support/golden.rs"]
mod recordings;
mod support;

use jobwright_events::{RunMode, WireEvent};
use recordings::{pipeline, recorded, shape};
use support::{Act, Play, Scripted, exits};

fn shapes(events: Vec<WireEvent>) -> Vec<serde_json::Value> {
    events.into_iter().filter_map(shape).collect()
}

/// Members of a group start and end in any order: told apart by sorting them between the group's borders.
fn grouped(events: Vec<WireEvent>) -> Vec<serde_json::Value> {
    let mut shapes = shapes(events);
    let borders = |shapes: &[serde_json::Value], kind: &str| {
        shapes.iter().position(|event| event["type"] == kind).unwrap()
    };
    let (start, end) = (borders(&shapes, "group_started"), borders(&shapes, "group_finished"));
    shapes[start + 1..end].sort_by_key(ToString::to_string);
    shapes
}

fn hello() -> Act {
    Act { prints: "hello global <&>\n", ..Act::default() }
}

// covers: local-ci 12, 13, 14, 16, 18, 19, 20, 21, 22
#[tokio::test]
async fn the_sequential_recording() {
    let Some(recorded) = recorded("sequential.ndjson") else { return };
    let played = Play::of(&pipeline("seq.yaml")).run(Scripted::new([("a", hello()), ("b", exits(3))])).await;
    assert_eq!(shapes(played.wire()), shapes(recorded));
    assert_eq!(played.wire()[0].r#type, "run_started", "ours is the first event of every run");
}

// covers: local-ci 26, 38
#[tokio::test]
async fn the_parallel_recording() {
    let Some(recorded) = recorded("parallel.ndjson") else { return };
    let play = Play::of(&pipeline("seq.yaml")).mode(RunMode::Parallel);
    let played = play.run(Scripted::new([("a", hello()), ("b", exits(3))])).await;
    assert_eq!(grouped(played.wire()), grouped(recorded));
}

// covers: local-ci 53, 54
#[tokio::test]
async fn the_dag_recording() {
    let Some(recorded) = recorded("dag.ndjson") else { return };
    let played = Play::of(&pipeline("dag.yaml")).run(Scripted::new([("build", exits(7))])).await;
    assert_eq!(grouped(played.wire()), grouped(recorded));
}

/// A detached job's events may come anywhere: they are told apart from the others, and each part is compared for itself.
// covers: local-ci 26, 42, 44
#[tokio::test]
async fn the_matrix_and_detached_recording() {
    let Some(recorded) = recorded("matrix-and-detached.ndjson") else { return };
    let says = |text| Act { prints: text, ..Act::default() };
    let executor = Scripted::new([("m_V.1", says("v1\n")), ("m_V.2", says("v2\n"))]);
    let played = Play::of(&pipeline("matrix.yaml")).run(executor).await;
    let apart = |events: Vec<WireEvent>| -> (Vec<WireEvent>, Vec<WireEvent>) {
        events.into_iter().partition(|event| event.job == "d")
    };
    let ((our_detached, ours), (detached, theirs)) = (apart(played.wire()), apart(recorded));
    assert_eq!(shapes(our_detached), shapes(detached));
    assert_eq!(grouped(ours), grouped(theirs));
}
