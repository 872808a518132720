//! One job: its phases in order, each a workflow under a task uuid of its own, all on one workspace.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jobwright_backend::Backend;
use jobwright_journal::Journal;
use jobwright_model::{Cause, Ending, Job, Phase, TaskUuid, Timeouts};
use jobwright_redact::Masker;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::gate::Gate;
use crate::handover::{Heirs, Legacy, Spool, WorkspaceSource};
use crate::keeping::{Keeping, WorkspaceKeeper};
use crate::kept::KeepWhen;
use crate::limits::{Deadline, Limits};
use crate::masking;
use crate::observer::Observer;
use crate::past::{AttemptPast, TaskPast};
use crate::plan::Plan;
use crate::record::Record;
use crate::scope::Scope;
use crate::step_files::StepFiles;
use crate::visit::Visitor;
use crate::workflow::{WorkflowReport, WorkflowRun};

mod past;

use past::Due;

/// Loaded backends by their names.
pub type Backends = BTreeMap<String, Arc<dyn Backend>>;

/// A place among the jobs that run at the same time; dropping it gives it to the next.
pub type Slot = OwnedSemaphorePermit;

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// The job's own ending: that of the first phase that did not pass.
    pub ending: Ending,
    /// The first error that is no step's own failure.
    pub error: Option<String>,
    /// The phases that ran, in order.
    pub phases: Vec<WorkflowReport>,
}

/// One run of a job, to be described and then [run](JobRun::run).
pub struct JobRun {
    job: Job,
    backends: Backends,
    observer: Arc<dyn Observer>,
    gates: Vec<Arc<dyn Gate>>,
    masker: Option<Masker>,
    limits: Limits,
    scope: Scope,
    files: Option<Arc<dyn WorkspaceSource>>,
    keeper: Option<(usize, Arc<dyn WorkspaceKeeper>)>,
    journal: Option<Arc<Journal<Record>>>,
    slot: Option<Slot>,
    /// The phases, by their places, that have a time of their own.
    phase_limits: BTreeMap<usize, Duration>,
    attempt: u32,
    past: AttemptPast,
    secrets_are_gone: bool,
    in_place: Option<PathBuf>,
    step_files: Option<Arc<dyn StepFiles>>,
    visitor: Option<(usize, Arc<dyn Visitor>)>,
    keep_when: Option<KeepWhen>,
}

impl JobRun {
    /// `job` over `backends`.
    #[must_use]
    pub fn new(job: Job, backends: Backends, observer: Arc<dyn Observer>) -> Self {
        Self {
            job,
            backends,
            observer,
            gates: Vec::new(),
            masker: None,
            limits: Limits::default(),
            scope: Scope::new(),
            files: None,
            keeper: None,
            journal: None,
            slot: None,
            phase_limits: BTreeMap::new(),
            attempt: 1,
            past: AttemptPast::default(),
            secrets_are_gone: false,
            in_place: None,
            step_files: None,
            visitor: None,
            keep_when: None,
        }
    }

    /// With one more gate.
    #[must_use]
    pub fn gate(mut self, gate: Arc<dyn Gate>) -> Self {
        self.gates.push(gate);
        self
    }

    /// Masking by this rule in place of what the workflows themselves declare.
    #[must_use]
    pub fn masker(mut self, masker: Masker) -> Self {
        self.masker = Some(masker);
        self
    }

    /// Within these bounds on its surroundings.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Within this scope.
    #[must_use]
    pub fn scope(mut self, scope: &Scope) -> Self {
        self.scope = scope.clone();
        self
    }

    /// On these files: those with which its first phase begins. A phase whose workflow has no `volume` gets none.
    #[must_use]
    pub fn files(mut self, files: Arc<dyn WorkspaceSource>) -> Self {
        self.files = Some(files);
        self
    }

    /// Letting `keeper` take files out when the steps of phase number `phase`, counted from 0, have ended.
    #[must_use]
    pub fn keeper(mut self, phase: usize, keeper: Arc<dyn WorkspaceKeeper>) -> Self {
        self.keeper = Some((phase, keeper));
        self
    }

