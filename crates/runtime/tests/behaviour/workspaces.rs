//! The workspace of a job of several phases: one, though each phase has a task of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use jobwright_backend::dummy::{Act, Verb, give_script};
use jobwright_backend::{Backend, Error, TarStream};
use jobwright_journal::Journal;
use jobwright_model::{Cause, Job, Outcome, Phase, Step, TaskUuid, Timeouts};
use jobwright_runtime::{Backends, JobReport, WorkspaceSource};

use crate::support::{Event, Twist, Twisted, World, ending, gist, job, phase, seconds, step, with, workflow};

/// An archive of these files.
pub(crate) fn archive(files: &[(&str, &str)]) -> TarStream {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    let bytes = archive.into_inner().unwrap();
    Box::pin(futures_util::stream::iter([Ok(bytes.into())]))
}

/// A job's files: one, called `given`.
struct Given;

#[async_trait]
impl WorkspaceSource for Given {
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), Error> {
        backend.put(task, "", archive(&[("given", "given")])).await
    }
}

fn acts(name: &str, acts: &[Act]) -> Step {
    with(step(name, &[]), |step| give_script(step, acts))
}

fn writes(name: &str, path: &str) -> Step {
    acts(name, &[Act::WriteFile { path: path.into(), bytes: path.as_bytes().to_vec() }])
}

fn reads(name: &str, paths: &[&str]) -> Step {
    let read: Vec<_> = paths.iter().map(|path| Act::PrintFile((*path).into())).collect();
    acts(name, &read)
}

fn runs(step: Step) -> Phase {
    phase(workflow([vec![step]]))
}

fn always(phase: Phase) -> Phase {
    Phase { always: true, ..phase }
}

fn on_twisted(phase: Phase) -> Phase {
    Phase { backend: "twisted".to_owned(), ..phase }
}

/// Runs `job`, in which the backend `twisted` is the dummy with a twist.
async fn run_twisted(world: &World, twist: Twist, job: Job) -> (JobReport, Arc<Twisted>) {
    let twisted = world.twisted(twist);
    let backends = Backends::from([
        ("dummy".to_owned(), world.backend()),
        ("twisted".to_owned(), Arc::clone(&twisted) as Arc<dyn Backend>),
    ]);
    let run = jobwright_runtime::JobRun::new(job, backends, Arc::clone(&world.seen) as _);
    let report = run.scope(&world.scope).run().await;
    assert_eq!(world.engine.leftovers(), Vec::<String>::new());
    (report, twisted)
}

#[tokio::test(start_paused = true)]
async fn what_one_phase_wrote_the_next_one_reads_and_the_one_after_too() {
    let world = World::new();
    let job = job([
        runs(writes("a", "one")),
        runs(acts(
            "b",
            &[Act::PrintFile("one".into()), Act::WriteFile { path: "d/two".into(), bytes: b"two".to_vec() }],
        )),
        runs(reads("c", &["one", "d/two"])),
    ]);
    let report = world.run_job(job).await;
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(world.seen.output("c"), "onetwo");
}

#[tokio::test(start_paused = true)]
async fn the_jobs_own_files_go_into_the_first_phase_and_on_from_there() {
    let world = World::new();
    let changed = acts(
        "a",
        &[
            Act::PrintFile("given".into()),
            Act::WriteFile { path: "given".into(), bytes: b"changed".to_vec() },
        ],
    );
    let run = world.plan_job(job([runs(changed), runs(reads("b", &["given"]))]));
    let report = run.files(Arc::new(Given)).run().await;
    assert!(report.ending.succeeded());
    assert_eq!((world.seen.output("a").as_str(), world.seen.output("b").as_str()), ("given", "changed"));
}

#[tokio::test(start_paused = true)]
async fn the_workspace_is_taken_out_before_its_phase_is_destroyed_and_only_when_somebody_follows() {
    let world = World::new();
    world.run_job(job([runs(writes("a", "one")), runs(reads("b", &["one"]))])).await;
    let verbs: Vec<_> = world.engine.calls().all().iter().map(|call| call.verb).collect();
    let whole: Vec<_> = verbs
        .into_iter()
        .filter(|verb| {
            matches!(verb, Verb::SetUp | Verb::Get | Verb::Put | Verb::Start | Verb::DestroyWorkflow)
        })
        .collect();
    use Verb::{DestroyWorkflow, Get, Put, SetUp, Start};
    assert_eq!(whole, [SetUp, Start, Get, DestroyWorkflow, SetUp, Put, Start, DestroyWorkflow]);
}

