//! How a server ends, and what of its work goes on when those who asked hang up.

use std::time::Duration;

use futures_util::StreamExt;
use jobwright_client::Error;
use jobwright_model::{ExecOutput, ExecutionRequest, SpecConfig, StreamKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::fake::{id, job};
use crate::support::{House, LONG, following};

fn request() -> ExecutionRequest {
    ExecutionRequest::new(job("j"), id("e"), SpecConfig::new("fake"))
}

#[tokio::test]
async fn a_server_that_ends_tells_those_who_wait_and_breaks_off_what_is_not_whole() {
    let mut house = House::open().await;
    house.fake.runs("e");
    house.fake.writes("e", StreamKind::Stdout, "a");
    let mut bytes = house.tcp_client.logs(&following("e"), None).await.unwrap();
    assert_eq!(bytes.next().await.unwrap().unwrap(), "a");
    let mut events = house.unix_client.events(&following("e"), None).await.unwrap();
    events.next().await.unwrap().unwrap();
    let client = house.unix_client.clone();
    let wait = tokio::spawn(async move { client.wait(&id("e"), LONG).await });
    house.fake.until_begun("wait").await;
    house.stop.take().unwrap().send(()).unwrap();
    assert_eq!(wait.await.unwrap().unwrap_err().code(), Some("shutting_down"));
    assert!(matches!(bytes.next().await, Some(Err(Error::Unreachable { .. }))));
    assert_eq!(events.next().await.unwrap().unwrap_err().code(), Some("shutting_down"));
    house.task.await.unwrap();
    assert!(!house.socket.exists());
    assert!(matches!(house.tcp_client.get_id().await, Err(Error::Unreachable { .. })));
}

#[tokio::test]
async fn a_start_goes_on_when_the_one_who_asked_hangs_up() {
    let house = House::open().await;
    house.fake.starts_wait();
    let body = serde_json::to_string(&request()).unwrap();
    let head = "POST /api/v1/executions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let mut stream = UnixStream::connect(&house.socket).await.unwrap();
    let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.unwrap();
    house.fake.until_begun("start").await;
    stream.shutdown().await.unwrap();
    // The server has noticed when it closes its side too.
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    house.fake.starts_go_on();
    house.fake.until(|fake| fake.request("e").is_some()).await;
}

/// Runs a command by a client of its own.
fn command(house: &House) -> JoinHandle<Result<ExecOutput, Error>> {
    let client = house.tcp_client.clone();
    tokio::spawn(async move { client.exec(&id("e"), &["true".into()], LONG).await })
}

#[tokio::test]
async fn a_command_goes_on_when_the_one_who_asked_hangs_up() {
    let house = House::open().await;
    house.fake.runs("e");
    house.fake.commands_wait();
    let body = r#"{"argv":["true"]}"#;
    let head =
        "POST /api/v1/executions/e/exec HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let mut stream = UnixStream::connect(&house.socket).await.unwrap();
    let text = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await.unwrap();
    house.fake.until_begun("exec").await;
    stream.shutdown().await.unwrap();
    // The server has noticed when it closes its side too.
    assert_eq!(stream.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    house.fake.commands_go_on();
    let ended = house.fake.until_begun("the end of exec");
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it was given up");
}

#[tokio::test]
async fn a_server_that_ends_lets_a_command_end() {
    let mut house = House::open().await;
    house.fake.runs("e");
    house.fake.commands_wait();
    let command = command(&house);
    house.fake.until_begun("exec").await;
    house.stop.take().unwrap().send(()).unwrap();
    // The server is ending when it listens no more.
    while house.tcp_client.get_id().await.is_ok() {}
    house.fake.commands_go_on();
    assert_eq!(command.await.unwrap().unwrap().exit_code, 7);
    house.task.await.unwrap();
}

#[tokio::test]
async fn a_command_that_outlasts_the_server_is_said_to_have_begun() {
    let mut house = House::open_as(|builder| builder.grace(Duration::from_secs(2))).await;
    house.fake.runs("e");
    house.fake.commands_wait();
    let command = command(&house);
    house.fake.until_begun("exec").await;
    house.stop.take().unwrap().send(()).unwrap();
    let told = command.await.unwrap().unwrap_err();
    assert!(matches!(&told, Error::Refused { status: 500, .. }), "{told}");
    assert!(told.code() == Some("end_unknown") && told.to_string().contains("was begun"), "{told}");
    house.task.await.unwrap();
}

#[tokio::test]
async fn a_server_that_ends_lets_a_start_be_done() {
    let mut house = House::open().await;
    house.fake.starts_wait();
    let client = house.tcp_client.clone();
    let start = tokio::spawn(async move { client.start(&request()).await });
    house.fake.until_begun("start").await;
    house.stop.take().unwrap().send(()).unwrap();
    house.fake.starts_go_on();
    start.await.unwrap().unwrap();
    house.task.await.unwrap();
}

#[tokio::test]
async fn a_server_does_not_wait_for_ever_for_what_does_not_end() {
    let mut house = House::open_as(|builder| builder.grace(Duration::from_millis(50))).await;
    house.fake.starts_wait();
    let client = house.tcp_client.clone();
    let start = tokio::spawn(async move { client.start(&request()).await });
    house.fake.until_begun("start").await;
    house.stop.take().unwrap().send(()).unwrap();
    house.task.await.unwrap();
    assert!(matches!(start.await.unwrap(), Err(Error::Unreachable { .. })));
}

#[tokio::test]
async fn a_server_that_is_dropped_lets_go_of_its_connections() {
    let house = House::open().await;
    house.fake.runs("e");
    house.fake.writes("e", StreamKind::Stdout, "a");
    let mut bytes = house.tcp_client.logs(&following("e"), None).await.unwrap();
    assert_eq!(bytes.next().await.unwrap().unwrap(), "a");
    house.task.abort();
    assert!(matches!(bytes.next().await, Some(Err(Error::Unreachable { .. }))));
}
