//! One job, from the moment on at which it was taken until its end was reported: workspace, steps, teardown, log, mark, in that order
//! (sourcegraph.md 4.4). Each part is said in its own module.

mod argv;
mod checkout;
mod files;
pub(crate) mod folder;
mod gate;
mod log;
mod observer;
mod secrets;
mod steps;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_backend::{Backend, Error as BackendError};
use jobwright_journal::StateDir;
use jobwright_model::{AttemptEnd, Cause, Ending, Outcome, TaskUuid};
use jobwright_queue::{Payload, directory_path};
use jobwright_redact::Masker;
use jobwright_runtime::{Backends, JobReport, JobRun, Limits, Scope, WorkspaceSource};
use jobwright_workspace::{Project, TreeOptions, remove_tree};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::running::{Ended, Running};
use crate::settings::{AgentSettings, Identity};
use crate::source::{Held, JobSource, SourceError};
use files::FilesError;
use folder::JobFolder;
use gate::SkipGate;
pub(crate) use log::JobLog;
use log::Untold;
use observer::StepEntries;
use steps::Planned;

/// What all jobs of an agent stand on.
pub(crate) struct Ground {
    pub(crate) source: Arc<dyn JobSource>,
    pub(crate) settings: AgentSettings,
    pub(crate) identity: Identity,
    pub(crate) backends: Backends,
    pub(crate) state: StateDir,
    pub(crate) running: Running,
}

/// A job on its way.
pub(crate) struct JobCourse {
    pub(crate) ground: Arc<Ground>,
    pub(crate) held: Held,
    pub(crate) payload: Payload,
    pub(crate) scope: Scope,
}

/// Why a job did not come to its end, in the words of the report.
struct Failure {
    text: String,
    /// Another attempt would fail, too.
    for_good: bool,
}

impl Failure {
    fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), for_good: false }
    }
}

impl From<FilesError> for Failure {
    fn from(error: FilesError) -> Self {
        let for_good = matches!(error, FilesError::Wrong(_));
        Self { text: error.to_string(), for_good }
    }
}

impl JobCourse {
    /// Sees the job through; whether it completed.
    pub(crate) async fn run(self) -> bool {
        let job = self.held.job.clone();
        let completed =
            match JobFolder::begin(&self.ground.state, &self.held, &self.ground.settings.workspaces) {
                Ok(folder) => self.run_in(folder).await,
                Err(error) => {
                    let end = AttemptEnd::Errored(format!("the agent cannot keep the job: {error}"));
                    report(&self.ground, &self.held, &end).await;
                    false
                }
            };
        self.ground.running.remove(&job);
        completed
    }