    /// Letting `files` bring and keep files of single steps, in all phases.
    #[must_use]
    pub fn step_files(mut self, files: Arc<dyn StepFiles>) -> Self {
        self.step_files = Some(files);
        self
    }

    /// With all of its phases working on this directory of the host itself, an absolute path, in place of a workspace. It is said here and not
    /// in the job, which may come from a file of anybody's.
    #[must_use]
    pub fn in_place(mut self, directory: impl Into<PathBuf>) -> Self {
        self.in_place = Some(directory.into());
        self
    }

    /// Writing down what it is about to do.
    #[must_use]
    pub fn journal(mut self, journal: Arc<Journal<Record>>) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Holding this slot until the last step of the last phase has ended; what is cleaned up after that holds nobody up.
    #[must_use]
    pub fn slot(mut self, slot: Slot) -> Self {
        self.slot = Some(slot);
        self
    }

    /// Giving the phase at `place`, counted from 0, no more than `limit`, from its set-up to its last step. A phase that always runs
    /// and has no time of its own has as long as the whole job.
    #[must_use]
    pub fn phase_limit(mut self, place: usize, limit: Duration) -> Self {
        self.phase_limits.insert(place, limit);
        self
    }

    /// As this attempt, from 1, at the job.
    #[must_use]
    pub fn attempt(mut self, attempt: u32) -> Self {
        self.attempt = attempt;
        self
    }

    /// Going on with this attempt, which an owner that died began: what ran is taken over, what had ended is not done again.
    #[must_use]
    pub fn resuming(mut self, past: AttemptPast) -> Self {
        self.past = past;
        self
    }

    /// Without the values of its secrets, which are gone with the owner that died (DESIGN rule 3): the output of what runs is
    /// withheld, and nothing more is started.
    #[must_use]
    pub fn without_secrets(mut self) -> Self {
        self.secrets_are_gone = true;
        self
    }

    /// Letting `visitor` go into the steps of phase number `phase`, counted from 0, that are not in the background.
    #[must_use]
    pub fn visitor(mut self, phase: usize, visitor: Arc<dyn Visitor>) -> Self {
        self.visitor = Some((phase, visitor));
        self
    }

    /// Keeping the environment of the phase that fails the job as `keep_when` says, as it is. What runs whatever happened, runs all the
    /// same, on a copy of the workspace.
    #[must_use]
    pub fn keep_when(mut self, keep_when: KeepWhen) -> Self {
        self.keep_when = Some(keep_when);
        self
    }

    /// Runs the phases in order. The first that does not pass stops the rest, but for those that always run; these have a
    /// scope of their own, which the job's cancellation ends only when cleanup is overdue. A job of which a phase cannot run as
    /// it is written does not begin.
    pub async fn run(mut self) -> JobReport {
        let started = Timestamp::now();
        let phases = std::mem::take(&mut self.job.phases);
        let mut report = match self.check(&phases) {
            Ok(masker) => {
                self.masker = Some(masker);
                self.run_phases(phases).await
            }
            Err(reason) => {
                let ending = Ending::new(Cause::StartFailure).because(&reason);
                JobReport { ending, error: Some(reason), phases: Vec::new() }
            }
        };
        report.ending = report.ending.timed(started, Timestamp::now());
        report
    }

    /// The rule that masks the job, or why the job cannot run.
    fn check(&mut self, phases: &[Phase]) -> Result<Masker, String> {
        let workflows = phases.iter().map(|phase| &phase.workflow);
        let masker = masking::rule(self.masker.take(), workflows, &*self.observer)
            .map_err(|error| error.to_string())?;
        for phase in phases {
            let (job, wanted) = (&self.job.name, &phase.backend);
            if !self.backends.contains_key(wanted) {
                let text = format!("job {job:?} wants the backend {wanted:?}, which is not loaded");
                return Err(masker.mask_str(&text).into_owned());
            }
            Plan::of(&phase.workflow).map_err(|error| masker.mask_str(&error.to_string()).into_owned())?;
        }
        Ok(masker)
    }

