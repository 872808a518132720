//! A project on disk with a pipeline file, run through the engine on one backend or several; and what a run of it told.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt;
use jobwright_backend::BackendRegistry;
use jobwright_engine::{Engine, EngineOptions, JobReport, RunReport, Spec, VariableSource};
use jobwright_events::{RunMode, WireEvent};
use jobwright_journal::StateDir;
use jobwright_model::{Cause, RunId};
use jobwright_runtime::Scope;

use crate::engines::{self, IMAGE};
use crate::world::{Site, World};

/// A project over one backend or several, the first preferred.
pub(crate) struct Project {
    pub(crate) worlds: Vec<World>,
    pub(crate) dir: tempfile::TempDir,
    given: Vec<(String, String)>,
    /// Where the variables of a remote provider come from.
    pub(crate) source: Option<Arc<dyn VariableSource>>,
}

/// What came of a run.
pub(crate) struct Told {
    pub(crate) report: RunReport,
    pub(crate) events: Vec<WireEvent>,
}

impl Project {
    /// `DIR` in the jobs is a directory that all attempts see, on host processes.
    pub(crate) async fn new(sites: &[&Site], jobs: &str) -> Self {
        Self::of_file(sites, &format!("stages: [build, test]\n{jobs}")).await
    }

    /// The same with a whole file.
    pub(crate) async fn of_file(sites: &[&Site], text: &str) -> Self {
        let mut worlds = Vec::new();
        for site in sites {
            worlds.push(World::open(site).await);
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("project")).unwrap();
        let text = text.replace("IMAGE", IMAGE).replace("DIR", &dir.path().display().to_string());
        let (name, value) = worlds[0].mark.variable();
        // All their processes carry the mark, beside the variables that the file has.
        let text = match text.split_once("\nvariables:\n") {
            Some((before, behind)) => format!("{before}\nvariables:\n  {name}: \"{value}\"\n{behind}"),
            None => format!("variables: {{{name}: \"{value}\"}}\n{text}"),
        };
        std::fs::write(dir.path().join("project/.jobwright.yaml"), text).unwrap();
        Self { worlds, dir, given: Vec::new(), source: None }
    }

    /// A variable of the command line.
    pub(crate) fn give(&mut self, name: &str, value: &str) {
        self.given.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    pub(crate) async fn run(&self) -> Told {
        self.run_in(RunMode::Sequential, None).await
    }

    /// Runs it, cancels it when `until` has been seen in its output, and checks that nothing is left.
    pub(crate) async fn run_in(&self, mode: RunMode, until: Option<&str>) -> Told {
        let told = self.pass(mode, until).await;
        for world in &self.worlds {
            assert_eq!(world.leftovers().await, Vec::<String>::new());
        }
        told
    }

    pub(crate) async fn pass(&self, mode: RunMode, until: Option<&str>) -> Told {
        let backends = BackendRegistry::new(self.worlds.iter().map(|world| world.backend.clone()).collect());
        let backend = (self.worlds.len() == 1).then(|| self.worlds[0].backend.name().to_owned());
        let options = EngineOptions { backend, ..EngineOptions::default() };
        let state = StateDir::open(&self.dir.path().join("state")).unwrap();
        let mut engine = Engine::new(state, backends, options);
        if let Some(source) = &self.source {
            engine = engine.variables_from(Arc::clone(source));
        }
        let (id, scope) = (RunId::generate(), Scope::new());
        let run = engine.open(&id).unwrap();
        let reader = run.reader().unwrap();
        let env = self.given.iter().cloned().collect();
        let spec = Spec { project: self.path(), mode, env, ..Spec::default() };
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
        let events = lines.into_iter().map(|line| line.unwrap().wire().unwrap()).collect();
        Told { report, events }
    }
}

impl Told {
    pub(crate) fn job(&self, job: &str) -> &JobReport {
        let found = self.report.jobs.iter().find(|report| &*report.name == job);
        found.unwrap_or_else(|| panic!("no job {job} in {:?}", self.report))
    }

    pub(crate) fn output(&self, job: &str) -> String {
        let lines = self.events.iter().filter(|event| event.r#type == "log_line" && event.job == job);
        lines.map(|event| event.data.as_str()).collect()
    }
}

/// Docker, where it is.
pub(crate) async fn docker() -> Option<Site> {
    engines::Engine::docker().await.map(Site::Containers)
}
