//! The order in which jobs run, and what is told of it (local-ci.md 2.3 and 2.4).

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jobwright_engine::{PreparedJob, RunPlan, Runner};
use jobwright_events::{Bus, EventKind, ExecKind, RunMode};
use jobwright_model::{Cause, Outcome, RunId};
use jobwright_runtime::Scope;
use support::{Act, Play, Played, Scripted, exits, takes};
use tokio::time::Instant;

/// Two stages; `c` is written before the stage that it is in.
const STAGES: &str = "
stages: [build, test]
c: {stage: test, script: [x]}
a: {stage: build, script: [x]}
b: {stage: build, script: [x]}
d: {stage: test, script: [x]}
";

fn execs(played: &Played) -> Vec<ExecKind> {
    let exec = |kind: &EventKind| match kind {
        EventKind::JobStarted { exec, .. } => Some(*exec),
        _ => None,
    };
    played.events.iter().filter_map(|event| exec(&event.kind)).collect()
}

// covers: local-ci 29, 33, 35, 36
#[tokio::test(start_paused = true)]
async fn sequential_runs_by_stage_then_by_file_each_alone() {
    let played = Play::of(STAGES).run(Scripted::new([])).await;
    let expected =
        ["run", "start a", "end a", "start b", "end b", "start c", "end c", "start d", "end d", "/run"];
    assert_eq!(played.story(), expected);
    assert!(execs(&played).iter().all(|exec| *exec == ExecKind::Standalone));
    assert_eq!(played.report.ending.outcome, Outcome::Succeeded);
}

// covers: local-ci 37
#[tokio::test(start_paused = true)]
async fn sequential_stops_at_the_first_failure_and_reports_the_rest_as_skipped() {
    let played = Play::of(STAGES).run(Scripted::new([("b", exits(3))])).await;
    assert_eq!(played.story()[3..], ["start b", "end b", "skip c", "skip d", "/run"]);
    let report = &played.report;
    assert_eq!((report.ending.outcome, report.ending.exit_code), (Outcome::Failed, Some(3)));
    assert_eq!(report.jobs[2].ending.cause, Cause::Dependency("b".into()));
}

// covers: local-ci 34, 38, 39
#[tokio::test(start_paused = true)]
async fn parallel_is_one_group_that_runs_to_its_end() {
    let executor = Scripted::new([("a", exits(1)), ("b", takes(50)), ("c", exits(2)), ("d", takes(50))]);
    let played = Play::of(STAGES).mode(RunMode::Parallel).run(executor).await;
    assert_eq!(played.story()[1], "group parallel");
    assert_eq!(played.story().iter().filter(|word| word.starts_with("end ")).count(), 4);
    assert!(execs(&played).iter().all(|exec| *exec == ExecKind::Concurrent));
    assert_eq!(played.executor.most.load(Ordering::SeqCst), 2, "a and c end at once, b and d last");
    let told = played.wire().last().unwrap().err.clone();
    let expected = "Job a failed: container exited with non-zero status 1\nJob c failed: container exited with non-zero status 2";
    assert_eq!(told, expected);
}

// covers: local-ci 40, 41
#[tokio::test(start_paused = true)]
async fn parallel_stages_is_a_group_for_each_stage_and_a_failed_one_stops_the_next() {
    let text = "
stages: [build, empty, test]
c: {stage: test, script: [x]}
a: {stage: build, script: [x]}
b: {stage: build, script: [x]}
";
    let passed = Play::of(text).mode(RunMode::ParallelStages).run(Scripted::new([])).await;
    let groups: Vec<_> = passed.story().into_iter().filter(|word| word.contains("group")).collect();
    assert_eq!(groups, ["group stage:build", "/group stage:build", "group stage:test", "/group stage:test"]);
    let failed = Play::of(text)
        .mode(RunMode::ParallelStages)
        .run(Scripted::new([("a", exits(1)), ("b", takes(9))]))
        .await;
    assert_eq!(failed.story()[5..], ["end b", "/group stage:build", "skip c", "/run"]);
}

const NEEDS: &str = "
stages: [build, test, deploy]
fast: {stage: build, script: [x]}
slow: {stage: build, script: [x]}
unit: {stage: test, script: [x], needs: fast}
lint: {stage: test, script: [x]}
ship: {stage: deploy, script: [x], needs: [unit]}
";

