//! Jobs beside the chain, the variants of a matrix, and groups with a limit (local-ci.md 2.4).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use jobwright_events::{EventKind, ExecKind, RunMode};
use jobwright_model::Outcome;
use support::{Act, Play, Played, Scripted, exits, takes};
use tokio::time::Instant;

const DETACHED: &str = "
stages: [build, test]
a: {stage: build, script: [x]}
beside: {stage: test, script: [x], parallel: true}
b: {stage: test, script: [x], parallel: false}
";

fn exec(played: &Played, name: &str) -> ExecKind {
    let exec = |kind: &EventKind| match kind {
        EventKind::JobStarted { job, exec, .. } if **job == *name => Some(*exec),
        _ => None,
    };
    played.events.iter().find_map(|event| exec(&event.kind)).unwrap()
}

// covers: local-ci 33, 44, 47
#[tokio::test(start_paused = true)]
async fn a_detached_job_begins_at_once_and_is_waited_for_at_the_end() {
    let played = Play::of(DETACHED).run(Scripted::new([("a", takes(10)), ("beside", takes(100))])).await;
    let expected = [
        "run",
        "start beside",
        "start a",
        "end a",
        "start b",
        "end b",
        "notice Waiting for detached jobs to finish...",
        "end beside",
        "/run",
    ];
    assert_eq!(played.story(), expected);
    assert_eq!(exec(&played, "beside"), ExecKind::Detached);
    assert_eq!(exec(&played, "b"), ExecKind::Standalone, "`parallel: false` is as if it were not there");
    assert!(played.wire()[0].has_detached && !played.wire()[0].has_matrix);
    let started = played.wire().into_iter().find(|event| event.job == "beside").unwrap();
    assert_eq!((started.exec.as_str(), started.group_id.as_str()), ("detached", ""));
}

// covers: local-ci 45
#[tokio::test(start_paused = true)]
async fn a_detached_failure_stops_nothing_and_fails_the_run() {
    let played = Play::of(DETACHED).run(Scripted::new([("a", takes(10)), ("beside", exits(4))])).await;
    assert!(played.story().contains(&"end b".to_owned()), "{:?}", played.story());
    assert_eq!((played.report.ending.outcome, played.report.ending.exit_code), (Outcome::Failed, Some(4)));
    assert_eq!(
        played.wire().last().unwrap().err,
        "Job beside failed: container exited with non-zero status 4"
    );
}

// covers: local-ci 46
#[tokio::test(start_paused = true)]
async fn a_failure_of_the_chain_does_not_stop_a_detached_job() {
    let played = Play::of(DETACHED).run(Scripted::new([("a", exits(1)), ("beside", takes(100))])).await;
    assert_eq!(
        played.story()[4..],
        ["skip b", "notice Waiting for detached jobs to finish...", "end beside", "/run"]
    );
    let names: Vec<_> = played.report.jobs.iter().map(|job| &*job.name).collect();
    assert_eq!(names, ["a", "beside", "b"], "reports are in the order of the plan");
    assert!(played.report.jobs[1].ending.succeeded());
}

#[tokio::test(start_paused = true)]
async fn a_detached_job_takes_no_place_from_the_chain() {
    let play = Play { limit: 1, ..Play::of(DETACHED) };
    let begun = Instant::now();
    let played = play.run(Scripted::new([("a", takes(10)), ("beside", takes(100))])).await;
    assert!(played.position("end b") < played.position("end beside"));
    assert_eq!(begun.elapsed(), Duration::from_millis(100));
}

// covers: local-ci 48
#[tokio::test(start_paused = true)]
async fn detached_jobs_and_matrix_barriers_are_ignored_in_the_parallel_modes() {
    let text = format!("{DETACHED}m: {{stage: test, script: [x], matrix: [{{V: [1, 2]}}]}}\n");
    for mode in [RunMode::Parallel, RunMode::ParallelStages] {
        let played = Play::of(&text).mode(mode).run(Scripted::new([])).await;
        assert_eq!(exec(&played, "beside"), ExecKind::Concurrent);
        assert!(
            !played.story().iter().any(|word| word.contains("matrix:") || word.contains("Waiting")),
            "{mode}"
        );
        assert!(played.wire()[0].has_detached && played.wire()[0].has_matrix);
    }
}

// covers: local-ci 50, 53
#[tokio::test(start_paused = true)]
async fn in_a_graph_a_detached_job_is_a_member_that_waits_for_nobody_and_is_waited_for() {
    let text = "
stages: [build, test, deploy]
a: {stage: build, script: [x]}
b: {stage: test, script: [x], needs: a}
beside: {stage: test, script: [x], parallel: true}
c: {stage: deploy, script: [x]}
";
    let played = Play::of(text).run(Scripted::new([("a", takes(10)), ("beside", takes(100))])).await;
    assert_eq!(exec(&played, "beside"), ExecKind::Concurrent);
    assert!(played.position("start beside") < played.position("end a"));
    assert!(
        played.position("end beside") < played.position("start c"),
        "all of earlier stages, the detached included"
    );
    assert!(!played.story().iter().any(|word| word.contains("Waiting")));
}

const MATRIX: &str = "
stages: [build]
a: {stage: build, script: [x]}
m: {stage: build, script: [x], matrix: [{V: [1, 2, 3]}]}
n: {stage: build, script: [x], matrix: [{W: [1, 2]}]}
z: {stage: build, script: [x]}
";

