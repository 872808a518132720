//! Preparing and starting a step.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use jobwright_backend::{Error, Result};
use jobwright_model::Step;
use jobwright_shim::protocol::{Limit, RunAs, StartFailure, StartProblem};
use jobwright_shim::{Order, Refusal, ShimError, StartOrder};

use crate::cgroups::{self, Cgroups, Planned};
use crate::command::Command;
use crate::environment;
use crate::options::Options;
use crate::place::{StepPlace, TaskPlace, TaskRecord, write_new};
use crate::shims::{Shims, does_not_answer};

/// Another shim has made the step's files.
const EXISTS: i32 = rustix::io::Errno::EXIST.raw_os_error();

/// A step that is ready: a long script is written.
pub(crate) struct Ready {
    place: StepPlace,
    record: TaskRecord,
    command: Command,
    cgroups: Vec<Planned>,
    ulimits: Vec<Limit>,
}

/// What the shim is to do when nobody is there to tell it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alone {
    /// Between SIGTERM and SIGKILL.
    pub(crate) grace: Duration,
    /// From when on the step is to be ended, since boot.
    pub(crate) until: Option<Duration>,
}

/// Makes everything ready; making it ready again changes nothing.
pub(crate) fn prepare(task: &TaskPlace, record: TaskRecord, step: &Step, cgroups: &Cgroups) -> Result<Ready> {
    let command = Command::of(step, &record, rustix::process::geteuid().is_root())?;
    let Options { bounds, ulimits } = Options::of(step)?;
    let place = task.step(&step.uuid);
    let cgroups = cgroups.plan(bounds, step, &place)?;
    if place.has_output() {
        return Err(Error::AlreadyStarted(step.uuid.clone()));
    }
    if let Some(script) = command.script.as_ref().filter(|_| command.script_in_file) {
        write_script(&record, step, script)
            .map_err(|error| Error::io(format!("writing the script of step {:?}", step.name), error))?;
    }
    Ok(Ready { place, record, command, cgroups, ulimits })
}

/// A script may hold what other users must not see, and must not be changed by its own.
fn write_script(record: &TaskRecord, step: &Step, script: &str) -> io::Result<()> {
    let path = record.script(&step.uuid);
    match write_new(&path, script.as_bytes(), 0o600) {
        // One that was prepared; it may have been left half-written by somebody who died over it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&path)?;
            write_new(&path, script.as_bytes(), 0o600)?;
        }
        other => other?,
    }
    if let Some(owner) = record.owner() {
        std::os::unix::fs::chown(&path, None, Some(owner.gid))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
    }
    Ok(())
}

impl Ready {
    /// Has the shim start it. Once the order is given, dropping this future leaves a step that runs and is found by its
    /// output; before, one that was prepared.
    pub(crate) async fn start(
        self,
        shims: &Shims,
        step: &Step,
        host: &BTreeMap<String, String>,
        alone: Alone,
    ) -> Result<()> {
        let cgroups = match cgroups::make(&self.cgroups, step, &self.place) {
            Ok(cgroups) => cgroups,
            Err(error) => return Err(self.without_cgroups(error).await),
        };
        let order = StartOrder { cgroups, ..self.order(step, host, alone) };
        let (name, link) = shims.own().await?;
        // No await between the note and the order: whoever finds the note asks the shim after the order came.
        shims.note(&self.place.id, name, &link);
        match link.order(Order::Start(Box::new(order))).await {
            Ok(_) => Ok(()),
            Err(ShimError::Refused(refusal)) => {
                let error = self.explain(step, refusal);
                if matches!(error, Error::AlreadyStarted(_)) {
                    return Err(error);
                }
                shims.forget(&self.place.id);
                Err(self.without_cgroups(error).await)
            }
            // Whether it started is not known; it is found and destroyed all the same.
            Err(error) => Err(does_not_answer(&error)),
        }
    }

    /// What came of a start, once the cgroups are gone that were made for it. One that stays is found when the step is destroyed.
    async fn without_cgroups(&self, error: Error) -> Error {
        if let Err(left) = cgroups::remove(&self.place).await {
            tracing::warn!(%left, "after a step that did not start");
        }
        error
    }

    fn order(&self, step: &Step, host: &BTreeMap<String, String>, alone: Alone) -> StartOrder {
        let Self { place, record, command, .. } = self;
        let mut order = StartOrder::new(place.id.clone(), &place.files.dir, command.argv.iter().cloned());
        order.files.clone_from(&place.files);
        order.label.clone_from(&step.name);
        order.env = environment::of_step(host, step, &record.home(), &record.workspace, &command.shell);
        order.cwd.clone_from(&command.directory);
        if command.script.is_some() {
            // By that name a shell knows where it is, which may not be the only one.
            let directory = command.directory.to_string_lossy().into_owned();
            order.env.insert("PWD".into(), directory);
        }
        order.script = command.script.clone().filter(|_| !command.script_in_file);
        order.run_as =
            record.owner().map(|owner| RunAs { uid: owner.uid, gid: owner.gid, groups: Vec::new() });
        order.no_new_privileges = order.run_as.is_some();
        order.limits.clone_from(&self.ulimits);
        order.grace_ms = alone.grace.as_millis().try_into().unwrap_or(u64::MAX);
        order.deadline_ns = alone.until.map(|until| until.as_nanos().try_into().unwrap_or(u64::MAX));
        order
    }

    fn explain(&self, step: &Step, refusal: Refusal) -> Error {
        let failure = match refusal {
            Refusal::Start(failure) => failure,
            Refusal::StepExists { .. } => return Error::AlreadyStarted(step.uuid.clone()),
            other => return does_not_answer(&ShimError::Refused(other)),
        };
        let is_the_shell = self.command.script.is_some();
        match failure {
            StartFailure { problem: StartProblem::Folder, errno, .. } if errno == EXISTS => {
                Error::AlreadyStarted(step.uuid.clone())
            }
            StartFailure { problem: StartProblem::Folder, errno, .. } => {
                let operation = format!("making the output file of step {:?}", step.name);
                Error::io(operation, io::Error::from_raw_os_error(errno))
            }
            StartFailure { problem: StartProblem::Order, subject, .. } => Error::invalid_step(step, subject),
            StartFailure { problem: StartProblem::ProgramNotFound, subject, .. } if is_the_shell => {
                let reason = format!(
                    "shell `{subject}` not found; the step's image names it: install it, or use an image that is there"
                );
                Error::start(step, reason)
            }
            other => Error::start(step, other.to_string()),
        }
    }
}
