//! Whole pipelines through the engine, as a front end runs them: on host processes and in containers, told completely and in
//! order by the event log, with nothing left.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use futures_util::StreamExt;
use jobwright_backend::BackendRegistry;
use jobwright_engine::{Engine, EngineOptions, RunReport, Spec};
use jobwright_events::{RunMode, WireEvent};
use jobwright_journal::{Journal, StateDir};
use jobwright_model::{Cause, Ending, Outcome, RunId};
use jobwright_runtime::{Record, Scope, open_tasks};

use crate::engines::{self, IMAGE};
use crate::service_image;
use crate::world::{Site, World};

const SECRET: &str = "hunter2-swordfish";

/// A project and a state directory, and the world in which its jobs run.
struct Pipeline {
    world: World,
    dir: tempfile::TempDir,
}

/// What came of a run.
struct Told {
    report: RunReport,
    events: Vec<WireEvent>,
}

impl Pipeline {
    /// A project whose file begins with what all have: stages, a secret, and the mark of their processes.
    async fn new(site: &Site, jobs: &str) -> Self {
        let world = World::open(site).await;
        let dir = tempfile::tempdir().unwrap();
        let project = dir.path().join("project");
        std::fs::create_dir(&project).unwrap();
        std::fs::write(dir.path().join("token"), SECRET).unwrap();
        std::fs::write(project.join("run.sh"), "#!/bin/sh\necho run by $1\n").unwrap();
        std::fs::set_permissions(project.join("run.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (name, value) = world.mark.variable();
        let token = dir.path().join("token");
        let text = format!(
            "stages: [build, test, deploy]\nvariables: {{{name}: \"{value}\"}}\n\
             secrets: {{TOKEN: {{file: \"{}\"}}}}\n{}",
            token.display(),
            jobs.replace("IMAGE", IMAGE)
        );
        std::fs::write(project.join(".jobwright.yaml"), text).unwrap();
        Self { world, dir }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Runs it, cancels it when `until` has been seen in its output, and checks what holds for every run.
    async fn run(&self, mode: RunMode, until: Option<&str>) -> Told {
        let backends = BackendRegistry::new(vec![self.world.backend.clone()]);
        let options = EngineOptions { backend: Some(self.world.backend.name().into()), ..Default::default() };
        let engine = Engine::new(StateDir::open(&self.state()).unwrap(), backends, options);
        let (id, scope) = (RunId::generate(), Scope::new());
        let run = engine.open(&id).unwrap();
        let (folder, reader) = (run.folder().to_owned(), run.reader().unwrap());
        let spec = Spec { project: self.dir.path().join("project"), mode, ..Spec::default() };
        let cancel = async {
            let Some(text) = until else { return };
            let mut live = std::pin::pin!(reader.subscribe(0));
            while let Some(line) = live.next().await {
                if line.unwrap().wire().unwrap().data.contains(text) {
                    return scope.cancel(Cause::ByUser);
                }
            }
        };
        let (report, ()) = tokio::join!(run.execute(&spec, &scope), cancel);
        let lines: Vec<_> = reader.replay(0).collect().await;
        let events: Vec<_> = lines.into_iter().map(|line| line.unwrap().wire().unwrap()).collect();
        check_stream(&events, &id);
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert!(!text.contains("hunter2"), "the secret is in {}", path.display());
        }
        let journal = Journal::<Record>::read(&folder.join("journal")).unwrap();
        assert!(open_tasks(&journal.records).is_empty());
        assert_eq!(self.world.leftovers().await, Vec::<String>::new());
        Told { report, events }
    }
}

/// Complete and in order: numbered without a gap, begun and ended once, and nothing told of a job outside its own time.
fn check_stream(events: &[WireEvent], id: &RunId) {
    assert!(events.iter().map(|event| event.seq).eq(1..=events.len() as u64));
    assert!(events.iter().all(|event| event.run_id == id.as_str()));
    assert!(events.is_sorted_by_key(|event| event.time));
    let kinds: Vec<&str> = events.iter().map(|event| event.r#type.as_str()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"run_started"), Some(&"run_finished")));
    for job in &events[0].order {
        let of_job = events.iter().filter(|event| event.job == *job && event.r#type != "diagnostic");
        let kinds: Vec<&str> = of_job.map(|event| event.r#type.as_str()).collect();
        if kinds != ["job_skipped"] {
            assert_eq!((kinds.first(), kinds.last()), (Some(&"job_started"), Some(&"job_finished")), "{job}");
            assert_eq!(kinds.iter().filter(|kind| kind.starts_with("job_")).count(), 2, "{job}: {kinds:?}");
        }
    }
}

impl Told {
    /// How the job ended.
    fn ending(&self, job: &str) -> &Ending {
        let found = self.report.jobs.iter().find(|report| &*report.name == job);
        &found.unwrap_or_else(|| panic!("no job {job} in {:?}", self.report)).ending
    }

    /// What the job printed to that stream.
    fn output(&self, job: &str, stream: &str) -> String {
        let lines = self.events.iter().filter(|event| event.r#type == "log_line" && event.job == job);
        lines.filter(|event| event.stream == stream).map(|event| event.data.as_str()).collect()
    }

    /// Where the job's event of that kind is.
    fn position(&self, job: &str, kind: &str) -> usize {
        let found = self.events.iter().position(|event| event.job == job && event.r#type == kind);
        found.unwrap_or_else(|| panic!("no {kind} of {job}"))
    }
}

const GRAPH: &str = r#"
compile:
  stage: build
  image: IMAGE
  script: ['echo "the token is $TOKEN."', ./run.sh compile, 'echo to stderr >&2']
unit:
  stage: test
  image: IMAGE
  needs: [compile]
  script: [./run.sh unit, exit 3]
slow:
  stage: test
  image: IMAGE
  needs: [compile]
  timeout: 4s
  script: [sleep 1000000 & sleep 1000000]
docs:
  stage: test
  image: IMAGE
  needs: [compile]
  script: ['echo "${TOKEN}" | base64 >&2']
publish:
  stage: deploy
  image: IMAGE
  needs: [unit, docs]
  script: [echo never]
"#;

async fn a_graph_of_jobs(site: Option<Site>) {
    let Some(site) = site else { return };
    let told = Pipeline::new(&site, GRAPH).await.run(RunMode::Sequential, None).await;
    assert_eq!((told.report.ending.outcome, told.report.ending.exit_code), (Outcome::Failed, Some(3)));
    assert!(told.ending("compile").succeeded() && told.ending("docs").succeeded(), "{:?}", told.report);
    assert_eq!(told.ending("unit").exit_code, Some(3));
    assert_eq!(told.ending("slow").cause, Cause::Timeout);
    assert_eq!(told.ending("publish").outcome, Outcome::Skipped);

    let printed = told.output("compile", "stdout");
    assert!(printed.contains("the token is ********.\n"), "{printed}");
    assert!(printed.contains("run by compile\n"), "the project's files were there: {printed}");
    assert!(told.output("compile", "stderr").contains("to stderr\n"));
    assert!(!told.output("docs", "stderr").contains("aHVudGVyMi1zd29yZGZpc2"));
    for job in ["unit", "slow", "docs"] {
        assert!(told.position("compile", "job_finished") < told.position(job, "job_started"));
    }
    assert!(told.position("unit", "job_finished") < told.position("publish", "job_skipped"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_of_jobs_runs_on_host_processes() {
    a_graph_of_jobs(Some(Site::Process)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_of_jobs_runs_in_docker() {
    a_graph_of_jobs(engines::Engine::docker().await.map(Site::Containers)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_graph_of_jobs_runs_in_podman() {
    a_graph_of_jobs(engines::Engine::podman().await.map(Site::Containers)).await;
}

const SERVED: &str = r#"
served:
  stage: build
  image: IMAGE
  services: [{image: WEB, alias: the-web}]
  script:
    - 'i=0; until wget -q -O - http://the-web:8080/; do i=$((i + 1)); [ $i -lt 100 ] || exit 1; sleep 0.1; done'
pictureless:
  stage: build
  image: registry.jobwright.invalid/none:1
  script: [echo never]
"#;

async fn services_and_unknown_images(engine: Option<engines::Engine>) {
    let Some(engine) = engine else { return };
    let web = service_image::web(&engine).await;
    let jobs = SERVED.replace("WEB", &web);
    let pipeline = Pipeline::new(&Site::Containers(engine), &jobs).await;
    let told = pipeline.run(RunMode::Parallel, None).await;
    assert!(told.ending("served").succeeded(), "{:?}", told.report);
    assert!(told.output("served", "stdout").contains("served by the web"));
    assert_eq!(told.ending("pictureless").cause, Cause::Image);
    assert_eq!(told.report.ending.cause, Cause::Image);
    let last = told.events.last().unwrap();
    assert!(last.err.contains("registry.jobwright.invalid/none:1"), "{}", last.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_and_unknown_images_in_docker() {
    services_and_unknown_images(engines::Engine::docker().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_and_unknown_images_in_podman() {
    services_and_unknown_images(engines::Engine::podman().await).await;
}

const ENDLESS: &str = r#"
endless:
  stage: build
  image: IMAGE
  script: [sleep 1000000 & echo all-is-up; sleep 1000000]
later:
  stage: test
  image: IMAGE
  script: [echo never]
"#;

/// The word is looked for behind its echo.
async fn a_cancelled_pipeline(site: Option<Site>) {
    let Some(site) = site else { return };
    let told = Pipeline::new(&site, ENDLESS).await.run(RunMode::Sequential, Some("all-is-up\n")).await;
    assert_eq!(told.report.ending.cause, Cause::ByUser);
    assert_eq!(told.ending("endless").cause, Cause::ByUser);
    assert!(told.events.iter().all(|event| event.job != "later" || event.r#type != "job_started"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_pipeline_on_host_processes_leaves_nothing() {
    a_cancelled_pipeline(Some(Site::Process)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_pipeline_in_docker_leaves_nothing() {
    a_cancelled_pipeline(engines::Engine::docker().await.map(Site::Containers)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_pipeline_in_podman_leaves_nothing() {
    a_cancelled_pipeline(engines::Engine::podman().await.map(Site::Containers)).await;
}
