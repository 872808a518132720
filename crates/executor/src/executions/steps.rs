//! Reaching into an execution that runs: its backend is asked, whoever owns it, because a backend serves every process of a state directory.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use jobwright_backend::{Backend, Error as BackendError, ExecRequest, LogStream, StepControl, StreamKind};
use jobwright_model::{
    ExecOutput, ExecutionId, ExecutionStats, ExecutionStatus, ExitStatus, NetInfo, RunId, Step, TaskUuid,
};
use jobwright_redact::{MaskStream, Masker};
use jobwright_runtime::{Unsealed, masker_for, open_tasks};

use super::{Place, Shared, Sink};
use crate::error::{Error, Result};
use crate::output::lane;

/// A command's output beyond this is left out of the answer: it lies in memory.
const MOST_OUTPUT: usize = 16 << 20;

/// So many are removed at the same time.
const AT_A_TIME: usize = 64;

/// The step of an execution that has started and has not ended.
pub(super) struct Reach {
    run: RunId,
    backend: Arc<dyn Backend>,
    pub(super) step: Step,
    pub(super) task: TaskUuid,
    status: ExecutionStatus,
}

impl Reach {
    pub(super) fn control(&self, what: &str) -> Result<&dyn StepControl> {
        let unsupported =
            || Error::Unsupported { backend: self.backend.name().to_owned(), what: what.to_owned() };
        self.backend.control().ok_or_else(unsupported)
    }

    pub(super) fn need(
        &self,
        id: &ExecutionId,
        allowed: &[ExecutionStatus],
        needs: &'static str,
    ) -> Result<()> {
        match allowed.contains(&self.status) {
            true => Ok(()),
            false => Err(Error::WrongStatus { id: id.clone(), status: self.status, needs }),
        }
    }
}

impl Shared {
    pub(super) fn reach(&self, id: &ExecutionId) -> Result<Reach> {
        let (run, status) = match self.place(id)? {
            Place::Over(run, result) => return Err(self.concluded(id, &run, *result)),
            Place::Here(live) => (live.run.clone(), live.status(self.store.is_paused(&live.run))),
            Place::Elsewhere(run) => {
                let status = self.still(id, &run, self.status_by_journal(&run))?;
                (run, status)
            }
        };
        let waits = || Error::WrongStatus { id: id.clone(), status, needs: "it has to run" };
        let kept = self.kept(id)?;
        let phase = kept.job.phases.first().ok_or_else(waits)?;
        let step = phase.workflow.steps().next().cloned().ok_or_else(waits)?;
        let backend = self.backend_named(&phase.backend)?;
        let task =
            open_tasks(&self.still(id, &run, self.records(&run))?).into_keys().next().ok_or_else(waits)?;
        Ok(Reach { run, backend, step, task, status })
    }

    pub(super) async fn pause(&self, id: &ExecutionId) -> Result<()> {
        let reach = self.reach(id)?;
        let control = reach.control("standing still")?;
        reach.need(id, &[ExecutionStatus::Running], "it has to run to be paused")?;
        // Written down before: whoever comes after a crash must not take it for running.
        let noted = self.store.note_pause(&reach.run);
        let is_ours = noted.map_err(Error::store(format!("noting that {id} is paused")))?;
        if let Err(error) = control.pause(&reach.step, &reach.task).await {
            if is_ours {
                self.goes_on(id, &reach)?;
            }
            return Err(error.into());
        }
        Ok(())
    }

    fn goes_on(&self, id: &ExecutionId, reach: &Reach) -> Result<()> {
        self.store.end_pause(&reach.run).map_err(Error::store(format!("noting that {id} goes on")))
    }

    pub(super) async fn resume(&self, id: &ExecutionId) -> Result<()> {
        let reach = self.reach(id)?;
        let control = reach.control("standing still")?;
        reach.need(id, &[ExecutionStatus::Paused], "it has to be paused to be resumed")?;
        control.resume(&reach.step, &reach.task).await?;
        self.goes_on(id, &reach)
    }

    pub(super) async fn exec(&self, id: &ExecutionId, argv: &[String]) -> Result<ExecOutput> {
        let (mut texts, mut left_out) = ([Vec::new(), Vec::new()], 0);
        let mut keep = |stream, bytes: &[u8]| {
            let text = &mut texts[lane(stream)];
            let room = MOST_OUTPUT.saturating_sub(text.len()).min(bytes.len());
            text.extend_from_slice(&bytes[..room]);
            left_out += (bytes.len() - room) as u64;
            Ok(())
        };
        let exit_code = self.exec_into(id, argv, &mut keep).await?;
        let [stdout, stderr] = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok(ExecOutput { exit_code, stdout, stderr, left_out })
    }

