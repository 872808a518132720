//! The few programs that can be run beside a dummy step.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jobwright_model::{ExitStatus, Step, StepExit, parse_duration};
use tokio::io::{AsyncReadExt, AsyncWrite, DuplexStream};
use tokio::sync::watch;

use super::backend::NAME;
use super::engine::gone;
use super::scenario::variable;
use super::spool::Spool;
use crate::{Error, ExecRequest, ExecSession, LogPosition, LogStream, Result, StreamKind, TerminalSize};

/// How many bytes of input wait for a program that does not read.
const INPUT_BUFFER: usize = 64 * 1024;

pub(super) fn start(step: &Step, request: ExecRequest) -> Result<Box<dyn ExecSession>> {
    if request.argv.is_empty() {
        return Err(Error::invalid_step(step, "a command to run in it has at least the program's name"));
    }
    let (stdin, input) = tokio::io::duplex(INPUT_BUFFER);
    let (tell, exit) = watch::channel(None);
    let output = Arc::new(Spool::new());
    let terminal = request.terminal.is_some();
    let has_input = terminal || request.input;
    let program = Program { step: step.clone(), request, input, output: Arc::clone(&output) };
    // Not ended with the session: dropping that closes the input and leaves the program running.
    tokio::spawn(async move {
        let code = program.run().await;
        tell.send_replace(Some(StepExit::new(ExitStatus::Code(code))));
    });
    Ok(Box::new(Session { stdin: has_input.then_some(stdin), output: Some(output), exit, terminal }))
}

struct Program {
    step: Step,
    request: ExecRequest,
    input: DuplexStream,
    output: Arc<Spool>,
}

impl Program {
    async fn run(mut self) -> i32 {
        let argv = without_shell(&self.request.argv);
        let name = Path::new(&argv[0]).file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match (name, &argv[1..]) {
            ("true", _) => 0,
            ("false", _) => 1,
            ("echo", words) => self.print(words.join(" ") + "\n"),
            ("cat", []) => self.copy().await,
            ("printenv", [name]) => match self.variable(name) {
                Some(value) => self.print(value + "\n"),
                None => 1,
            },
            ("sleep", [time]) => {
                tokio::time::sleep(parse_duration(time).unwrap_or(Duration::ZERO)).await;
                0
            }
            (other, _) => {
                self.output.write(StreamKind::Stderr, format!("{other}: not found\n").into());
                127
            }
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        let own = self.request.environment.iter().rev().find(|(own, _)| own == name);
        own.map(|(_, value)| value).or_else(|| variable(&self.step, name)).cloned()
    }

    fn print(&self, text: String) -> i32 {
        self.output.write(StreamKind::Stdout, text.into());
        0
    }

    async fn copy(&mut self) -> i32 {
        let mut buffer = vec![0; 8192];
        loop {
            match self.input.read(&mut buffer).await {
                Ok(0) => return 0,
                Ok(count) => self.output.write(StreamKind::Stdout, Bytes::copy_from_slice(&buffer[..count])),
                Err(_) => return 1,
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.output.close();
    }
}

/// The program that a shell is asked for, as far as one word is told from the next by blanks.
fn without_shell(argv: &[String]) -> Vec<String> {
    match argv {
        [shell, option, text] if shell.ends_with("sh") && option == "-c" && !text.trim().is_empty() => {
            text.split_whitespace().map(str::to_owned).collect()
        }
        _ => argv.to_vec(),
    }
}

struct Session {
    stdin: Option<DuplexStream>,
    output: Option<Arc<Spool>>,
    exit: watch::Receiver<Option<StepExit>>,
    terminal: bool,
}

#[async_trait]
impl ExecSession for Session {
    fn stdin(&mut self) -> Option<Pin<Box<dyn AsyncWrite + Send>>> {
        self.stdin.take().map(|stdin| Box::pin(stdin) as Pin<Box<dyn AsyncWrite + Send>>)
    }

    fn output(&mut self) -> Option<LogStream> {
        let spool = self.output.take()?;
        let chunks = stream::unfold((spool, LogPosition::START), |(spool, from)| async move {
            let chunk = spool.next(from).await?;
            let next = chunk.next;
            Some((Ok(chunk), (spool, next)))
        });
        Some(chunks.boxed())
    }

    async fn resize(&mut self, _size: TerminalSize) -> Result<()> {
        if self.terminal {
            return Ok(());
        }
        Err(Error::Unsupported { backend: NAME, what: "a size for a command without a terminal".to_owned() })
    }

    async fn wait(&mut self) -> Result<StepExit> {
        let ended = self.exit.wait_for(Option::is_some).await;
        let exit = ended.ok().and_then(|exit| exit.clone());
        exit.ok_or_else(|| gone("the command ended with its engine"))
    }
}
