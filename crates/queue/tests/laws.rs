//! Laws of the wire: nothing that comes makes a reader panic, and what was written is read as it was.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use jobwright_queue::wire::{
    AddExecutionLogEntryRequest, CanceledRequest, DequeueRequest, ExecutionLogEntry, HeartbeatAnswer,
    HeartbeatRequest, Job, JobForm, LogForm, MarkCompleteRequest, MarkErroredRequest,
    UpdateExecutionLogEntryRequest, canceled_ids, entry_id, known_ids,
};
use jobwright_queue::{CliStep, DockerStep, File, Payload};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// Everything that reads a body.
fn read_all(body: &[u8]) {
    let _ =
        Job::decode(body).map(|job| [JobForm::Early, JobForm::V1, JobForm::V2].map(|form| job.encode(form)));
    let _ = DequeueRequest::decode(body).map(|request| request.encode());
    let _ = HeartbeatRequest::decode(body).map(|request| (request.encode(), request.reads_text_ids()));
    let _ = AddExecutionLogEntryRequest::decode(body)
        .map(|request| (request.encode(LogForm::Early), request.entry.end()));
    let _ = UpdateExecutionLogEntryRequest::decode(body).map(|request| request.encode());
    let _ = MarkCompleteRequest::decode(body);
    let _ = MarkErroredRequest::decode(body);
    let _ = CanceledRequest::decode(body);
    let _ = HeartbeatAnswer::decode(body);
    let _ = (canceled_ids(body), known_ids(body), entry_id(body));
    if let Ok(value) = serde_json::from_slice(body) {
        let _ = Payload::from_pushed(value);
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let key = prop_oneof![
        Just("id"),
        Just("files"),
        Just("content"),
        Just("dockerSteps"),
        Just("cliSteps"),
        Just("env"),
        Just("jobIds"),
        Just("modifiedAt"),
        Just("dockerAuthConfig"),
        Just("auths"),
        Just("auth"),
        Just("version"),
        Just("startTime"),
        Just("exitCode"),
        Just("durationMs"),
        Just("knownIds"),
        Just("jobIdsByQueue"),
        Just("redactedValues"),
        Just("x"),
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "\\PC{0,8}".prop_map(Into::into),
        Just("0001-01-01T00:00:00Z".into()),
        Just(2.into()),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        let object = vec((key.clone(), inner.clone()), 0..6)
            .prop_map(|members| members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
        prop_oneof![vec(inner, 0..4).prop_map(Into::into), object]
    })
}

fn file() -> impl Strategy<Value = File> {
    // From 1970 to 2100, by the nanosecond.
    let moment = (0..4_102_444_800_i64, 0..1_000_000_000_i32)
        .prop_map(|(second, nanosecond)| Timestamp::new(second, nanosecond).unwrap());
    (vec(any::<u8>(), 0..20), "[a-z]{0,4}", "[a-z/]{0,6}", proptest::option::of(moment))
        .prop_map(|(content, bucket, key, modified_at)| File { content, bucket, key, modified_at })
}

fn payload() -> impl Strategy<Value = Payload> {
    let texts = || vec("\\PC{0,6}", 0..3);
    let docker = ("[a-z]{0,3}", "\\PC{0,6}", texts(), "\\PC{0,6}", texts())
        .prop_map(|(key, image, commands, dir, env)| DockerStep { key, image, commands, dir, env });
    let cli = ("[a-z]{0,3}", texts(), "\\PC{0,6}", texts()).prop_map(|(key, commands, dir, env)| CliStep {
        key,
        commands,
        dir,
        env,
    });
    let heads = ("\\PC{0,9}", "\\PC{0,9}", "\\PC{0,9}", any::<bool>(), any::<bool>(), texts());
    let maps = (
        btree_map("\\PC{0,6}", file(), 0..4),
        btree_map("\\PC{0,6}", "\\PC{0,6}", 0..4),
        btree_map("[a-z.]{1,6}", vec(any::<u8>(), 0..9), 0..3),
    );
    (heads, maps, vec(docker, 0..3), vec(cli, 0..3)).prop_map(|(heads, maps, docker_steps, cli_steps)| {
        Payload {
            repository_name: heads.0,
            repository_directory: heads.1,
            commit: heads.2,
            fetch_tags: heads.3,
            shallow_clone: heads.4,
            sparse_checkout: heads.5,
            files: maps.0,
            redacted_values: maps.1,
            docker_auths: maps.2,
            docker_steps,
            cli_steps,
        }
    })
}

proptest! {
    #[test]
    fn no_bytes_are_too_much(body in vec(any::<u8>(), 0..200)) {
        read_all(&body);
    }

    #[test]
    fn no_json_is_too_much(value in json()) {
        read_all(value.to_string().as_bytes());
    }

    #[test]
    fn no_job_that_was_damaged_is_too_much(payload in payload(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut body = Job { id: 7, payload, ..Job::default() }.encode(JobForm::V2).unwrap();
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        read_all(&body);
    }

    // covers: sourcegraph 10-11 (for any job)
    #[test]
    fn what_was_written_is_read_as_it_was(payload in payload(), id in any::<i64>(), token in "[0-9a-f]{0,40}", queue in "[a-z-]{0,9}") {
        let job = Job { id, token, queue, payload };
        prop_assert!(Job::decode(&job.encode(JobForm::V2).unwrap()).unwrap() == job);
        prop_assert!(Payload::from_stored(job.payload.to_stored()).unwrap() == job.payload);
        if let Ok(body) = job.encode(JobForm::V1) {
            let mut first = job;
            // The first version has no passwords for registries.
            first.payload.docker_auths = BTreeMap::new();
            prop_assert!(Job::decode(&body).unwrap() == first);
        }
    }

    #[test]
    fn an_entry_of_a_log_is_read_as_it_was(
        out in "\\PC{0,20}", exit_code in proptest::option::of(any::<i32>()), duration_ms in proptest::option::of(any::<i64>()),
        command in proptest::option::of(vec("\\PC{0,5}", 0..3)), second in 0..4_102_444_800_i64,
    ) {
        let start_time = Timestamp::new(second, 1).unwrap();
        let entry = ExecutionLogEntry { key: "k".into(), command, start_time, exit_code, out, duration_ms };
        let update = UpdateExecutionLogEntryRequest { executor_name: "e".into(), job_id: 1, entry_id: 2, entry };
        prop_assert_eq!(UpdateExecutionLogEntryRequest::decode(&update.encode()).unwrap(), update);
    }
}

#[test]
fn what_is_nested_too_deep_is_an_error() {
    let deep = format!("{{\"files\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(Job::decode(deep.as_bytes()).unwrap_err().to_string().contains("recursion"));
}
