//! The description is what is committed, what the routes are, and what the model's types write.

use std::path::Path;
use std::time::Duration;

use jobwright_model::{
    AllocationKey, AttemptInfo, Cause, EndEvent, Ending, ErrorAnswer, ErrorText, ExecCommand, ExecOutput,
    ExecutionInfo, ExecutionList, ExecutionListItem, ExecutionRequest, ExecutionResult, ExecutionStats,
    ExecutionStatus, ExecutorAnswer, Gpu, GpuVendor, MappedPort, NetInfo, OutputData, OutputEvent,
    PortToBind, ProvisionScript, Resources, SpecConfig, Started, StatusAnswer, StorageVolume, StreamKind,
    Waited,
};
use jobwright_model::{
    JobRef, LogEndEvent, LogEndedEvent, LogEntryEvent, LogOutputEvent, LogRewrittenEvent, PushRequest,
    PushedJobs, QueueCounts, QueueInfo, QueueList, QueueMade, QueueRules, QueuedJob, QueuedJobDetails,
    QueuedJobInfo, QueuedJobList, QueuedState, QueuedStateAnswer,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::fake::{id, job, result};
use crate::queue::support::{Desk, name};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

#[test]
fn the_description_that_is_committed_is_current() {
    let current = format!("{:#}\n", jobwright_server::openapi());
    if std::env::var_os("JOBWRIGHT_WRITE_OPENAPI").is_some() {
        std::fs::write(FILE, &current).unwrap();
    }
    let kept = std::fs::read_to_string(Path::new(FILE)).unwrap_or_default();
    assert!(
        kept == current,
        "docs/openapi.json is stale; write it anew with \
         JOBWRIGHT_WRITE_OPENAPI=1 cargo test -p jobwright-server --test http openapi"
    );
}

#[tokio::test]
async fn every_route_that_is_described_is_there_and_the_description_is_served() {
    let desk = Desk::open().await;
    let house = &desk.house;
    let answer = house.get("/api/v1/openapi.json").await;
    let served: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(served, jobwright_server::openapi());
    let mut routes = 0;
    for (path, methods) in served["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let line = format!(
                "{} {}",
                method.to_uppercase(),
                path.replace("{id}", "e").replace("{queue}", "batches")
            );
            let answer = house.ask(&line, "content-type: application/json\r\n", b"{}").await;
            let code = if answer.status < 400 { String::new() } else { answer.error().0 };
            assert!(!code.starts_with("no_"), "{line}: {code}");
            routes += 1;
        }
    }
    assert_eq!(routes, 29);
}

