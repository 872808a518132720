//! A run through the engine as a front end asks for it, on the dummy backend: from its id to its last event.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::sync::Arc;

use futures_util::StreamExt;
use jobwright_backend::dummy::{DummyEngine, DummyOptions};
use jobwright_backend::{Backend, BackendRegistry};
use jobwright_engine::{Engine, EngineOptions, RunError, RunReport, Spec};
use jobwright_events::{EventLogReader, WireEvent};
use jobwright_journal::{Journal, StateDir};
use jobwright_model::{Outcome, RunId};
use jobwright_runtime::{Record, Scope, open_tasks};

/// A project in a folder of its own, and the state directory beside it.
struct World {
    dir: tempfile::TempDir,
    dummy: DummyEngine,
}

impl World {
    fn new(pipeline: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("project")).unwrap();
        std::fs::write(dir.path().join("project/.jobwright.yaml"), pipeline).unwrap();
        std::fs::write(dir.path().join("project/secret"), "hunter2-and-more\n").unwrap();
        Self { dir, dummy: DummyEngine::new(DummyOptions::default()) }
    }

    fn state(&self) -> StateDir {
        StateDir::open(&self.dir.path().join("state")).unwrap()
    }

    async fn run(&self, id: &RunId) -> (RunReport, Vec<WireEvent>) {
        let backends = BackendRegistry::new(vec![Arc::new(self.dummy.backend()) as Arc<dyn Backend>]);
        let options = EngineOptions { backend: Some("dummy".into()), ..EngineOptions::default() };
        let engine = Engine::new(self.state(), backends, options);
        let spec = Spec { project: self.dir.path().join("project"), ..Spec::default() };
        let report = engine.open(id).unwrap().execute(&spec, &Scope::new()).await;
        let reader = EventLogReader::open(&self.state().run_dir(id), id).unwrap();
        let lines: Vec<_> = reader.replay(0).collect().await;
        (report, lines.into_iter().map(|line| line.unwrap().wire().unwrap()).collect())
    }
}

const PASSING: &str = r#"
stages: [build]
variables: {GREETING: "a value that is nobody's business"}
a:
  stage: build
  image: x
  variables: {DUMMY_PRINT_ENV: TOKEN}
  secrets: {TOKEN: {file: secret}}
  script: [make]
"#;

// covers: local-ci 2, 17, 24, 25, 29
#[tokio::test]
async fn the_callers_id_is_on_every_event_and_the_log_has_them_all() {
    let world = World::new(PASSING);
    let id = RunId::generate();
    let (report, events) = world.run(&id).await;
    assert_eq!(report.ending.outcome, Outcome::Succeeded, "{report:?}");
    assert!(events.iter().all(|event| event.run_id == id.as_str()));
    assert!(events.iter().map(|event| event.seq).eq(1..=events.len() as u64));
    let (first, last) = (&events[0], &events[events.len() - 1]);
    assert_eq!((first.r#type.as_str(), last.r#type.as_str()), ("run_started", "run_finished"));
    assert!(
        first.config_path.ends_with("project/.jobwright.yaml") && first.project_path.ends_with("project")
    );
    assert_eq!((first.commit.as_str(), first.branch.as_str()), ("", ""), "it is no repository");
}

// covers: local-ci 31
#[tokio::test]
async fn no_value_of_a_variable_is_in_a_diagnostic_and_a_secret_is_nowhere() {
    let world = World::new(PASSING);
    let id = RunId::generate();
    let (_, events) = world.run(&id).await;
    assert!(events.iter().any(|event| event.data.contains("TOKEN=********")), "the job printed it");
    let diagnostics = events.iter().filter(|event| event.r#type == "diagnostic");
    assert!(diagnostics.clone().count() > 0);
    assert!(diagnostics.into_iter().all(|event| !event.data.contains("nobody's business")));
    for entry in std::fs::read_dir(world.state().run_dir(&id)).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
    }
}

#[tokio::test]
async fn every_task_that_was_opened_is_closed_in_the_journal() {
    let world = World::new(PASSING);
    let id = RunId::generate();
    world.run(&id).await;
    let journal = Journal::<Record>::read(&world.state().run_dir(&id).join("journal")).unwrap();
    assert!(matches!(journal.records[..2], [Record::BackendLoaded { .. }, Record::TaskOpened { .. }]));
    assert!(open_tasks(&journal.records).is_empty());
    assert_eq!(world.dummy.leftovers(), Vec::<String>::new());
}

// covers: local-ci 30
#[tokio::test]
async fn a_secret_that_is_not_there_stops_the_run_before_anything_is_set_up() {
    let world = World::new(&PASSING.replace("file: secret", "file: no-such-file"));
    let (report, events) = world.run(&RunId::generate()).await;
    assert!(matches!(report.error, Some(RunError::Jobs(_))), "{report:?}");
    assert_eq!(events.last().unwrap().outcome, "failed");
    assert!(events.last().unwrap().err.contains("no-such-file"));
    assert!(world.dummy.calls().all().iter().all(|call| !format!("{call:?}").contains("Setup")));
}

#[tokio::test]
async fn a_job_keeps_the_exit_code_of_its_script() {
    let world = World::new(&PASSING.replace("DUMMY_PRINT_ENV: TOKEN", "STEP_EXIT_CODE: 7"));
    let (report, events) = world.run(&RunId::generate()).await;
    assert_eq!((report.ending.outcome, report.ending.exit_code), (Outcome::Failed, Some(7)));
    let finished = events.iter().find(|event| event.r#type == "job_finished").unwrap();
    assert_eq!((finished.exit_code, finished.real_exit_code), (1, Some(7)));
}
