//! A step's output, read back from the engine's own log.
//!
//! **Positions.** A position counts the bytes of both streams together, from the start, in the log's own order, which never
//! changes once written. Reading from a position is reading from the start and discarding.
//!
//! **Completeness.** Engines may end a followed log before its last lines: the end of the container and the last write race
//! within the follower, in Docker up to 20.10 now and then, in Podman 4.3 nearly always when there is much to read, even over
//! a container that ended long ago. So the end of one pass is not believed. The log is opened again and read past what is
//! known, and only a pass that cannot have missed anything and brings nothing new is the end. For Docker that is one begun
//! after the one before it had ended: over a container that has ended it reads the finished file. For Podman it is one that
//! does not follow, over a container whose record says that it has ended: what it wrote is in the file before that. Podman's
//! follower is not waited for, as it goes on for half a second after the end, and for ever where nobody cleaned up after the
//! container (see `end`). The price is one more call (for Podman a few), and reading the log twice.

use std::time::Duration;

use bollard::Docker as Client;
use bollard::container::LogOutput;
use bollard::errors::Error as EngineError;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use jobwright_backend::{Error, LogChunk, LogPosition, LogStream, Result, StreamKind};
use jobwright_model::{Step, TaskUuid};

use tokio::time::sleep;

use crate::Inner;
use crate::end::{End, await_end};
use crate::engine::{Engine, EngineKind};
use crate::failure;
use crate::line_ends::LineEnds;

/// The pause before Podman's log that ended although its container runs is followed again.
const BREATH: Duration = Duration::from_millis(100);

impl Inner {
    /// The output of `step` from `from` on.
    pub(crate) async fn tail(&self, step: &Step, task: &TaskUuid, from: LogPosition) -> Result<LogStream> {
        let engine = self.engine().await?;
        let container =
            self.container_of(step, task).await?.ok_or_else(|| Error::unknown_step(step, task))?;
        let reader = Reader::new(engine.clone(), container.id, from.get());
        Ok(stream::unfold(reader, Reader::next).boxed())
    }
}

/// Reads one container's log, pass after pass.
struct Reader {
    client: Client,
    kind: EngineKind,
    container: String,
    pass: BoxStream<'static, Result<LogOutput, EngineError>>,
    /// Is done when Podman's container has ended; none on Docker, and after that.
    end: Option<BoxFuture<'static, Result<End>>>,
    /// Bytes that the caller has, or does not want.
    position: u64,
    /// How many of these the present pass has still to bring.
    known: u64,
    /// What the present pass has to put back.
    line_ends: LineEnds,
    /// Whether the present pass brought something new.
    news: bool,
    /// Whether the present pass cannot miss anything: when it brings nothing new, all was read.
    settles: bool,
    over: bool,
}

/// What a reader waited for.
enum Event {
    Frame(Option<Result<LogOutput, EngineError>>),
    Ended(Result<End>),
}

impl Reader {
    fn new(engine: Engine, container: String, position: u64) -> Self {
        let (client, kind) = (engine.patient.clone(), engine.kind);
        let id = container.clone();
        let end = (kind == EngineKind::Podman).then(|| async move { await_end(&engine, &id).await }.boxed());
        Self {
            pass: open(&client, &container, true),
            client,
            kind,
            container,
            end,
            position,
            known: position,
            line_ends: LineEnds::default(),
            news: false,
            settles: false,
            over: false,
        }
    }

    async fn next(mut self) -> Option<(Result<LogChunk>, Self)> {
        while !self.over {
            match self.event().await {
                Event::Frame(Some(Ok(output))) => {
                    if let Some(answer) = self.take(output) {
                        return Some((answer, self));
                    }
                }
                Event::Frame(Some(Err(error))) => {
                    self.over = true;
                    return self.judge(&error).map(|error| (Err(error), self));
                }
                Event::Frame(None) if self.settles && !self.news => self.over = true,
                Event::Frame(None) => self.reopen(),
                Event::Ended(Ok(_)) => {
                    self.end = None;
                    self.reopen();
                }
                Event::Ended(Err(error)) => {
                    self.over = true;
                    return Some((Err(error), self));
                }
            }
        }
        None
    }

    /// The next frame, or the container's end. A pass that ends while the container lives is given a rest.
    async fn event(&mut self) -> Event {
        let Some(end) = &mut self.end else {
            return Event::Frame(self.pass.next().await);
        };
        let frame = async {
            let frame = self.pass.next().await;
            if frame.is_none() {
                sleep(BREATH).await;
            }
            frame
        };
        tokio::select! {
            biased;
            frame = frame => Event::Frame(frame),
            ended = end => Event::Ended(ended),
        }
    }

    /// Begins the next pass.
    fn reopen(&mut self) {
        let follow = self.kind == EngineKind::Docker || self.end.is_some();
        self.settles = self.end.is_none();
        self.pass = open(&self.client, &self.container, follow);
        (self.known, self.news, self.line_ends) = (self.position, false, LineEnds::default());
    }

    /// The new part of a frame, if it has one.
    fn take(&mut self, output: LogOutput) -> Option<Result<LogChunk>> {
        let (stream, mut bytes) = match output {
            LogOutput::StdOut { message } => (StreamKind::Stdout, message),
            LogOutput::StdErr { message } => (StreamKind::Stderr, message),
            LogOutput::StdIn { .. } | LogOutput::Console { .. } => {
                self.over = true;
                return Some(Err(Error::EngineGone {
                    engine: self.kind.name(),
                    reason: format!("the log of container {} broke off within a frame", self.container),
                }));
            }
        };
        if self.kind == EngineKind::Docker {
            bytes = self.line_ends.mend(stream, bytes);
        }
        let length = bytes.len() as u64;
        if length <= self.known {
            self.known -= length;
            return None;
        }
        let bytes = bytes.split_off(usize::try_from(self.known).unwrap_or(usize::MAX).min(bytes.len()));
        self.known = 0;
        self.position += bytes.len() as u64;
        self.news = true;
        Some(Ok(LogChunk { stream, bytes, next: LogPosition::new(self.position) }))
    }

    /// The step's destruction ends its log; anything else is an error.
    fn judge(&self, error: &EngineError) -> Option<Error> {
        let destroyed = failure::is_absent(error)
            || failure::is_being_removed(error)
            || failure::status(error) == Some(409);
        (!destroyed).then(|| failure::translate(self.kind, "read the container's log", error))
    }
}

fn open(
    client: &Client,
    container: &str,
    follow: bool,
) -> BoxStream<'static, Result<LogOutput, EngineError>> {
    let options = LogsOptionsBuilder::new().follow(follow).stdout(true).stderr(true).build();
    client.logs(container, Some(options)).boxed()
}
