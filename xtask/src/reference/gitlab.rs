//! A GitLab server of one project with two variables, for the examples that name one: they say `gitlab.example.org`, which their copies have
//! replaced by its address. Not for trying Jobwright's client, which has tests of its own.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

/// What the examples call it.
pub(super) const CALLED: &str = "gitlab.example.org";
/// The project that the examples ask for, and the token that they ask with.
const PROJECT: &str = "/api/v4/projects/42/variables";
const TOKEN: &str = "an-example-and-no-secret";
const VARIABLES: &str = r#"[{"key":"GREETING","value":"hello from GitLab","variable_type":"env_var","masked":false,"environment_scope":"*"},
{"key":"DEPLOY_KEY","value":"a-masked-example-value","variable_type":"env_var","masked":true,"environment_scope":"*"}]"#;
/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// The server; it ends when it is dropped.
pub(super) struct GitLab {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl GitLab {
    /// Begins to serve on a free port of this machine.
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let serving = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                // A client that goes away is none of the server's business.
                let _ = stream.map_err(anyhow::Error::from).and_then(|stream| answer(&stream));
            }
        });
        Ok(Self { address, over, serving: Some(serving) })
    }

    /// `text` with the address of this server in place of what the examples call it.
    pub(super) fn put_into(&self, text: &str) -> String {
        text.replace(&format!("https://{CALLED}"), CALLED)
            .replace(CALLED, &format!("http://{}", self.address))
    }
}

impl Drop for GitLab {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // It waits for somebody to come.
        let _ = TcpStream::connect(self.address);
        if let Some(serving) = self.serving.take() {
            let _ = serving.join();
        }
    }
}

fn answer(stream: &TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut knows_the_token = false;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let header = line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim()));
        knows_the_token |= header.is_some_and(|(name, value)| name == "private-token" && value == TOKEN);
    }
    let asks_for_it =
        request.strip_prefix("GET ").is_some_and(|rest| rest.split(['?', ' ']).next() == Some(PROJECT));
    let (status, body) = match (knows_the_token, asks_for_it) {
        (false, _) => ("401 Unauthorized", r#"{"message":"401 Unauthorized"}"#),
        (true, false) => ("404 Not Found", r#"{"message":"404 Project Not Found"}"#),
        (true, true) => ("200 OK", VARIABLES),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut out = stream;
    out.write_all(head.as_bytes())?;
    out.write_all(body.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(gitlab: &GitLab, path: &str, token: &str) -> String {
        let mut stream = TcpStream::connect(gitlab.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nPRIVATE-TOKEN: {token}\r\n\r\n").unwrap();
        std::io::read_to_string(stream).unwrap()
    }

    #[test]
    fn it_gives_its_project_to_those_who_have_the_token() {
        let gitlab = GitLab::start().unwrap();
        let path = format!("{PROJECT}?per_page=100&page=1");
        assert!(ask(&gitlab, &path, TOKEN).contains("hello from GitLab"));
        assert!(ask(&gitlab, &path, "wrong").starts_with("HTTP/1.1 401"));
        assert!(ask(&gitlab, "/api/v4/projects/7/variables", TOKEN).starts_with("HTTP/1.1 404"));
        let text = gitlab.put_into("url: https://gitlab.example.org\nurl: gitlab.example.org");
        assert_eq!(text, format!("url: http://{0}\nurl: http://{0}", gitlab.address));
    }
}