#[test]
fn what_the_description_refers_to_is_there() {
    fn references(value: &Value, found: &mut Vec<String>) {
        if let Some(reference) = value["$ref"].as_str() {
            found.push(reference.trim_start_matches('#').to_owned());
        }
        match value {
            Value::Object(map) => map.values().for_each(|value| references(value, found)),
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let (document, mut found) = (jobwright_server::openapi(), Vec::new());
    references(&document, &mut found);
    found.retain(|reference| document.pointer(reference).is_none());
    assert_eq!(found, Vec::<String>::new());
}

/// What an answer's or a request's schema says of a value.
fn faults(name: &str, value: &Value) -> Vec<String> {
    let document = jobwright_server::openapi();
    assert!(document["components"]["schemas"][name].is_object(), "{name} is not described");
    let mut schema = json!({"$ref": format!("#/components/schemas/{name}")});
    schema["components"] = document["components"].clone();
    // A key that is not described is a fault here, though answers may get new ones later.
    for described in schema["components"]["schemas"].as_object_mut().unwrap().values_mut() {
        if described["type"] == "object" && described["properties"].is_object() {
            described["additionalProperties"] = json!(false);
        }
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    validator.iter_errors(value).map(|error| format!("{name}{}: {error}", error.instance_path())).collect()
}

fn holds(name: &str, value: &impl Serialize) {
    let value = serde_json::to_value(value).unwrap();
    assert_eq!(faults(name, &value), Vec::<String>::new(), "{value:#}");
}

fn full_request() -> ExecutionRequest {
    let mut request =
        ExecutionRequest::new(job("j"), id("e"), SpecConfig::new("docker").with_param("image", "x"));
    let vendors = [GpuVendor::Nvidia, GpuVendor::Amd, GpuVendor::Intel];
    request.resources = Resources {
        cpu_cores: Some(0.5),
        ram_bytes: Some(1 << 40),
        disk_bytes: Some(1),
        gpus: vendors.map(|vendor| Gpu { index: 1, vendor }).to_vec(),
    };
    request.inputs.push(StorageVolume { read_only: true, ..StorageVolume::bind("/a", "/b") });
    request.outputs.push(StorageVolume::bind("/a", "/b"));
    request.results_dir = Some("/r".into());
    request.provision_scripts.push(ProvisionScript { name: "s".into(), content: "true".into() });
    let ip = Some("127.0.0.1".parse().unwrap());
    request.ports_to_bind.push(PortToBind { ip, host_port: 65535, executor_port: 80 });
    request.gateway_ip = ip;
    request.keys.push(AllocationKey { kind: "ssh".into(), file: "k".into(), dest: "/d".into() });
    request.environment.insert("A".into(), "1".into());
    request.secrets.insert("B".into(), "2".into());
    request.persist_logs_duration = Some(Duration::from_secs(60));
    request.timeout = Some(Duration::from_millis(1500));
    request
}

fn full_result() -> ExecutionResult {
    let mut ending = Ending::new(Cause::Dependency("x".into())).because("why");
    ending.exit_code = Some(137);
    ending.signal = Some(9);
    ending.oom = true;
    let moment = "2024-01-01T00:00:00Z".parse().unwrap();
    let ending = ending.timed(moment, moment);
    ExecutionResult {
        left_out: 1,
        missing: 1,
        error_msg: "x".into(),
        killed: true,
        exit_code: 137,
        ending,
        ..result(1)
    }
}

#[test]
fn what_is_sent_is_as_it_is_described() {
    holds("ExecutionRequest", &full_request());
    let bare = ExecutionRequest::new(job("j"), id("e"), SpecConfig::new("docker"));
    holds("ExecutionRequest", &bare);
    holds(
        "ExecutionRequest",
        &json!({"job_id": "j", "execution_id": "e", "engine_spec": {"type": "docker"}}),
    );
    holds("ExecCommand", &ExecCommand { argv: vec!["true".into()] });
    for wrong in [
        json!({"job_id": "j", "engine_spec": {"type": "docker"}}),
        json!({"job_id": "j", "execution_id": "../e", "engine_spec": {"type": "docker"}}),
        json!({"job_id": "j", "execution_id": "e", "engine_spec": {}}),
        json!({"job_id": "j", "execution_id": "e", "engine_spec": {"type": "docker"}, "timeout": -1}),
        json!({"job_id": "j", "execution_id": "e", "engine_spec": {"type": "docker"}, "resources": null}),
        json!({"job_id": "j", "execution_id": "e", "engine_spec": {"type": "docker"}, "more": 1}),
    ] {
        assert_ne!(faults("ExecutionRequest", &wrong), Vec::<String>::new(), "{wrong}");
        assert!(serde_json::from_value::<ExecutionRequest>(wrong).is_err());
    }
}

#[test]
fn what_is_answered_is_as_it_is_described() {
    holds("ExecutorAnswer", &ExecutorAnswer { id: "x".into() });
    holds("Started", &Started { execution_id: id("e"), job_id: job("j") });
    for status in [
        ExecutionStatus::Pending,
        ExecutionStatus::Running,
        ExecutionStatus::Paused,
        ExecutionStatus::Failed,
        ExecutionStatus::Success,
    ] {
        let item = ExecutionListItem { execution_id: id("e"), job_id: job("j"), status, running: true };
        holds("ExecutionList", &ExecutionList { executions: vec![item] });
        holds("StatusAnswer", &StatusAnswer { execution_id: id("e"), status });
        holds("EndEvent", &EndEvent { status });
    }
    for result in [result(0), result(3), full_result()] {
        holds("Waited", &Waited { concluded_before: true, result: result.clone() });
        let error = ErrorText { code: "x".into(), message: "y".into() };
        holds("ErrorAnswer", &ErrorAnswer { error, result: Some(Box::new(result)) });
    }
    let error = ErrorText { code: "x".into(), message: "y".into() };
    holds("ErrorAnswer", &ErrorAnswer { error, result: None });
    holds(
        "ExecutionInfo",
        &ExecutionInfo {
            execution_id: id("e"),
            job_id: job("j"),
            runtime: "docker".into(),
            image: String::new(),
            status: ExecutionStatus::Running,
        },
    );
    holds(
        "ExecutionStats",
        &ExecutionStats { cpu_ns: u64::MAX, memory: 1, memory_limit: 0, pids: 1, timestamp: -1 },
    );
    let port =
        MappedPort { host_ip: "::".into(), host_port: 65535, executor_port: 1, protocol: "tcp".into() };
    holds("NetInfo", &NetInfo { mapped_ports: vec![port], ..NetInfo::default() });
    holds(
        "ExecOutput",
        &ExecOutput { exit_code: -1, stdout: String::new(), stderr: String::new(), left_out: 1 },
    );
    for data in [OutputData::Text("x".into()), OutputData::Base64("/w==".into())] {
        holds("OutputEvent", &OutputEvent { stream: StreamKind::Stderr, offset: 1, data });
    }
}

fn job_info(all: bool) -> QueuedJobInfo {
    let moment = "2024-01-01T00:00:00Z".parse().unwrap();
    let optional = all.then_some(moment);
    let job = QueuedJob {
        job: JobRef::new(name("builds"), 7),
        state: QueuedState::Failed,
        tenant: "t".into(),
        priority: -1,
        payload: json!({}),
        queued_at: moment,
        process_after: optional,
        started_at: optional,
        heartbeat_at: optional,
        finished_at: optional,
        failure_message: all.then(|| "x".into()),
        resets: 1,
        failures: 1,
        attempt: 1,
        holder: all.then(|| "e".into()),
        cancel: all,
    };
    job.into()
}

#[test]
fn what_is_said_of_queues_is_as_it_is_described() {
    let rules = QueueRules::default();
    holds("QueueRules", &rules);
    holds("QueueMade", &QueueMade { queue: name("builds"), rules: rules.clone() });
    for oldest_due in [None, Some("2024-01-01T00:00:00Z".parse().unwrap())] {
        let counts = QueueCounts { queued: 1, ..QueueCounts::default() };
        let queue = QueueInfo {
            queue: name("builds"),
            paused: true,
            counts,
            oldest_due,
            stale_writes: 1,
            rules: rules.clone(),
        };
        holds("QueueList", &QueueList { queues: vec![queue] });
    }
    let push = PushRequest {
        payload: json!({"dockerSteps": []}),
        tenant: String::new(),
        priority: 1,
        process_after: None,
    };
    holds("PushBody", &push);
    holds(
        "PushBody",
        &[push.clone(), PushRequest { process_after: "2024-01-01T00:00:00Z".parse().ok(), ..push }],
    );
    holds("PushBody", &json!({"payload": {}}));
    for wrong in [json!({}), json!({"payload": []}), json!({"payload": {}, "more": 1}), json!([3])] {
        assert_ne!(faults("PushBody", &wrong), Vec::<String>::new(), "{wrong}");
    }
    holds("QueueRules", &json!({"max_retries": 2}));
    assert_ne!(faults("QueueRules", &json!({"retries": 2})), Vec::<String>::new());
    holds("PushedJobs", &PushedJobs { jobs: vec!["7-builds".into()] });
    for (all, next) in [(true, Some(7)), (false, None)] {
        holds("QueuedJobList", &QueuedJobList { jobs: vec![job_info(all)], next });
    }
    for state in QueuedState::ALL {
        holds("QueuedStateAnswer", &QueuedStateAnswer::new(&JobRef::new(name("builds"), 7), state));
        holds("LogEndEvent", &LogEndEvent { attempt: 1, state });
    }
}

#[test]
fn a_job_with_its_attempts_is_as_it_is_described() {
    let moment = "2024-01-01T00:00:00Z".parse().unwrap();
    for all in [true, false] {
        let attempt = AttemptInfo {
            attempt: 1,
            holder: "e".into(),
            state: QueuedState::Processing,
            started_at: moment,
            finished_at: all.then_some(moment),
            failure_message: all.then(|| "x".into()),
        };
        let details = QueuedJobDetails { job: job_info(all), attempts: vec![attempt] };
        holds("QueuedJobInfo", &details.job);
        let value = serde_json::to_value(&details).unwrap();
        for attempt in value["attempts"].as_array().unwrap() {
            holds("AttemptInfo", attempt);
        }
        assert_eq!(serde_json::from_value::<QueuedJobDetails>(value).unwrap(), details);
    }
}

#[test]
fn events_of_a_jobs_log_are_as_they_are_described() {
    let started_at = "2024-01-01T00:00:00Z".parse().unwrap();
    for command in [None, Some(vec!["true".into()])] {
        holds("LogEntryEvent", &LogEntryEvent { entry: 1, key: "k".into(), command, started_at });
    }
    holds("LogOutputEvent", &LogOutputEvent { entry: 1, offset: 0, text: "x".into() });
    holds("LogRewrittenEvent", &LogRewrittenEvent { entry: 1 });
    for duration_ms in [None, Some(1)] {
        holds("LogEndedEvent", &LogEndedEvent { entry: 1, exit_code: -1, duration_ms });
    }
}
