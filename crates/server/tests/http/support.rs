//! A server for a test, its clients, and requests by hand.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jobwright_client::ExecutionsClient;
use jobwright_model::{ErrorAnswer, LogStreamRequest};
use jobwright_server::{Address, Builder, Server, Token};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::fake::{Fake, id, job};

pub(crate) const TOKEN: &str = "0123456789abcdef-hunter2";

pub(crate) fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub(crate) struct House {
    pub(crate) fake: Fake,
    pub(crate) socket: PathBuf,
    pub(crate) tcp: SocketAddr,
    pub(crate) unix_client: ExecutionsClient,
    pub(crate) tcp_client: ExecutionsClient,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
    _folder: TempDir,
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::open_as(|builder| builder).await
    }

    pub(crate) async fn open_as(as_it_is: impl FnOnce(Builder) -> Builder) -> Self {
        let (fake, folder) = (Fake::new(), TempDir::new().unwrap());
        let socket = folder.path().join("server/socket");
        let builder = Server::builder(Arc::new(fake.clone())).token(Some(Token::new(TOKEN).unwrap()));
        let server = as_it_is(builder.unix(&socket).tcp(loopback())).bind().await.unwrap();
        let Address::Tcp(tcp) = server.addresses()[0] else { panic!("the first address is the TCP one") };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run(async { drop(stopped.await) }));
        Self {
            fake,
            tcp,
            unix_client: ExecutionsClient::unix(&socket).unwrap(),
            tcp_client: ExecutionsClient::tcp(&format!("http://{tcp}"), TOKEN).unwrap(),
            socket,
            stop: Some(stop),
            task,
            _folder: folder,
        }
    }

    /// An answer over TCP to a request with the token and the right host; `more` are header lines.
    pub(crate) async fn ask(&self, line: &str, more: &str, body: &[u8]) -> Answer {
        let more = format!("authorization: Bearer {TOKEN}\r\n{more}");
        self.ask_as(line, &format!("host: {}\r\n{more}", self.tcp), body).await
    }

    /// An answer over TCP to a request with no header but these and the length.
    pub(crate) async fn ask_as(&self, line: &str, headers: &str, body: &[u8]) -> Answer {
        ask(self.tcp, line, headers, body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), "", b"").await
    }
}

/// An answer over TCP to a request with no header but these and the length.
pub(crate) async fn ask(address: SocketAddr, line: &str, headers: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!("{line} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    Answer::read(&bytes)
}

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = bytes[end + 4..].to_vec();
        if head.contains("transfer-encoding: chunked") {
            body = unchunked(&body);
        }
        Self { status, head, body }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }

    /// The code and the message of an error in our shape.
    pub(crate) fn error(&self) -> (String, String) {
        let answer: ErrorAnswer = serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("{error}: {} {:?}", self.head, String::from_utf8_lossy(&self.body))
        });
        assert_eq!(self.header("content-type"), Some("application/json"));
        assert!(!answer.error.message.contains("hunter2"), "{}", answer.error.message);
        (answer.error.code, answer.error.message)
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n").expect("a chunk has a length");
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 2 + length + 2..];
    }
}

pub(crate) fn of(name: &str) -> LogStreamRequest {
    LogStreamRequest { job_id: job("j"), execution_id: id(name), tail: false, follow: false }
}

pub(crate) fn following(name: &str) -> LogStreamRequest {
    LogStreamRequest { follow: true, ..of(name) }
}

/// A wait that is long where it must end by itself.
pub(crate) const LONG: Duration = Duration::from_secs(120);
