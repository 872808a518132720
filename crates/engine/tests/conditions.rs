//! Which jobs a condition keeps from running, and what that means for the others. On the dummy backend; what git knows is tested with
//! git.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use jobwright_backend::dummy::{DummyEngine, DummyOptions};
use jobwright_backend::{Backend, BackendRegistry};
use jobwright_engine::{Engine, EngineOptions, RunReport, Spec};
use jobwright_events::{EventLogReader, WireEvent};
use jobwright_journal::StateDir;
use jobwright_model::{Cause, Outcome, RunId};
use jobwright_runtime::Scope;

/// Runs a pipeline of these jobs, each of which has a name, keys and nothing to do.
async fn run(jobs: &[(&str, &str)], env: &[(&str, &str)]) -> (RunReport, Vec<WireEvent>) {
    let dir = tempfile::tempdir().unwrap();
    let jobs: String = jobs
        .iter()
        .map(|(name, keys)| format!("{name}: {{stage: s, image: x, script: [x], {keys}}}\n"))
        .collect();
    let text = format!("stages: [s]\nvariables: {{LEVEL: debug}}\n{jobs}");
    std::fs::write(dir.path().join(".jobwright.yaml"), text).unwrap();
    let backend = DummyEngine::new(DummyOptions::default()).backend();
    let backends = BackendRegistry::new(vec![Arc::new(backend) as Arc<dyn Backend>]);
    let options = EngineOptions { backend: Some("dummy".into()), ..EngineOptions::default() };
    let state = StateDir::open(&dir.path().join("state")).unwrap();
    let folder = |id: &RunId| state.run_dir(id);
    let id = RunId::generate();
    let folder = folder(&id);
    let engine = Engine::new(state, backends, options);
    let env: BTreeMap<_, _> =
        env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let spec = Spec { project: dir.path().to_owned(), env, event: "manual".to_owned(), ..Spec::default() };
    let report = engine.open(&id).unwrap().execute(&spec, &Scope::new()).await;
    let lines: Vec<_> = EventLogReader::open(&folder, &id).unwrap().replay(0).collect().await;
    (report, lines.into_iter().map(|line| line.unwrap().wire().unwrap()).collect())
}

fn outcomes(report: &RunReport) -> Vec<(&str, Outcome)> {
    report.jobs.iter().map(|job| (&*job.name, job.ending.outcome)).collect()
}

#[tokio::test]
async fn a_job_runs_when_its_condition_holds_and_is_skipped_when_not() {
    let jobs = [
        ("a", r#"if: 'vars.LEVEL == "debug" && event == "manual"'"#),
        ("b", r#"if: 'branch == "main"'"#),
        ("c", "if: false"),
    ];
    let (report, events) = run(&jobs, &[]).await;
    let expected = [("a", Outcome::Succeeded), ("b", Outcome::Skipped), ("c", Outcome::Skipped)];
    assert_eq!(outcomes(&report), expected);
    assert!(report.ending.succeeded(), "a condition that does not hold fails nothing");
    let skipped = events.iter().find(|event| event.r#type == "job_skipped").unwrap();
    assert_eq!((skipped.job.as_str(), skipped.cause.as_str()), ("b", "condition"));
    assert_eq!(skipped.reason, "`branch == \"main\"` does not hold");
    assert!(events.iter().all(|event| event.r#type != "job_started" || event.job == "a"));
    assert_eq!(events[0].order, ["a", "b", "c"]);
}

#[tokio::test]
async fn the_variables_of_a_condition_are_the_jobs_own_with_those_of_the_command_line() {
    let jobs = [
        ("a", r#"variables: {LEVEL: own}, if: 'vars.LEVEL == "own"'"#),
        ("b", r#"if: 'vars.LEVEL == "given"'"#),
    ];
    assert_eq!(outcomes(&run(&jobs, &[]).await.0)[1].1, Outcome::Skipped);
    let (report, _) = run(&jobs, &[("LEVEL", "given")]).await;
    assert_eq!(outcomes(&report), [("a", Outcome::Skipped), ("b", Outcome::Succeeded)]);
}

#[tokio::test]
async fn what_needs_a_job_that_is_not_to_run_does_not_wait_for_it() {
    let (report, _) = run(&[("a", "if: false"), ("b", "needs: a"), ("c", "needs: [a, b]")], &[]).await;
    let expected = [("a", Outcome::Skipped), ("b", Outcome::Succeeded), ("c", Outcome::Succeeded)];
    assert_eq!(outcomes(&report), expected);
}

#[tokio::test]
async fn what_changed_is_everything_when_nobody_knows() {
    let (report, _) = run(&[("a", r#"if: 'changed("src/**")'"#)], &[]).await;
    assert_eq!(outcomes(&report), [("a", Outcome::Succeeded)]);
}

#[tokio::test]
async fn a_job_that_is_not_to_run_needs_no_secret_and_no_backend() {
    let keys = "if: false, backend: nowhere, secrets: {TOKEN: {env: JOBWRIGHT_TEST_NOT_SET_ANYWHERE}}";
    let (report, _) = run(&[("a", keys), ("b", "if: true")], &[]).await;
    assert_eq!(outcomes(&report), [("a", Outcome::Skipped), ("b", Outcome::Succeeded)]);
}

#[tokio::test]
async fn a_condition_without_an_answer_ends_the_run_before_its_first_job() {
    let (report, events) = run(&[("b", ""), ("a", "if: 'int(vars.LEVEL) > 3'")], &[]).await;
    assert_eq!(report.ending.cause, Cause::StartFailure);
    let last = events.last().unwrap();
    assert!(
        last.err.starts_with("job \"a\": the condition `int(vars.LEVEL) > 3` cannot be evaluated"),
        "{}",
        last.err
    );
    assert!(events.iter().all(|event| event.r#type != "job_started"));
}
