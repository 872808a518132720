//! A run without any engine: a pipeline's text, an executor that does what a table says, and the events that come of it.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jobwright_engine::{
    JobExecutor, JobOutcome, JobOutput, PreparedJob, RunPlan, RunReport, Runner, Spec, prepare,
};
use jobwright_events::{Bus, Event, EventKind, RunMode, Sink, StreamKind, WireEvent};
use jobwright_model::{Cause, Ending, ExitStatus, RunId, StepExit};
use jobwright_runtime::{Scope, Slot};
use tokio::time::Instant;

/// What a job of the table does: how long it takes, and how long to clean up after that; what it prints, with which code it exits, and in
/// how many attempts before it passes; always, when that is 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct Act {
    pub(crate) takes: Duration,
    pub(crate) cleans: Duration,
    pub(crate) prints: &'static str,
    pub(crate) exits: i32,
    pub(crate) fails: usize,
}

/// Runs jobs by a table; one that is not in it passes at once. Remembers the most that ran at the same time.
#[derive(Default)]
pub(crate) struct Scripted {
    acts: BTreeMap<String, Act>,
    running: AtomicUsize,
    pub(crate) most: AtomicUsize,
    pub(crate) order: Mutex<Vec<String>>,
    /// From when to when each ran, attempts taken together.
    spans: Mutex<BTreeMap<String, (Instant, Instant)>>,
}

impl Scripted {
    pub(crate) fn new<const N: usize>(acts: [(&str, Act); N]) -> Arc<Self> {
        Self::of(acts.into_iter().map(|(name, act)| (name.to_owned(), act)).collect())
    }

    pub(crate) fn of(acts: BTreeMap<String, Act>) -> Arc<Self> {
        Arc::new(Self { acts, ..Self::default() })
    }

    /// From when to when each job ran, in milliseconds since the first one began.
    pub(crate) fn spans(&self) -> BTreeMap<String, (u64, u64)> {
        let spans = self.spans.lock().unwrap();
        let Some(zero) = spans.values().map(|(from, _)| *from).min() else { return BTreeMap::new() };
        let since = |at: Instant| u64::try_from((at - zero).as_millis()).unwrap();
        spans.iter().map(|(name, (from, to))| (name.clone(), (since(*from), since(*to)))).collect()
    }

    fn note_span(&self, job: &str, from: Instant) {
        let now = Instant::now();
        self.spans.lock().unwrap().entry(job.to_owned()).or_insert((from, now)).1 = now;
    }
}

pub(crate) fn exits(code: i32) -> Act {
    Act { exits: code, ..Act::default() }
}

pub(crate) fn takes(milliseconds: u64) -> Act {
    Act { takes: Duration::from_millis(milliseconds), ..Act::default() }
}

#[async_trait]
impl JobExecutor for Scripted {
    async fn execute(&self, job: &PreparedJob, output: &JobOutput, scope: &Scope, slot: Slot) -> JobOutcome {
        let act = self.acts.get(&*job.name).cloned().unwrap_or_default();
        let begun = Instant::now();
        self.order.lock().unwrap().push(job.name.to_string());
        let attempt = output.attempt() as usize;
        self.most.fetch_max(self.running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        if !act.prints.is_empty() {
            output.write(StreamKind::Stdout, act.prints);
        }
        let cancelled = tokio::select! {
            () = tokio::time::sleep(act.takes) => None,
            cause = scope.cancelled() => Some(cause),
        };
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.note_span(&job.name, begun);
        drop(slot);
        tokio::time::sleep(act.cleans).await;
        let code = if act.fails > 0 && attempt > act.fails { 0 } else { act.exits };
        let ending = Ending::of_exit(&StepExit::new(ExitStatus::Code(code)));
        match (cancelled, code) {
            (Some(cause), _) => JobOutcome::not_passed(Ending::new(cause), "by the user"),
            (None, 0) => JobOutcome::passed(),
            (None, code) => {
                JobOutcome::not_passed(ending, format!("container exited with non-zero status {code}"))
            }
        }
    }
}

/// Keeps what the bus gives it.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<Vec<Event>>>);

impl Sink for Kept {
    fn emit(&mut self, event: &Arc<Event>) {
        self.0.lock().unwrap().push(Event::clone(event));
    }
}

/// A run's events and report.
pub(crate) struct Played {
    pub(crate) events: Vec<Event>,
    pub(crate) report: RunReport,
    pub(crate) executor: Arc<Scripted>,
}

impl Played {
    /// The events as short words: `start a`, `end a`, `skip c`, `group dag`, `/group dag`, `notice ...`.
    pub(crate) fn story(&self) -> Vec<String> {
        self.events.iter().filter_map(word).collect()
    }

