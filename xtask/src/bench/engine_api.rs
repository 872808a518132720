//! Bare calls to a container engine over its unix socket: HTTP/1.0, one connection each, nothing between them
//! and the engine. Only for floors; the backend uses a real client.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, bail};

/// An engine's socket.
pub(crate) struct Engine {
    socket: String,
}

impl Engine {
    /// The engine that the tests are told of, else the usual one.
    pub(crate) fn find() -> Result<Self> {
        let hosts = ["JOBWRIGHT_TEST_DOCKER_HOST", "DOCKER_HOST"].map(std::env::var);
        let host = hosts.into_iter().find_map(Result::ok);
        let host = host.unwrap_or_else(|| "unix:///var/run/docker.sock".to_owned());
        let socket = host.strip_prefix("unix://").with_context(|| format!("{host} is not a unix socket"))?;
        let engine = Self { socket: socket.to_owned() };
        engine.call("GET", "/_ping", None)?;
        Ok(engine)
    }

    /// Where it is, as `DOCKER_HOST` says it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket)
    }

    /// One call; answers with the body.
    ///
    /// # Errors
    /// For every answer that is not a success, with what the engine said.
    pub(crate) fn call(&self, method: &str, path: &str, body: Option<(&str, &[u8])>) -> Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket).context("no engine answers")?;
        let (kind, body) = body.unwrap_or(("application/json", b""));
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let (status, body) =
            split(&answer).with_context(|| format!("{method} {path}: not an HTTP answer"))?;
        if !(200..400).contains(&status) {
            bail!("{method} {path}: {status} {}", String::from_utf8_lossy(body).trim());
        }
        Ok(body.to_vec())
    }
}

fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.lines().next()?.split(' ').nth(1)?.parse().ok()?;
    Some((status, &answer[end + 4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body() {
        assert_eq!(split(b"HTTP/1.0 201 Created\r\nA: b\r\n\r\n{}"), Some((201, &b"{}"[..])));
        assert_eq!(split(b"nonsense"), None);
    }
}
