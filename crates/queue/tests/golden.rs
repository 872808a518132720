//! Every shape on the wire, as the original writes it (`golden/`): it is read to what it means, and written as it was.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::path::Path;

use jobwright_model::{JobRef, LogEntry, QueueName};
use jobwright_queue::Payload;
use jobwright_queue::wire::{
    AddExecutionLogEntryRequest, CanceledRequest, DequeueRequest, HeartbeatAnswer, HeartbeatRequest, Job,
    JobForm, LogForm, MarkCompleteRequest, MarkErroredRequest, UpdateExecutionLogEntryRequest, canceled_ids,
    entry_id, known_ids,
};
use serde_json::Value;

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn is_golden(name: &str, written: &[u8]) {
    let [written, kept]: [Value; 2] =
        [written, &golden(name)].map(|json| serde_json::from_slice(json).unwrap());
    assert_eq!(written, kept, "{name}");
}

// covers: sourcegraph 2-3, 8
#[test]
fn a_job_of_the_interface_document_is_read() {
    let job = Job::decode(&golden("job_document.json")).unwrap();
    assert_eq!((job.id, job.record_id(), job.token.as_str(), job.queue.as_str()), (7, 7, "", ""));
    let payload = &job.payload;
    assert_eq!((payload.repository_name.as_str(), payload.commit.as_str()), ("github.com/a/b", "deadbeef"));
    assert_eq!(payload.files["a.txt"].content, b"plain");
    let step = &payload.docker_steps[0];
    assert_eq!((step.image.as_str(), step.dir.as_str()), ("alpine", "sub"));
    assert_eq!(
        (&step.commands[..], &step.env[..]),
        (&["echo a".into(), "echo b".into()][..], &["A=1".into()][..])
    );
    assert_eq!(payload.cli_steps[0].commands, ["batch", "exec"]);
    assert_eq!(payload.redacted_values["hunter2"], "PASSWORD");
    is_golden("job_early.json", &job.encode(JobForm::Early).unwrap());
}

// covers: sourcegraph 2 (what is missing or null)
#[test]
fn what_is_missing_or_null_is_empty() {
    let nulls = br#"{"id": null, "token": null, "queue": null, "repositoryName": null, "repositoryDirectory": null, "commit": null,
        "fetchTags": null, "shallowClone": null, "sparseCheckout": null, "files": null, "dockerSteps": null, "cliSteps": null,
        "redactedValues": null, "dockerAuthConfig": null, "version": null}"#;
    for body in [&b"{}"[..], b"null", nulls] {
        assert!(Job::decode(body).unwrap() == Job::default());
    }
    let job = Job::decode(
        br#"{"dockerSteps": [null, {"commands": null, "env": [null]}], "files": {"a": null, "b": {}}}"#,
    )
    .unwrap();
    assert!(job.payload.docker_steps.len() == 2 && job.payload.files["a"] == job.payload.files["b"]);
    assert!(matches!(DequeueRequest::decode(b"null"), Ok(request) if request == DequeueRequest::default()));
}

// covers: sourcegraph 10-11
#[test]
fn a_job_is_written_as_it_was_read_in_each_version() {
    let [first, second] = ["job_v1.json", "job_v2.json"].map(|name| Job::decode(&golden(name)).unwrap());
    is_golden("job_v1.json", &first.encode(JobForm::V1).unwrap());
    is_golden("job_v2.json", &second.encode(JobForm::V2).unwrap());
    assert!(first.payload.files == second.payload.files, "the same bytes whatever the version");
    assert_eq!(second.payload.docker_auths["registry.example.org"], b"user:pass");
    is_golden("job_v1.json", &second.encode(JobForm::V1).unwrap());
    let least = Job { id: 1, ..Job::default() };
    is_golden("job_v2_least.json", &least.encode(JobForm::V2).unwrap());
}

