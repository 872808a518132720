//! The commands on the host around all jobs of a run (`bootstrap` and `cleanup`). Not for those around one job, which are phases of it.

use std::collections::BTreeMap;

use jobwright_model::{FailurePolicy, Job, Phase, Stage, Step, Workflow, labels};

use crate::compile::environment::Environment;
use crate::compile::{CompileContext, HOST_BACKEND, secrets, steps};
use crate::finding::Report;
use crate::job::HostCommands;
use crate::pipeline::Pipeline;

/// What runs before the first job and after the last one, each a job of one phase on [`HOST_BACKEND`]. Their time limits stay with the
/// pipeline, and that they run in the project's own directory is the caller's to see to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Around {
    /// One command after the other; the first that fails ends it.
    pub before: Option<Job>,
    /// Each command, whatever became of the ones before it; in a scope of its own.
    pub after: Option<Job>,
}

/// Makes the jobs that run around the others. Their variables are those of the whole file, of the remote provider and of the command line.
///
/// # Errors
/// A [`Report`] when a secret's value cannot be had.
pub fn compile_around(pipeline: &Pipeline, context: &CompileContext<'_>) -> Result<Around, Report> {
    let Pipeline { bootstrap, cleanup, .. } = pipeline;
    if bootstrap.is_none() && cleanup.is_none() {
        return Ok(Around::default());
    }
    let environment = Environment::of(pipeline, None, context)?;
    let job = |name: &str, commands: &HostCommands, always: bool| {
        let labels = BTreeMap::from([
            (labels::RUN.to_owned(), context.run.to_string()),
            (labels::JOB.to_owned(), name.to_owned()),
        ]);
        let step = |(at, command): (usize, &String)| -> Step {
            let name = format!("{name} {}", at + 1);
            let mut step = steps::on_the_host(&environment, &labels, &name, (context.step_uuid)(), command);
            step.failure = always.then_some(FailurePolicy::Ignore);
            // One that cannot even be started is a failure that no policy covers.
            step.on_failure = always;
            step
        };
        let steps = commands.run.iter().enumerate().map(step);
        let stages = steps.map(|step| Stage { steps: vec![step] }).collect();
        let workflow = Workflow { stages, secrets: secrets(pipeline, &environment), ..Workflow::default() };
        let phase = Phase { backend: HOST_BACKEND.to_owned(), workflow, always, ..Phase::default() };
        Job { name: name.to_owned(), phases: vec![phase], labels, ..Job::default() }
    };
    Ok(Around {
        before: bootstrap.as_ref().map(|commands| job("bootstrap", commands, false)),
        after: cleanup.as_ref().map(|commands| job("cleanup", commands, true)),
    })
}