#[tokio::test(start_paused = true)]
async fn taking_files_out_has_patience_with_an_engine_that_is_away_for_a_moment() {
    let world = World::new();
    let job = job([runs(writes("a", "one")), runs(reads("b", &["one"]))]);
    let outage = async {
        world.seen.until("a", |event| matches!(event, Event::Ended(_))).await;
        world.engine.vanish();
        tokio::time::sleep(seconds(4)).await;
        world.engine.come_back();
    };
    let (report, ()) = tokio::join!(world.run_job(job), outage);
    assert!(report.ending.succeeded(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_workspace_in_which_there_is_nothing_is_handed_on_as_that() {
    let world = World::new();
    let report = world.run_job(job([runs(step("a", &[])), runs(step("b", &[]))])).await;
    assert!(report.ending.succeeded(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn a_phase_without_a_workspace_passes_on_the_one_before_it() {
    let world = World::new();
    let mut between = runs(step("b", &[]));
    between.workflow.volume.clear();
    let report = world.run_job(job([runs(writes("a", "one")), between, runs(reads("c", &["one"]))])).await;
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(world.engine.calls().count(Verb::Put), 1, "it got no files itself");
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_always_runs_gets_what_the_failed_one_left() {
    let world = World::new();
    let fails = acts("a", &[Act::WriteFile { path: "log".into(), bytes: b"why".to_vec() }, Act::Exit(3)]);
    let job = job([runs(fails), runs(step("never", &[])), always(runs(reads("after", &["log"])))]);
    let report = world.run_job(job).await;
    assert_eq!(gist(&report.ending), (Outcome::Failed, "exit_code", Some(3)));
    assert_eq!(world.seen.output("after"), "why");
    assert_eq!(report.phases.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_phase_that_never_touched_its_workspace_leaves_the_next_one_what_it_should_have_had() {
    let world = World::new();
    let job =
        job([runs(step("a", &[("DUMMY_PREPARE_FAIL", "x")])), always(runs(reads("after", &["given"])))]);
    let report = world.plan_job(job).files(Arc::new(Given)).run().await;
    assert!(report.phases[1].ending.succeeded(), "{report:?}");
    assert_eq!(world.seen.output("after"), "given");
}

#[tokio::test(start_paused = true)]
async fn a_workspace_that_cannot_be_taken_out_stops_the_phases_that_need_it() {
    for twist in [Twist::GetFails, Twist::GetBreaksOff] {
        let world = World::new();
        let job =
            job([on_twisted(runs(writes("a", "one"))), runs(step("b", &[])), always(runs(step("c", &[])))]);
        let (report, _) = run_twisted(&world, twist, job).await;
        assert!(report.phases[0].ending.succeeded(), "its steps passed");
        for phase in &report.phases[1..] {
            assert_eq!(phase.ending.cause, Cause::Workspace);
        }
        assert_eq!(report.ending.cause, Cause::Workspace);
        assert!(report.error.is_some_and(|error| error.contains("could not be taken over")));
        assert!(world.seen.traces("b").is_empty() && world.seen.traces("c").is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_workspace_that_cannot_be_put_in_is_a_typed_ending_of_the_step_that_needed_it() {
    let world = World::new();
    let job = job([runs(writes("a", "one")), on_twisted(runs(step("b", &[])))]);
    let (report, twisted) = run_twisted(&world, Twist::PutFails, job).await;
    assert_eq!(gist(ending(&report.phases[1], "b")), (Outcome::Failed, "workspace", None));
    assert_eq!(report.ending.cause, Cause::Workspace);
    assert_eq!(twisted.puts.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn taking_files_out_ends_with_the_job() {
    let world = World::new();
    let mut job = job([on_twisted(runs(writes("a", "one"))), runs(step("b", &[]))]);
    job.timeouts = Timeouts { total: Some(seconds(60)), ..Timeouts::default() };
    let (report, _) = run_twisted(&world, Twist::GetHangs, job).await;
    assert_eq!(report.ending.cause, Cause::Timeout, "{report:?}");
    assert!(world.seen.traces("b").is_empty());
}

#[tokio::test(start_paused = true)]
async fn taking_files_out_for_a_phase_that_always_runs_has_the_time_of_a_cleanup() {
    let world = World::new();
    let job = job([on_twisted(runs(writes("a", "one"))), always(runs(step("b", &[])))]);
    let begun = tokio::time::Instant::now();
    let cancel = async {
        world.engine.calls().until(Verb::DestroyStep, "a").await;
        tokio::time::sleep(seconds(1)).await;
        world.scope.cancel(Cause::ByUser);
    };
    let ((report, _), ()) = tokio::join!(run_twisted(&world, Twist::GetHangs, job), cancel);
    assert_eq!(begun.elapsed(), seconds(121));
    assert_eq!(report.phases[1].ending.cause, Cause::Workspace);
}

/// The modes of the files beside a run's journal in `dir`.
fn handed_over(dir: &Path) -> Vec<u32> {
    let entries = fs::read_dir(dir).unwrap().filter_map(Result::ok);
    let others = entries.filter(|entry| entry.file_name() != "journal");
    others.filter_map(|entry| Some(entry.metadata().ok()?.permissions().mode() & 0o777)).collect()
}

#[tokio::test(start_paused = true)]
async fn on_its_way_a_workspace_is_readable_by_nobody_else_and_then_it_is_gone() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let (journal, _) = Journal::open(&dir.path().join("journal")).unwrap();
    let journal = Arc::new(journal);
    let job = job([runs(writes("a", "one")), runs(step("b", &[("SLEEP", "5s")]))]);
    let run = world.plan_job(job).journal(Arc::clone(&journal)).run();
    let look = async {
        world.engine.calls().until(Verb::Wait, "b").await;
        assert_eq!(handed_over(dir.path()), [0o600]);
    };
    let (report, ()) = tokio::join!(run, look);
    assert!(report.ending.succeeded());
    assert!(handed_over(dir.path()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_workspace_for_which_there_is_no_room_is_a_typed_ending() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let journal = Arc::new(Journal::open(&state.join("journal")).unwrap().0);
    fs::remove_dir_all(&state).unwrap();
    let run = world.plan_job(job([runs(writes("a", "one")), runs(step("b", &[]))])).journal(journal);
    let report = run.run().await;
    assert_eq!(report.ending.cause, Cause::Workspace);
    assert!(world.engine.leftovers().is_empty());
}
