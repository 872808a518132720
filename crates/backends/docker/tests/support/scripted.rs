//! An engine that says what a test tells it to, for answers that a real engine gives only by accident. It knows of one
//! container, which was started. Not for what real engines do: they are asked themselves.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};

use jobwright_model::{OwnerId, Step, TaskUuid};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// What is said of the container.
#[derive(Clone)]
pub struct Script {
    /// Its states, one per look; the last one stays.
    pub states: VecDeque<Value>,
    /// What it has printed when it has ended; a follower gets half of it, and then nothing more, not even an end.
    pub output: &'static str,
}

impl Script {
    /// These states of a container that began, by their words.
    pub fn of(words: &[&str]) -> Self {
        let state = |word: &&str| {
            let ended = !matches!(*word, "running" | "stopping");
            let finished = if ended { "2026-11-21T02:51:00.065Z" } else { "0001-01-01T00:00:00Z" };
            json!({ "Status": word, "ExitCode": if ended { 3 } else { 0 },
                    "StartedAt": "2026-11-21T02:50:04.676Z", "FinishedAt": finished })
        };
        Self { states: words.iter().map(state).collect(), output: "" }
    }
}

/// A running engine that says it is Podman; ended when it is dropped.
pub struct Scripted {
    folder: tempfile::TempDir,
    task: JoinHandle<()>,
}

impl Scripted {
    /// An engine in which `owner` has the container of `step`.
    pub fn with(script: Script, owner: &OwnerId, task: &TaskUuid, step: &Step) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a socket");
        let listener = UnixListener::bind(folder.path().join("engine.sock")).expect("the socket is new");
        let labels = json!({ "dev.jobwright.owner": owner.as_str(), "dev.jobwright.task": task.as_str(),
                             "dev.jobwright.step": step.uuid.as_str() });
        let list = json!([{ "Id": "c1", "Names": ["/c1"], "Labels": labels, "State": "hibernating" }]);
        let task = tokio::spawn(serve(listener, Arc::new(Mutex::new(script)), list));
        Self { folder, task }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("engine.sock").display())
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: UnixListener, script: Arc<Mutex<Script>>, list: Value) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(answer(client, Arc::clone(&script), list.clone()));
    }
}

async fn answer(mut client: UnixStream, script: Arc<Mutex<Script>>, list: Value) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read_buf(&mut head).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (body, ends) = match path {
        _ if path.ends_with("/_ping") => (b"OK".to_vec(), true),
        _ if path.ends_with("/info") => {
            (json(&json!({ "Name": "vm", "DockerRootDir": "/r", "ServerVersion": "4.3.1" })), true)
        }
        _ if path.contains("/containers/json?") => (json(&list), true),
        _ if path.ends_with("/containers/c1/json") => (json(&next_state(&script)), true),
        _ if path.contains("/containers/c1/wait") => (Vec::new(), false),
        _ if path.contains("/containers/c1/logs") && path.contains("follow=true") => {
            let output = script.lock().expect("nobody panics with it").output;
            (frame(&output[..output.len() / 2]), false)
        }
        _ if path.contains("/containers/c1/logs") => {
            (frame(script.lock().expect("nobody panics with it").output), true)
        }
        _ => panic!("the script does not know {path}"),
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n";
    if client.write_all(&[head.as_bytes(), &body].concat()).await.is_ok() && !ends {
        pending::<()>().await;
    }
}

fn next_state(script: &Mutex<Script>) -> Value {
    let mut script = script.lock().expect("nobody panics with it");
    let state =
        if script.states.len() > 1 { script.states.pop_front() } else { script.states.front().cloned() };
    json!({ "Id": "c1", "Config": { "Labels": null }, "State": state })
}

fn json(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Output as an engine's log frames it.
fn frame(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("a test prints little");
    [&[1, 0, 0, 0][..], &length.to_be_bytes(), text.as_bytes()].concat()
}
