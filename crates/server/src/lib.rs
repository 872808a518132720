//! Jobwright over HTTP: executions by id (`docs/book/http.md`), with JSON in and out, output as bytes or as server-sent events, one shape of
//! error; queues (`queues`) in the same manner, and for executors of Sourcegraph (`queue_api`) as those ask and are answered. It listens on a unix socket,
//! which its file's mode guards, and on TCP, which a token guards.
//!
//! Not here: what an execution is and how it runs (`executor`), who starts a server (`cli`), and how one is asked (`client`).

mod api;
mod body;
mod builder;
mod error;
mod exec;
mod executions;
mod extract;
mod guard;
mod logs;
mod metrics;
mod openapi;
mod places;
mod queue_api;
mod queues;
mod range;
mod ready;
mod refusal;
mod schema;
mod server;
mod stall;
mod token;
mod unix;

pub use builder::{Address, Builder};
pub use error::{Error, Result};
pub use openapi::document as openapi;
pub use queue_api::{AgentMetrics, InvalidQueueApi, QueueApi};
pub use server::Server;
pub use token::{InvalidToken, Token};
