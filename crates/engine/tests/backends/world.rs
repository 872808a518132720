//! What a scenario works with: a backend of an owner of its own, an observer that remembers, steps that mean the same
//! everywhere, and the check that nothing is left.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream};
use jobwright_backend::Backend;
use jobwright_backend::conformance::Script;
use jobwright_backend::dummy::DummyEngine;
use jobwright_docker::{Docker, DockerSettings};
use jobwright_model::{
    Conn, Ending, Job, Outcome, OwnerId, Phase, Stage, Step, StepUuid, TaskUuid, Timeouts, Workflow,
};
use jobwright_runtime::{Backends, JobReport, JobRun, Scope, WorkflowReport, WorkflowRun};

use crate::engines::{Engine, IMAGE};
use crate::host::Bench;
use crate::marks::{self, Mark};
use crate::seen::{Event, Seen};

/// Where the workspace is mounted and steps work.
pub(crate) const WORKSPACE: &str = "/jobwright";
/// The volume and the network in every workflow: the same names on purpose, as two tasks of one workflow have them.
const VOLUME: &str = "scenario_default";
const NETWORK: &str = "scenario_default";

/// Where scenarios run.
#[derive(Clone)]
pub(crate) enum Site {
    /// On the scripted engine.
    Dummy,
    /// On this host.
    Process,
    /// In containers.
    Containers(Engine),
}

impl Site {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Dummy => "dummy",
            Self::Process => "process",
            Self::Containers(engine) if engine.podman => "podman",
            Self::Containers(_) => "docker",
        }
    }
}

/// What is there of a site, for one owner.
enum Place {
    Dummy(DummyEngine),
    Process(Bench),
    Containers(Engine, Arc<Docker>, OwnerId),
}

/// One scenario's surroundings. Clones are the same.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) scope: Scope,
    pub(crate) mark: Mark,
    place: Arc<Place>,
}

impl World {
    /// A new owner's world.
    pub(crate) async fn open(site: &Site) -> Self {
        Self::with_grace(site, 2).await
    }

    /// The same with so many seconds between SIGTERM and SIGKILL; the dummy has one.
    pub(crate) async fn with_grace(site: &Site, grace: u32) -> Self {
        let (backend, place): (Arc<dyn Backend>, _) = match site {
            Site::Dummy => {
                let engine = DummyEngine::default();
                (Arc::new(engine.backend()), Place::Dummy(engine))
            }
            Site::Process => {
                let bench = Bench::with(|settings| settings.stop_timeout = grace.into());
                (Arc::new(bench.backend().await), Place::Process(bench))
            }
            Site::Containers(engine) => {
                let owner = OwnerId::random();
                let settings = DockerSettings { stop_timeout: grace, ..engine.settings() };
                let docker = Arc::new(Docker::new(Some(settings), owner.clone()));
                (Arc::clone(&docker) as _, Place::Containers(engine.clone(), docker, owner))
            }
        };
        backend.load().await.expect("the backend loads");
        let (seen, scope) = (Arc::new(Seen::default()), Scope::new());
        Self { backend, seen, scope, mark: Mark::new(), place: Arc::new(place) }
    }

    /// The same owner and backend, with an observer and a scope of its own.
    pub(crate) fn beside(&self) -> Self {
        Self { seen: Arc::default(), scope: Scope::new(), ..self.clone() }
    }

    pub(crate) fn site(&self) -> Site {
        match &*self.place {
            Place::Dummy(_) => Site::Dummy,
            Place::Process(_) => Site::Process,
            Place::Containers(engine, ..) => Site::Containers(engine.clone()),
        }
    }

    /// The process backend's bench, on the site that has one.
    pub(crate) fn bench(&self) -> Option<&Bench> {
        match &*self.place {
            Place::Process(bench) => Some(bench),
            _ => None,
        }
    }

    /// The owner of everything in this world.
    pub(crate) fn owner(&self) -> String {
        match &*self.place {
            Place::Dummy(_) => self.mark.to_string(),
            Place::Process(bench) => bench.state().owner().to_string(),
            Place::Containers(_, _, owner) => owner.to_string(),
        }
    }

