//! Output as bytes: whole, in ranges, followed, and read slowly.

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use jobwright_client::{ByteStream, Error};
use jobwright_model::{LogStreamRequest, StreamKind};

use crate::fake::{id, job};
use crate::support::{House, following, of};

async fn all(stream: ByteStream) -> Vec<u8> {
    stream.try_collect::<Vec<Bytes>>().await.unwrap().concat()
}

async fn with_output() -> House {
    let house = House::open().await;
    house.fake.runs("e");
    for (stream, piece) in
        [(StreamKind::Stdout, "0123"), (StreamKind::Stderr, "456"), (StreamKind::Stdout, "789")]
    {
        house.fake.writes("e", stream, piece);
    }
    house
}

#[tokio::test]
async fn output_is_read_whole_while_it_runs_and_after_its_end() {
    let house = with_output().await;
    for client in [&house.unix_client, &house.tcp_client] {
        assert_eq!(all(client.logs(&of("e"), None).await.unwrap()).await, b"0123456789");
    }
    house.fake.ends("e", 0);
    let answer = house.get("/api/v1/executions/e/logs").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"0123456789".as_slice()));
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
    let head = house.ask("HEAD /api/v1/executions/e/logs", "", b"").await;
    assert_eq!(head.header("accept-ranges"), Some("bytes"));
}

#[tokio::test]
async fn a_range_is_answered_with_its_bytes_and_its_place() {
    let house = with_output().await;
    for (range, body, place) in [
        ("bytes=0-", "0123456789", "bytes 0-9/10"),
        ("bytes=2-5", "2345", "bytes 2-5/10"),
        ("bytes=4-4", "4", "bytes 4-4/10"),
        ("bytes=7-99", "789", "bytes 7-9/10"),
        ("bytes=5-9", "56789", "bytes 5-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-30", "0123456789", "bytes 0-9/10"),
    ] {
        let answer = house.ask("GET /api/v1/executions/e/logs", &format!("range: {range}\r\n"), b"").await;
        assert_eq!((answer.status, String::from_utf8_lossy(&answer.body).as_ref()), (206, body), "{range}");
        assert_eq!(answer.header("content-range"), Some(place), "{range}");
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()), "{range}");
    }
    let (before, _) =
        (house.fake.pulled(), house.ask("GET /api/v1/executions/e/logs", "range: bytes=-1\r\n", b"").await);
    assert_eq!(house.fake.pulled() - before, 1, "nothing that lies before it is read");
    assert_eq!(all(house.unix_client.logs(&of("e"), Some(3..=6)).await.unwrap()).await, b"3456");
}

#[tokio::test]
async fn a_range_that_there_is_not_is_refused() {
    let house = with_output().await;
    for range in ["bytes=10-", "bytes=10-20", "bytes=-0"] {
        let answer = house.ask("GET /api/v1/executions/e/logs", &format!("range: {range}\r\n"), b"").await;
        assert_eq!((answer.status, answer.error().0.as_str()), (416, "no_such_range"), "{range}");
        assert_eq!(answer.header("content-range"), Some("bytes */10"));
    }
    for (path, range) in [
        ("", "bytes=5-3"),
        ("", "bytes=0-1,3-4"),
        ("", "bytes=x"),
        ("?follow=1", "bytes=0-"),
        ("?tail=1", "bytes=0-"),
    ] {
        let answer = house
            .ask(&format!("GET /api/v1/executions/e/logs{path}"), &format!("range: {range}\r\n"), b"")
            .await;
        assert_eq!((answer.status, answer.error().0.as_str()), (400, "invalid_range"), "{range}");
    }
    for ignored in ["range: lines=1-2\r\n", "range: bytes=1-2\r\nif-range: \"x\"\r\n"] {
        let answer = house.ask("GET /api/v1/executions/e/logs", ignored, b"").await;
        assert_eq!((answer.status, answer.body.len()), (200, 10));
    }
}

#[tokio::test]
async fn output_that_is_followed_comes_as_it_is_written_until_the_end() {
    let house = with_output().await;
    let request = LogStreamRequest { tail: true, ..following("e") };
    let mut stream = house.tcp_client.logs(&request, None).await.unwrap();
    house.fake.writes("e", StreamKind::Stdout, "new");
    assert_eq!(stream.next().await.unwrap().unwrap(), "new");
    house.fake.writes("e", StreamKind::Stdout, "newer");
    assert_eq!(stream.next().await.unwrap().unwrap(), "newer");
    house.fake.ends("e", 0);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn output_of_another_job_is_not_given() {
    let house = with_output().await;
    let request = LogStreamRequest { job_id: job("other"), ..of("e") };
    let refused = house.unix_client.logs(&request, None).await.err().unwrap();
    assert_eq!(refused.code(), Some("other_job"));
    let request = LogStreamRequest { execution_id: id("nobody"), ..of("e") };
    let refused = house.unix_client.logs(&request, None).await.err().unwrap();
    assert_eq!(refused.code(), Some("not_found"));
}

#[tokio::test]
async fn output_that_cannot_be_read_on_breaks_off_and_does_not_look_whole() {
    let house = with_output().await;
    let mut stream = house.unix_client.logs(&following("e"), None).await.unwrap();
    for piece in ["0123", "456", "789"] {
        assert_eq!(stream.next().await.unwrap().unwrap(), piece);
    }
    house.fake.fails(jobwright_executor::Error::Several(vec!["the disk is gone".into()]));
    house.fake.writes("e", StreamKind::Stdout, "x");
    assert!(matches!(stream.next().await, Some(Err(Error::Unreachable { .. }))));
}

#[tokio::test]
async fn who_reads_slowly_is_not_read_ahead_for() {
    const PIECE: usize = 64 << 10;
    const AHEAD: u64 = 24 << 20;
    let house = House::open().await;
    house.fake.runs("e");
    let piece = Bytes::from(vec![b'x'; PIECE]);
    for _ in 0..4096 {
        house.fake.writes("e", StreamKind::Stdout, piece.clone());
    }
    let mut stream = house.tcp_client.logs(&of("e"), None).await.unwrap();
    let mut read = 0;
    for _ in 0..200 {
        read += stream.next().await.unwrap().unwrap().len() as u64;
        // Others are served meanwhile, and the one who lags holds what sockets hold and no more.
        house.unix_client.get_status(&id("e")).await.unwrap();
        assert!(house.fake.pulled() <= read + AHEAD, "{} of {read}", house.fake.pulled());
    }
    assert!(house.fake.pulled() < 4096 * PIECE as u64);
}
