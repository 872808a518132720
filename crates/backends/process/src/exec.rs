//! A program beside a step: started by the step's shim over a connection of its own, which tells how it ended.
//!
//! Its streams are ours and not the shim's, so nothing of them is kept, and what does not fit into a pipe that nobody reads
//! stops the program.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::pin::Pin;

use async_trait::async_trait;
use futures_util::StreamExt;
use jobwright_backend::{Error, ExecSession, LogStream, Result, TerminalSize};
use jobwright_model::StepExit;
use jobwright_shim::codec::{self, Decoder};
use jobwright_shim::protocol::{Notice, PROTOCOL, PROTOCOL_MIN};
use jobwright_shim::{Answer, ExecEnd, ExecOrder, Message, Order, Request, ShimError, descriptors, socket};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

use crate::backend::NAME;
use crate::exit;
use crate::pty::Master;
use crate::shims::does_not_answer;
use crate::streams::{Handed, Streams};

/// A running program and our ends of its streams.
pub(crate) struct Session {
    connection: Connection,
    pid: u32,
    end: Option<ExecEnd>,
    stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    output: Option<LogStream>,
    terminal: Option<Master>,
}

impl Session {
    /// Has the shim that serves `dir` start what `order` says, on the other ends of `streams`.
    pub(crate) async fn begin(
        dir: &Path,
        order: ExecOrder,
        streams: Streams,
        handed: Handed,
    ) -> Result<Self, ShimError> {
        let mut connection = Connection::open(dir)?;
        let pid = connection.start(order, &handed).await?;
        let Streams { stdin, output, terminal } = streams;
        Ok(Self { connection, pid, end: None, stdin, output: Some(output), terminal })
    }

    /// May be dropped and asked again.
    async fn end(&mut self) -> Result<StepExit> {
        while self.end.is_none() {
            match self.connection.next().await.map_err(|error| does_not_answer(&error))? {
                Message::Notice(Notice::ExecEnded(end)) if end.pid == self.pid => self.end = Some(end),
                _ => {}
            }
        }
        self.end.as_ref().map(exit::of_exec).ok_or_else(|| does_not_answer(&ShimError::Gone))
    }
}

#[async_trait]
impl ExecSession for Session {
    fn stdin(&mut self) -> Option<Pin<Box<dyn AsyncWrite + Send>>> {
        self.stdin.take()
    }

    fn output(&mut self) -> Option<LogStream> {
        self.output.take()
    }

    async fn resize(&mut self, size: TerminalSize) -> Result<()> {
        let Some(terminal) = &self.terminal else {
            let what = "resizing a program that has no terminal".to_owned();
            return Err(Error::Unsupported { backend: NAME, what });
        };
        terminal.set_size(size).map_err(|error| Error::io("resizing a terminal", error))
    }

    /// Output that nobody took is thrown away, so that the program does not stop at a full pipe.
    async fn wait(&mut self) -> Result<StepExit> {
        let Some(mut output) = self.output.take() else { return self.end().await };
        let mut end = Box::pin(self.end());
        loop {
            tokio::select! {
                end = &mut end => return end,
                chunk = output.next() => if chunk.is_none() { return end.await },
            }
        }
    }
}

/// A connection for one program.
struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    came: VecDeque<Message>,
}

impl Connection {
    fn open(dir: &Path) -> Result<Self, ShimError> {
        let unreachable = |source| ShimError::Unreachable { dir: dir.to_owned(), source };
        // A local socket connects at once or not at all.
        let stream = socket::connect(dir).map_err(unreachable)?;
        stream.set_nonblocking(true).map_err(unreachable)?;
        let stream = UnixStream::from_std(stream).map_err(unreachable)?;
        Ok(Self { stream, decoder: Decoder::default(), came: VecDeque::new() })
    }

    async fn start(&mut self, order: ExecOrder, handed: &Handed) -> Result<u32, ShimError> {
        let hello = Order::Hello { min: PROTOCOL_MIN, max: PROTOCOL };
        match self.ask(hello, &[]).await? {
            Answer::Hello { .. } => {}
            other => return Err(unexpected(&other)),
        }
        match self.ask(Order::Exec(Box::new(order)), &handed.as_fds()).await? {
            Answer::Executing { pid } => Ok(pid),
            other => Err(unexpected(&other)),
        }
    }

    /// Only one order is open at a time, so that any answer is its own.
    async fn ask(&mut self, order: Order, with: &[BorrowedFd<'_>]) -> Result<Answer, ShimError> {
        let line = codec::encode(&Request { id: 1, order })
            .map_err(|error| ShimError::Protocol(error.to_string()))?;
        let stream = &self.stream;
        let sent = stream.async_io(Interest::WRITABLE, || descriptors::send(stream, &line, with)).await;
        self.stream.write_all(&line[sent.map_err(broken)?..]).await.map_err(broken)?;
        let mut others = VecDeque::new();
        let answer = loop {
            match self.next().await? {
                Message::Answer { result, .. } => break result?,
                notice => others.push_back(notice),
            }
        };
        others.append(&mut self.came);
        self.came = others;
        Ok(answer)
    }

    /// May be dropped: what came by then is kept.
    async fn next(&mut self) -> Result<Message, ShimError> {
        let mut piece = [0; 4096];
        loop {
            if let Some(message) = self.came.pop_front() {
                return Ok(message);
            }
            match self.decoder.next_message() {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(error) => return Err(ShimError::Protocol(error.to_string())),
            }
            match self.stream.read(&mut piece).await.map_err(broken)? {
                0 => return Err(ShimError::Gone),
                length => self.decoder.push(&piece[..length]),
            }
        }
    }
}

fn broken(error: io::Error) -> ShimError {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ShimError::Gone,
        _ => ShimError::Connection(error),
    }
}

fn unexpected(answer: &Answer) -> ShimError {
    ShimError::Protocol(format!("an answer of another kind: {answer:?}"))
}
