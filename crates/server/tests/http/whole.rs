//! The whole way: the real executor over the dummy backend, asked over HTTP.

use std::sync::Arc;

use futures_util::TryStreamExt;
use jobwright_backend::Backend;
use jobwright_backend::dummy::DummyEngine;
use jobwright_client::{ExecutionsClient, LogEvent};
use jobwright_executor::{Executions, ExecutorOptions};
use jobwright_journal::StateDir;
use jobwright_model::{ExecutionRequest, ExecutionStatus, SpecConfig, StreamKind};
use jobwright_server::Server;
use tempfile::TempDir;

use crate::fake::{id, job};
use crate::support::{LONG, following, of};

async fn executor(folder: &TempDir) -> Executions {
    let state = StateDir::open(&folder.path().join("state")).unwrap();
    let backend: Arc<dyn Backend> = Arc::new(DummyEngine::default().backend());
    backend.load().await.unwrap();
    Executions::open(state, [backend], ExecutorOptions::default()).unwrap()
}

fn request(name: &str, variables: &[(&str, &str)]) -> ExecutionRequest {
    let spec =
        SpecConfig::new("dummy").with_param("image", "none").with_param("entrypoint", ["true"].to_vec());
    let mut request = ExecutionRequest::new(job("j"), id(name), spec);
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    request.environment.extend(variables);
    request
}

// covers: nunet 1-3, 14-15, 43-45 (over HTTP)
#[tokio::test]
async fn an_execution_goes_its_whole_way_over_http() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("server/socket");
    let server = Server::builder(Arc::new(executor(&folder).await)).unix(&socket).bind().await.unwrap();
    let task = tokio::spawn(server.run(std::future::pending()));
    let client = ExecutionsClient::unix(&socket).unwrap();

    let asked = request("e", &[("DUMMY_OUTPUT", "0123456789\n"), ("STEP_EXIT_CODE", "3")]);
    client.start(&asked).await.unwrap();
    let events: Vec<LogEvent> =
        client.events(&following("e"), None).await.unwrap().try_collect().await.unwrap();
    let output =
        LogEvent::Output { stream: StreamKind::Stdout, offset: 0, next: 11, bytes: "0123456789\n".into() };
    assert_eq!(events, [output, LogEvent::End { status: ExecutionStatus::Failed }]);
    assert_eq!(client.wait_to_end(&id("e")).await.unwrap().result.exit_code, 3);
    assert!(client.wait(&id("e"), std::time::Duration::ZERO).await.unwrap().unwrap().concluded_before);
    let part = client.logs(&of("e"), Some(3..=5)).await.unwrap();
    assert_eq!(part.try_collect::<Vec<_>>().await.unwrap().concat(), b"345");
    assert_eq!(client.start(&asked).await.unwrap_err().code(), Some("already_completed"));
    assert_eq!(client.cancel(&id("e")).await.unwrap_err().code(), Some("already_concluded"));
    client.remove(&id("e"), LONG).await.unwrap();
    assert_eq!(client.wait(&id("e"), LONG).await.unwrap_err().code(), Some("not_found"));

    client.start(&request("long", &[("SLEEP", "1h")])).await.unwrap();
    client.wait_for_status(&id("long"), ExecutionStatus::Running, Some(LONG)).await.unwrap();
    assert_eq!(client.start(&request("long", &[])).await.unwrap_err().code(), Some("already_started"));
    client.cancel(&id("long")).await.unwrap();
    assert_eq!(client.get_status(&id("long")).await.unwrap(), ExecutionStatus::Failed);
    let wrong = ExecutionRequest::new(job("j"), id("x"), SpecConfig::new("nothing"));
    assert_eq!(client.start(&wrong).await.unwrap_err().code(), Some("unknown_engine"));
    client.cleanup(LONG).await.unwrap();
    assert_eq!(client.list().await.unwrap(), []);
    task.abort();
}
