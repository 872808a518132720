//! An asynchronous connection to one shim: orders go out in the order they are given, answers find who asked, ends of steps
//! find who waits for them.
//!
//! A task owns the socket; everybody else holds this handle. When the shim goes, or the task's runtime, everything that
//! waits is told that the connection is gone, which says nothing about steps.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jobwright_shim::codec::{self, Decoder};
use jobwright_shim::protocol::{Notice, PROTOCOL, PROTOCOL_MIN};
use jobwright_shim::{Answer, ExitRecord, Message, Order, Request, ShimError, StepId, socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

type Reply = oneshot::Sender<Result<Answer, ShimError>>;

/// A handle to a connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// The shim's directory, for those who need a connection of their own.
    dir: PathBuf,
    orders: mpsc::UnboundedSender<(Order, Reply)>,
    ends: Arc<Ends>,
    gone: watch::Receiver<()>,
}

/// What is known of the ends of steps, and who waits for which.
#[derive(Debug, Default)]
struct Ends(Mutex<HashMap<StepId, End>>);

/// The end of one step.
#[derive(Debug, Default)]
struct End {
    waiting: Vec<oneshot::Sender<ExitRecord>>,
    /// The step was started over this connection, so its end cannot have been missed: it is kept when it comes.
    expected: bool,
    came: Option<ExitRecord>,
}

impl Ends {
    fn all(&self) -> MutexGuard<'_, HashMap<StepId, End>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expect(&self, step: &StepId) {
        self.all().insert(step.clone(), End { expected: true, ..End::default() });
    }

    /// Waits for the end of `step`; true when it has come or certainly will come after all that happened before this call.
    fn add(&self, step: &StepId) -> (oneshot::Receiver<ExitRecord>, bool) {
        let (sender, receiver) = oneshot::channel();
        let mut all = self.all();
        let end = all.entry(step.clone()).or_default();
        match &end.came {
            // The receiver is here, so there is somebody to take it.
            Some(exit) => drop(sender.send(exit.clone())),
            None => {
                // Those who asked and left again do not pile up.
                end.waiting.retain(|sender| !sender.is_closed());
                end.waiting.push(sender);
            }
        }
        (receiver, end.expected)
    }

    fn tell(&self, step: StepId, exit: &ExitRecord) {
        let mut all = self.all();
        let Some(end) = all.get_mut(&step) else { return };
        for sender in end.waiting.drain(..) {
            // Whoever dropped the receiver no longer wants to know.
            let _ = sender.send(exit.clone());
        }
        if end.expected {
            end.came = Some(exit.clone());
        } else {
            all.remove(&step);
        }
    }

    fn forget(&self, step: &StepId) {
        self.all().remove(step);
    }

    fn forget_all(&self) {
        self.all().clear();
    }
}

impl Link {
    /// Connects to the shim that serves `dir`.
    pub(crate) async fn connect(dir: &Path) -> Result<Self, ShimError> {
        let unreachable = |source| ShimError::Unreachable { dir: dir.to_owned(), source };
        // A local socket connects at once or not at all.
        let stream = socket::connect(dir).map_err(unreachable)?;
        stream.set_nonblocking(true).map_err(unreachable)?;
        let stream = UnixStream::from_std(stream).map_err(unreachable)?;
        let (orders, given) = mpsc::unbounded_channel();
        let (alive, gone) = watch::channel(());
        let ends = Arc::new(Ends::default());
        let connection = Connection {
            stream,
            decoder: Decoder::default(),
            unanswered: HashMap::new(),
            last_id: 0,
            ends: Arc::clone(&ends),
        };
        tokio::spawn(async move {
            connection.serve(given).await;
            // Dropped last: who sees it may look for an exit that the connection still told.
            drop(alive);
        });
        let link = Self { dir: dir.to_owned(), orders, ends, gone };
        match link.call(Order::Hello { min: PROTOCOL_MIN, max: PROTOCOL }).await? {
            Answer::Hello { .. } => Ok(link),
            other => Err(ShimError::Protocol(format!("a hello was answered with {other:?}"))),
        }
    }

