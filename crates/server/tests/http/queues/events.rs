//! Reads an event stream by hand.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::TOKEN;

/// An event stream over TCP. Events are found by their lines: those of the chunks between them look like none.
pub(super) struct Events {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Events {
    pub(super) async fn of(address: SocketAddr, path: &str) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        let request = format!(
            "GET /api/v1/queues{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\r\n"
        );
        stream.get_mut().write_all(request.as_bytes()).await.unwrap();
        let mut events = Self { stream, line: String::new() };
        assert_eq!(events.line().await.as_deref(), Some("HTTP/1.1 200 OK"));
        events
    }

    async fn line(&mut self) -> Option<String> {
        self.line.clear();
        if self.stream.read_line(&mut self.line).await.unwrap() == 0 {
            return None;
        }
        Some(self.line.trim_end().to_owned())
    }

    /// The next event's name and data; none at the end.
    pub(super) async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let line = self.line().await?;
            let Some(name) = line.strip_prefix("event: ") else { continue };
            let name = name.to_owned();
            let data = self.line().await?;
            let data = data.strip_prefix("data: ").expect("an event has data");
            return Some((name, serde_json::from_str(data).unwrap()));
        }
    }

    pub(super) async fn all(mut self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Until the server has said that it is still there.
    pub(super) async fn until_comment(&mut self) {
        while !self.line().await.expect("the stream goes on").starts_with(':') {}
    }
}