    async fn run_in(&self, folder: JobFolder) -> bool {
        let log = match JobLog::open(folder.path()) {
            Ok(log) => log,
            Err(error) => {
                let end = AttemptEnd::Errored(format!("the agent cannot keep the job's log: {error}"));
                return conclude(&self.ground, folder, None, end).await;
            }
        };
        let telling = Telling::begin(&self.ground, &self.held, &log);
        let (scope, limit) = (self.scope.clone(), self.ground.settings.max_runtime);
        let deadline = AbortOnDropHandle::new(tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            scope.cancel(Cause::Timeout);
        }));
        let masker = secrets::masker(&self.payload, &self.held, &self.ground.identity);
        let ended = match &masker {
            Ok(masker) => self.prepare_and_run(&folder, &log, masker).await,
            Err(why) => Err(Failure { text: why.clone(), for_good: true }),
        };
        drop(deadline);
        self.tear_down(&folder, &log).await;
        let mask = |text: String| match &masker {
            Ok(masker) => masker.mask_str(&text).into_owned(),
            Err(_) => text,
        };
        let end = match ended {
            Ok(()) => AttemptEnd::Completed,
            Err(failure) => self.judge(Failure { text: mask(failure.text), ..failure }),
        };
        telling.end().await;
        conclude(&self.ground, folder, Some(&log), end).await
    }

    /// What an end that is no success is for the queue (sourcegraph.md 1.6).
    fn judge(&self, failure: Failure) -> AttemptEnd {
        match (self.ground.running.ended(&self.held.job), self.scope.cause()) {
            (Some(Ended::Cancelled), _) => {
                AttemptEnd::Failed(format!("the job was canceled: {}", failure.text))
            }
            (Some(Ended::Lost), _) => AttemptEnd::Errored(format!("the job was lost: {}", failure.text)),
            (Some(Ended::ShutDown), _) => {
                AttemptEnd::Errored(format!("the agent was told to end: {}", failure.text))
            }
            (None, Some(Cause::Timeout)) => {
                let limit = self.ground.settings.max_runtime;
                AttemptEnd::Errored(format!(
                    "job exceeded maximum execution time of {}: {}",
                    go_time(limit),
                    failure.text
                ))
            }
            _ if failure.for_good => AttemptEnd::Failed(failure.text),
            _ => AttemptEnd::Errored(failure.text),
        }
    }

    async fn prepare_and_run(
        &self,
        folder: &JobFolder,
        log: &Arc<JobLog>,
        masker: &Masker,
    ) -> Result<(), Failure> {
        let workspace = folder.workspace();
        make_workspace(&self.ground.settings.workspaces, workspace).map_err(|error| {
            Failure::new(format!("failed to prepare workspace: {}: {error}", workspace.display()))
        })?;
        self.check_out(folder, log, masker).await?;
        let mut given = files::given(&self.payload, &*self.ground.source, &self.held).await?;
        given.extend(files::scripts(self.held.job.id, &self.payload));
        let place = log.begin("setup.fs.extras", None);
        let written = {
            let workspace = workspace.to_owned();
            tokio::task::spawn_blocking(move || files::write(&given, &workspace)).await
        };
        let written = written.map_err(|panic| Failure::new(format!("jobwright failed inside: {panic}")))?;
        match &written {
            Ok(told) => log.add(place, &masker.mask_str(told)),
            Err(error) => log.add(place, &masker.mask_str(&format!("{error}\n"))),
        }
        log.end(place, if written.is_ok() { 0 } else { -1 });
        written?;
        self.run_steps(folder, log, masker).await
    }

    async fn check_out(&self, folder: &JobFolder, log: &Arc<JobLog>, masker: &Masker) -> Result<(), Failure> {
        let Payload { repository_name, repository_directory, .. } = &self.payload;
        if repository_name.is_empty() {
            return Ok(());
        }
        let below = directory_path(repository_directory)
            .map_err(|error| Failure { text: format!("repositoryDirectory: {error}"), for_good: true })?;
        let into = folder.workspace().join(below);
        std::fs::create_dir_all(&into).map_err(|error| {
            Failure::new(format!("failed to prepare workspace: {}: {error}", into.display()))
        })?;
        let opened = self.ground.source.git(&self.held, repository_name).await;
        let proxy = opened.map_err(|error| Failure::new(format!("failed to prepare workspace: {error}")))?;
        let planned = steps::checkout(&self.payload, &into, &proxy.url(), &self.ground.settings.host, masker);
        let report = self.phases(planned, folder, log, masker, |run| run.in_place(into.clone())).await;
        drop(proxy);
        of_report(&report).map_err(|why| Failure::new(format!("failed to prepare workspace: {why}")))
    }

    async fn run_steps(&self, folder: &JobFolder, log: &Arc<JobLog>, masker: &Masker) -> Result<(), Failure> {
        let rules = &self.ground.settings.host;
        let planned = steps::steps(self.held.job.id, &self.payload, folder.workspace(), rules, masker);
        if planned.job.phases.is_empty() {
            return Ok(());
        }
        let docker = planned.job.phases.first().into_iter().flat_map(|phase| phase.workflow.steps());
        let gate = SkipGate::of(&self.payload, docker.map(|step| &step.uuid));
        let options = TreeOptions { ignore_rules: false, ..TreeOptions::default() };
        let prepared = Arc::new(Prepared(Project::new(folder.workspace(), options)));
        let report = self
            .phases(planned, folder, log, masker, |run| {
                let run = run.files(prepared);
                gate.into_iter().fold(run, |run, gate| run.gate(Arc::new(gate)))
            })
            .await;
        of_report(&report).map_err(|why| self.of_steps(&report, &why))
    }

    /// A failed step in the words of the original: any job with cli steps has those of before.
    fn of_steps(&self, report: &JobReport, why: &str) -> Failure {
        let in_docker = report.phases.len() < 2 && !self.payload.docker_steps.is_empty();
        Failure::new(match (self.payload.cli_steps.is_empty(), in_docker) {
            (true, _) => why.to_owned(),
            (false, true) => format!("failed to perform docker step: {why}"),
            (false, false) => format!("failed to perform src-cli step: {why}"),
        })
    }

    async fn phases(
        &self,
        planned: Planned,
        folder: &JobFolder,
        log: &Arc<JobLog>,
        masker: &Masker,
        with: impl FnOnce(JobRun) -> JobRun,
    ) -> JobReport {
        let observer = Arc::new(StepEntries::new(Arc::clone(log), planned.known));
        let run = JobRun::new(planned.job, self.ground.backends.clone(), observer)
            .masker(masker.clone())
            .limits(Limits::default())
            .scope(&self.scope)
            .journal(folder.journal());
        with(run).run().await
    }

    async fn tear_down(&self, folder: &JobFolder, log: &JobLog) {
        let workspace = folder.workspace().to_owned();
        if self.ground.settings.keep_workspaces {
            return log.note("teardown.fs", &format!("Keeping {}\n", workspace.display()), 0);
        }
        let place = log.begin("teardown.fs", None);
        log.add(place, &format!("Removing {}\n", workspace.display()));
        if let Err(error) = remove_workspace(workspace).await {
            tracing::warn!(job = %self.held.job, error, "a workspace could not be removed");
            log.add(place, &format!("It could not be removed: {error}\n"));
        }
        log.end(place, 0);
    }
}

/// The prepared workspace as the files of the job's first phase.
struct Prepared(Project);

