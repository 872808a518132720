//! Why a command could not do what it was asked, for the person who asked.

use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use jobwright_engine::{CloneError, PrepareError, ResumeError, RunError};
use jobwright_executor::Error as ExecutionError;
use jobwright_journal::StateDirError;
use jobwright_model::Ending;
use jobwright_pipeline::{LoadError, Look, Report};

use crate::exit::Exit;
use crate::show::aside;

/// A message and the exit code that goes with it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: Message,
}

#[derive(Debug)]
enum Message {
    /// One sentence, to be shown after "error: ".
    Text(String),
    /// Findings in a file, which bring their own form.
    Findings(Box<Report>),
}

impl Failure {
    /// A failure with one sentence.
    pub(crate) fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: Message::Text(message.to_string()) }
    }

    /// Findings in a person's file.
    pub(crate) fn findings(report: Report) -> Self {
        Self { exit: Exit::Invalid, message: Message::Findings(Box::new(report)) }
    }

    /// The same with another exit code.
    pub(crate) fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// The message as one text.
    pub(crate) fn text(&self) -> String {
        match &self.message {
            Message::Text(text) => text.clone(),
            Message::Findings(report) => report.render(Look::Plain),
        }
    }

    /// Writes the message to standard error and gives the program's exit code.
    pub(crate) fn show(&self) -> ExitCode {
        self.tell().into()
    }

    /// Writes the message to standard error.
    pub(crate) fn tell(&self) -> Exit {
        match &self.message {
            Message::Text(text) => {
                let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
                aside::say(format_args!("{red}error{red:#}: {text}"));
            }
            Message::Findings(report) => aside::say(report.render(look()).trim_end()),
        }
        self.exit
    }
}

/// What standard error can show.
pub(crate) fn look() -> Look {
    let stderr = std::io::stderr();
    if !stderr.is_terminal() {
        return Look::Plain;
    }
    let width = rustix::termios::tcgetwinsize(&stderr).map_or(100, |size| usize::from(size.ws_col));
    Look::Terminal { colour: anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never, width }
}

impl From<StateDirError> for Failure {
    fn from(error: StateDirError) -> Self {
        Self::new(Exit::Unavailable, error)
    }
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        let exit = match error {
            ExecutionError::NotFound(_) => {
                let text = format!(
                    "{error} in this state directory; `jobwright executions ls` lists those that there are"
                );
                return Self::new(Exit::NotFound, text);
            }
            ExecutionError::LogsExpired(_) => Exit::NotFound,
            ExecutionError::Invalid { .. } => Exit::Invalid,
            ExecutionError::UnknownEngine { .. }
            | ExecutionError::Backend(_)
            | ExecutionError::Store { .. }
            | ExecutionError::Damaged(_) => Exit::Unavailable,
            _ => Exit::Failed,
        };
        Self::new(exit, error)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Invalid(report) => Self::findings(report),
            error => Self::new(Exit::NotFound, error),
        }
    }
}

impl From<ResumeError> for Failure {
    fn from(error: ResumeError) -> Self {
        match error {
            ResumeError::Run(error) => error.into(),
            ResumeError::Unknown(_) => Self::new(Exit::NotFound, error),
            ResumeError::Ended(_) | ResumeError::Owned(_) | ResumeError::Unwritten(_) => {
                Self::new(Exit::Invalid, error)
            }
            _ => Self::new(Exit::Unavailable, error),
        }
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Config(error) => (*error).into(),
            PrepareError::NoConfig(_)
            | PrepareError::UnknownJob { .. }
            | PrepareError::UnknownStage { .. } => Self::new(Exit::NotFound, error),
            PrepareError::Cancelled(cause) => {
                Self::new(Exit::of(&Ending::new(cause)), "the run was cancelled before it began")
            }
            PrepareError::Project { ref source, .. } if source.kind() == ErrorKind::NotFound => {
                Self::new(Exit::NotFound, error)
            }
            PrepareError::Clone(CloneError::Address(_)) => Self::new(Exit::Invalid, error),
            PrepareError::Clone(_) => Self::new(Exit::Unavailable, error),
            error => Self::new(Exit::Invalid, error),
        }
    }
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Prepare(error) => error.into(),
            RunError::Jobs(report) => Self::findings(*report),
            RunError::Secret(_) => Self::new(Exit::Invalid, error),
            RunError::NeverBegan => Self::new(Exit::Failed, error),
            error => Self::new(Exit::Unavailable, error),
        }
    }
}
