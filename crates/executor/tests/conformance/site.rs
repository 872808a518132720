//! Where cases run: a backend of an owner of its own over a state directory of its own, and an executor over both.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use jobwright_backend::conformance::Script;
use jobwright_backend::dummy::DummyEngine;
use jobwright_backend::{Backend, Capabilities};
use jobwright_docker::{Docker, DockerSettings};
use jobwright_executor::{Executions, Executor, ExecutorOptions};
use jobwright_journal::StateDir;
use jobwright_model::{
    ExecutionId, ExecutionRequest, JobId, LogStreamRequest, OwnerId, SpecConfig, Step, StepUuid,
};
use jobwright_process::{ProcessBackend, ProcessSettings};

use crate::engines::{Engine, IMAGE};
use crate::host;

/// What isolates the work.
#[derive(Clone)]
pub(crate) enum Site {
    Dummy,
    Process,
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

/// One case's surroundings.
pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) executor: Executions,
    pub(crate) state: StateDir,
    folder: tempfile::TempDir,
    dummy: DummyEngine,
    owner: OwnerId,
}

impl World {
    pub(crate) async fn open(site: &Site) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(&folder.path().join("state")).unwrap();
        let owner = state.owner().clone();
        let dummy = DummyEngine::default();
        let backend = backend(site, &state, &dummy).await;
        let executor = Executions::open(state.clone(), [backend], ExecutorOptions::default()).unwrap();
        Self { site: site.clone(), executor, state, folder, dummy, owner }
    }

    /// An executor of another owner over the same state directory.
    pub(crate) async fn another(&self) -> Executions {
        let state = StateDir::open(&self.folder.path().join("state")).unwrap();
        let backend = backend(&self.site, &state, &self.dummy).await;
        Executions::open(state, [backend], ExecutorOptions::default()).unwrap()
    }

    /// Does `what` with an executor that is killed right after it: nothing of it runs any more, and it has let go of everything.
    pub(crate) fn before_a_crash<F, Fut>(&self, what: F)
    where
        F: FnOnce(Executions) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let (site, dummy) = (self.site.clone(), self.dummy.clone());
        let state = StateDir::open(&self.folder.path().join("state")).unwrap();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let backend = backend(&site, &state, &dummy).await;
                what(Executions::open(state, [backend], ExecutorOptions::default()).unwrap()).await;
            });
            runtime.shutdown_timeout(Duration::from_secs(5));
        })
        .join()
        .unwrap();
    }

    /// A request for `script` under this id.
    pub(crate) fn request(&self, id: &str, script: &Script) -> ExecutionRequest {
        let mut step = Step::new("step", StepUuid::random());
        script.put_into(&mut step);
        let mut spec = SpecConfig::new(self.backend_name()).with_param("entrypoint", step.entrypoint);
        match &self.site {
            Site::Dummy => spec = spec.with_param("image", "none"),
            Site::Process => {}
            Site::Containers(_) => spec = spec.with_param("image", IMAGE),
        }
        let mut request = ExecutionRequest::new(job(), name(id), spec);
        request.environment = step.environment;
        request
    }

    /// All of its output as text, both streams in order.
    pub(crate) async fn log(&self, id: &str, tail: bool, follow: bool) -> String {
        let request = LogStreamRequest { job_id: job(), execution_id: name(id), tail, follow };
        let mut stream = self.executor.get_log_stream(request).await.unwrap();
        let mut text = Vec::new();
        while let Some(chunk) = stream.next().await {
            text.extend_from_slice(&chunk.unwrap().bytes);
        }
        String::from_utf8(text).unwrap()
    }

    /// Returns when `text` is in its output.
    pub(crate) async fn until_printed(&self, id: &str, text: &str) {
        let request = LogStreamRequest { job_id: job(), execution_id: name(id), tail: false, follow: true };
        let mut stream = self.executor.get_log_stream(request).await.unwrap();
        let mut seen = String::new();
        while !seen.contains(text) {
            let chunk =
                stream.next().await.unwrap_or_else(|| panic!("{id} ended without {text:?}: {seen:?}"));
            seen.push_str(&String::from_utf8_lossy(&chunk.unwrap().bytes));
        }
    }

    /// What its backend says that it can: what it says it can, it must not refuse.
    pub(crate) async fn capabilities(&self) -> Capabilities {
        let state = StateDir::open(&self.folder.path().join("state")).unwrap();
        backend(&self.site, &state, &self.dummy).await.capabilities()
    }

    /// What its backend calls itself.
    pub(crate) fn backend_name(&self) -> &'static str {
        if matches!(self.site, Site::Containers(_)) { "docker" } else { self.site.name() }
    }

    /// A folder that an execution may have mounted.
    pub(crate) fn folder(&self, name: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// Everything that an execution may have left, in words.
    pub(crate) async fn leftovers(&self) -> Vec<String> {
        match &self.site {
            Site::Dummy => self.dummy.leftovers(),
            Site::Process => host::leftovers(&self.folder.path().join("state/process")),
            Site::Containers(engine) => {
                let docker = Docker::new(Some(engine.settings()), self.owner.clone());
                docker.leftovers(&self.owner).await.unwrap().iter().collect()
            }
        }
    }
}

async fn backend(site: &Site, state: &StateDir, dummy: &DummyEngine) -> Arc<dyn Backend> {
    let backend: Arc<dyn Backend> = match site {
        Site::Dummy => Arc::new(dummy.backend()),
        Site::Process => {
            let shim = Some(host::shim().to_owned());
            Arc::new(ProcessBackend::new(
                state,
                ProcessSettings { shim, stop_timeout: 1, ..ProcessSettings::default() },
            ))
        }
        Site::Containers(engine) => {
            let settings = DockerSettings { stop_timeout: 1, ..engine.settings() };
            Arc::new(Docker::new(Some(settings), state.owner().clone()))
        }
    };
    backend.load().await.expect("the backend loads");
    backend
}

pub(crate) fn name(id: &str) -> ExecutionId {
    ExecutionId::new(id).unwrap()
}

pub(crate) fn job() -> JobId {
    JobId::new("job-1").unwrap()
}

/// Says something on both streams and ends.
pub(crate) fn talkative() -> Script {
    Script::new().print("out\n").complain("err\n")
}
