//! What is written down of a run.

use std::sync::Arc;

use jobwright_backend::conformance::Script;
use jobwright_journal::Journal;
use jobwright_model::{Cause, Secret, TaskUuid};
use jobwright_runtime::{Record, open_tasks};

use super::scenario;
use crate::suite::Scenario;
use crate::world::World;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(the_journal_tells_a_run_in_order_and_without_secrets),
        scenario!(a_cancelled_run_closes_its_task_in_the_journal),
    ]
}

/// A record in short.
fn word(record: &Record, names: &[(&str, &jobwright_model::StepUuid)]) -> String {
    let name = |uuid| names.iter().find(|(_, own)| *own == uuid).map_or("?", |(name, _)| name);
    match record {
        Record::TaskOpened { backend, job, .. } => format!("open {job} on {backend}"),
        Record::StepStarting { step, .. } => format!("start {}", name(step)),
        Record::StepStopping { step, ending, .. } => format!("stop {} {}", name(step), ending.cause.as_str()),
        Record::StepEnded { step, ending, .. } => format!("end {} {}", name(step), ending.cause.as_str()),
        Record::TaskEnded { ending, .. } => format!("end all {}", ending.cause.as_str()),
        Record::TaskClosed { .. } => "close".to_owned(),
        other => format!("{other:?}"),
    }
}

async fn the_journal_tells_a_run_in_order_and_without_secrets(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, _) = Journal::open(&path).unwrap();
    let first = world.step("first", &Script::new().print("hunter2-swordfish"));
    let mut second = world.unstartable("second");
    second.entrypoint = vec!["/no/hunter2-swordfish".to_owned()];
    let names = [("first", &first.uuid.clone()), ("second", &second.uuid.clone())];
    let mut workflow = world.workflow([vec![first], vec![second]]);
    workflow.secrets = vec![Secret { name: "S".to_owned(), value: "hunter2-swordfish".to_owned() }];
    let task = TaskUuid::random();
    let run = world.plan(&workflow).job("the job").task(task.clone()).journal(Arc::new(journal));
    world.finish(run).await;
    let records = Journal::<Record>::read(&path).unwrap().records;
    let told: Vec<_> = records.iter().map(|record| word(record, &names)).collect();
    let opened = format!("open the job on {}", world.backend.name());
    let whole = [
        &opened,
        "start first",
        "end first success",
        "start second",
        "end second start_failure",
        "end all start_failure",
        "close",
    ];
    // An engine that sees a missing program when the container is made never comes to start it.
    let without = told.iter().all(|word| word != "start second");
    let expected: Vec<_> = whole.into_iter().filter(|word| !(without && *word == "start second")).collect();
    assert_eq!(told, expected);
    assert!(open_tasks(&records).is_empty());
    let bytes = std::fs::read(&path).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
}

// covers: woodpecker 48
async fn a_cancelled_run_closes_its_task_in_the_journal(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let (journal, _) = Journal::open(&path).unwrap();
    let build = world.step("build", &Script::new().say_ready().forever());
    let uuid = build.uuid.clone();
    let workflow = world.workflow([vec![build]]);
    let cancel = async {
        world.seen.until_printed("build", "ready").await;
        let records = Journal::<Record>::read(&path).unwrap().records;
        assert_eq!(open_tasks(&records).len(), 1, "it is open while it runs");
        world.scope.cancel(Cause::ByShutdown);
    };
    let run = world.finish(world.plan(&workflow).journal(Arc::new(journal)));
    let (report, ()) = tokio::join!(run, cancel);
    assert_eq!(report.ending.cause, Cause::ByShutdown);
    let records = Journal::<Record>::read(&path).unwrap().records;
    let told: Vec<_> = records.iter().map(|record| word(record, &[("build", &uuid)])).collect();
    let expected =
        ["start build", "stop build by_shutdown", "end build by_shutdown", "end all by_shutdown", "close"];
    assert_eq!(told[1..], expected);
}
