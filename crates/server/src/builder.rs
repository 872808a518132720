//! What a server is to be: where it listens, and for whom. Not for how it runs, which is `server`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::uri::Authority;
use axum::{Router, middleware};
use jobwright_executor::Executor;
use jobwright_model::is_loopback;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{Api, router};
use crate::guard::{self, Guard};
use crate::places::Places;
use crate::queue_api::{Desk, QueueApi, Shared};
use crate::server::{Door, Listener, Server};
use crate::token::Token;
use crate::unix::Socket;
use crate::{Error, Result};

/// How many connections a door has at a time.
const CONNECTIONS: usize = 1024;
/// How long a client may take nothing of its answer.
const STALL: Duration = Duration::from_secs(60);
/// How long what is being done has to end when the server is to end.
const GRACE: Duration = Duration::from_secs(10);
/// How often an event stream without events says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// TCP, with the port that it got.
    Tcp(SocketAddr),
}

/// What a server is to be.
pub struct Builder {
    executor: Arc<dyn Executor>,
    token: Option<Token>,
    unix: Vec<PathBuf>,
    tcp: Vec<SocketAddr>,
    beyond_loopback: bool,
    names: Vec<String>,
    grace: Duration,
    keep_alive: Duration,
    connections: usize,
    stall: Duration,
    queues: Option<QueueApi>,
}

impl Builder {
    pub(crate) fn new(executor: Arc<dyn Executor>) -> Self {
        Self {
            executor,
            token: None,
            unix: Vec::new(),
            tcp: Vec::new(),
            beyond_loopback: false,
            names: Vec::new(),
            grace: GRACE,
            keep_alive: KEEP_ALIVE,
            connections: CONNECTIONS,
            stall: STALL,
            queues: None,
        }
    }

    /// The token that every request over TCP must carry. Over the unix socket nobody is asked for it.
    #[must_use]
    pub fn token(mut self, token: Option<Token>) -> Self {
        self.token = token;
        self
    }

    /// Listens on a unix socket too. It gets the mode 0600; its directory must be private, and is made when it is not there.
    #[must_use]
    pub fn unix(mut self, path: impl Into<PathBuf>) -> Self {
        self.unix.push(path.into());
        self
    }

    /// Listens on TCP too; port 0 for any that is free. Needs a token, and [`beyond_loopback`](Self::beyond_loopback) when it is not a
    /// loopback address.
    #[must_use]
    pub fn tcp(mut self, address: SocketAddr) -> Self {
        self.tcp.push(address);
        self
    }

    /// That other machines may reach this server is meant. What is said to it goes over the network as it is, the token too: something that
    /// speaks TLS belongs in front of it.
    #[must_use]
    pub fn beyond_loopback(mut self, meant: bool) -> Self {
        self.beyond_loopback = meant;
        self
    }

    /// A name (or an address, an IPv6 one in brackets) under which it may be asked over TCP, beside those of the loopback; without a port.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// How long what is being done has to end when the server is to end; 10 seconds when nobody says.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How often an event stream without events says that it is still there; every 15 seconds when nobody says.
    #[must_use]
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.keep_alive = keep_alive;
        self
    }

    /// How many connections there are at a time at each address, two at least; 1024 when nobody says. More wait to be taken. Three quarters
    /// of them may be of requests that wait.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// How long a client may take nothing of what it is being sent before the connection is broken off; a minute when nobody says.
    #[must_use]
    pub fn stall(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// Serves queues too: to whoever may ask this server, and at `/.executors/` to executors of Sourcegraph.
    #[must_use]
    pub fn queues(mut self, queues: Option<QueueApi>) -> Self {
        self.queues = queues;
        self
    }

    /// Listens; nothing is answered before [`Server::run`].
    ///
    /// # Errors
    /// When there is no address, one that may not be, or one that cannot be had. Then it listens nowhere.
    pub async fn bind(mut self) -> Result<Server> {
        if self.unix.is_empty() && self.tcp.is_empty() {
            return Err(Error::Nowhere);
        }
        if let Some(name) = self.names.iter().find(|name| !is_host(name)) {
            return Err(Error::Name(name.clone()));
        }
        let queues = self.queues.take().map(QueueApi::build);
        let house = House { closing: CancellationToken::new(), carried: TaskTracker::new(), queues };
        let mut doors = Vec::new();
        for address in &self.tcp {
            doors.push(self.tcp_door(*address, &house).await?);
        }
        for path in &self.unix {
            let (router, connections) = self.room(&house);
            let listener = Listener::Unix(Socket::bind(path).await?);
            doors.push(Door { address: Address::Unix(path.clone()), listener, router, connections });
        }
        let House { closing, carried, queues } = house;
        Ok(Server { doors, closing, carried, grace: self.grace, stall: self.stall, queues })
    }

    /// What is answered at a door, and its places for connections.
    fn room(&self, house: &House) -> (Router, Arc<Semaphore>) {
        let places = Places::new(self.connections);
        let queues = house.queues.as_ref().map(|shared| {
            let desk = Desk {
                shared: Arc::clone(shared),
                carried: house.carried.clone(),
                waits: places.waits.clone(),
                closing: house.closing.clone(),
            };
            desk.routes()
        });
        let api = Api {
            executor: Arc::clone(&self.executor),
            closing: house.closing.clone(),
            carried: house.carried.clone(),
            waits: places.waits,
            grace: self.grace,
            keep_alive: self.keep_alive,
            queues: house.queues.clone(),
        };
        (router(api, queues), places.connections)
    }

    async fn tcp_door(&self, address: SocketAddr, house: &House) -> Result<Door> {
        let is_loopback = is_loopback(address.ip());
        if !is_loopback && !self.beyond_loopback {
            return Err(Error::NotLoopback(address));
        }
        if !is_loopback && house.queues.as_ref().is_some_and(|queues| queues.is_open()) {
            return Err(Error::QueuesOpen(address));
        }
        let token = self.token.clone().ok_or(Error::NoToken(address))?;
        let mut names = self.names.clone();
        if !is_loopback && !address.ip().is_unspecified() {
            names.push(if address.is_ipv6() {
                format!("[{}]", address.ip())
            } else {
                address.ip().to_string()
            });
        }
        let others = house.queues.as_ref().map_or_else(Vec::new, |queues| queues.beginnings());
        let failed = |source| Error::Listen { address: address.to_string(), operation: "bind it", source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = Address::Tcp(listener.local_addr().map_err(failed)?);
        let guard = Arc::new(Guard { token, names, others });
        let (router, connections) = self.room(house);
        let router = router.layer(middleware::from_fn_with_state(guard, guard::check));
        Ok(Door { address, listener: Listener::Tcp(listener), router, connections })
    }
}

/// What all doors share.
struct House {
    closing: CancellationToken,
    carried: TaskTracker,
    queues: Option<Arc<Shared>>,
}

/// Whether a text is the name or the address of a host and nothing beside it.
fn is_host(text: &str) -> bool {
    text.parse::<Authority>().is_ok_and(|authority| !text.is_empty() && authority.host() == text)
}