// covers: local-ci 49, 50, 53
#[tokio::test(start_paused = true)]
async fn a_job_with_needs_starts_as_soon_as_they_passed_and_a_plain_one_waits_for_all_earlier_stages() {
    let executor =
        Scripted::new([("fast", takes(10)), ("slow", takes(100)), ("unit", takes(10)), ("ship", takes(10))]);
    let played = Play::of(NEEDS).mode(RunMode::Parallel).run(executor).await;
    assert_eq!(played.story()[1..3], ["notice Running jobs in dependency (DAG) order...", "group dag"]);
    assert!(played.position("end ship") < played.position("end slow"), "{:?}", played.story());
    assert!(played.position("end slow") < played.position("start lint"));
    let first = &played.wire()[0];
    assert_eq!(first.mode, "parallel", "the mode that was asked for is told");
    let group = played.wire().into_iter().find(|event| event.r#type == "group_started").unwrap();
    assert_eq!((group.group_id.as_str(), group.group_kind.as_str()), ("dag", "parallel"));
}

// covers: local-ci 51, 54
#[tokio::test(start_paused = true)]
async fn what_needs_a_failed_job_is_skipped_and_counted_and_the_rest_goes_on() {
    let executor = Scripted::new([("fast", exits(1)), ("slow", takes(50))]);
    let played = Play::of(NEEDS).run(executor).await;
    let story = played.story();
    assert!(
        story.contains(&"notice Skipping job unit (dependency fast did not pass)".to_owned()),
        "{story:?}"
    );
    assert!(
        story.contains(&"notice Skipping job ship (dependency unit did not pass)".to_owned()),
        "{story:?}"
    );
    assert!(story.contains(&"skip lint".to_owned()), "lint waits for all of build: {story:?}");
    assert!(story.contains(&"end slow".to_owned()));
    let told = played.wire().last().unwrap().err.clone();
    assert_eq!(
        told,
        "Job fast failed: container exited with non-zero status 1\n3 job(s) skipped because a dependency failed"
    );
}

// covers: local-ci 52
#[tokio::test(start_paused = true)]
async fn a_need_that_was_not_selected_is_dropped_with_a_word() {
    let mut play = Play::of(NEEDS);
    play.spec.job_names = vec!["unit".into(), "ship".into()];
    let played = play.run(Scripted::new([])).await;
    assert_eq!(played.report.ending.outcome, Outcome::Succeeded);
    let told = |event: &jobwright_events::Event| matches!(&event.kind, EventKind::Diagnostic { data } if data.contains("needs fast"));
    assert!(played.events.iter().any(told));
}

// covers: local-ci 55
#[tokio::test(start_paused = true)]
async fn a_limit_holds_in_every_mode_and_jobs_start_in_order() {
    let jobs: String = (0..20).map(|n| format!("j{n:02}: {{stage: all, script: [x]}}\n")).collect();
    let text = format!("stages: [all]\n{jobs}");
    for (mode, needs) in [
        (RunMode::Parallel, ""),
        (RunMode::ParallelStages, ""),
        (RunMode::Parallel, "last: {stage: all, script: [x], needs: j00}\n"),
    ] {
        let acts: Vec<(String, Act)> = (0..20).map(|n| (format!("j{n:02}"), takes(10))).collect();
        let acts: [(&str, Act); 20] = std::array::from_fn(|n| (acts[n].0.as_str(), acts[n].1.clone()));
        let play = Play { limit: 3, ..Play::of(&format!("{text}{needs}")).mode(mode) };
        let played = play.run(Scripted::new(acts)).await;
        assert_eq!(played.executor.most.load(Ordering::SeqCst), 3);
        let order = played.executor.order.lock().unwrap().clone();
        assert!(order[..3].is_sorted() && order[0] == "j00", "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_only_cleans_up_holds_nobody_up_but_as_many_again_are_not_exceeded() {
    let jobs: String = (0..5).map(|n| format!("j{n}: {{stage: all, script: [x]}}\n")).collect();
    let slow = Act { takes: Duration::from_secs(1), cleans: Duration::from_secs(10), ..Act::default() };
    for (limit, needs, seconds) in [
        // Two run in the first second and clean up to the 11th, two one second later; the last begins when the first is over.
        (2, "", 11 + 1 + 10),
        (2, "last: {stage: all, script: [x], needs: j4}\n", 11 + 1 + 10),
        (1, "", 5 * (1 + 10)),
    ] {
        let begun = Instant::now();
        let acts: [(&str, Act); 5] = ["j0", "j1", "j2", "j3", "j4"].map(|job| (job, slow.clone()));
        let text = format!("stages: [all]\n{jobs}{needs}");
        let play = Play { limit, ..Play::of(&text).mode(RunMode::Parallel) };
        let played = play.run(Scripted::new(acts)).await;
        assert_eq!(played.executor.most.load(Ordering::SeqCst), limit);
        assert_eq!(begun.elapsed().as_secs(), seconds);
    }
}

/// The time that a run of so many jobs takes, each with two needs but for the first, over an executor that does nothing.
async fn scheduling(jobs: usize) -> Duration {
    let prepared = |n: usize| PreparedJob {
        name: format!("j{n}").into(),
        stage: format!("s{}", n * 100 / jobs).into(),
        needs: if n == 0 { Vec::new() } else { vec![format!("j{}", n - 1), format!("j{}", n / 2)] },
        ..PreparedJob::default()
    };
    let stages = (0..100).map(|n| format!("s{n}")).collect();
    let plan = RunPlan { stages, jobs: (0..jobs).map(prepared).collect(), ..RunPlan::default() };
    let runner = Runner::new(Arc::new(Bus::new(RunId::generate())), Scope::new(), 4);
    let begun = std::time::Instant::now();
    let report = runner.run(&plan, Scripted::new([])).await;
    assert!(report.ending.succeeded() && report.jobs.len() == jobs);
    begun.elapsed()
}

/// Issue 3: 10,000 jobs with 20,000 needs add less than a second. The scripted executor's own part is in the time.
// covers: local-ci 55
#[tokio::test(start_paused = true)]
async fn ten_thousand_jobs_are_scheduled_in_linear_time() {
    let (few, many) = (scheduling(1_000).await, scheduling(10_000).await);
    println!("1,000 jobs: {few:?}, 10,000 jobs: {many:?}");
    assert!(many < few * 40 || many < Duration::from_secs(1), "1,000 jobs: {few:?}, 10,000 jobs: {many:?}");
}

/// All are ready at once, in each mode that begins many at a time.
// covers: local-ci 55
#[tokio::test]
async fn ten_thousand_jobs_that_are_ready_at_once_are_run() {
    let text: String = (0..10_000).map(|n| format!("j{n}: {{stage: s{}, script: [x]}}\n", n % 2)).collect();
    for (mode, more) in [
        (RunMode::Parallel, ""),
        (RunMode::ParallelStages, ""),
        (RunMode::Sequential, "last: {stage: s1, script: [x], needs: j0}\n"),
    ] {
        let played =
            Play::of(&format!("stages: [s0, s1]\n{text}{more}")).mode(mode).run(Scripted::new([])).await;
        assert!(played.report.ending.succeeded() && played.report.jobs.len() >= 10_000, "{mode}");
    }
}

// covers: local-ci 73
#[tokio::test(start_paused = true)]
async fn a_cancelled_run_ends_what_runs_and_begins_nothing_more() {
    for mode in [RunMode::Sequential, RunMode::Parallel, RunMode::ParallelStages] {
        let executor = Scripted::new([
            ("a", takes(10_000)),
            ("b", takes(10_000)),
            ("c", takes(10_000)),
            ("d", takes(10_000)),
        ]);
        let play =
            Play { cancel_after: Some(Duration::from_millis(5)), limit: 2, ..Play::of(STAGES).mode(mode) };
        let played = play.run(executor).await;
        assert_eq!(played.report.ending.cause, Cause::ByUser, "{mode}");
        assert!(played.report.jobs.iter().all(|job| job.ending.outcome == Outcome::Cancelled), "{mode}");
        assert_eq!(played.story().last().unwrap(), "/run");
        assert_eq!(played.wire().last().unwrap().outcome, "cancelled");
    }
}

// covers: local-ci 56, 57
#[tokio::test(start_paused = true)]
async fn what_an_executor_prints_is_the_jobs_output_between_its_start_and_its_end() {
    let executor = Scripted::new([("a", Act { prints: "hello\n", ..Act::default() })]);
    let played = Play::of(STAGES).run(executor).await;
    let types: Vec<_> =
        played.wire().into_iter().filter(|event| event.job == "a").map(|event| event.r#type).collect();
    assert_eq!(types, ["job_started", "log_line", "job_finished"]);
}