    /// Lets go of the backend, and waits until what served it is gone too; what is not after a while, in words.
    pub(crate) async fn close(self) -> Vec<String> {
        let Self { backend, place, .. } = self;
        drop(backend);
        let Place::Process(bench) = &*place else { return Vec::new() };
        let root = bench.root.path().display().to_string();
        for _ in 0..100 {
            if marks::naming(&root).is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let spares =
            std::fs::read_dir(bench.root.path().join("state/process/spare")).into_iter().flatten().flatten();
        let spares = spares.map(|spare| spare.path().display().to_string());
        marks::naming(&root).into_iter().chain(spares).collect()
    }

    /// Everything of this owner that is left in the engine, on disk or as a process, in words.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        let mut left = self.mark.leftovers();
        match &*self.place {
            Place::Dummy(engine) => left.extend(engine.leftovers()),
            Place::Process(bench) => left.extend(bench.leftovers()),
            Place::Containers(_, docker, owner) => {
                left.extend(docker.leftovers(owner).await.expect("the engine answers").iter());
            }
        }
        left
    }

    /// Destroys what a scenario that failed left, so that it stays one failure.
    pub(crate) async fn clear(&self) {
        let found = match self.backend.discoverer() {
            Some(discoverer) => discoverer.discover_workflows().await.unwrap_or_default(),
            None => Vec::new(),
        };
        for workflow in found {
            let _ = self.backend.destroy_workflow(&Workflow::default(), &workflow.task).await;
        }
    }
}

/// Steps and workflows.
impl World {
    /// A step that runs `script` in the workspace.
    pub(crate) fn step(&self, name: &str, script: &Script) -> Step {
        let mut step = self.empty_step(name);
        script.put_into(&mut step);
        step
    }

    /// A step that runs `text` with a POSIX shell in the workspace; not for the dummy.
    pub(crate) fn shell(&self, name: &str, text: &str) -> Step {
        let mut step = self.empty_step(name);
        step.entrypoint = ["/bin/sh", "-c", text].map(str::to_owned).into();
        step
    }

    /// A step that cannot be started, for want of its program.
    pub(crate) fn unstartable(&self, name: &str) -> Step {
        let mut step = self.empty_step(name);
        step.entrypoint = vec!["/no/such/program".to_owned()];
        step.environment.insert("STEP_START_FAIL".to_owned(), "true".to_owned());
        step
    }

    /// A step in the workspace that says nothing of what it runs.
    pub(crate) fn empty_step(&self, name: &str) -> Step {
        let mut step = Step::new(name, StepUuid::random());
        if !matches!(&*self.place, Place::Process(_)) {
            step.image = IMAGE.to_owned();
        }
        step.workspace_base = WORKSPACE.to_owned();
        step.working_dir = WORKSPACE.to_owned();
        step.volumes = vec![format!("{VOLUME}:{WORKSPACE}")];
        step.environment.extend([self.mark.variable()]);
        step
    }

    /// Stages of these steps, with a volume, and with a network when a step joins it.
    pub(crate) fn workflow(&self, stages: impl IntoIterator<Item = Vec<Step>>) -> Workflow {
        let stages = stages.into_iter().map(|steps| Stage { steps }).collect();
        let mut workflow = Workflow { stages, volume: VOLUME.to_owned(), ..Workflow::default() };
        if workflow.steps().any(|step| !step.networks.is_empty()) {
            workflow.network = NETWORK.to_owned();
        }
        workflow
    }

    /// A phase of one step on this world's backend.
    pub(crate) fn phase(&self, step: Step) -> Phase {
        let backend = self.backend.name().to_owned();
        Phase { backend, workflow: self.workflow([vec![step]]), ..Phase::default() }
    }
}

/// Joins the workflow's network under its name.
pub(crate) fn connected(mut step: Step) -> Step {
    step.networks = vec![Conn { name: NETWORK.to_owned(), aliases: vec![step.name.clone()] }];
    step
}

/// Runs.
impl World {
    /// A run of `workflow` that is seen, within this world's scope.
    pub(crate) fn plan(&self, workflow: &Workflow) -> WorkflowRun {
        WorkflowRun::new(workflow.clone(), Arc::clone(&self.backend), Arc::clone(&self.seen) as _)
            .scope(&self.scope)
    }