    /// The directory of the shim at the other end.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Gives an order; it is on its way when this returns, whether the answer is awaited or not.
    pub(crate) fn order(
        &self,
        order: Order,
    ) -> impl Future<Output = Result<Answer, ShimError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let sent = self.orders.send((order, reply));
        async move {
            sent.map_err(|_| ShimError::Gone)?;
            answer.await.unwrap_or(Err(ShimError::Gone))
        }
    }

    /// Gives an order and waits for its answer.
    pub(crate) async fn call(&self, order: Order) -> Result<Answer, ShimError> {
        self.order(order).await
    }

    /// A step is about to be started over this connection: its end is kept from now on.
    pub(crate) fn expect(&self, step: &StepId) {
        self.ends.expect(step);
    }

    /// Nobody will ask for the end of this step any more.
    pub(crate) fn forget(&self, step: &StepId) {
        self.ends.forget(step);
    }

    /// The end of a step; an error when the connection is gone before it comes. False when it may have come already: only of a
    /// step that was [expected](Self::expect) is that known.
    pub(crate) fn end_of(&self, step: &StepId) -> (oneshot::Receiver<ExitRecord>, bool) {
        let end = self.ends.add(step);
        if self.is_gone() {
            // It may have gone between the last look and this one, with nobody left to tell.
            self.ends.forget_all();
        }
        end
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.has_changed().is_err()
    }

    /// Returns when the connection is gone.
    pub(crate) async fn gone(&self) {
        let mut gone = self.gone.clone();
        // Nothing is ever sent; the sender's end is the news.
        while gone.changed().await.is_ok() {}
    }
}

struct Connection {
    stream: UnixStream,
    decoder: Decoder,
    unanswered: HashMap<u64, Reply>,
    last_id: u64,
    ends: Arc<Ends>,
}

impl Connection {
    async fn serve(mut self, mut given: mpsc::UnboundedReceiver<(Order, Reply)>) {
        if let Err(error) = self.exchange(&mut given).await {
            tracing::debug!(%error, "connection to the shim ended");
        }
        given.close();
        self.ends.forget_all();
    }

    /// Until the handle is dropped or the shim is gone.
    async fn exchange(&mut self, given: &mut mpsc::UnboundedReceiver<(Order, Reply)>) -> io::Result<()> {
        let mut piece = vec![0; 16 << 10];
        loop {
            tokio::select! {
                order = given.recv() => match order {
                    Some((order, reply)) => self.send(order, reply).await?,
                    None => return Ok(()),
                },
                length = self.stream.read(&mut piece) => match length? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    length => self.take(&piece[..length])?,
                },
            }
        }
    }

    /// The shim reads whatever else it does, so writing without reading meanwhile cannot lock both up.
    async fn send(&mut self, order: Order, reply: Reply) -> io::Result<()> {
        self.last_id += 1;
        match codec::encode(&Request { id: self.last_id, order }) {
            Ok(line) => {
                self.unanswered.insert(self.last_id, reply);
                self.stream.write_all(&line).await
            }
            Err(error) => {
                let _ = reply.send(Err(ShimError::Protocol(error.to_string())));
                Ok(())
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.decoder.push(bytes);
        while let Some(message) = self.decoder.next_message().map_err(io::Error::other)? {
            match message {
                Message::Answer { id, result } => {
                    if let Some(reply) = self.unanswered.remove(&id) {
                        let _ = reply.send(result.map_err(ShimError::Refused));
                    }
                }
                Message::Notice(Notice::Exited { step, exit, .. }) => self.ends.tell(step, &exit),
                Message::Notice(Notice::OutputDone { .. } | Notice::ExecEnded(_)) => {}
            }
        }
        Ok(())
    }
}
