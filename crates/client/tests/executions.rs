//! What is made of the answers of a server that does not keep to the interface. How one that does is asked is tested with it (`server`).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod support;

use futures_util::StreamExt;
use jobwright_client::ExecutionsClient;
use jobwright_model::{ExecutionId, JobId, LogStreamRequest};

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
