//! Which backend each job of a run is on: the one that the job names, else the one that was asked for, else what is available and
//! fits. Every one of them is loaded before the first job begins. Not for what runs there.

use std::sync::Arc;

use jobwright_backend::{Backend, BackendRegistry, FindError};
use jobwright_events::{Bus, EventKind};
use jobwright_journal::Journal;
use jobwright_pipeline::{HOST_BACKEND, PipelineJob};
use jobwright_runtime::{Backends, Record};

use crate::report::RunError;

/// The loaded backends of a run.
pub(crate) struct Chosen {
    /// That of the jobs that name none; absent when every job does.
    default: Option<Arc<dyn Backend>>,
    /// All of them by name.
    pub(crate) all: Backends,
}

impl Chosen {
    /// The backend of `job`.
    pub(crate) fn of(&self, job: &PipelineJob) -> &Arc<dyn Backend> {
        let named = job.backend.as_ref().and_then(|name| self.all.get(name));
        named.or(self.default.as_ref()).expect("a backend was loaded for every job")
    }
}

/// Finds and loads backends, and tells of it.
pub(crate) struct Loader<'a> {
    pub(crate) backends: &'a BackendRegistry,
    /// The backend that was asked for.
    pub(crate) wanted: Option<&'a str>,
    pub(crate) journal: &'a Journal<Record>,
    pub(crate) bus: &'a Bus,
}

impl Loader<'_> {
    /// Loads what `jobs` need: their own backends and, for commands on the host, of which there may be some around all jobs, the host's.
    pub(crate) async fn load_for(&self, jobs: &[&PipelineJob], around: bool) -> Result<Chosen, RunError> {
        let mut chosen = Chosen { default: None, all: Backends::new() };
        let unnamed: Vec<_> = jobs.iter().filter(|job| job.backend.is_none()).collect();
        if !unnamed.is_empty() {
            let images = unnamed.iter().any(|job| job.image.is_some());
            let default = self.load(self.choose(images).await?).await?;
            chosen.all.insert(default.name().to_owned(), Arc::clone(&default));
            chosen.default = Some(default);
        }
        let named = jobs.iter().filter_map(|job| job.backend.as_deref());
        let on_the_host = around || jobs.iter().any(|job| job.bootstrap.is_some() || job.cleanup.is_some());
        for name in named.clone().chain(on_the_host.then_some(HOST_BACKEND)) {
            if !chosen.all.contains_key(name) {
                let found = self.backends.find(Some(name)).await;
                let needed = |source| match named.clone().any(|other| other == name) {
                    true => RunError::Backend(source),
                    false => RunError::HostCommands(source),
                };
                let backend = self.load(found.map_err(needed)?).await?;
                chosen.all.insert(name.to_owned(), backend);
            }
        }
        Ok(chosen)
    }

    /// Loads the one backend of a run whose steps come from images, or do not.
    pub(crate) async fn load_one(&self, images: bool) -> Result<Arc<dyn Backend>, RunError> {
        self.load(self.choose(images).await?).await
    }

    async fn choose(&self, images: bool) -> Result<Arc<dyn Backend>, FindError> {
        choose(self.backends, self.wanted, images).await
    }

    async fn load(&self, backend: Arc<dyn Backend>) -> Result<Arc<dyn Backend>, RunError> {
        let info = backend.load().await.map_err(|source| RunError::Load { name: backend.name(), source })?;
        let (name, engine) = (backend.name().to_owned(), info.engine_id);
        self.journal.append(&Record::BackendLoaded { backend: name, engine })?;
        let data =
            format!("Running on the {} backend ({}, {})\n", backend.name(), info.engine, info.platform);
        self.bus.emit(EventKind::Diagnostic { data });
        Ok(backend)
    }
}

/// The backend that was asked for; else the first available one that gives the jobs what they ask for: images if any job names one, the
/// host if none does.
pub(crate) async fn choose(
    backends: &BackendRegistry,
    wanted: Option<&str>,
    images: bool,
) -> Result<Arc<dyn Backend>, FindError> {
    if wanted.is_some() {
        return backends.find(wanted).await;
    }
    let fitting = backends.iter().filter(|backend| backend.capabilities().images == images);
    BackendRegistry::new(fitting.cloned().collect()).find(None).await
}