    async fn run_phases(&mut self, phases: Vec<Phase>) -> JobReport {
        let mut strike = None;
        let mut course = JobCourse {
            work: self.scope.child(),
            deadline: None,
            limit: None,
            files: self.files.clone(),
            lost: None,
            ending: None,
            at: 0,
            task: None,
            reports: Vec::new(),
        };
        let mut phases = VecDeque::from(phases);
        for place in 0.. {
            let Some(phase) = phases.pop_front() else { break };
            let past = self.past.of_phase(place).cloned();
            if phase.always || course.ending.is_none() || past.is_some() {
                course.at = place;
                let heirs = self.heirs(&phases, course.ending.is_none());
                let slot = if phases.is_empty() { self.slot.take() } else { None };
                course.limit = self.phase_limits.get(&place).copied();
                if course.limit.is_none() && course.deadline.is_none() {
                    strike = self.begin_the_jobs_time(place, &mut course);
                }
                let past = match self.look_back(&phase, past, &mut course).await {
                    Due::Nothing => continue,
                    Due::Anew(task) => {
                        course.task = task;
                        None
                    }
                    Due::GoOn(past) => Some(*past),
                };
                self.run_phase(phase, past, heirs, slot, &mut course).await;
            }
        }
        drop(strike);
        let error = course.reports.iter().find_map(|report| report.error.clone());
        let ending = course.ending.unwrap_or_else(|| Ending::new(Cause::Success));
        JobReport { ending, error, phases: course.reports }
    }

    /// The job's time begins with its first phase that has no time of its own: commands on the host that stand before it are no part of
    /// what the timeout covers (local-ci.md 2.5).
    fn begin_the_jobs_time(&self, place: usize, course: &mut JobCourse) -> Option<AbortOnDropHandle<()>> {
        let began = self.past.phase_began(place);
        course.deadline = Deadline::since(self.job.timeouts.total, began.elapsed());
        let strike = course.deadline?.strike(course.work.clone());
        Some(AbortOnDropHandle::new(tokio::spawn(strike)))
    }

    /// Who wants the workspace of the phase before `later`.
    fn heirs(&self, later: &VecDeque<Phase>, passed_so_far: bool) -> Option<Heirs> {
        let mut want = later.iter().filter(|phase| !phase.workflow.volume.is_empty());
        let whatever_happens = want.clone().any(|phase| phase.always);
        let anybody = whatever_happens || (passed_so_far && want.next().is_some());
        anybody.then(|| Heirs { whatever_happens, spool: self.spool() })
    }

    /// Beside the journal, where there is one: a temporary directory may be no more than memory.
    fn spool(&self) -> Spool {
        let beside = self.journal.as_ref().and_then(|journal| journal.path().parent());
        beside.map_or_else(|| Spool::Unnamed(std::env::temp_dir()), |dir| Spool::Named(dir.to_owned()))
    }

    async fn run_phase(
        &self,
        phase: Phase,
        past: Option<TaskPast>,
        heirs: Option<Heirs>,
        slot: Option<Slot>,
        course: &mut JobCourse,
    ) {
        let obstacle = course.obstacle(&phase).filter(|_| past.is_none());
        let (report, legacy) = match obstacle {
            Some(reason) => {
                let report = WorkflowReport::refused(&phase.workflow, Cause::Workspace, reason);
                (report, Legacy::Unchanged)
            }
            None if phase.always => self.run_always(phase, past, heirs, slot, course).await,
            None => {
                let run = self.workflow_run(phase, course).slot(slot).resuming(past);
                let run = run.scope(&course.work);
                let run = if course.phase_ends_first() { run } else { run.deadline(course.deadline) };
                run.run_for(heirs).await
            }
        };
        course.take_in(report, legacy);
    }

    /// Runs a phase in a scope of its own. Once the job was ended, it has as long as a cleanup.
    async fn run_always(
        &self,
        phase: Phase,
        past: Option<TaskPast>,
        heirs: Option<Heirs>,
        slot: Option<Slot>,
        course: &JobCourse,
    ) -> (WorkflowReport, Legacy) {
        let scope = Scope::new();
        let run = self.workflow_run(phase, course).slot(slot).resuming(past).scope(&scope).run_for(heirs);
        let mut run = pin!(run);
        let overdue = async {
            self.scope.cancelled().await;
            sleep(self.limits.cleanup).await;
        };
        tokio::select! {
            biased;
            done = &mut run => return done,
            () = overdue => scope.cancel(Cause::Timeout),
        }
        run.await
    }

