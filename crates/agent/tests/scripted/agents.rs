//! Agents before an [`Original`], and what they leave.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jobwright_agent::{Agent, AgentSettings, Identity, Offer, Outcome, Remote};
use jobwright_backend::Backend;
use jobwright_client::{ExecutorAuth, QueueClient};
use jobwright_journal::StateDir;
use jobwright_model::QueueName;
use jobwright_process::{ProcessBackend, ProcessSettings};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::host;
use crate::original::{Original, SECRET};

/// A place for an agent, and the server that it asks.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    pub(crate) original: Original,
    pub(crate) settings: AgentSettings,
    /// An engine for docker steps.
    pub(crate) docker: Option<Arc<dyn Backend>>,
}

/// An agent that works.
pub(crate) struct Working {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<jobwright_agent::Result<Outcome>>,
}

impl Site {
    /// One queue, `builds`.
    pub(crate) async fn new() -> Self {
        Self::of(&["builds"]).await
    }

    pub(crate) async fn of(queues: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let original = Original::open(&folder).await;
        let queues = queues.iter().map(|queue| QueueName::new(*queue).unwrap()).collect();
        let mut settings = AgentSettings::new(queues, folder.path().join("workspaces"));
        settings.poll_interval = Duration::from_millis(50);
        settings.heartbeat_interval = Duration::from_millis(100);
        settings.host.src = Self::program(folder.path());
        Self { folder, original, settings, docker: None }
    }

    /// What stands for `src`: a shell that runs its first argument.
    fn program(folder: &Path) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("src");
        std::fs::write(&path, "#!/bin/sh\nexec /bin/sh -c \"$1\"\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_string_lossy().into_owned()
    }

    pub(crate) fn state(&self) -> StateDir {
        StateDir::open(&self.folder.path().join("state")).unwrap()
    }

    pub(crate) async fn agent(&self) -> Agent {
        let auth = ExecutorAuth::Token(SECRET.to_owned());
        let client = QueueClient::new(&self.original.base, &auth, "agent-1").unwrap();
        let offer = Offer { version: "0.0.0+dev".to_owned(), ..Offer::default() };
        let source = Remote::new(client, self.settings.queues.clone(), offer, Vec::new());
        let mut identity = Identity::default();
        identity.secrets.insert("the token".to_owned(), SECRET.to_owned());
        let settings = ProcessSettings {
            shim: Some(host::shim().to_owned()),
            stop_timeout: 1,
            ..ProcessSettings::default()
        };
        let process: Arc<dyn Backend> = Arc::new(ProcessBackend::new(&self.state(), settings));
        process.load().await.unwrap();
        Agent::new(
            Arc::new(source),
            self.settings.clone(),
            identity,
            [process].into_iter().chain(self.docker.clone()),
            self.state(),
        )
        .unwrap()
    }

    pub(crate) async fn start(&self) -> Working {
        let agent = self.agent().await;
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(agent.run(async move {
            let _ = stopped.await;
        }));
        Working { stop: Some(stop), task }
    }

    /// An agent that dies with all of its tasks as soon as `alive` has come to its end. What it runs is the shim's, and stays.
    pub(crate) async fn start_and_kill(&self, alive: impl Future<Output = ()>) {
        let agent = self.agent().await;
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.spawn(agent.run(std::future::pending()));
        alive.await;
        runtime.shutdown_background();
    }

    /// What an agent that has nothing to do leaves: no workspace, no job, no task.
    #[track_caller]
    pub(crate) fn check_nothing_is_left(&self) {
        assert_eq!(self.workspaces(), Vec::<PathBuf>::new());
        assert_eq!(self.state().runs().unwrap(), []);
    }

    pub(crate) fn workspaces(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.settings.workspaces).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }
}

impl Working {
    /// Asks it to end.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    pub(crate) async fn end(mut self) -> Outcome {
        self.stop();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Outcome {
        let _stop = self.stop;
        timeout(Duration::from_secs(60), self.task).await.unwrap().unwrap().unwrap()
    }
}
