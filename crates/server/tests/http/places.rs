//! How many are served at a time, and that those who keep their places do not stand before others.

use std::time::Duration;

use futures_util::StreamExt;
use jobwright_model::StreamKind;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::fake::id;
use crate::support::{House, LONG, TOKEN, following};

/// Far more than anything here takes that is not stuck.
const STUCK: Duration = Duration::from_secs(20);

/// Asks for nothing but health, without a token, and keeps the connection.
async fn enters<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) -> S {
    let answered = async {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
    };
    timeout(STUCK, answered).await.expect("there is no place for it");
    stream
}

#[tokio::test]
async fn who_fills_the_places_of_tcp_does_not_stand_before_the_unix_socket() {
    let house = House::open_as(|builder| builder.connections(3)).await;
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(enters(TcpStream::connect(house.tcp).await.unwrap()).await);
    }
    let mut owners = Vec::new();
    for _ in 0..3 {
        owners.push(enters(UnixStream::connect(&house.socket).await.unwrap()).await);
    }
}

#[tokio::test]
async fn requests_that_wait_leave_places_for_others() {
    let house = House::open_as(|builder| builder.connections(4)).await;
    house.fake.runs("e");
    let waits: Vec<_> = (0..3)
        .map(|_| {
            let client = house.tcp_client.clone();
            tokio::spawn(async move { client.wait(&id("e"), LONG).await })
        })
        .collect();
    house.fake.until_so_many_begun(3, "wait").await;
    let events = "accept: text/event-stream\r\n";
    let json = "content-type: application/json\r\n";
    for (line, headers, body) in [
        ("GET /api/v1/executions/e/wait", "", ""),
        ("GET /api/v1/executions/e/wait?timeout=5", "", ""),
        ("GET /api/v1/executions/e/status?until=paused", "", ""),
        ("GET /api/v1/executions/e/logs?follow=1", "", ""),
        ("GET /api/v1/executions/e/logs?follow=1", events, ""),
        ("GET /api/v1/executions/e/logs", events, ""),
        ("POST /api/v1/executions/e/exec", json, r#"{"argv":["true"]}"#),
    ] {
        let answer = timeout(STUCK, house.ask(line, headers, body.as_bytes())).await.expect(line);
        let (code, message) = answer.error();
        assert_eq!((answer.status, code.as_str()), (503, "too_many_waiting"), "{line}");
        assert!(message.starts_with("3 requests that wait") && message.contains("ask again"), "{message}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    for (path, status) in [
        ("/healthz", 200),
        ("/api/v1/executions/e/wait?timeout=0", 204),
        ("/api/v1/executions/e/status", 200),
        ("/api/v1/executions/e/status?until=paused&timeout=0", 409),
        ("/api/v1/executions/e/logs", 200),
    ] {
        assert_eq!(timeout(STUCK, house.get(path)).await.expect(path).status, status, "{path}");
    }
    // The other door has places of its own.
    let other = house.unix_client.events(&following("e"), None).await.unwrap();
    timeout(STUCK, house.tcp_client.cancel(&id("e"))).await.unwrap().unwrap();
    for wait in waits {
        assert!(wait.await.unwrap().unwrap().is_some());
    }
    // Their places are free again.
    assert!(house.tcp_client.wait(&id("e"), LONG).await.unwrap().is_some());
    drop(other);
}

#[tokio::test]
async fn output_that_is_followed_gives_its_place_back_when_nobody_reads_it() {
    let house = House::open_as(|builder| builder.connections(2)).await;
    house.fake.runs("e");
    house.fake.writes("e", StreamKind::Stdout, "a");
    for _ in 0..3 {
        let mut stream = house.tcp_client.logs(&following("e"), None).await.unwrap();
        stream.next().await.unwrap().unwrap();
        assert_eq!(house.fake.streams(), 1);
        drop(stream);
        house.fake.until(|fake| fake.streams() == 0).await;
    }
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_loses_the_connection() {
    let house = House::open_as(|builder| builder.stall(Duration::from_millis(50))).await;
    house.fake.runs("e");
    let piece = bytes::Bytes::from(vec![b'x'; 64 << 10]);
    for _ in 0..1024 {
        house.fake.writes("e", StreamKind::Stdout, piece.clone());
    }
    let mut stream = TcpStream::connect(house.tcp).await.unwrap();
    let request = format!(
        "GET /api/v1/executions/e/logs HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    house.fake.until(|fake| fake.streams() == 1).await;
    timeout(STUCK, house.fake.until(|fake| fake.streams() == 0)).await.expect("it is kept for ever");
    assert!(house.fake.pulled() < 1024 * piece.len() as u64);
}