    /// Runs `workflow` and checks what holds for every run.
    pub(crate) async fn run(&self, workflow: &Workflow) -> WorkflowReport {
        self.finish(self.plan(workflow)).await
    }

    /// The same for a run that was planned otherwise.
    pub(crate) async fn finish(&self, run: WorkflowRun) -> WorkflowReport {
        let report = run.run().await;
        self.check(&report);
        assert_eq!(self.leftovers().await, Vec::<String>::new(), "something was left behind");
        report
    }

    /// A job of these phases on this world's backend, seen, within its scope.
    pub(crate) fn plan_job(&self, phases: Vec<Phase>) -> JobRun {
        self.plan_job_within(phases, Timeouts::default())
    }

    /// The same within these times.
    pub(crate) fn plan_job_within(&self, phases: Vec<Phase>, timeouts: Timeouts) -> JobRun {
        let job = Job { name: "job".to_owned(), phases, timeouts, ..Job::default() };
        let backends = Backends::from([(self.backend.name().to_owned(), Arc::clone(&self.backend))]);
        JobRun::new(job, backends, Arc::clone(&self.seen) as _).scope(&self.scope)
    }

    /// Runs it and checks what holds for every run.
    pub(crate) async fn finish_job(&self, run: JobRun) -> JobReport {
        let report = run.run().await;
        report.phases.iter().for_each(|phase| self.check(phase));
        assert_eq!(self.leftovers().await, Vec::<String>::new(), "something was left behind");
        report
    }

    /// A step is traced as skipped, as started and ended, or not at all; what is reported of it is what was traced; its output
    /// comes between the two; and nothing that could not be removed is kept quiet.
    pub(crate) fn check(&self, report: &WorkflowReport) {
        assert_eq!(report.left_behind, None);
        for step in &report.steps {
            let traces = self.seen.traces(&step.name);
            match traces.as_slice() {
                [] => assert_ne!(step.ending.outcome, Outcome::Succeeded, "{} passed unseen", step.name),
                [Event::Started, Event::Ended(ending)] | [Event::Skipped(ending)] => {
                    assert_eq!(*ending, step.ending, "{}", step.name);
                }
                other => panic!("{} was traced as {other:?}", step.name),
            }
            self.seen.check_order(&step.name);
        }
    }

    /// Makes the file `path` in the workspace of a task that runs: the signal that its steps wait for.
    pub(crate) async fn touch(&self, task: &TaskUuid, path: &str) {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        archive.append_data(&mut header, path, std::io::empty()).unwrap();
        let archive = Bytes::from(archive.into_inner().unwrap());
        let archive = stream::iter([Ok(archive)]).boxed();
        self.backend.put(task, "", archive).await.expect("a running task takes files");
    }

    /// Waits until `step` was told to have ended, and makes the file for which another one waits.
    pub(crate) async fn touch_after(&self, step: &str, task: &TaskUuid, path: &str) {
        self.seen.until(step, |event| matches!(event, Event::Ended(_))).await;
        self.touch(task, path).await;
    }
}

/// The ending of the step called `name`.
pub(crate) fn ending<'r>(report: &'r WorkflowReport, name: &str) -> &'r Ending {
    let step = report.steps.iter().find(|step| step.name == name);
    &step.unwrap_or_else(|| panic!("no step is called {name}")).ending
}

/// A step's ending in short: its outcome, its cause, and its code.
pub(crate) fn gist(report: &WorkflowReport, name: &str) -> (Outcome, &'static str, Option<i32>) {
    let ending = ending(report, name);
    (ending.outcome, ending.cause.as_str(), ending.exit_code)
}

/// Lets a future go on beside a run until it is done, and the run to its end.
pub(crate) async fn while_running<R>(run: impl Future<Output = R>, meanwhile: impl Future<Output = ()>) -> R {
    let meanwhile = meanwhile.fuse();
    tokio::pin!(run, meanwhile);
    tokio::select! {
        report = &mut run => report,
        () = &mut meanwhile => run.await,
    }
}
