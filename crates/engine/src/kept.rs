//! Going into the environment of a failed job that a run kept (`run --keep-failed`). Not for keeping it, which the runtime does, nor for
//! removing it, which is cleaning up.

use std::collections::BTreeSet;
use std::sync::Arc;

use jobwright_backend::{Backend, FindError};
use jobwright_journal::{Journal, JournalError};
use jobwright_model::{Ending, RunId, Step, StepUuid, TaskUuid};
use jobwright_redact::Masker;
use jobwright_runtime::{
    KeptError, KeptStep, KeptTask, MaskedChunk, Observer, ObserverError, Record, Revisit, Scope, TaskPlace,
    Trace, Visitor, open_tasks,
};

use crate::engine::Engine;

/// Why nobody can go into what a run kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReenterError {
    /// There is no such run.
    #[error("there is no run {0} in this state directory")]
    UnknownRun(RunId),
    /// Somebody has the run: it still goes on, or somebody is inside.
    #[error("run {0} is in use by another jobwright: it still runs, or somebody is in what it kept")]
    InUse(RunId),
    /// Its journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nothing is kept of it.
    #[error(
        "nothing of run {0} is kept: no job failed, it ran without --keep-failed, or `jobwright clean` has removed it"
    )]
    NothingKept(RunId),
    /// Another job is kept.
    #[error("the environment of job {job:?} was not kept{}; those that were: {}", suggestion(job, kept), .kept.join(", "))]
    UnknownJob {
        /// What was asked for.
        job: String,
        /// The jobs whose environments are there.
        kept: Vec<String>,
    },
    /// It is not said which.
    #[error("several jobs of the run are kept; name one: {}", .0.join(", "))]
    SeveralJobs(Vec<String>),
    /// No such backend here.
    #[error(transparent)]
    Backend(#[from] FindError),
    /// It cannot be loaded, or refuses something.
    #[error("the {name} backend: {source}")]
    Refused {
        /// The backend's name.
        name: String,
        /// Its words.
        source: jobwright_backend::Error,
    },
    /// The environment is elsewhere.
    #[error(
        "it is on another engine than the {0} backend finds here; give the address that the run was started with"
    )]
    OtherEngine(String),
    /// What was written down of it cannot be read.
    #[error(transparent)]
    Kept(#[from] KeptError),
}

fn suggestion(job: &str, kept: &[String]) -> String {
    let near = jobwright_pipeline::nearest(job, kept.iter().map(String::as_str));
    near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}

/// How a visit to a kept environment ended.
#[derive(Debug)]
pub struct Reentered {
    /// The ending of the step that waited for it: that of the visit.
    pub ending: Ending,
    /// What went wrong that is not the visit's own; masked.
    pub error: Option<String>,
}

/// Tells what a person should know; the visit itself is nobody else's business.
struct Notices(Arc<dyn Fn(&str) + Send + Sync>);

impl Observer for Notices {
    fn trace(&self, _: &Step, _: &Trace) -> Result<(), ObserverError> {
        Ok(())
    }

    fn log(&self, _: &Step, _: MaskedChunk) -> Result<(), ObserverError> {
        Ok(())
    }

    fn notice(&self, _: Option<&Step>, text: &str) {
        (self.0)(text);
    }
}

/// One kept environment.
struct Found {
    task: TaskUuid,
    place: TaskPlace,
    kept: KeptTask,
}

