//! The wire form as behaviours.

use std::time::Duration;

use bytes::Bytes;
use jobwright_model::{Cause, Ending, ExitStatus, RunId, StepExit};
use serde_json::{Value, json};

use super::WireEvent;
use crate::{Event, EventKind, ExecKind, GapReason, Group, RunMode, StreamKind};

fn event(kind: EventKind) -> Event {
    Event {
        seq: 7,
        time: "2026-11-20T13:46:44.99039795Z".parse().unwrap(),
        run_id: RunId::new("20261120T134644Z-c0764b").unwrap(),
        kind,
    }
}

fn output(data: &'static [u8]) -> EventKind {
    EventKind::LogLine {
        job: Some("build".into()),
        step: Some("cc".into()),
        exec: ExecKind::Concurrent,
        stream: StreamKind::Stderr,
        data: Bytes::from_static(data),
        position: None,
    }
}

fn json_of(kind: EventKind) -> Value {
    serde_json::to_value(WireEvent::from(&event(kind))).unwrap()
}

fn there_and_back(kind: EventKind) {
    let before = event(kind);
    let text = serde_json::to_string(&WireEvent::from(&before)).unwrap();
    let after = Event::try_from(serde_json::from_str::<WireEvent>(&text).unwrap()).unwrap();
    assert_eq!(before, after, "{text}");
}

/// One event of each type, with every field set.
fn one_of_each() -> Vec<EventKind> {
    let failed = Ending::of_exit(&StepExit::new(ExitStatus::Code(7))).because("exit status 7");
    vec![
        EventKind::RunStarted {
            mode: RunMode::ParallelStages,
            has_matrix: true,
            has_detached: true,
            order: vec!["a".into(), "b".into()],
            config_path: "/p/ci.yaml".into(),
            project_path: "/p".into(),
            commit: "2de51d0".into(),
            branch: "HEAD".into(),
        },
        EventKind::RunFinished {
            duration: Duration::from_millis(1500),
            error: Some("Job a failed: <&>".into()),
            ending: Ending::new(Cause::ByUser),
        },
        EventKind::GroupStarted { group: Group::Matrix("m".into()), order: vec!["m_V.1".into()] },
        EventKind::GroupFinished { group: Group::Stage("build".into()) },
        EventKind::JobStarted {
            job: "a".into(),
            stage: "build".into(),
            exec: ExecKind::Detached,
            group: Some(Group::Dag),
            attempt: 1,
        },
        EventKind::JobFinished {
            job: "a".into(),
            stage: "build".into(),
            exec: ExecKind::Standalone,
            group: None,
            attempt: 3,
            duration: Duration::from_millis(20),
            error: Some("Job a failed".into()),
            ending: failed.clone(),
            allowed: true,
        },
        output(b"hello\n"),
        output(b"\xff\x00not text"),
        EventKind::Diagnostic { data: "2026/11/20 13:46:44 ready\n".into() },
        EventKind::LogGap {
            job: Some("a".into()),
            step: None,
            exec: ExecKind::Standalone,
            stream: StreamKind::Stdout,
            bytes: 4096,
            reason: GapReason::DiskFull,
            position: None,
        },
        EventKind::JobSkipped {
            job: "b".into(),
            stage: "test".into(),
            group: Some(Group::Parallel),
            ending: Ending::new(Cause::Dependency("a".into())).because("dependency a did not pass"),
        },
        EventKind::StepStarted { job: "a".into(), step: "cc".into(), attempt: 2 },
        EventKind::StepFinished {
            job: "a".into(),
            step: "cc".into(),
            attempt: 2,
            duration: Duration::from_millis(3),
            ending: failed,
        },
    ]
}

#[test]
fn every_event_comes_back_from_the_wire_as_it_went() {
    one_of_each().into_iter().for_each(there_and_back);
}

// covers: local-ci 13, local-ci 14
#[test]
fn the_fields_come_in_the_order_of_the_interface_document_and_ours_after_them() {
    let order = "seq,type,time,runId,job,stage,exec,groupId,groupKind,groupLabel,mode,hasMatrix,hasDetached,order,configPath,\
                 projectPath,commit,branch,exitCode,durationMs,err,stream,data,step,attempt,outcome,cause,dependency,\
                 realExitCode,signal,reason,dataB64,gap,allowedFailure";
    let full = WireEvent {
        seq: 1,
        r#type: "x".into(),
        time: event(output(b"")).time,
        run_id: "x".into(),
        job: "x".into(),
        stage: "x".into(),
        exec: "x".into(),
        group_id: "x".into(),
        group_kind: "x".into(),
        group_label: "x".into(),
        mode: "x".into(),
        has_matrix: true,
        has_detached: true,
        order: vec!["x".into()],
        config_path: "x".into(),
        project_path: "x".into(),
        commit: "x".into(),
        branch: "x".into(),
        exit_code: 1,
        duration_ms: 1,
        err: "x".into(),
        stream: "x".into(),
        data: "x".into(),
        step: "x".into(),
        attempt: 1,
        outcome: "x".into(),
        cause: "x".into(),
        dependency: "x".into(),
        real_exit_code: Some(1),
        signal: Some(1),
        reason: "x".into(),
        data_b64: "x".into(),
        gap: 1,
        allowed_failure: true,
    };
    let text = serde_json::to_string(&full).unwrap();
    let places: Vec<_> =
        order.split(',').map(|name| text.find(&format!("\"{name}\":")).expect(name)).collect();
    assert!(places.is_sorted(), "{text}");
    assert_eq!(text.matches("\":").count(), places.len(), "{text}");
}

