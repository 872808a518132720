//! A server that listens: its connections, and how it ends. Not for where it listens (`builder`), nor for what it answers.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use jobwright_executor::Executor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::builder::{Address, Builder};
use crate::places::Place;
use crate::queue_api::Shared;
use crate::stall::Stalling;
use crate::unix::Socket;

/// How long the head of a request may take to come, and how long a connection may be idle before it.
const HEAD: Duration = Duration::from_secs(30);
/// How long to rest when a connection cannot be taken, for want of file descriptors mostly.
const REST: Duration = Duration::from_millis(100);

/// A place where it listens, and what is answered there.
pub(crate) struct Door {
    pub(crate) address: Address,
    pub(crate) listener: Listener,
    pub(crate) router: Router,
    /// Its places for connections.
    pub(crate) connections: Arc<Semaphore>,
}

pub(crate) enum Listener {
    Unix(Socket),
    Tcp(TcpListener),
}

/// A server that listens.
pub struct Server {
    pub(crate) doors: Vec<Door>,
    pub(crate) closing: CancellationToken,
    pub(crate) carried: TaskTracker,
    pub(crate) grace: Duration,
    pub(crate) stall: Duration,
    pub(crate) queues: Option<Arc<Shared>>,
}

impl Server {
    /// A server of what this executor has.
    #[must_use]
    pub fn builder(executor: Arc<dyn Executor>) -> Builder {
        Builder::new(executor)
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.doors.iter().map(|door| door.address.clone()).collect()
    }

    /// Serves until `stop` is over. Then nobody new is taken, who waits is told so, streams are broken off, and what is being done has the
    /// grace to end; after it connections are cut. Executions are not touched. When this is dropped, connections are cut at once.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (connections, cut) = (TaskTracker::new(), CancellationToken::new());
        let house = House {
            closing: self.closing.clone(),
            cut: cut.clone(),
            connections: connections.clone(),
            stall: self.stall,
        };
        let _when_dropped = (self.closing.clone().drop_guard(), cut.clone().drop_guard());
        for door in self.doors {
            connections.spawn(house.clone().accept(door));
        }
        if let Some(queues) = self.queues {
            connections.spawn(queues.reset_stalled(self.closing.clone()));
        }
        stop.await;
        self.closing.cancel();
        connections.close();
        self.carried.close();
        let ended = async { tokio::join!(connections.wait(), self.carried.wait()) };
        if timeout(self.grace, ended).await.is_err() {
            tracing::warn!(
                "what was being done did not end within {} s; connections are cut",
                self.grace.as_secs_f64()
            );
            cut.cancel();
            connections.wait().await;
        }
    }
}

/// What all connections share.
#[derive(Clone)]
struct House {
    closing: CancellationToken,
    cut: CancellationToken,
    connections: TaskTracker,
    stall: Duration,
}

impl House {
    /// Takes connections until the server is to end.
    async fn accept(self, door: Door) {
        while let Some(Ok(place)) =
            self.closing.run_until_cancelled(Arc::clone(&door.connections).acquire_owned()).await
        {
            let accepted = match &door.listener {
                Listener::Tcp(listener) => {
                    self.closing.run_until_cancelled(listener.accept()).await.map(|accepted| {
                        accepted.map(|(stream, _)| {
                            // Events are small and are to come at once; when that cannot be set they come later.
                            let _ = stream.set_nodelay(true);
                            self.clone().serve(stream, &door.router, place);
                        })
                    })
                }
                Listener::Unix(socket) => {
                    self.closing.run_until_cancelled(socket.listener.accept()).await.map(|accepted| {
                        accepted.map(|(stream, _)| self.clone().serve(stream, &door.router, place))
                    })
                }
            };
            if let Some(Err(error)) = accepted {
                tracing::warn!("a connection could not be taken: {error}");
                sleep(REST).await;
            }
        }
    }

    fn serve<S>(self, stream: S, router: &Router, place: Place)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = TowerToHyperService::new(router.clone());
        self.connections.clone().spawn(async move {
            let _place = place;
            let stream = Stalling::new(stream, self.stall);
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(HEAD);
            let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
            let outcome = tokio::select! {
                outcome = connection.as_mut() => outcome,
                () = self.closing.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    self.cut.run_until_cancelled(connection).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = outcome {
                tracing::debug!("a connection ended with an error: {error}");
            }
        });
    }
}
