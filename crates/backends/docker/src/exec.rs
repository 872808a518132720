//! A command that runs beside a step, in its container.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::ResizeExecOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use jobwright_backend::{
    Error, ExecRequest, ExecSession, LogChunk, LogPosition, LogStream, Result, StreamKind, TerminalSize,
};
use jobwright_model::{ExitStatus, Step, StepExit};
use tokio::io::AsyncWrite;
use tokio::time::sleep;

use crate::engine::Engine;
use crate::{environment, failure};

/// The pauses between two looks at whether the command still runs; they grow from the first to the last.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_millis(250);

/// The engine's side of a running command.
struct Command {
    engine: Engine,
    id: String,
}

/// What a command gets of its step that it does not have by being in its container.
pub(crate) struct Surroundings {
    /// Variables that the engine does not know.
    pub(crate) untold: Vec<String>,
    /// Where the step works, when that is not where its container begins.
    pub(crate) directory: Option<String>,
}

impl Surroundings {
    pub(crate) fn of(step: &Step) -> Result<Self> {
        // The script goes there itself.
        let directory = Some(step.working_dir.clone())
            .filter(|directory| directory.starts_with('/') && !step.commands.is_empty());
        Ok(Self { untold: environment::untold(step)?, directory })
    }
}

/// A running command and its streams.
pub(crate) struct Session {
    command: Command,
    terminal: bool,
    input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    output: Option<LogStream>,
}

impl Session {
    pub(crate) async fn begin(
        engine: &Engine,
        container: &str,
        request: ExecRequest,
        surroundings: Surroundings,
    ) -> Result<Self, EngineError> {
        let terminal = request.terminal.is_some();
        let own = request.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let environment = surroundings.untold.into_iter().chain(own).collect();
        let config = ExecConfig {
            attach_stdin: Some(request.input || terminal),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(terminal),
            env: Some(environment),
            working_dir: surroundings.directory,
            cmd: Some(request.argv),
            ..ExecConfig::default()
        };
        let id = engine.quick.create_exec(container, config).await?.id;
        let options = StartExecOptions { detach: false, tty: terminal, output_capacity: Some(64 * 1024) };
        let StartExecResults::Attached { output, input } =
            engine.patient.start_exec(&id, Some(options)).await?
        else {
            return Err(EngineError::DockerStreamError { error: "the command was not attached".to_owned() });
        };
        let command = Command { engine: engine.clone(), id };
        if let Some(size) = request.terminal {
            command.set_size(size).await?;
        }
        let output = chunks(engine.clone(), output);
        let input = (request.input || terminal).then_some(input);
        Ok(Self { command, terminal, input, output: Some(output) })
    }
}

impl Command {
    async fn set_size(&self, size: TerminalSize) -> Result<(), EngineError> {
        let options = ResizeExecOptionsBuilder::new().w(size.columns.into()).h(size.rows.into()).build();
        self.engine.quick.resize_exec(&self.id, options).await
    }

    /// Looks until the engine says that it has ended.
    async fn end(&self) -> Result<StepExit> {
        let mut pause = FIRST_LOOK;
        loop {
            match self.engine.quick.inspect_exec(&self.id).await {
                Ok(found) if found.running == Some(false) => {
                    let code = found.exit_code.map(|code| ExitStatus::Code(code as i32));
                    return Ok(StepExit::new(code.unwrap_or(ExitStatus::Unknown)));
                }
                Ok(_) => {}
                // Its container is gone, and its record with it.
                Err(error) if failure::is_absent(&error) => return Ok(StepExit::new(ExitStatus::Unknown)),
                Err(error) => return Err(self.engine.error("inspect the command", &error)),
            }
            sleep(pause).await;
            pause = (pause * 2).min(LAST_LOOK);
        }
    }
}

#[async_trait]
impl ExecSession for Session {
    fn stdin(&mut self) -> Option<Pin<Box<dyn AsyncWrite + Send>>> {
        self.input.take()
    }

    fn output(&mut self) -> Option<LogStream> {
        self.output.take()
    }

    async fn resize(&mut self, size: TerminalSize) -> Result<()> {
        if !self.terminal {
            let what = "resizing a command that has no terminal".to_owned();
            return Err(Error::Unsupported { backend: crate::NAME, what });
        }
        let resized = self.command.set_size(size).await;
        resized.map_err(|error| self.command.engine.error("resize the terminal", &error))
    }

    /// Output that nobody took is thrown away, as a command whose output nobody reads stops at a full pipe.
    async fn wait(&mut self) -> Result<StepExit> {
        let Some(mut output) = self.output.take() else {
            return self.command.end().await;
        };
        let mut end = Box::pin(self.command.end());
        loop {
            tokio::select! {
                end = &mut end => return end,
                chunk = output.next() => if chunk.is_none() { return end.await },
            }
        }
    }
}

/// Frames as chunks; what a terminal prints is all standard output.
fn chunks(engine: Engine, frames: BoxStream<'static, Result<LogOutput, EngineError>>) -> LogStream {
    let numbered = stream::unfold((frames, 0_u64), move |(mut frames, mut position)| {
        let engine = engine.clone();
        async move {
            loop {
                let (stream, bytes) = match frames.next().await? {
                    Ok(LogOutput::StdErr { message }) => (StreamKind::Stderr, message),
                    Ok(other) => (StreamKind::Stdout, other.into_bytes()),
                    Err(error) => {
                        let error = engine.error("read the command's output", &error);
                        return Some((Err(error), (stream::empty().boxed(), position)));
                    }
                };
                if bytes.is_empty() {
                    continue;
                }
                position += bytes.len() as u64;
                return Some((
                    Ok(LogChunk { stream, bytes, next: LogPosition::new(position) }),
                    (frames, position),
                ));
            }
        }
    });
    numbered.boxed()
}