    fn workflow_run(&self, phase: Phase, course: &JobCourse) -> WorkflowRun {
        let backend = Arc::clone(&self.backends[&phase.backend]);
        let files = course.files.clone().filter(|_| !phase.workflow.volume.is_empty());
        let mut run = WorkflowRun::new(phase.workflow, backend, Arc::clone(&self.observer))
            .job(&self.job.name)
            .timeouts(Timeouts { total: course.limit.or(self.job.timeouts.total), ..self.job.timeouts })
            .limits(self.limits)
            .place(self.attempt, course.at)
            .without_secrets(self.secrets_are_gone)
            .ready(phase.ready)
            .in_place(self.in_place.clone())
            .step_files(self.step_files.clone());
        run = self.gates.iter().cloned().fold(run, WorkflowRun::gate);
        if let Some(masker) = &self.masker {
            run = run.masker(masker.clone());
        }
        if let Some(files) = files {
            run = run.files(files);
        }
        if let Some((_, keeper)) = self.keeper.as_ref().filter(|(phase, _)| *phase == course.at) {
            run = run.keeping(Keeping { keeper: Arc::clone(keeper), before: course.ending.clone() });
        }
        if let Some((_, visitor)) = self.visitor.as_ref().filter(|(phase, _)| *phase == course.at) {
            run = run.visitor(Arc::clone(visitor));
        }
        // What comes after the failure is not what somebody wants to look at.
        if let Some(keep_when) = self.keep_when.as_ref().filter(|_| course.ending.is_none()) {
            run = run.keep_when(Arc::clone(keep_when));
        }
        if let Some(journal) = &self.journal {
            run = run.journal(Arc::clone(journal));
        }
        course.task.iter().cloned().fold(run, WorkflowRun::task)
    }
}

/// A job on its way from phase to phase.
struct JobCourse {
    /// What its end ends: all phases but those that always run.
    work: Scope,
    deadline: Option<Deadline>,
    /// The time of the phase that is next, where it has one of its own.
    limit: Option<Duration>,
    /// What the next phase's workspace holds when it begins.
    files: Option<Arc<dyn WorkspaceSource>>,
    /// Why nobody can say that.
    lost: Option<String>,
    /// That of the first phase that did not pass.
    ending: Option<Ending>,
    /// The number of the phase that runs.
    at: usize,
    /// The task's uuid that it has from an owner that died before anything of it ran.
    task: Option<TaskUuid>,
    reports: Vec<WorkflowReport>,
}

impl JobCourse {
    /// Why `phase` cannot have the workspace that the ones before it left. One that will not run for another reason has no
    /// need of it.
    fn obstacle(&self, phase: &Phase) -> Option<String> {
        let needs_it = !phase.workflow.volume.is_empty() && (phase.always || self.work.cause().is_none());
        let lost = self.lost.as_ref().filter(|_| needs_it)?;
        Some(format!("the files of the phase before could not be taken over: {lost}"))
    }

    /// Whether the next phase's own time is over before the job's, which ends the scope in any case.
    fn phase_ends_first(&self) -> bool {
        let of_job = |limit| self.deadline.is_some_and(|deadline| deadline.strikes_within(limit));
        self.limit.is_some_and(|limit| !of_job(limit))
    }

    fn take_in(&mut self, report: WorkflowReport, legacy: Legacy) {
        match legacy {
            Legacy::Unchanged => {}
            // What was there before it, and may be gone by now, is of no more use.
            Legacy::Taken(files, _) => (self.files, self.lost) = (Some(files), None),
            Legacy::Lost(reason) => self.lost = Some(reason),
        }
        if self.ending.is_none() && !report.ending.succeeded() {
            self.ending = Some(report.ending.clone());
        }
        self.reports.push(report);
    }
}
