//! A person, or a script, inside a job's environment: a program beside the step that waits there, with our own standard streams. Not for
//! what the environment is made of (`engine`).

pub(crate) mod terminal;
mod traffic;

use std::io::IsTerminal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use jobwright_backend::{ExecRequest, ExecSession, TerminalSize};
use jobwright_model::{Cause, Ending, ExitStatus, StepExit};
use jobwright_runtime::{Visited, Visitor};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::shell::terminal::Raw;

/// Variables of this environment that a program on a terminal needs to know about it.
const OF_TERMINAL: [&str; 3] = ["TERM", "COLORTERM", "LANG"];

/// The shell that reads the job's script: every backend names it to its steps.
const OWN_SHELL: [&str; 3] = ["/bin/sh", "-c", "exec \"${SHELL:-/bin/sh}\""];

/// Whether the terminal is a shell's.
static OPEN: AtomicBool = AtomicBool::new(false);

/// Whether somebody is inside at this moment, so that our terminal is not ours.
pub(crate) fn is_open() -> bool {
    OPEN.load(Ordering::Relaxed)
}

/// Somebody is inside until this is dropped.
struct Inside;

impl Inside {
    fn enter() -> Self {
        OPEN.store(true, Ordering::Relaxed);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        OPEN.store(false, Ordering::Relaxed);
    }
}

/// What a program gets that writes where nobody reads.
const SIGPIPE: i32 = 13;

/// What is to run in the environment.
pub(crate) struct Shell {
    /// Empty: the shell that reads the job's own script.
    argv: Vec<String>,
    /// Our terminal, if it is to be the program's too.
    on_terminal: bool,
    exit: OnceLock<StepExit>,
}

impl Shell {
    /// `command`, or `shell`, or the job's own shell; on our terminal when both standard input and output are one.
    pub(crate) fn new(command: Vec<String>, shell: Option<String>) -> Self {
        let argv = if command.is_empty() { shell.into_iter().collect() } else { command };
        let on_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
        Self { argv, on_terminal, exit: OnceLock::new() }
    }

    /// `command`, or the environment's own shell, with our standard input, and our terminal if that is wanted.
    ///
    /// # Errors
    /// When there is no terminal to be given.
    pub(crate) fn with_input(command: Vec<String>, on_terminal: bool) -> Result<Self, Failure> {
        let shell = Self::new(command, None);
        if on_terminal && !shell.on_terminal {
            let text = "--tty: standard input and standard output are not a terminal; leave it out to give it what is piped in";
            return Err(Failure::new(Exit::Ourselves, text));
        }
        Ok(Self { on_terminal, ..shell })
    }

    /// How it ended, if it came to an end of its own.
    pub(crate) fn exit(&self) -> Option<&StepExit> {
        self.exit.get()
    }

    fn request(&self) -> ExecRequest {
        let argv = match self.argv.as_slice() {
            [] => OWN_SHELL.map(str::to_owned).into(),
            argv => argv.to_vec(),
        };
        let variable = |name: &str| Some((name.to_owned(), std::env::var(name).ok()?));
        let environment = if self.on_terminal {
            OF_TERMINAL.iter().filter_map(|name| variable(name)).collect()
        } else {
            Vec::new()
        };
        let terminal =
            self.on_terminal.then(|| terminal::size().unwrap_or(TerminalSize { columns: 80, rows: 24 }));
        ExecRequest { argv, environment, input: true, terminal }
    }

    async fn follow(&self, session: &mut dyn ExecSession) -> Result<StepExit, Ending> {
        let failed = |what: &str| Ending::new(Cause::StartFailure).because(what.to_owned());
        let stdin = session.stdin().ok_or_else(|| failed("the shell has no input"))?;
        let output = session.output().ok_or_else(|| failed("the shell has no output"))?;
        let ended = CancellationToken::new();
        let mut out = AbortOnDropHandle::new(tokio::spawn(traffic::out(output, ended.clone())));
        let mut hung_up = AbortOnDropHandle::new(tokio::spawn(traffic::into(stdin)));
        let mut resized = signal(SignalKind::window_change())
            .map_err(|error| failed(&format!("the terminal's size cannot be followed: {error}")))?;
        let (mut listens, mut speaks) = (true, true);
        let exit = loop {
            tokio::select! {
                exit = session.wait() => break exit,
                written = &mut out, if speaks => {
                    speaks = false;
                    // Nobody reads what we write: the program ends as if it had written there itself.
                    if matches!(written, Ok(Err(_))) {
                        break Ok(StepExit::new(ExitStatus::Signal(SIGPIPE)));
                    }
                }
                _ = resized.recv(), if self.on_terminal => {
                    if let Some(size) = terminal::size() {
                        // One that has just ended cannot be resized, and needs not be.
                        let _ = session.resize(size).await;
                    }
                }
                _ = &mut hung_up, if listens => {
                    if self.on_terminal {
                        return Err(Ending::new(Cause::ByShutdown).because("the terminal was closed"));
                    }
                    listens = false;
                }
            }
        };
        ended.cancel();
        if speaks {
            // An error means that nobody reads what we write.
            let _ = (&mut out).await;
        }
        exit.map_err(|error| Ending::new(error.cause()).because(error.to_string()))
    }
}

#[async_trait]
impl Visitor for Shell {
    async fn visit(&self, Visited { control, step, task }: Visited<'_>) -> Result<StepExit, Ending> {
        let begun = control.exec(step, task, self.request()).await;
        let mut session = begun.map_err(|error| Ending::new(error.cause()).because(error.to_string()))?;
        let _inside = Inside::enter();
        let raw = self.on_terminal.then(Raw::begin).transpose();
        let _raw = raw.map_err(|error| {
            Ending::new(Cause::StartFailure).because(format!("the terminal cannot be set up: {error}"))
        })?;
        let exit = self.follow(&mut *session).await?;
        Ok(self.exit.get_or_init(|| exit).clone())
    }
}

/// The program's exit code as a shell tells it; none when nobody can say.
pub(crate) fn code(exit: &StepExit) -> Option<u8> {
    match exit.status {
        ExitStatus::Code(code) => Some(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
        ExitStatus::Signal(signal) => u8::try_from(128 + signal).ok(),
        ExitStatus::Unknown => None,
    }
}
