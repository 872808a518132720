//! What is written down, and when: always before it is done.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jobwright_backend::dummy::{DESTROY_SHOULD_FAIL, Verb};
use jobwright_journal::Journal;
use jobwright_model::{Cause, Outcome};
use jobwright_runtime::{Gate, Record, Situation, Verdict, open_tasks};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::support::{Twist, World, gist, seconds, step, task, tight, workflow};

fn journal(dir: &Path) -> Arc<Journal<Record>> {
    Arc::new(Journal::open(&dir.join("journal")).unwrap().0)
}

fn records(dir: &Path) -> Vec<Record> {
    Journal::read(&dir.join("journal")).unwrap().records
}

/// The records in short.
fn gists(dir: &Path) -> Vec<String> {
    let gist = |record: Record| match record {
        Record::TaskOpened { backend, job, .. } => format!("opened for {job} on {backend}"),
        Record::StepStarting { step, .. } => format!("starting {step}"),
        Record::StepEnded { step, ending, .. } => format!("{step} ended: {}", ending.cause.as_str()),
        Record::FilesDelivered { .. } => "delivered".to_owned(),
        Record::StepStopping { step, ending, .. } => format!("stopping {step}: {}", ending.cause.as_str()),
        Record::TaskEnded { ending, .. } => format!("ended: {}", ending.cause.as_str()),
        Record::TaskClosed { .. } => "closed".to_owned(),
        other => panic!("{other:?}"),
    };
    records(dir).into_iter().map(gist).collect()
}

/// A journal into which nothing more can be written once it is full.
struct Disk {
    file: File,
}

impl Disk {
    fn new() -> Self {
        Self { file: File::from(memfd_create("journal", MemfdFlags::ALLOW_SEALING).unwrap()) }
    }

    fn journal(&self) -> Arc<Journal<Record>> {
        let path = PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()));
        Arc::new(Journal::open(&path).unwrap().0)
    }

    fn is_full_from_now_on(&self) {
        fcntl_add_seals(&self.file, SealFlags::GROW).unwrap();
    }
}

/// Fills the disk when it is asked for a step.
#[async_trait]
impl Gate for Disk {
    async fn ask(&self, _: Situation<'_>) -> Verdict {
        self.is_full_from_now_on();
        Verdict::Run
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_is_written_down_from_the_opening_of_its_task_to_its_closing() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let flow =
        workflow([vec![step("a", &[])], vec![step("b", &[("STEP_EXIT_CODE", "1")])], vec![step("c", &[])]]);
    world.finish(world.plan(&flow).job("build").journal(journal(dir.path()))).await;
    assert_eq!(
        gists(dir.path()),
        [
            "opened for build on dummy",
            "starting uuid-a",
            "uuid-a ended: success",
            "starting uuid-b",
            "uuid-b ended: exit_code",
            "ended: exit_code",
            "closed",
        ]
    );
    assert!(open_tasks(&records(dir.path())).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_task_is_written_down_before_it_is_set_up() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let flow = workflow([vec![step("a", &[])]]);
    let run = world.plan_on(world.twisted(Twist::SetUpHangs), &flow).journal(journal(dir.path()));
    let look = async {
        tokio::time::sleep(seconds(1)).await;
        let written = gists(dir.path());
        world.scope.cancel(Cause::ByUser);
        written
    };
    let (_, written) = tokio::join!(world.finish(run), look);
    assert_eq!(written, ["opened for  on twisted"]);
    assert!(open_tasks(&records(dir.path())).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_step_is_written_down_before_it_is_started_and_not_when_it_is_only_prepared() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let flow = workflow([
        vec![step("a", &[("DUMMY_PREPARE_FAIL", "x")])],
        vec![crate::support::on(true, true, step("b", &[("STEP_START_FAIL", "1")]))],
    ]);
    world.finish(world.plan(&flow).journal(journal(dir.path()))).await;
    let written = gists(dir.path());
    assert_eq!(
        written[1..4],
        ["uuid-a ended: start_failure", "starting uuid-b", "uuid-b ended: start_failure"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_of_which_something_is_left_stays_open() {
    let flow = workflow([vec![step("a", &[])]]);
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let run = world.plan(&flow).task(task(DESTROY_SHOULD_FAIL)).journal(journal(dir.path()));
    world.finish(run).await;
    let open = open_tasks(&records(dir.path()));
    assert_eq!(open[&task(DESTROY_SHOULD_FAIL)].backend, "dummy");

    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let run = world.plan_on(world.twisted(Twist::DestroyWorkflowHangs), &flow).limits(tight());
    run.task(task("t1")).journal(journal(dir.path())).run().await;
    assert_eq!(open_tasks(&records(dir.path()))[&task("t1")].backend, "twisted");
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_cannot_be_written_lets_nothing_begin() {
    let (world, disk) = (World::new(), Disk::new());
    let journal = disk.journal();
    disk.is_full_from_now_on();
    let run = world.plan(&workflow([vec![step("a", &[])]])).journal(journal);
    let report = world.finish(run).await;
    assert_eq!(report.ending.outcome, Outcome::Failed);
    assert!(report.error.is_some());
    assert!(world.engine.calls().all().is_empty() && world.seen.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fills_up_starts_no_step_and_everything_is_still_removed() {
    let (world, disk) = (World::new(), Arc::new(Disk::new()));
    let run =
        world.plan(&workflow([vec![step("a", &[])]])).journal(disk.journal()).gate(Arc::clone(&disk) as _);
    let report = world.finish(run).await;
    assert_eq!(gist(&report.ending).1, "start_failure");
    assert_eq!(world.engine.calls().count(Verb::Start), 0);
    assert_eq!(world.engine.calls().count(Verb::DestroyWorkflow), 1);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fills_up_while_a_step_runs_does_not_change_its_ending() {
    let (world, disk) = (World::new(), Disk::new());
    let run = world.plan(&workflow([vec![step("a", &[("SLEEP", "5s")])]])).journal(disk.journal());
    let fill = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        disk.is_full_from_now_on();
    };
    let (report, ()) = tokio::join!(world.finish(run), fill);
    assert!(report.ending.succeeded());
}
