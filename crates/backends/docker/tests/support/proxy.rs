//! A unix socket in front of an engine's: counts what passes, and can be cut. Every call of the backend is a connection of
//! its own, so calls are counted as connections.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

/// A running proxy; cut when it is dropped.
pub struct Proxy {
    folder: tempfile::TempDir,
    calls: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// A proxy in front of `host`, a `unix://` address.
    pub fn before(host: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a socket");
        let listener = UnixListener::bind(folder.path().join("engine.sock")).expect("the socket is new");
        let engine = PathBuf::from(host.strip_prefix("unix://").expect("the engine has a socket"));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(serve(listener, engine, Arc::clone(&calls)));
        Self { folder, calls, task }
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("engine.sock").display())
    }

    /// The calls since the last time, as `POST /v1.41/containers/create`.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().expect("nobody panics with it"))
    }

    /// Breaks all connections, and takes no more.
    pub fn cut(&self) {
        self.task.abort();
        let _ = std::fs::remove_file(self.folder.path().join("engine.sock"));
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: UnixListener, engine: PathBuf, calls: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let (engine, calls) = (engine.clone(), Arc::clone(&calls));
        connections.spawn(async move {
            let mut first = vec![0; 64 * 1024];
            let Ok(count) = client.read(&mut first).await else { return };
            let text = String::from_utf8_lossy(&first[..count]).into_owned();
            let line = text.lines().next().unwrap_or_default();
            let call = line.split('?').next().unwrap_or(line).trim_end_matches(" HTTP/1.1").to_owned();
            calls.lock().expect("nobody panics with it").push(call);
            let Ok(mut server) = UnixStream::connect(engine).await else { return };
            if server.write_all(&first[..count]).await.is_ok() {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