// covers: local-ci 34, 42, 43
#[tokio::test(start_paused = true)]
async fn the_variants_of_a_matrix_are_one_barrier_with_label_and_order_and_two_of_them_do_not_merge() {
    let played = Play::of(MATRIX)
        .run(Scripted::new([("m_V.1", takes(9)), ("m_V.2", takes(9)), ("m_V.3", takes(9))]))
        .await;
    let groups: Vec<_> = played.story().into_iter().filter(|word| word.contains("group")).collect();
    assert_eq!(groups, ["group matrix:m", "/group matrix:m", "group matrix:n", "/group matrix:n"]);
    assert_eq!(played.executor.most.load(Ordering::SeqCst), 3, "the variants run at once");
    let group = played.wire().into_iter().find(|event| event.r#type == "group_started").unwrap();
    assert_eq!((group.group_kind.as_str(), group.group_label.as_str()), ("matrix", "m"));
    assert_eq!(group.order, ["m_V.1", "m_V.2", "m_V.3"]);
    assert_eq!(exec(&played, "m_V.1"), ExecKind::Concurrent);
    assert!(played.position("/group matrix:n") < played.position("start z"));
    assert!(played.wire()[0].has_matrix && !played.wire()[0].has_detached);
}

// covers: local-ci 42
#[tokio::test(start_paused = true)]
async fn a_variant_that_fails_does_not_stop_the_others_and_stops_the_chain() {
    let played = Play::of(MATRIX).run(Scripted::new([("m_V.1", exits(1)), ("m_V.2", takes(9))])).await;
    assert!(played.position("end m_V.2") < played.position("/group matrix:m"));
    assert_eq!(
        played.story()[played.position("/group matrix:m") + 1..],
        ["skip n_W.1", "skip n_W.2", "skip z", "/run"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_detached_matrix_is_detached_variants_without_a_barrier() {
    let text = MATRIX.replace("m: {", "m: {parallel: true, ");
    let played = Play::of(&text).run(Scripted::new([])).await;
    assert_eq!(exec(&played, "m_V.2"), ExecKind::Detached);
    assert!(!played.story().contains(&"group matrix:m".to_owned()));
}

// covers: local-ci 52
#[tokio::test(start_paused = true)]
async fn a_need_of_a_matrix_means_all_its_variants() {
    let text = format!("{MATRIX}last: {{stage: build, script: [x], needs: m}}\n");
    let played = Play::of(&text).run(Scripted::new([("m_V.2", takes(50))])).await;
    assert!(played.position("end m_V.2") < played.position("start last"));
    let failed = Play::of(&text).run(Scripted::new([("m_V.2", exits(1))])).await;
    assert!(failed.story().contains(&"skip last".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn no_more_variants_run_at_a_time_than_max_parallel_in_every_mode() {
    let text = "
stages: [build]
m: {stage: build, script: [x], matrix: {values: [{V: [1, 2, 3, 4]}], max_parallel: 2}}
";
    let with_needs = format!("{text}n: {{stage: build, script: [x], needs: m}}\n");
    for (text, mode) in
        [(text, RunMode::Sequential), (text, RunMode::Parallel), (&with_needs, RunMode::Sequential)]
    {
        let acts = ["m_V.1", "m_V.2", "m_V.3", "m_V.4"].map(|job| (job, takes(10)));
        let played = Play::of(text).mode(mode).run(Scripted::new(acts)).await;
        assert_eq!(played.executor.most.load(Ordering::SeqCst), 2, "{mode}");
    }
}

// covers: local-ci 55
#[tokio::test(start_paused = true)]
async fn a_groups_limit_holds_over_chain_and_detached_jobs_and_holds_up_nobody_else() {
    let group = "concurrency: {group: db, limit: 1}";
    let jobs: String = (0..6).map(|n| format!("g{n}: {{stage: all, script: [x], {group}}}\n")).collect();
    let text = format!("stages: [all]\n{jobs}free: {{stage: all, script: [x]}}\n");
    let acts: [(&str, Act); 6] = ["g0", "g1", "g2", "g3", "g4", "g5"].map(|job| (job, takes(10)));
    let play = Play { limit: 2, ..Play::of(&text).mode(RunMode::Parallel) };
    let begun = Instant::now();
    let played = play.run(Scripted::new(acts.clone())).await;
    assert_eq!(begun.elapsed().as_millis(), 60, "one of the group after the other");
    assert!(played.position("end free") < played.position("end g0"), "{:?}", played.story());
    assert_eq!(played.executor.order.lock().unwrap()[2..], ["g1", "g2", "g3", "g4", "g5"], "in their order");
    let text = text.replace("g0: {", "g0: {parallel: true, ");
    let beside = Play::of(&text).run(Scripted::new(acts)).await;
    assert_eq!(beside.executor.most.load(Ordering::SeqCst), 1);
}

// covers: local-ci 73
#[tokio::test(start_paused = true)]
async fn a_cancelled_run_leaves_nobody_waiting_for_a_group() {
    let group = "concurrency: {group: db, limit: 1}";
    let text = format!(
        "stages: [all]\na: {{stage: all, script: [x], {group}}}\nb: {{stage: all, script: [x], {group}, parallel: true}}\n"
    );
    let play = Play { cancel_after: Some(Duration::from_millis(5)), ..Play::of(&text) };
    let played = play.run(Scripted::new([("a", takes(1000)), ("b", takes(1000))])).await;
    assert_eq!(played.report.ending.outcome, Outcome::Cancelled);
    assert!(played.story().contains(&"skip a".to_owned()), "b had the place: {:?}", played.story());
}
