//! Verbs on a running step: a program beside it, pause, resume, signal, what it uses.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_backend::{Error, ExecRequest, ExecSession, Result, StepControl, StepStats};
use jobwright_model::{NetInfo, Step, TaskUuid};
use jobwright_shim::{Answer, ExecOrder, Order, Refusal, ShimError, procfs};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::backend::{NAME, ProcessBackend};
use crate::command::Command;
use crate::exec::Session;
use crate::link::Link;
use crate::place::StepPlace;
use crate::shims::{Whereabouts, does_not_answer};
use crate::{environment, streams};

/// How long a step may take to stand still. A process that waits for a disk does not stop before it has what it waits for, and
/// does nothing until then.
const STANDSTILL: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(1);
/// What a terminal is called when nobody says it: one that every program knows.
const TERM: (&str, &str) = ("TERM", "xterm");

/// A step and the shim that has it.
struct Reached<'a> {
    step: &'a Step,
    task: &'a TaskUuid,
    place: StepPlace,
    link: Arc<Link>,
}

impl ProcessBackend {
    async fn reach<'a>(&self, step: &'a Step, task: &'a TaskUuid) -> Result<Reached<'a>> {
        let place = self.task(task).step(&step.uuid);
        match self.shims.locate(&place).await? {
            Whereabouts::Under(link) => Ok(Reached { step, task, place, link }),
            Whereabouts::Gone | Whereabouts::Nowhere => Err(Error::unknown_step(step, task)),
        }
    }
}

impl Reached<'_> {
    async fn ask(&self, order: Order) -> Result<Answer> {
        self.link.call(order).await.map_err(|error| self.error(error))
    }

    /// A step that has ended is an unknown one here.
    fn error(&self, error: ShimError) -> Error {
        match error {
            ShimError::Refused(Refusal::UnknownStep { .. } | Refusal::NotRunning { .. }) => {
                Error::unknown_step(self.step, self.task)
            }
            ShimError::Refused(Refusal::Start(failure)) => Error::start(self.step, failure.to_string()),
            other => does_not_answer(&other),
        }
    }

    async fn send(&self, signal: i32) -> Result<()> {
        self.ask(Order::Signal { step: self.place.id.clone(), signo: signal, whole_tree: true })
            .await
            .map(drop)
    }

    async fn members(&self) -> Result<Vec<u32>> {
        match self.ask(Order::Members { step: self.place.id.clone() }).await? {
            Answer::Members(members) => Ok(members),
            other => Err(does_not_answer(&ShimError::Protocol(format!("{other:?}")))),
        }
    }

    /// Whether no process of the step can do anything.
    async fn stands_still(&self) -> Result<bool> {
        let moves = |pid: &u32| {
            procfs::stat(*pid).is_some_and(|stat| !matches!(stat.state, b'T' | b't' | b'Z' | b'X'))
        };
        Ok(!self.members().await?.iter().any(moves))
    }
}

#[async_trait]
impl StepControl for ProcessBackend {
    async fn exec(&self, step: &Step, task: &TaskUuid, request: ExecRequest) -> Result<Box<dyn ExecSession>> {
        if request.argv.is_empty() {
            return Err(Error::invalid_step(step, "a command to run in it has no program"));
        }
        let reached = self.reach(step, task).await?;
        let record = self.record(&self.task(task))?;
        let command = Command::beside(step, request.argv, &record)?;
        let host = &self.host_environment;
        let mut env = environment::of_step(host, step, &record.home(), &record.workspace, &command.shell);
        env.extend(request.environment);
        let made = match request.terminal {
            Some(size) => {
                let (name, value) = TERM;
                env.entry(name.to_owned()).or_insert_with(|| value.to_owned());
                streams::terminal(size, record.owner())
            }
            None => streams::pipes(request.input),
        };
        let (ours, handed) = made.map_err(|error| {
            Error::io(format!("making the streams of a program beside step {:?}", step.name), error)
        })?;
        let order = ExecOrder {
            step: reached.place.id.clone(),
            argv: command.argv,
            env,
            cwd: command.directory,
            terminal: request.terminal.is_some(),
        };
        let session = Session::begin(reached.link.dir(), order, ours, handed).await;
        Ok(Box::new(session.map_err(|error| reached.error(error))?))
    }

    /// A process that is being started while its parent is stopped is stopped in the next round.
    async fn pause(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        let reached = self.reach(step, task).await?;
        let until = Instant::now() + STANDSTILL;
        reached.send(Signal::STOP.as_raw()).await?;
        while !reached.stands_still().await? && Instant::now() < until {
            sleep(PAUSE).await;
            reached.send(Signal::STOP.as_raw()).await?;
        }
        Ok(())
    }

    async fn resume(&self, step: &Step, task: &TaskUuid) -> Result<()> {
        self.reach(step, task).await?.send(Signal::CONT.as_raw()).await
    }

    /// To every process of the step.
    async fn signal(&self, step: &Step, task: &TaskUuid, signal: i32) -> Result<()> {
        if !(1..=64).contains(&signal) {
            return Err(Error::Unsupported {
                backend: NAME,
                what: format!("signal {signal}: they go from 1 to 64"),
            });
        }
        self.reach(step, task).await?.send(signal).await
    }

    /// The sum of what its processes have; memory that several share counts for each.
    async fn stats(&self, step: &Step, task: &TaskUuid) -> Result<StepStats> {
        let reached = self.reach(step, task).await?;
        let loads: Vec<_> = reached.members().await?.into_iter().filter_map(procfs::load).collect();
        if loads.is_empty() {
            return Err(Error::unknown_step(step, task));
        }
        let ticks: u64 = loads.iter().map(|load| load.cpu_ticks).sum();
        let pages: u64 = loads.iter().map(|load| load.resident_pages).sum();
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Ok(StepStats {
            cpu: Duration::from_micros(ticks.saturating_mul(1_000_000) / per_second),
            memory: pages.saturating_mul(rustix::param::page_size() as u64),
            memory_limit: 0,
            pids: loads.iter().map(|load| load.threads).sum(),
        })
    }

    /// A step has the host's own network, as everything on it.
    async fn network(&self, _step: &Step, _task: &TaskUuid) -> Result<NetInfo> {
        Err(Error::Unsupported { backend: NAME, what: "telling how a step is reached".to_owned() })
    }
}
