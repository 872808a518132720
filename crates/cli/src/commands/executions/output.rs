//! What executions write, and commands beside them: bytes on their way to our own standard output and standard error.

use std::io::{self, ErrorKind, Write};

use futures_util::StreamExt;
use jobwright_backend::StreamKind;
use jobwright_executor::{Error, Executions, Executor, OutputStream};
use jobwright_journal::StateDir;
use jobwright_model::{ExecutionId, LogStreamRequest};
use jobwright_runtime::Scope;
use tokio::io::AsyncWriteExt;

use super::Opened;
use crate::args::{ExecutionsExecArgs, ExecutionsLogsArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::shell::{self, Shell};
use crate::signals;

/// What a program ends by that writes where nobody reads, as a shell tells it.
const BY_SIGPIPE: u8 = 128 + 13;

/// Why output was not passed on to its end.
#[derive(Debug)]
pub(in crate::commands) enum Broken {
    /// It cannot be read.
    Unread(Error),
    /// It cannot be written.
    Unwritten(io::Error),
}

/// What a program ends with whose output goes nowhere.
pub(in crate::commands) fn exit_of_broken(id: &ExecutionId, broken: Broken) -> Result<Exit, Failure> {
    match broken {
        Broken::Unwritten(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::OfProgram(BY_SIGPIPE)),
        Broken::Unwritten(error) => {
            let text = format!("execution {id}: its output cannot be written: {error}");
            Err(Failure::new(Exit::Ourselves, text))
        }
        Broken::Unread(error) => Err(Failure::from(error).with_exit(Exit::Ourselves)),
    }
}

/// Passes output on, each stream to ours of that name.
pub(in crate::commands) struct Passing {
    stdout: tokio::io::Stdout,
    stderr: tokio::io::Stderr,
    only: Option<StreamKind>,
}

impl Passing {
    /// Of both streams.
    pub(in crate::commands) fn all() -> Self {
        Self { stdout: tokio::io::stdout(), stderr: tokio::io::stderr(), only: None }
    }

    /// To the end of `output`.
    pub(in crate::commands) async fn pass_on(&mut self, mut output: OutputStream) -> Result<(), Broken> {
        while let Some(chunk) = output.next().await {
            let chunk = chunk.map_err(Broken::Unread)?;
            if self.only.is_none_or(|only| only == chunk.stream) {
                self.write(chunk.stream, &chunk.bytes).await.map_err(Broken::Unwritten)?;
            }
        }
        Ok(())
    }

    async fn write(&mut self, stream: StreamKind, bytes: &[u8]) -> io::Result<()> {
        match stream {
            StreamKind::Stdout => {
                self.stdout.write_all(bytes).await?;
                self.stdout.flush().await
            }
            StreamKind::Stderr => {
                self.stderr.write_all(bytes).await?;
                self.stderr.flush().await
            }
        }
    }
}

pub(super) async fn logs(args: ExecutionsLogsArgs, state: &StateDir) -> Result<Exit, Failure> {
    let (id, opened) = (args.of.id, Opened::new(args.of.backends, state)?);
    let job_id = opened.executor.get_info(&id).await?.job_id;
    let wanted =
        LogStreamRequest { job_id, execution_id: id.clone(), tail: args.tail_now, follow: args.follow };
    let output = opened.executor.get_log_stream(wanted).await?;
    let only = match (args.stdout, args.stderr) {
        (true, _) => Some(StreamKind::Stdout),
        (_, true) => Some(StreamKind::Stderr),
        _ => None,
    };
    match (Passing { only, ..Passing::all() }).pass_on(output).await {
        Ok(()) => Ok(Exit::Success),
        Err(Broken::Unread(error)) => Err(error.into()),
        // Who stops reading has seen enough.
        Err(Broken::Unwritten(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Success),
        Err(Broken::Unwritten(error)) => {
            Err(Failure::new(Exit::Unavailable, format!("the log of {id} cannot be written: {error}")))
        }
    }
}

/// As `jobwright exec` and `jobwright shell`: what goes wrong on our side has its own code, but for what is not there.
pub(super) async fn exec(args: ExecutionsExecArgs, state: &StateDir) -> Result<Exit, Failure> {
    let opened = Opened::new(args.of.backends, state)?;
    let executor = opened.reaching(&args.of.id).await?;
    let ran = match args.interactive {
        true => inside(executor, &args.of.id, args.command, args.tty).await,
        false => beside(executor, &args.of.id, &args.command).await,
    };
    ran.map_err(|failure| failure.with_exit(Exit::Ourselves))
}

async fn beside(executor: &Executions, id: &ExecutionId, command: &[String]) -> Result<Exit, Failure> {
    let mut unwritten = None;
    let mut write = |stream, bytes: &[u8]| {
        let written = match stream {
            StreamKind::Stdout => write_all(io::stdout().lock(), bytes),
            StreamKind::Stderr => write_all(io::stderr().lock(), bytes),
        };
        written.map_err(|error| {
            let kind = error.kind();
            unwritten = Some(error);
            kind.into()
        })
    };
    let ran = executor.exec_into(id, command, &mut write).await;
    match (unwritten, ran) {
        (Some(error), _) => exit_of_broken(id, Broken::Unwritten(error)),
        (None, Ok(code)) => u8::try_from(code).map(Exit::OfProgram).map_err(|_| {
            Failure::new(Exit::Ourselves, format!("execution {id}: nobody can say how the command ended"))
        }),
        (None, Err(error)) => Err(error.into()),
    }
}

fn write_all(mut to: impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes)?;
    to.flush()
}

/// With our standard input, and our terminal where that is asked for.
async fn inside(
    executor: &Executions,
    id: &ExecutionId,
    command: Vec<String>,
    on_terminal: bool,
) -> Result<Exit, Failure> {
    let shell = Shell::with_input(command, on_terminal)?;
    let scope = Scope::new();
    let words = signals::Words {
        ending: format!("leaving execution {id}, which goes on"),
        left: format!("left at once; execution {id} goes on"),
    };
    signals::watch_for(&scope, words)?;
    let visited = tokio::select! {
        visited = executor.enter(id, &shell) => visited?,
        // The terminal is given back; what runs inside is told that its own is gone.
        cause = scope.cancelled() => return Ok(Exit::of(&jobwright_model::Ending::new(cause))),
    };
    match visited {
        Ok(exit) => shell::code(&exit).map(Exit::OfProgram).ok_or_else(|| {
            Failure::new(Exit::Ourselves, format!("execution {id}: nobody can say how the command ended"))
        }),
        Err(ending) => {
            let why = ending.evidence.unwrap_or_else(|| ending.cause.as_str().replace('_', " "));
            Err(Failure::new(Exit::Ourselves, format!("execution {id}: {why}")))
        }
    }
}
