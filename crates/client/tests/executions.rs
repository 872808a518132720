//! What is made of the answers of a server that does not keep to the interface. How one that does is asked is tested with it (`server`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod support;

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt;
use jobwright_client::{Error, ExecutionsClient};
use jobwright_model::{ExecutionId, ExecutionRequest, ExecutionStatus, JobId, LogStreamRequest, SpecConfig};
use tokio::time::timeout;

use support::{Server, answer};

fn client(server: &Server) -> ExecutionsClient {
    ExecutionsClient::tcp(&server.url, "0123456789abcdef").unwrap()
}

fn id() -> ExecutionId {
    ExecutionId::new("e").unwrap()
}

fn output() -> LogStreamRequest {
    LogStreamRequest { job_id: JobId::new("j").unwrap(), execution_id: id(), tail: false, follow: true }
}

#[tokio::test]
async fn an_answer_of_another_form_is_an_error_without_its_text() {
    for (body, what) in [
        (r#"{"execution_id":"e","status":"hunter2"}"#, "its JSON has another form (line 1, column"),
        (r#"{"execution_id":"hunter2 hunter2","status":"failed"}"#, "its JSON has another form"),
        ("<html>hunter2</html>", "it is no JSON (line 1, column 1)"),
    ] {
        let server = Server::new(move |_| Some(answer("200 OK", "", body))).await;
        let text = client(&server).get_status(&id()).await.unwrap_err().to_string();
        assert!(text.contains(what) && !text.contains("hunter2"), "{text}");
        assert!(server.seen.lock().unwrap()[0].starts_with("GET /api/v1/executions/e/status HTTP/1.1\r\n"));
    }
    let refusal = r#"{"error":"hunter2"}"#;
    let server = Server::new(move |_| Some(answer("500 Internal Server Error", "", refusal))).await;
    let text = client(&server).get_status(&id()).await.unwrap_err().to_string();
    assert!(text.contains("its status is 500") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn an_event_of_another_form_is_an_error_without_its_text() {
    for (name, data, what) in [
        ("output", r#"{"stream":"hunter2","offset":0,"text":"a"}"#, "an event in JSON"),
        ("output", r#"{"stream":"stdout","offset":0,"base64":"hunter2!"}"#, "base64: it is none"),
        ("end", r#"{"status":"hunter2"}"#, "an event in JSON"),
        ("error", "hunter2", "it is no JSON"),
    ] {
        let body = format!("event: {name}\ndata: {data}\n\n");
        let server = Server::new(move |_| Some(answer("200 OK", "", &body))).await;
        let mut events = client(&server).events(&output(), None).await.unwrap();
        let text = events.next().await.unwrap().unwrap_err().to_string();
        assert!(text.contains(what) && !text.contains("hunter2"), "{text}");
    }
}

/// The limit of these tests; no more than a call may take that waits for nothing.
const SHORT: Duration = Duration::from_millis(100);

async fn gives_up<T>(what: &str, call: impl Future<Output = Result<T, Error>>) {
    let outcome = timeout(Duration::from_secs(20), call).await;
    let outcome = outcome.unwrap_or_else(|_| panic!("{what} waits for ever"));
    assert!(matches!(outcome, Err(Error::TimedOut { .. })), "{what}: {:?}", outcome.err());
}

#[tokio::test]
async fn no_call_waits_for_ever_for_a_server_that_is_silent() {
    let server = Server::new(|_| None).await;
    let (client, id) = (client(&server).limit(SHORT), id());
    let request = ExecutionRequest::new(JobId::new("j").unwrap(), id.clone(), SpecConfig::new("x"));
    gives_up("start", client.start(&request)).await;
    gives_up("run", client.run(&request)).await;
    gives_up("remove", client.remove(&id, SHORT)).await;
    gives_up("cleanup", client.cleanup(SHORT)).await;
    gives_up("exec", client.exec(&id, &["true".into()], SHORT)).await;
    gives_up("wait", client.wait(&id, SHORT)).await;
    gives_up("wait_for_status", client.wait_for_status(&id, ExecutionStatus::Paused, Some(SHORT))).await;
    gives_up("logs", client.logs(&output(), None)).await;
    gives_up("events", client.events(&output(), None)).await;
    gives_up("get_status", client.get_status(&id)).await;
}

#[tokio::test]
async fn what_waits_for_an_end_or_a_status_waits_as_long_as_the_server_does() {
    let server = Server::new(|_| None).await;
    let (client, id) = (client(&server).limit(SHORT), id());
    let asked = |count| {
        let server = &server;
        async move {
            while server.seen.lock().unwrap().len() < count {
                tokio::task::yield_now().await;
            }
        }
    };
    // Whoever gives up first: the client, or a test that has seen enough of its patience.
    let patience = SHORT * 5;
    let waiting = timeout(patience, client.wait_for_status(&id, ExecutionStatus::Paused, None));
    assert!(tokio::join!(waiting, asked(1)).0.is_err(), "it gave up within the server's own time");
    assert!(server.seen.lock().unwrap()[0].contains("/status?until=paused&timeout=10 "));
    let waiting = timeout(patience, client.cancel(&id));
    assert!(tokio::join!(waiting, asked(2)).0.is_err(), "it gave up within the grace");
}
