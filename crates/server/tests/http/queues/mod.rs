//! Our own interface of queues over real TCP, asked by hand, in front of a store.

mod all;
mod client;
mod events;
mod jobs;
mod logs;
mod metrics;
mod ready;
mod slow;

use serde_json::Value;

use crate::queue::support::Desk;
use crate::support::Answer;

const JSON: &str = "content-type: application/json\r\n";

impl Desk {
    /// Asks for `/api/v1/queues…` with the server's token.
    async fn own(&self, method: &str, path: &str, body: &Value) -> Answer {
        let line = format!("{method} /api/v1/queues{path}");
        self.house.ask(&line, JSON, body.to_string().as_bytes()).await
    }

    async fn look(&self, path: &str) -> Answer {
        self.house.get(&format!("/api/v1/queues{path}")).await
    }
}

/// The status and the code of an error.
fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.error().0)
}