#[async_trait]
impl WorkspaceSource for Prepared {
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), BackendError> {
        backend.put_project(task, &self.0).await
    }
}

/// Tells of a log while it grows.
struct Telling {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Telling {
    fn begin(ground: &Arc<Ground>, held: &Held, log: &Arc<JobLog>) -> Self {
        let stop = CancellationToken::new();
        let (ground, held, log, stopped) = (Arc::clone(ground), held.clone(), Arc::clone(log), stop.clone());
        let task = tokio::spawn(async move { log.tell_until(&*ground.source, &held, &stopped).await });
        Self { stop, task }
    }

    /// Lets what is being said be answered: an entry that was added and not noted would be added twice.
    async fn end(self) {
        self.stop.cancel();
        if let Err(panic) = self.task.await {
            tracing::error!(%panic, "telling of a job's log failed inside");
        }
    }
}

/// Reports the end of a job whose log is told first; what the job took here is gone by then. Its folder goes when the queue has heard of it. Whether it
/// completed.
pub(crate) async fn conclude(
    ground: &Ground,
    folder: JobFolder,
    log: Option<&JobLog>,
    mut end: AttemptEnd,
) -> bool {
    let held = folder.held().clone();
    folder.keep_end(&end);
    if let Some(log) = log {
        let is_lost = || ground.running.ended(&held.job) == Some(Ended::Lost);
        match log.flush(&*ground.source, &held, ground.settings.report_within, is_lost).await {
            Ok(()) => {}
            Err(Untold::Stale) => {
                tracing::info!(job = %held.job, "the queue does not want this job's log any more");
            }
            // What nobody can read did not succeed (sourcegraph.md 2).
            Err(Untold::Refused(why)) => {
                end = AttemptEnd::Errored(format!("failed to write the job's log: {why}"));
                folder.keep_end(&end);
            }
        }
    }
    if report(ground, &held, &end).await {
        folder.forget();
    }
    end == AttemptEnd::Completed
}

/// Tells the queue how an attempt ended, again and again. False when nobody heard of it.
async fn report(ground: &Ground, held: &Held, end: &AttemptEnd) -> bool {
    let until = tokio::time::Instant::now() + ground.settings.report_within;
    let mut pace = crate::pace::Pace::new(Duration::from_millis(500), Duration::from_secs(30));
    loop {
        match ground.source.finish(held, end).await {
            Ok(()) => return true,
            Err(SourceError::Stale) => {
                tracing::info!(job = %held.job, "the queue does not know this job as ours any more");
                return true;
            }
            Err(SourceError::Refused(why)) => {
                tracing::error!(job = %held.job, "the queue refuses to hear how the job ended: {why}");
                return true;
            }
            Err(SourceError::Unreachable(why)) if tokio::time::Instant::now() >= until => {
                tracing::error!(job = %held.job, "nobody hears how the job ended; it is told again later: {why}");
                return false;
            }
            Err(SourceError::Unreachable(why)) => {
                tracing::warn!(job = %held.job, "nobody hears how the job ended; it is told again: {why}");
                tokio::time::sleep(pace.pause()).await;
            }
        }
    }
}

/// Why a job of phases did not pass, with the step that failed first.
fn of_report(report: &JobReport) -> Result<(), String> {
    if report.ending.succeeded() {
        return Ok(());
    }
    let steps = report.phases.iter().flat_map(|phase| &phase.steps);
    let mut failed = steps
        .filter(|step| matches!(step.ending.outcome, Outcome::Failed | Outcome::Lost | Outcome::Cancelled));
    Err(match failed.next() {
        Some(step) => format!("running command {:?}: {}", step.name, told(&step.ending)),
        None => told(&report.ending),
    })
}

/// An ending as the original says it, where it knows it.
fn told(ending: &Ending) -> String {
    let text = match (&ending.cause, ending.exit_code) {
        (Cause::ExitCode, Some(code)) => format!("command failed with exit code {code}"),
        (Cause::Signal, _) => "command failed with exit code -1".to_owned(),
        (cause, _) => cause.as_str().replace('_', " "),
    };
    match &ending.evidence {
        Some(evidence) => format!("{text}: {evidence}"),
        None => text,
    }
}

/// A duration as the original's language writes it: `30m0s`.
fn go_time(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) => format!("{}s", time.as_secs_f64()),
        (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

fn make_workspace(all: &Path, own: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::create_dir_all(all)?;
    std::fs::DirBuilder::new().mode(0o700).create(own)
}

/// Removes a workspace, whatever is in it; one that is not there is gone.
pub(crate) async fn remove_workspace(workspace: PathBuf) -> Result<(), String> {
    let removed = tokio::task::spawn_blocking(move || match workspace.exists() {
        true => remove_tree(&workspace).map(drop).map_err(|error| error.to_string()),
        false => Ok(()),
    });
    removed.await.unwrap_or_else(|panic| Err(panic.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_original_does() {
        for (seconds, expected) in [(1800, "30m0s"), (5, "5s"), (90, "1m30s"), (3661, "1h1m1s")] {
            assert_eq!(go_time(Duration::from_secs(seconds)), expected);
        }
    }
}