impl Engine {
    /// Lets `visitor` go into the environment that `run` kept of `job`; of the only one when none is named. It stays as the visit leaves it.
    /// `tell` hears what a person should know.
    ///
    /// # Errors
    /// [`ReenterError`]; nothing was done then.
    pub async fn reenter(
        &self,
        run: &RunId,
        job: Option<&str>,
        visitor: Arc<dyn Visitor>,
        scope: &Scope,
        tell: Arc<dyn Fn(&str) + Send + Sync>,
    ) -> Result<Reentered, ReenterError> {
        let folder = self.state().run_dir(run);
        let path = folder.join("journal");
        if !path.exists() {
            return Err(ReenterError::UnknownRun(run.clone()));
        }
        let (journal, recovered) = Journal::<Record>::open(&path).map_err(|error| match error {
            JournalError::Owned(_) => ReenterError::InUse(run.clone()),
            error => ReenterError::Journal(error),
        })?;
        let Found { task, place, .. } = find(run, job, &recovered.records)?;
        let (step, lost) = KeptStep::read(&folder, &task)?;
        if !lost.is_empty() {
            tell(&format!(
                "the values of {} are gone, as this machine was started anew; they are not set",
                lost.join(", ")
            ));
        }
        let backend = self.reach(&place).await?;
        remove_killed_visits(&*backend, &task, &recovered.records)
            .await
            .map_err(|source| ReenterError::Refused { name: place.backend.clone(), source })?;
        let revisit = Revisit {
            backend,
            task,
            masker: masker_of(&step),
            step,
            observer: Arc::new(Notices(tell)),
            limits: self.limits(),
            journal: Arc::new(journal),
        };
        let (ending, error) = revisit.run(visitor, scope).await;
        Ok(Reentered { ending, error })
    }

    /// The backend of `place`, reaching the engine of `place`: on another one nothing would be found (DESIGN rule 6).
    async fn reach(&self, place: &TaskPlace) -> Result<Arc<dyn Backend>, ReenterError> {
        let name = &place.backend;
        let refused = |source| ReenterError::Refused { name: name.clone(), source };
        let backend = self.backends().find(Some(name)).await?;
        let info = backend.load().await.map_err(refused)?;
        if place.engine.is_some() && place.engine != info.engine_id {
            return Err(ReenterError::OtherEngine(name.clone()));
        }
        if backend.control().is_none() {
            let what = "going into a running step".to_owned();
            return Err(refused(jobwright_backend::Error::Unsupported { backend: backend.name(), what }));
        }
        Ok(backend)
    }
}

fn find(run: &RunId, job: Option<&str>, records: &[Record]) -> Result<Found, ReenterError> {
    let open = open_tasks(records).into_iter();
    let mut kept: Vec<Found> =
        open.filter_map(|(task, place)| Some(Found { kept: place.kept.clone()?, task, place })).collect();
    let names: BTreeSet<String> = kept.iter().map(|found| found.kept.job.clone()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let Some(first) = names.first() else { return Err(ReenterError::NothingKept(run.clone())) };
    let wanted = match job {
        Some(job) if !names.iter().any(|name| name == job) => {
            return Err(ReenterError::UnknownJob { job: job.to_owned(), kept: names });
        }
        Some(job) => job,
        None if names.len() > 1 => return Err(ReenterError::SeveralJobs(names)),
        None => first,
    };
    kept.retain(|found| found.kept.job == wanted);
    // A job keeps one environment at most.
    kept.pop().ok_or_else(|| ReenterError::NothingKept(run.clone()))
}

/// Steps that waited for somebody whose Jobwright was killed: all others of a kept task have an end in the journal.
async fn remove_killed_visits(
    backend: &dyn Backend,
    task: &TaskUuid,
    records: &[Record],
) -> jobwright_backend::Result<()> {
    let mut open: BTreeSet<&StepUuid> = BTreeSet::new();
    for record in records {
        match record {
            Record::StepStarting { task: of, step, .. } if of == task => drop(open.insert(step)),
            Record::StepEnded { task: of, step, .. } if of == task => drop(open.remove(step)),
            _ => {}
        }
    }
    for step in open {
        backend.destroy_step(&Step::new("shell", step.clone()), task).await?;
    }
    Ok(())
}

/// A value that is too short is not masked, which was said when the job ran.
fn masker_of(step: &Step) -> Masker {
    let secrets = step.secret_mapping.iter();
    secrets.fold(Masker::builder(), |builder, (name, value)| builder.secret(name, value)).build().masker
}