    pub(crate) fn wire(&self) -> Vec<WireEvent> {
        self.events.iter().map(WireEvent::from).collect()
    }

    pub(crate) fn position(&self, word: &str) -> usize {
        let story = self.story();
        story.iter().position(|told| told == word).unwrap_or_else(|| panic!("no {word:?} in {story:?}"))
    }
}

fn word(event: &Event) -> Option<String> {
    Some(match &event.kind {
        EventKind::RunStarted { .. } => "run".into(),
        EventKind::RunFinished { .. } => "/run".into(),
        EventKind::GroupStarted { group, .. } => format!("group {}", group.id()),
        EventKind::GroupFinished { group } => format!("/group {}", group.id()),
        EventKind::JobStarted { job, .. } => format!("start {job}"),
        EventKind::JobFinished { job, .. } => format!("end {job}"),
        EventKind::JobSkipped { job, .. } => format!("skip {job}"),
        EventKind::LogLine { job: None, data, .. } => {
            format!("notice {}", String::from_utf8_lossy(data).trim())
        }
        _ => return None,
    })
}

/// One pass over a pipeline's text.
pub(crate) struct Play {
    pub(crate) text: String,
    pub(crate) spec: Spec,
    pub(crate) limit: usize,
    pub(crate) cancel_after: Option<Duration>,
}

impl Play {
    pub(crate) fn of(text: &str) -> Self {
        Self { text: text.to_owned(), spec: Spec::default(), limit: 64, cancel_after: None }
    }

    pub(crate) fn mode(mut self, mode: RunMode) -> Self {
        self.spec.mode = mode;
        self
    }

    /// Prepares and runs it; the error of preparing, if there is one.
    pub(crate) async fn run(self, executor: Arc<Scripted>) -> Played {
        let (runner, kept, plan) = self.set_up().await;
        let plan = plan.unwrap_or_else(|error| panic!("{error}"));
        runner.start(&plan);
        let report = runner.run(&plan, Arc::clone(&executor) as Arc<dyn JobExecutor>).await;
        let events = kept.0.lock().unwrap().clone();
        Played { events, report, executor }
    }

    /// Expects that it cannot be prepared.
    pub(crate) async fn refused(self) -> Played {
        let spec = self.spec.clone();
        let (runner, kept, plan) = self.set_up().await;
        let error = plan.map(|plan| format!("{:?}", plan.jobs)).expect_err("it was prepared");
        let report = runner.refuse(&spec, error.into());
        let events = kept.0.lock().unwrap().clone();
        Played { events, report, executor: Scripted::new([]) }
    }

    async fn set_up(self) -> (Runner, Kept, Result<RunPlan, jobwright_engine::PrepareError>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".jobwright.yaml"), &self.text).unwrap();
        let scope = Scope::new();
        let spec = Spec { project: dir.path().to_owned(), ..self.spec };
        let prepared = prepare(&spec, &dir.path().join("clone"), &scope).await;
        let plan = prepared.map(|prepared| prepared.plan);
        let bus = Bus::new(RunId::generate());
        let kept = Kept::default();
        bus.attach("kept", kept.clone());
        if let Some(after) = self.cancel_after {
            let scope = scope.clone();
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                scope.cancel(Cause::ByUser);
            });
        }
        (Runner::new(Arc::new(bus), scope, self.limit), kept, plan)
    }
}
