//! Output as server-sent events.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use jobwright_client::{EventStream, LogEvent};
use jobwright_model::{ExecutionStatus, LogStreamRequest, StreamKind};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::fake::id;
use crate::support::{House, TOKEN, following, of};

const ACCEPT: &str = "accept: application/json, text/event-stream;q=0.9\r\n";

fn output(stream: StreamKind, offset: u64, bytes: &'static [u8]) -> LogEvent {
    LogEvent::Output { stream, offset, next: offset + bytes.len() as u64, bytes: bytes.into() }
}

async fn all(stream: EventStream) -> Vec<LogEvent> {
    stream.try_collect().await.unwrap()
}

async fn with_output() -> House {
    let house = House::open().await;
    house.fake.runs("e");
    house.fake.writes("e", StreamKind::Stdout, "a\nü\r\n");
    house.fake.writes("e", StreamKind::Stderr, b"\xff\x00".as_slice());
    house
}

#[tokio::test]
async fn events_tell_stream_and_place_and_at_last_the_status() {
    let house = with_output().await;
    house.fake.ends("e", 1);
    let expected = [
        output(StreamKind::Stdout, 0, "a\nü\r\n".as_bytes()),
        output(StreamKind::Stderr, 6, b"\xff\x00"),
        LogEvent::End { status: ExecutionStatus::Failed },
    ];
    for client in [&house.unix_client, &house.tcp_client] {
        assert_eq!(all(client.events(&following("e"), None).await.unwrap()).await, expected);
    }
    let answer = house.ask("GET /api/v1/executions/e/logs?follow=1", ACCEPT, b"").await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    let expected = "event: output\nid: 6\ndata: {\"stream\":\"stdout\",\"offset\":0,\"text\":\"a\\nü\\r\\n\"}\n\n\
                    event: output\nid: 8\ndata: {\"stream\":\"stderr\",\"offset\":6,\"base64\":\"/wA=\"}\n\n\
                    event: end\ndata: {\"status\":\"failed\"}\n\n";
    assert_eq!(String::from_utf8(answer.body).unwrap(), expected);
}

#[tokio::test]
async fn events_go_on_where_they_broke_off() {
    let house = with_output().await;
    let mut stream = house.tcp_client.events(&following("e"), None).await.unwrap();
    let LogEvent::Output { next, .. } = stream.next().await.unwrap().unwrap() else {
        panic!("output comes first")
    };
    drop(stream);
    house.fake.writes("e", StreamKind::Stdout, "more");
    // Also when the page asked for the tail: what came in the meantime is not lost.
    let request = LogStreamRequest { tail: true, ..following("e") };
    let stream = house.tcp_client.events(&request, Some(next)).await.unwrap();
    house.fake.ends("e", 0);
    let expected = [
        output(StreamKind::Stderr, 6, b"\xff\x00"),
        output(StreamKind::Stdout, 8, b"more"),
        LogEvent::End { status: ExecutionStatus::Success },
    ];
    assert_eq!(all(stream).await, expected);
    // From within a character, and from behind the end.
    let stream = house.unix_client.events(&of("e"), Some(3)).await.unwrap();
    assert_eq!(all(stream).await[0], output(StreamKind::Stdout, 3, b"\xbc\r\n"));
    let stream = house.unix_client.events(&of("e"), Some(12)).await.unwrap();
    assert_eq!(all(stream).await, [LogEvent::End { status: ExecutionStatus::Success }]);
}

#[tokio::test]
async fn a_tail_leaves_out_what_was_written_before() {
    let house = with_output().await;
    let request = LogStreamRequest { tail: true, ..following("e") };
    let mut stream = house.unix_client.events(&request, None).await.unwrap();
    house.fake.writes("e", StreamKind::Stdout, "new");
    assert_eq!(stream.next().await.unwrap().unwrap(), output(StreamKind::Stdout, 8, b"new"));
}

#[tokio::test]
async fn what_is_not_followed_ends_with_the_status_that_it_has() {
    let house = with_output().await;
    let events = all(house.unix_client.events(&of("e"), None).await.unwrap()).await;
    assert_eq!(events.last(), Some(&LogEvent::End { status: ExecutionStatus::Running }));
}

#[tokio::test]
async fn an_error_on_the_way_is_an_event_with_its_code() {
    let house = with_output().await;
    let mut stream = house.unix_client.events(&following("e"), None).await.unwrap();
    stream.next().await.unwrap().unwrap();
    stream.next().await.unwrap().unwrap();
    house.fake.fails(jobwright_executor::Error::NotFound(id("e")));
    house.fake.writes("e", StreamKind::Stdout, "x");
    assert_eq!(stream.next().await.unwrap().unwrap_err().code(), Some("not_found"));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn an_id_that_is_no_place_is_refused() {
    let house = with_output().await;
    for last in ["x", "-1", "1.5", ""] {
        let headers = format!("{ACCEPT}last-event-id: {last}\r\n");
        let answer = house.ask("GET /api/v1/executions/e/logs", &headers, b"").await;
        assert_eq!((answer.status, answer.error().0.as_str()), (400, "invalid_event_id"), "{last}");
    }
}

#[tokio::test]
async fn a_silent_stream_says_that_it_is_there() {
    let house = House::open_as(|builder| builder.keep_alive(Duration::from_millis(10))).await;
    house.fake.runs("e");
    let mut stream = BufReader::new(TcpStream::connect(house.tcp).await.unwrap());
    let request = format!(
        "GET /api/v1/executions/e/logs?follow=1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n{ACCEPT}\r\n"
    );
    stream.get_mut().write_all(request.as_bytes()).await.unwrap();
    let (mut line, mut comments) = (String::new(), 0);
    while comments < 2 {
        line.clear();
        assert_ne!(stream.read_line(&mut line).await.unwrap(), 0);
        comments += usize::from(line.starts_with(':'));
    }
}