// covers: sourcegraph 10
#[test]
fn a_file_is_the_same_bytes_as_text_as_an_object_and_in_base64() {
    let bodies = [
        r#"{"files": {"a": "text"}}"#,
        r#"{"version": 2, "files": {"a": "text"}}"#,
        r#"{"files": {"a": {"content": "text"}}}"#,
        r#"{"version": 1, "files": {"a": {"content": "text"}}}"#,
        r#"{"version": 2, "files": {"a": {"content": "dGV4dA=="}}}"#,
        r#"{"Version": 2, "FILES": {"a": {"Content": "dGV4\ndA=="}}}"#,
    ];
    for body in bodies {
        assert_eq!(Job::decode(body.as_bytes()).unwrap().payload.files["a"].content, b"text", "{body}");
    }
}

// covers: sourcegraph 13 (what is read)
#[test]
fn the_zero_time_is_no_time() {
    let job = Job::decode(&golden("job_v1.json")).unwrap();
    assert_eq!(job.payload.files["a.txt"].modified_at, None);
    let moment = job.payload.files["b.bin"].modified_at.unwrap();
    assert_eq!(moment.to_string(), "2022-11-24T10:00:00.5Z");
}

#[test]
fn what_a_form_cannot_say_is_an_error_that_names_the_file() {
    let job = Job::decode(br#"{"version": 2, "files": {"a.bin": {"content": "/w=="}}}"#).unwrap();
    for form in [JobForm::Early, JobForm::V1] {
        let error = job.encode(form).unwrap_err().to_string();
        assert!(error.contains("\"a.bin\" is not UTF-8") && error.contains("4.3 or later"), "{error}");
    }
    let fetched =
        Job::decode(&golden("job_v1.json")).unwrap().encode(JobForm::Early).unwrap_err().to_string();
    assert!(fetched.contains("\"b.bin\" is to be fetched"), "{fetched}");
}

#[test]
fn a_payload_is_kept_as_the_second_version_without_what_belongs_to_an_attempt() {
    let pushed = serde_json::from_slice(&golden("payload_stored.json")).unwrap();
    let payload = Payload::from_pushed(pushed).unwrap();
    is_golden("payload_stored.json", &serde_json::to_vec(&payload.to_stored()).unwrap());
}

// covers: sourcegraph 1, 9
#[test]
fn asking_for_a_job_has_been_said_in_these_ways() {
    let document = DequeueRequest::decode(&golden("dequeue_document.json")).unwrap();
    assert!(document == DequeueRequest { executor_name: "host-1".into(), ..DequeueRequest::default() });
    for name in ["dequeue_document.json", "dequeue_single.json", "dequeue_multi.json"] {
        is_golden(name, &DequeueRequest::decode(&golden(name)).unwrap().encode());
    }
    let body = br#"{"executorHostname": "h", "executorName": "host-1", "numCPUs": 4.0, "other": [{}]}"#;
    let request = DequeueRequest::decode(body).unwrap();
    assert_eq!((request.executor_name.as_str(), request.num_cpus), ("host-1", Some(4)));
}

// covers: sourcegraph 5, 12
#[test]
fn a_sign_of_life_has_been_given_in_these_ways() {
    for name in ["heartbeat_document.json", "heartbeat_single.json", "heartbeat_multi.json"] {
        is_golden(name, &HeartbeatRequest::decode(&golden(name)).unwrap().encode());
    }
    let ids = |body: &str| HeartbeatRequest::decode(body.as_bytes()).unwrap().job_ids;
    for list in ["[1, 2]", "[1.0, 2.0]", r#"["1", "2"]"#, r#"[1, "2"]"#] {
        assert_eq!(ids(&format!(r#"{{"jobIds": {list}}}"#)), Some(vec![1, 2]), "{list}");
    }
    assert_eq!((ids(r#"{"jobIds": null}"#), ids("{}")), (Some(Vec::new()), None));
    let single = HeartbeatRequest::decode(&golden("heartbeat_single.json")).unwrap();
    assert_eq!(single.about.len(), 7);
    assert_eq!(single.prometheus_metrics.lines().count(), 2);
}

#[test]
fn who_speaks_is_known_by_what_is_said() {
    let read = |body: &str| HeartbeatRequest::decode(body.as_bytes()).unwrap();
    assert!(read(r#"{"executorName": "e", "jobIds": null}"#).is_early());
    for body in [
        "{}",
        r#"{"jobIds": [1], "version": "V2"}"#,
        r#"{"jobIds": [1], "queueNames": ["a"]}"#,
        r#"{"jobIds": [], "jobIdsByQueue": [{}]}"#,
    ] {
        assert!(!read(body).is_early(), "{body}");
    }
    for body in [
        r#"{"jobIds": ["1"]}"#,
        r#"{"executorVersion": "5.1.0"}"#,
        r#"{"executorVersion": "dev"}"#,
        r#"{"executorVersion": "1_2023-06-01_x"}"#,
    ] {
        assert!(read(body).reads_text_ids(), "{body}");
    }
    for body in [r#"{"jobIds": [1]}"#, r#"{"executorVersion": "5.0.6"}"#, r#"{"executorVersion": "?"}"#] {
        assert!(!read(body).reads_text_ids(), "{body}");
    }
}

// covers: sourcegraph 12 (the answers), 28-29 (their form)
#[test]
fn the_four_answers_to_a_sign_of_life_are_written_and_read() {
    is_golden("answer_ids.json", &HeartbeatAnswer::Unknown(vec![1, 2]).encode());
    is_golden("answer_ids.json", &HeartbeatAnswer::Known(vec![1, 2]).encode());
    is_golden("answer_v2.json", &HeartbeatAnswer::V2 { known: vec![1, 2], cancel: vec![2] }.encode());
    let job = |id, queue| JobRef::new(QueueName::new(queue).unwrap(), id).to_string();
    let known = vec![job(1, "batches"), job(2, "batches-hooks")];
    let texts = HeartbeatAnswer::Texts { cancel: vec![known[1].clone()], known };
    is_golden("answer_texts.json", &texts.encode());

    let texts = |ids: &[&str]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let decode = |body: &[u8]| HeartbeatAnswer::decode(body).unwrap();
    assert_eq!(decode(&golden("answer_ids.json")), (texts(&["1", "2"]), Vec::new()));
    assert_eq!(decode(&golden("answer_v2.json")), (texts(&["1", "2"]), texts(&["2"])));
    let (known, cancel) = decode(&golden("answer_texts.json"));
    assert_eq!((known, cancel), (texts(&["1-batches", "2-batches-hooks"]), texts(&["2-batches-hooks"])));
    assert_eq!(decode(br#"{"knownIds": null}"#), (Vec::new(), Vec::new()));
    assert_eq!(decode(br#"{"knownIds": [1.0, "2"], "cancelIds": null}"#).0, ["1", "2"]);
    assert_eq!(known_ids(&golden("answer_ids.json")).unwrap(), [1, 2]);
    for body in [r#"{"knownIds": 1}"#, r#"{"knownIds": [null]}"#, r#"{"cancelIds": [1.5]}"#, "7", ""] {
        assert!(HeartbeatAnswer::decode(body.as_bytes()).is_err(), "{body}");
    }
}

// covers: sourcegraph 4
#[test]
fn an_entry_of_a_log_has_been_said_in_these_ways() {
    let add = |name| AddExecutionLogEntryRequest::decode(&golden(name)).unwrap();
    let document = add("add_log_document.json");
    assert_eq!(
        (document.job_id, document.entry.key.as_str(), document.entry.exit_code),
        (7, "setup.git.fetch", Some(0))
    );
    for form in [LogForm::Early, LogForm::Live] {
        is_golden("add_log_document.json", &document.encode(form));
    }
    let begun = add("add_log_begun.json");
    assert_eq!((begun.entry.end(), begun.entry.out.as_str()), (None, ""));
    is_golden("add_log_begun.json", &begun.encode(LogForm::Live));
    is_golden("add_log_early.json", &add("add_log_early.json").encode(LogForm::Early));
    let update = UpdateExecutionLogEntryRequest::decode(&golden("update_log.json")).unwrap();
    assert_eq!(update.entry.end().unwrap(), (-1, std::time::Duration::from_millis(1500)));
    is_golden("update_log.json", &update.encode());
    let [begun, there] = [begun.entry.clone(), LogEntry::from(begun.entry).into()];
    assert_eq!(begun, there);
    assert_eq!((entry_id(b"3\n").unwrap(), entry_id(b"").unwrap()), (Some(3), None));
}

// covers: sourcegraph 6
#[test]
fn the_end_of_a_job_has_been_said_in_these_ways() {
    let complete = MarkCompleteRequest::decode(&golden("mark_complete.json")).unwrap();
    assert_eq!((complete.executor_name.as_str(), complete.job_id), ("host-1", 7));
    is_golden("mark_complete.json", &complete.encode());
    let errored = MarkErroredRequest::decode(&golden("mark_errored.json")).unwrap();
    assert_eq!(errored.error_message, "command failed");
    is_golden("mark_errored.json", &errored.encode());
    for name in ["canceled.json", "canceled_jobs.json"] {
        is_golden(name, &CanceledRequest::decode(&golden(name)).unwrap().encode());
    }
    assert_eq!(canceled_ids(b"[1, \"2\"]").unwrap(), [1, 2]);
}

// covers: sourcegraph 7 (the identity)
#[test]
fn jobs_of_two_queues_with_one_number_are_two() {
    let [batches, hooks] = ["batches", "batches-hooks"].map(|name| QueueName::new(name).unwrap());
    let job = |queue: &str| Job { id: 7, queue: queue.into(), ..Job::default() };
    let [one, other] = [job("").job_ref(&batches).unwrap(), job("batches-hooks").job_ref(&batches).unwrap()];
    assert!(one != other && other == JobRef::new(hooks, 7));
    assert_eq!(JobRef::parse(&other.to_string()).unwrap(), Some(other));
    assert!(job("a/b").job_ref(&batches).is_err());
}

#[test]
fn what_is_wrong_is_named_with_its_place_and_without_its_value() {
    let cases = [
        (r#"{"files": {"a": {"content": 1}}}"#, "files[\"a\"].content: a text is needed, not a number"),
        (
            r#"{"version": 2, "files": {"a": {"content": "hunter2!"}}}"#,
            "files[\"a\"].content: standard base64",
        ),
        (
            r#"{"dockerSteps": [{}, {"env": ["A=hunter2", 5]}]}"#,
            "dockerSteps[1].env[1]: a text is needed, not a number",
        ),
        (r#"{"dockerSteps": {}}"#, "dockerSteps: a list is needed, not an object"),
        (r#"{"id": "hunter2"}"#, "id: a whole number is needed, not a text"),
        (r#"{"id": 1.5}"#, "id: a whole number is needed, not a number"),
        (r#"{"fetchTags": "hunter2"}"#, "fetchTags: true or false is needed, not a text"),
        (r#"{"redactedValues": ["hunter2"]}"#, "redactedValues: an object is needed, not a list"),
        (r#"["hunter2"]"#, "the body: an object is needed, not a list"),
        ("{", "EOF while parsing"),
    ];
    for (body, message) in cases {
        let error = Job::decode(body.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(message) && !error.contains("hunter2"), "{error}");
    }
    let entry = br#"{"exitCode": 3221225786}"#;
    let error = AddExecutionLogEntryRequest::decode(entry).unwrap_err().to_string();
    assert!(error.contains("exitCode: a number of 32 bits"), "{error}");
    let error =
        AddExecutionLogEntryRequest::decode(br#"{"startTime": "yesterday"}"#).unwrap_err().to_string();
    assert!(error.contains("startTime: a time such as"), "{error}");
}

#[test]
fn nothing_secret_is_in_what_is_printed_for_finding_faults() {
    let job = Job::decode(&golden("job_v2.json")).unwrap();
    let shown =
        format!("{job:?} {:?} {:?} {:?}", job.payload.files, job.payload.docker_steps, job.payload.cli_steps);
    for secret in ["hunter2", "0123456789abcdef", "user:pass", "plain", "A=1"] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    assert!(shown.contains("github.com/a/b"));
}
