//! What goes into and comes out of a program beside a step: our ends of its pipes or terminal, and its own ends to hand over.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, future};
use jobwright_backend::{Error, LogChunk, LogPosition, LogStream, StreamKind, TerminalSize};
use jobwright_workspace::Owner;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::unix::pipe;

use crate::pty::{self, Master};

/// What is read at once.
const PIECE: usize = 64 << 10;

/// Our ends.
pub(crate) struct Streams {
    /// None for a program that finds the end of its input at once.
    pub(crate) stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    pub(crate) output: LogStream,
    /// For changing the size, where it is a terminal.
    pub(crate) terminal: Option<Master>,
}

/// The program's ends: three pipes, or one terminal.
pub(crate) struct Handed(Vec<OwnedFd>);

impl Handed {
    pub(crate) fn as_fds(&self) -> Vec<BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd).collect()
    }
}

/// Three pipes; the first is closed at our end unless the program is to have `input`.
pub(crate) fn pipes(input: bool) -> io::Result<(Streams, Handed)> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC);
    let ((its_stdin, stdin), (stdout, its_stdout), (stderr, its_stderr)) = (pipe()?, pipe()?, pipe()?);
    for ours in [&stdin, &stdout, &stderr] {
        // The two ends of a pipe have their own flags.
        rustix::io::ioctl_fionbio(ours, true)?;
    }
    let stdin = Input(Some(pipe::Sender::from_owned_fd(stdin)?));
    let stdin = input.then(|| Box::pin(stdin) as Pin<Box<dyn AsyncWrite + Send>>);
    let stdout = pieces(pipe::Receiver::from_owned_fd(stdout)?, StreamKind::Stdout);
    let stderr = pieces(pipe::Receiver::from_owned_fd(stderr)?, StreamKind::Stderr);
    let output = chunks(stream::select(stdout, stderr).boxed());
    Ok((Streams { stdin, output, terminal: None }, Handed(vec![its_stdin, its_stdout, its_stderr])))
}

/// A terminal of this size, for a program of `owner`.
pub(crate) fn terminal(size: TerminalSize, owner: Option<Owner>) -> io::Result<(Streams, Handed)> {
    let (master, its_end) = pty::open(size, owner)?;
    let output = chunks(pieces(master.clone(), StreamKind::Stdout).boxed());
    let streams = Streams { stdin: Some(Box::pin(master.clone())), output, terminal: Some(master) };
    Ok((streams, Handed(vec![its_end])))
}

type Piece = io::Result<(StreamKind, BytesMut)>;

/// What comes out of `source`, to its end or an error.
fn pieces(
    source: impl AsyncRead + Send + Unpin,
    kind: StreamKind,
) -> impl futures_util::Stream<Item = Piece> + Send {
    stream::unfold(Some(source), move |source| async move {
        let mut source = source?;
        let mut piece = BytesMut::with_capacity(PIECE);
        match source.read_buf(&mut piece).await {
            Ok(0) => None,
            Ok(_) => Some((Ok((kind, piece)), Some(source))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// Pieces as chunks: their positions count the bytes of both streams.
fn chunks(pieces: BoxStream<'static, Piece>) -> LogStream {
    let chunks = pieces.scan(0_u64, |position, piece| {
        let chunk = piece.map(|(stream, bytes)| {
            *position += bytes.len() as u64;
            LogChunk { stream, bytes: bytes.freeze(), next: LogPosition::new(*position) }
        });
        future::ready(Some(
            chunk.map_err(|error| Error::io("reading the output of a program beside a step", error)),
        ))
    });
    chunks.boxed()
}

/// A pipe that ends when it is shut down.
struct Input(Option<pipe::Sender>);

impl Input {
    fn pipe(&mut self) -> io::Result<Pin<&mut pipe::Sender>> {
        let closed = || io::Error::new(io::ErrorKind::BrokenPipe, "the input was closed before");
        self.0.as_mut().map(Pin::new).ok_or_else(closed)
    }
}

impl AsyncWrite for Input {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.pipe()?.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}
