//! What becomes of a job that fails: tried again, passed over, or the end of what waits for it (local-ci.md 2.5).

mod support;

use std::time::Duration;

use jobwright_events::EventKind;
use jobwright_model::{Cause, Outcome};
use support::{Act, Play, Played, Scripted, exits, takes};

fn job(keys: &str) -> String {
    format!(
        "stages: [build, test]\na: {{stage: build, script: [x], {keys}}}\nb: {{stage: test, script: [x]}}\n"
    )
}

fn fails(code: i32, times: usize) -> Act {
    Act { exits: code, fails: times, ..Act::default() }
}

async fn attempts(keys: &str, act: Act) -> Played {
    Play::of(&job(keys)).run(Scripted::new([("a", act)])).await
}

// covers: local-ci 63, 64
#[tokio::test(start_paused = true)]
async fn a_job_is_tried_again_until_it_passes_with_one_start_and_one_end_and_a_notice_between() {
    let played = attempts("retry: 3", fails(7, 2)).await;
    let expected = [
        "run",
        "start a",
        "notice Job a failed, retrying (attempt 2/4)...",
        "notice Job a failed, retrying (attempt 3/4)...",
        "end a",
        "start b",
        "end b",
        "/run",
    ];
    assert_eq!(played.story(), expected);
    assert_eq!((played.report.jobs[0].attempts, played.report.ending.outcome), (3, Outcome::Succeeded));
    let of_a = |kind: &str| {
        played.wire().into_iter().find(|event| event.r#type == kind && event.job == "a").unwrap()
    };
    assert_eq!((of_a("job_started").attempt, of_a("job_finished").attempt), (1, 3));
    let notice = played.wire().into_iter().find(|event| event.data.contains("retrying")).unwrap();
    assert_eq!(
        (notice.r#type.as_str(), notice.job.as_str()),
        ("log_line", ""),
        "it is the run's, not the job's"
    );
    let told = |event: &jobwright_events::Event| matches!(&event.kind, EventKind::Diagnostic { data } if data == "Job a failed: container exited with non-zero status 7 (attempt 1)\n");
    assert!(played.events.iter().any(told), "each attempt's error is told");
}

// covers: local-ci 63
#[tokio::test(start_paused = true)]
async fn a_job_that_never_passes_is_tried_once_more_than_its_retries() {
    let played = attempts("retry: 2", exits(7)).await;
    assert_eq!(played.executor.order.lock().unwrap().as_slice(), ["a", "a", "a"]);
    assert_eq!(played.report.ending.exit_code, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_retry_rule_is_asked_for_the_cause_of_each_attempt() {
    let only_seven = "retry: {max: 2, exit_codes: [7]}";
    assert_eq!(attempts(only_seven, fails(7, 1)).await.report.jobs[0].attempts, 2);
    assert_eq!(attempts(only_seven, fails(8, 1)).await.report.jobs[0].attempts, 1);
    assert_eq!(attempts("retry: {max: 2, on: [timeout]}", fails(7, 1)).await.report.jobs[0].attempts, 1);
}

// covers: local-ci 65
#[tokio::test(start_paused = true)]
async fn nothing_is_tried_again_once_the_run_is_cancelled() {
    let act = Act { exits: 1, ..takes(1000) };
    let play = Play { cancel_after: Some(Duration::from_millis(5)), ..Play::of(&job("retry: 10")) };
    let played = play.run(Scripted::new([("a", act)])).await;
    assert_eq!(played.report.jobs[0].attempts, 1);
    assert_eq!(played.report.ending.cause, Cause::ByUser);
}

#[tokio::test(start_paused = true)]
async fn a_retried_job_gives_its_slot_back_between_attempts_and_holds_its_group() {
    let text = "
stages: [all]
a: {stage: all, script: [x], retry: 1, concurrency: {group: g, limit: 1}}
b: {stage: all, script: [x], concurrency: {group: g, limit: 1}}
c: {stage: all, script: [x]}
";
    let play = Play { limit: 1, ..Play::of(text).mode(jobwright_events::RunMode::Parallel) };
    let played = play.run(Scripted::new([("a", fails(1, 1))])).await;
    let order = played.executor.order.lock().unwrap().clone();
    let second = order.iter().rposition(|name| name == "a").unwrap();
    assert!(second < order.iter().position(|name| name == "b").unwrap(), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_is_allowed_stays_the_jobs_own() {
    let played = attempts("allow_failure: true", exits(3)).await;
    assert_eq!(played.story()[1..], ["start a", "end a", "start b", "end b", "/run"]);
    let report = &played.report.jobs[0];
    assert_eq!((report.ending.outcome, report.ending.exit_code), (Outcome::Failed, Some(3)));
    assert!(report.passed_over);
    assert_eq!(played.report.ending.outcome, Outcome::Succeeded);
    let last = played.wire().last().unwrap().clone();
    assert_eq!((last.err.as_str(), last.outcome.as_str()), ("", "succeeded"));
    let finished = played.wire().into_iter().find(|event| event.r#type == "job_finished").unwrap();
    assert_eq!((finished.outcome.as_str(), finished.exit_code), ("failed", 1));
}

#[tokio::test(start_paused = true)]
async fn only_the_allowed_exit_codes_are_passed_over() {
    assert!(attempts("allow_failure: {exit_codes: [42]}", exits(42)).await.report.ending.succeeded());
    let other = attempts("allow_failure: {exit_codes: [42]}", exits(1)).await;
    assert_eq!(other.story()[3..], ["skip b", "/run"]);
    assert_eq!(other.report.ending.exit_code, Some(1));
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_job_that_may_fail_goes_on_and_it_is_tried_again_first() {
    let text = "
stages: [build]
a: {stage: build, script: [x], allow_failure: true, retry: 1}
b: {stage: build, script: [x], needs: a}
";
    let played = Play::of(text).run(Scripted::new([("a", exits(1))])).await;
    assert!(played.story().contains(&"end b".to_owned()), "{:?}", played.story());
    assert_eq!(played.report.jobs[0].attempts, 2);
    assert!(played.report.ending.succeeded());
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_is_never_passed_over() {
    let play = Play { cancel_after: Some(Duration::from_millis(5)), ..Play::of(&job("allow_failure: true")) };
    let played = play.run(Scripted::new([("a", takes(1000))])).await;
    assert_eq!(played.report.ending.outcome, Outcome::Cancelled);
    assert!(!played.report.jobs[0].passed_over);
}