    pub(super) async fn exec_into(
        &self,
        id: &ExecutionId,
        argv: &[String],
        sink: &mut Sink<'_>,
    ) -> Result<i32> {
        let reach = self.reach(id)?;
        let control = reach.control("commands beside what runs")?;
        reach.need(id, &[ExecutionStatus::Running], "it has to run for a command to run beside it")?;
        if argv.first().is_none_or(String::is_empty) {
            return Err(Error::invalid("argv", "it is empty; it is a program and its arguments"));
        }
        if argv.iter().any(|word| word.contains('\0')) {
            return Err(Error::invalid("argv", "it holds a zero byte"));
        }
        let request = ExecRequest { argv: argv.to_vec(), ..ExecRequest::default() };
        let masker = self.masker(id)?;
        let begun = control.exec(&reach.step, &reach.task, request).await;
        let mut session = begun.map_err(|error| not_begun(error, &masker))?;
        if let Some(output) = session.output() {
            pass_on(output, &masker, sink).await?;
        }
        Ok(match session.wait().await?.status {
            ExitStatus::Code(code) => code,
            ExitStatus::Signal(signal) => 128 + signal,
            ExitStatus::Unknown => -1,
        })
    }

    /// What masks what it writes.
    pub(super) fn masker(&self, id: &ExecutionId) -> Result<Masker> {
        let job = match self.live_of(id) {
            Some(live) => live.kept.job.clone(),
            None => {
                let Unsealed { content, secrets_are_gone } = self.store.kept(&self.store.run_of(id)?)?;
                if secrets_are_gone {
                    let why = std::io::Error::other("the values of its secrets are gone");
                    return Err(Error::store(format!("masking what runs in {id}"))(why));
                }
                content.job
            }
        };
        Ok(masker_for(job.phases.iter().map(|phase| &phase.workflow)).masker)
    }

    pub(super) async fn stats(&self, id: &ExecutionId) -> Result<ExecutionStats> {
        let reach = self.reach(id)?;
        let control = reach.control("telling what is used")?;
        let running = [ExecutionStatus::Running, ExecutionStatus::Paused];
        reach.need(id, &running, "only what runs uses something")?;
        let stats = control.stats(&reach.step, &reach.task).await?;
        Ok(ExecutionStats {
            cpu_ns: u64::try_from(stats.cpu.as_nanos()).unwrap_or(u64::MAX),
            memory: stats.memory,
            memory_limit: stats.memory_limit,
            pids: stats.pids,
            timestamp: Timestamp::now().as_millisecond(),
        })
    }

    pub(super) async fn network(&self, id: &ExecutionId) -> Result<NetInfo> {
        let reach = self.reach(id)?;
        let control = reach.control("telling how it is reached")?;
        let running = [ExecutionStatus::Running, ExecutionStatus::Paused];
        reach.need(id, &running, "only what runs is reached")?;
        Ok(control.network(&reach.step, &reach.task).await?)
    }

    /// Removes all executions; each that could not be is told.
    pub(super) async fn clean_up(self: &Arc<Self>) -> Result<()> {
        let within = self.options.limits.cleanup;
        let removals = self.store.ids()?.into_iter().map(|id| {
            let shared = Arc::clone(self);
            async move {
                let removed = shared.remove(&id, within).await;
                (id, removed)
            }
        });
        let removed: Vec<_> = stream::iter(removals).buffer_unordered(AT_A_TIME).collect().await;
        let failed = removed.into_iter().filter_map(|(id, removed)| match removed {
            Ok(()) | Err(Error::NotFound(_)) => None,
            Err(error) => Some(format!("{id}: {error}")),
        });
        let failed: Vec<String> = failed.collect();
        if failed.is_empty() { Ok(()) } else { Err(Error::Several(failed)) }
    }
}

/// Why a command could not be begun, masked: what it is named by may hold a secret.
fn not_begun(error: BackendError, masker: &Masker) -> Error {
    match error {
        BackendError::Start { .. } => Error::invalid("argv", masker.mask_str(&error.to_string())),
        other => other.into(),
    }
}

/// A command's output, masked, to its end.
async fn pass_on(mut output: LogStream, masker: &Masker, sink: &mut Sink<'_>) -> Result<()> {
    let mut masks = [StreamKind::Stdout, StreamKind::Stderr].map(|stream| (stream, MaskStream::new(masker)));
    let mut give = |stream, bytes: &[u8]| match bytes {
        [] => Ok(()),
        bytes => sink(stream, bytes).map_err(Error::store("passing a command's output on")),
    };
    while let Some(chunk) = output.next().await {
        let chunk = chunk?;
        let mut masked = Vec::new();
        masks[lane(chunk.stream)].1.push(&chunk.bytes, &mut masked);
        give(chunk.stream, &masked)?;
    }
    for (stream, mask) in &mut masks {
        let mut rest = Vec::new();
        mask.finish(&mut rest);
        give(*stream, &rest)?;
    }
    Ok(())
}
