//! Whether the server can do its work.

use super::refused;
use super::slow::Slow;
use crate::queue::support::{Desk, text};
use crate::support::House;

#[tokio::test]
async fn a_server_whose_store_answers_is_ready_and_asks_for_no_token() {
    let desk = Desk::open().await;
    let answer = desk.with("").get("/readyz").await;
    assert_eq!((answer.status, text(&answer)), (200, "ready\n"));
    let house = House::open().await;
    assert_eq!(house.get("/readyz").await.status, 200, "without queues there is nothing to wait for");
    let elsewhere = desk.house.ask_as("GET /readyz", "host: evil.example.org\r\n", b"").await;
    assert_eq!(refused(&elsewhere), (403, "forbidden_host".into()));
}

#[tokio::test]
async fn a_server_whose_store_does_not_answer_is_not() {
    let (slow, gate) = Slow::waiting_in("attempt_of_token");
    let desk = Desk::open_on(slow).await;
    let answer = desk.with("").get("/readyz").await;
    assert_eq!(refused(&answer), (503, "not_ready".into()));
    let alive = desk.with("").get("/healthz").await;
    assert_eq!(alive.status, 200, "it lives all the same");
    gate.open();
    assert_eq!(desk.with("").get("/readyz").await.status, 200);
}
