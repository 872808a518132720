//! What is sent to a server: within bounds, or refused with words.

use jobwright_model::{ExecutionRequest, SpecConfig};
use serde_json::{Value, json};

use crate::fake::{id, job};
use crate::support::House;

const JSON: &str = "content-type: application/json\r\n";

fn request(more: Value) -> Vec<u8> {
    let mut request = json!({"job_id": "j", "execution_id": "e", "engine_spec": {"type": "docker"}});
    request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::to_vec(&request).unwrap()
}

#[tokio::test]
async fn a_request_that_is_wrong_is_told_where_and_what_would_be_right() {
    let house = House::open().await;
    for (body, status, code, named) in [
        (b"".to_vec(), 400, "malformed_json", "EOF"),
        (b"{".to_vec(), 400, "malformed_json", "line 1"),
        (b"\xff\xfe".to_vec(), 400, "malformed_json", "line 1"),
        (b"{} {}".to_vec(), 422, "invalid", "job_id"),
        ([request(json!({})), b" x".to_vec()].concat(), 400, "malformed_json", "trailing"),
        (b"[]".to_vec(), 422, "invalid", "invalid"),
        (request(json!({"resorces": {}})), 422, "invalid", "resorces"),
        (request(json!({"resources": {"ram": 5}})), 422, "invalid", "resources.ram: unknown field `ram`"),
        (
            request(json!({"resources": {"gpus": [{"index": 0, "vendor": "x"}]}})),
            422,
            "invalid",
            "resources.gpus[0].vendor",
        ),
        (
            request(json!({"ports_to_bind": [{"host_port": 70000, "executor_port": 1}]})),
            422,
            "invalid",
            "ports_to_bind[0].host_port",
        ),
        (
            request(json!({"execution_id": "../x"})),
            422,
            "invalid",
            "execution_id: execution id \"../x\" is not usable: 1 to 128",
        ),
        (request(json!({"timeout": -1})), 422, "invalid", "timeout: -1 is not a number of seconds"),
        ("[".repeat(100_000).into_bytes(), 422, "invalid", "invalid"),
    ] {
        let answer = house.ask("POST /api/v1/executions", JSON, &body).await;
        let (told, message) = answer.error();
        assert_eq!(
            (answer.status, told.as_str()),
            (status, code),
            "{}: {message}",
            String::from_utf8_lossy(&body)
        );
        assert!(message.contains(named), "{message}");
    }
    assert_eq!(house.unix_client.list().await.unwrap(), []);
}

#[tokio::test]
async fn nesting_without_end_ends() {
    let house = House::open().await;
    let deep = format!(
        "{}{}",
        r#"{"job_id":"j","execution_id":"e","engine_spec":{"type":"x","params":{"a":"#,
        "[".repeat(100_000)
    );
    let answer = house.ask("POST /api/v1/executions", JSON, deep.as_bytes()).await;
    assert_eq!((answer.status, answer.error().0.as_str()), (400, "malformed_json"));
}

#[tokio::test]
async fn a_body_that_is_not_said_to_be_json_is_refused() {
    let house = House::open().await;
    for kind in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"] {
        let answer = house.ask("POST /api/v1/executions", kind, &request(json!({}))).await;
        assert_eq!((answer.status, answer.error().0.as_str()), (415, "not_json"), "{kind}");
    }
}

fn with_variables(count: usize, length: usize) -> ExecutionRequest {
    let mut request = ExecutionRequest::new(job("j"), id("e"), SpecConfig::new("fake"));
    request.environment = (0..count).map(|n| (format!("VARIABLE_{n}"), "x".repeat(length))).collect();
    request
}

#[tokio::test]
async fn ten_thousand_variables_are_taken() {
    let house = House::open().await;
    let request = with_variables(10_000, 50);
    house.tcp_client.start(&request).await.unwrap();
    assert_eq!(house.fake.request("e"), Some(request));
}

#[tokio::test]
async fn what_is_too_large_is_refused_so_that_its_sender_reads_why() {
    let house = House::open().await;
    for client in [&house.tcp_client, &house.unix_client] {
        for length in [200, 1000] {
            let error = client.start(&with_variables(10_000, length)).await.unwrap_err();
            assert_eq!(error.code(), Some("too_large"), "{error}");
        }
    }
    assert_eq!(house.fake.request("e"), None);
}

#[tokio::test]
async fn a_command_needs_its_argv() {
    let house = House::open().await;
    house.fake.runs("e");
    for (body, named) in [
        (r#"{"argv": "ls"}"#, "argv: invalid type"),
        (r#"{"argv": [1]}"#, "argv[0]"),
        (r#"{"arg": []}"#, "arg"),
    ] {
        let answer = house.ask("POST /api/v1/executions/e/exec", JSON, body.as_bytes()).await;
        let (code, message) = answer.error();
        assert_eq!((answer.status, code.as_str()), (422, "invalid"), "{body}");
        assert!(message.contains(named), "{message}");
    }
}
