//! Every call of the interface, over both doors.

use std::time::Duration;

use jobwright_client::ExecutionsClient;
use jobwright_model::{ExecOutput, ExecutionRequest, ExecutionStatus, SpecConfig};

use crate::fake::{id, job};
use crate::support::{House, LONG};

fn request(name: &str) -> ExecutionRequest {
    let mut request =
        ExecutionRequest::new(job("j"), id(name), SpecConfig::new("fake").with_param("image", "x"));
    request.environment.insert("A".into(), "ü\n".into());
    request.timeout = Some(Duration::from_millis(1500));
    request
}

async fn each_call(house: &House, client: &ExecutionsClient) {
    assert_eq!(client.get_id().await.unwrap(), "fake-1");
    let started = client.start(&request("e")).await.unwrap();
    assert_eq!((started.execution_id, started.job_id), (id("e"), job("j")));
    assert_eq!(house.fake.request("e"), Some(request("e")));
    assert_eq!(client.list().await.unwrap()[0].status, ExecutionStatus::Running);
    assert_eq!(client.get_info(&id("e")).await.unwrap().runtime, "fake");
    client.pause(&id("e")).await.unwrap();
    client.wait_for_status(&id("e"), ExecutionStatus::Paused, None).await.unwrap();
    client.resume(&id("e")).await.unwrap();
    assert_eq!(client.get_status(&id("e")).await.unwrap(), ExecutionStatus::Running);
    let output = client.exec(&id("e"), &["echo".into(), "a b".into()], LONG).await.unwrap();
    assert_eq!((output.exit_code, output.stdout.as_str()), (7, "echo a b"));
    assert_eq!(client.stats(&id("e")).await.unwrap().pids, 4);
    assert_eq!(client.get_net_info(&id("e")).await.unwrap().mapped_ports[0].executor_port, 80);
    assert_eq!(client.wait(&id("e"), Duration::ZERO).await.unwrap(), None);
    client.cancel(&id("e")).await.unwrap();
    client.remove(&id("e"), LONG).await.unwrap();
    assert_eq!(house.fake.removed_within(), Some(LONG));
    assert_eq!(client.get_info(&id("e")).await.unwrap_err().code(), Some("not_found"));
    house.fake.runs("other");
    client.cleanup(LONG).await.unwrap();
    assert_eq!(client.list().await.unwrap(), []);
}

#[tokio::test]
async fn every_call_goes_over_the_unix_socket() {
    let house = House::open().await;
    each_call(&house, &house.unix_client).await;
}

#[tokio::test]
async fn every_call_goes_over_tcp() {
    let house = House::open().await;
    each_call(&house, &house.tcp_client).await;
}

#[tokio::test]
async fn a_wait_ends_with_the_execution_and_says_whether_it_had_ended_before() {
    let house = House::open().await;
    house.fake.runs("e");
    let client = house.tcp_client.clone();
    let wait = tokio::spawn(async move { client.wait_to_end(&id("e")).await });
    house.fake.until_begun("wait").await;
    house.fake.ends("e", 3);
    let waited = wait.await.unwrap().unwrap();
    assert!(!waited.concluded_before && waited.result.exit_code == 3);
    let waited = house.unix_client.wait_to_end(&id("e")).await.unwrap();
    assert!(waited.concluded_before && waited.result.exit_code == 3);
}

#[tokio::test]
async fn a_run_is_a_start_and_a_wait() {
    let house = House::open().await;
    let client = house.unix_client.clone();
    let run = tokio::spawn(async move { client.run(&request("e")).await });
    house.fake.until(|fake| fake.request("e").is_some()).await;
    house.fake.ends("e", 0);
    assert_eq!(run.await.unwrap().unwrap().status(), ExecutionStatus::Success);
}

#[tokio::test]
async fn a_start_says_where_the_execution_is_found() {
    let house = House::open().await;
    let body = serde_json::to_vec(&request("e")).unwrap();
    let answer = house
        .ask("POST /api/v1/executions", "content-type: application/json; charset=utf-8\r\n", &body)
        .await;
    assert_eq!((answer.status, answer.header("location")), (201, Some("/api/v1/executions/e")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = house.get("/api/v1/executions/e/wait?timeout=0").await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
}

#[tokio::test]
async fn a_removal_has_the_time_that_was_asked_for_and_half_a_minute_otherwise() {
    let house = House::open().await;
    for (query, time) in [
        ("", Duration::from_secs(30)),
        ("?timeout=0.25", Duration::from_millis(250)),
        ("?timeout=3600", Duration::from_secs(3600)),
    ] {
        house.fake.runs("e");
        let answer = house.ask(&format!("DELETE /api/v1/executions/e{query}"), "", b"").await;
        assert_eq!((answer.status, house.fake.removed_within()), (204, Some(time)), "{query}");
    }
}

#[tokio::test]
async fn what_a_command_wrote_is_answered_within_what_a_client_reads() {
    /// What an executor keeps of each.
    const KEPT: usize = 16 << 20;
    let house = House::open().await;
    house.fake.runs("e");
    let line = "It wrote \"lines\" of some length.\n";
    let text = ExecOutput {
        exit_code: 0,
        stdout: line.repeat(KEPT / line.len()),
        stderr: line.repeat(KEPT / line.len()),
        left_out: 3,
    };
    house.fake.command_writes(text.clone());
    let answered = house.unix_client.exec(&id("e"), &["text".into()], LONG).await.unwrap();
    assert!(answered == text, "text is not cut");

    // Zeros, and bytes that are not UTF-8, as an executor tells them.
    let binary = ExecOutput { stdout: "\0".repeat(KEPT), stderr: "\u{fffd}".repeat(KEPT), ..text };
    house.fake.command_writes(binary.clone());
    let answered = house.unix_client.exec(&id("e"), &["binary".into()], LONG).await.unwrap();
    let (kept, all) =
        ([answered.stdout.len(), answered.stderr.len()], binary.stdout.len() + binary.stderr.len());
    assert_eq!(kept, [4 << 20, 24 << 20]);
    assert_eq!(answered.left_out, 3 + (all - kept[0] - kept[1]) as u64);
}
