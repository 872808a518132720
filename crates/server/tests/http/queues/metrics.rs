//! What is told to whoever collects metrics.

use serde_json::json;

use crate::queue::support::{Desk, payload, text};

#[tokio::test]
async fn metrics_tell_what_is_in_the_queues_and_what_agents_told() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    desk.push("batches", payload()).await;
    let pushed = "# TYPE src_apiworker_command_total counter\nsrc_apiworker_command_total{op=\"exec\"} 4\ngo_threads 9\n";
    let beat = json!({"executorName": "e", "jobIds": [1], "prometheusMetrics": pushed});
    assert_eq!(desk.executor().post("batches/heartbeat", &beat).await.status, 200);
    let answer = desk.house.get("/metrics").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let told = text(&answer);
    for line in [
        "# TYPE src_executor_total gauge",
        "src_executor_total{queue=\"batches\"} 1",
        "src_executor_total{queue=\"codeintel\"} 0",
        "jobwright_queue_jobs{queue=\"batches\",state=\"processing\"} 1",
        "jobwright_queue_jobs{queue=\"batches\",state=\"canceled\"} 0",
        "jobwright_queue_stale_writes_total{queue=\"batches\"} 0",
        "jobwright_queue_oldest_due_seconds{queue=\"codeintel\"} 0",
        "src_apiworker_command_total{op=\"exec\",sg_instance=\"e\",sg_job=\"sourcegraph-executors\"} 4",
    ] {
        assert!(told.lines().any(|other| other == line), "{line}\n{told}");
    }
    let due = told
        .lines()
        .find_map(|line| line.strip_prefix("jobwright_queue_oldest_due_seconds{queue=\"batches\"} "));
    assert!(due.unwrap().parse::<f64>().unwrap() >= 0.0);
    assert!(!told.contains("go_threads") && told.ends_with('\n'));
}