// covers: local-ci 14, local-ci 16
#[test]
fn what_is_zero_false_or_empty_is_absent_but_for_the_envelope() {
    let empty = serde_json::to_value(WireEvent::default()).unwrap();
    assert_eq!(empty, json!({"seq": 0, "type": "", "time": "1970-01-01T00:00:00Z"}));
}

// covers: local-ci 32
#[test]
fn a_failed_job_has_exit_code_1_as_the_original_and_its_real_code_beside_it() {
    let wire = json_of(one_of_each().remove(5));
    assert_eq!(
        (&wire["exitCode"], &wire["realExitCode"], &wire["outcome"], &wire["cause"], &wire["attempt"]),
        (&json!(1), &json!(7), &json!("failed"), &json!("exit_code"), &json!(3))
    );
}

// covers: local-ci 28
#[test]
fn output_that_is_not_utf8_goes_as_base64_in_place_of_data() {
    let wire = json_of(output(b"\xff\x00"));
    assert_eq!((wire.get("data"), &wire["dataB64"]), (None, &json!("/wA=")));
    let wire = json_of(output(b"\0\0"));
    assert_eq!(
        (wire.get("data"), &wire["dataB64"]),
        (None, &json!("AAA=")),
        "zeros would grow sixfold as text"
    );
    let wire = json_of(output("é\u{1}".as_bytes()));
    assert_eq!((&wire["data"], wire.get("dataB64")), (&json!("é\u{1}"), None));
}

// covers: local-ci 27
#[test]
fn standard_error_is_told_apart() {
    assert_eq!(json_of(output(b"x"))["stream"], "stderr");
}

// covers: local-ci 32
#[test]
fn a_skipped_job_names_the_dependency_and_the_reason() {
    let wire = json_of(one_of_each().remove(10));
    assert_eq!(
        (&wire["type"], &wire["outcome"], &wire["dependency"], &wire["reason"]),
        (&json!("job_skipped"), &json!("skipped"), &json!("a"), &json!("dependency a did not pass"))
    );
}

#[test]
fn a_gap_is_a_log_line_with_a_notice_for_readers_that_do_not_know_gaps() {
    let wire = json_of(one_of_each().remove(9));
    assert_eq!(
        (&wire["type"], &wire["gap"], &wire["cause"]),
        (&json!("log_line"), &json!(4096), &json!("disk_full"))
    );
    assert!(wire["data"].as_str().unwrap().contains("4096 bytes"), "{wire}");
}

#[test]
fn the_reader_takes_local_offsets_go_escapes_and_unknown_names() {
    let line = r#"{"seq":3,"type":"log_line","time":"2026-11-20T15:46:44.5+02:00","runId":"20261120T134644Z-c0764b",
        "job":"a","exec":"standalone","stream":"stdout","data":"\u003c\u0026\u003e\n","colour":{"of":["things"]}}"#;
    let event = Event::try_from(serde_json::from_str::<WireEvent>(line).unwrap()).unwrap();
    assert_eq!(event.time, "2026-11-20T13:46:44.5Z".parse().unwrap());
    let EventKind::LogLine { data, .. } = event.kind else { panic!("{event:?}") };
    assert_eq!(data, "<&>\n");
}

#[test]
fn what_is_not_known_is_kept_as_it_came() {
    for (kind, extra) in [
        ("run_paused", ""),
        ("group_started", r#","groupId":"ring:1""#),
        ("run_started", r#","mode":"fast""#),
    ] {
        let line = format!(
            r#"{{"seq":3,"type":"{kind}","time":"2026-11-20T13:46:44Z","runId":"20261120T134644Z-c0764b"{extra}}}"#
        );
        let wire: WireEvent = serde_json::from_str(&line).unwrap();
        let event = Event::try_from(wire.clone()).unwrap();
        assert_eq!(event.kind, EventKind::Unknown(Box::new(wire)));
        assert_eq!(serde_json::to_string(&WireEvent::from(&event)).unwrap(), line);
    }
}

#[test]
fn an_event_of_no_run_is_an_error_that_names_the_rule() {
    let wire: WireEvent =
        serde_json::from_str(r#"{"seq":1,"type":"diagnostic","time":"2026-11-20T13:46:44Z"}"#).unwrap();
    let error = Event::try_from(wire).unwrap_err().to_string();
    assert!(error.contains("20261120T132503Z-567825"), "{error}");
}
