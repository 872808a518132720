//! Every refusal has its status, its code and its words.

use std::io;

use jobwright_backend::Error as BackendError;
use jobwright_executor::Error;
use jobwright_model::ExecutionStatus;

use crate::fake::{id, job, result};
use crate::support::{House, LONG};

fn errors() -> Vec<(Error, u16, &'static str)> {
    let e = || id("e");
    let (status, now) = (ExecutionStatus::Success, ExecutionStatus::Running);
    vec![
        (Error::NotFound(e()), 404, "not_found"),
        (Error::AlreadyStarted(e()), 409, "already_started"),
        (Error::AlreadyCompleted(e()), 409, "already_completed"),
        (Error::AlreadyConcluded { id: e(), result: Box::new(result(3)) }, 409, "already_concluded"),
        (Error::OtherJob { id: e(), own: job("a"), given: job("b") }, 409, "other_job"),
        (Error::WrongStatus { id: e(), status: now, needs: "pause it first" }, 409, "wrong_status"),
        (Error::DidNotReach { id: e(), status, seconds: 1.0, now }, 409, "did_not_reach"),
        (Error::LogsExpired(e()), 410, "logs_expired"),
        (Error::Invalid { field: "keys[0]".into(), reason: "ssh is the only type".into() }, 422, "invalid"),
        (Error::UnknownEngine { wanted: "x".into(), known: vec!["docker".into()] }, 422, "unknown_engine"),
        (Error::Unsupported { backend: "process".into(), what: "pause".into() }, 501, "unsupported"),
        (
            Error::Backend(BackendError::EngineGone { engine: "docker", reason: "x".into() }),
            503,
            "engine_gone",
        ),
        (Error::Backend(BackendError::Workspace("x".into())), 500, "backend"),
        (Error::Store { operation: "read it".into(), source: io::Error::other("x") }, 500, "store"),
        (Error::Damaged("x".into()), 500, "store"),
        (Error::Several(vec!["a".into(), "b".into()]), 500, "several"),
    ]
}

// covers: nunet 75 (over HTTP)
#[tokio::test]
async fn each_error_of_the_executor_keeps_its_name_and_its_words() {
    let house = House::open().await;
    house.fake.runs("e");
    for ((error, status, code), (again, _, _)) in errors().into_iter().zip(errors()) {
        let message = error.to_string();
        house.fake.fails(error);
        let answer = house.get("/api/v1/executions/e").await;
        assert_eq!((answer.status, answer.error()), (status, (code.to_owned(), message.clone())));
        house.fake.fails(again);
        let told = house.unix_client.get_info(&id("e")).await.unwrap_err();
        assert!(told.code() == Some(code) && told.to_string().contains(&message), "{told}");
    }
}

#[tokio::test]
async fn what_has_concluded_comes_with_its_result() {
    let house = House::open().await;
    house.fake.runs("e");
    house.fake.ends("e", 3);
    for client in [&house.unix_client, &house.tcp_client] {
        let calls = [
            client.cancel(&id("e")).await.unwrap_err(),
            client.pause(&id("e")).await.unwrap_err(),
            client.resume(&id("e")).await.unwrap_err(),
            client.exec(&id("e"), &["true".into()], LONG).await.unwrap_err(),
            client.stats(&id("e")).await.unwrap_err(),
            client.get_net_info(&id("e")).await.unwrap_err(),
        ];
        for error in calls {
            let jobwright_client::Error::Refused { code, result: Some(told), .. } = error else {
                panic!("{error}")
            };
            assert_eq!((code.as_str(), *told), ("already_concluded", result(3)));
        }
    }
}

// covers: nunet 76 (ids over HTTP)
#[tokio::test]
async fn an_id_that_is_none_is_refused_whatever_it_tries() {
    let house = House::open().await;
    let long = "x".repeat(300);
    for hostile in [
        "..%2F..%2Fetc",
        "%2e%2e",
        "..",
        "a%00b",
        "a%0Ab",
        "%C3%A4",
        "%FF",
        "a%2Fb",
        "a%20b",
        "%22x%22",
        &long,
    ] {
        for (method, rest) in [
            ("GET", ""),
            ("DELETE", ""),
            ("GET", "/status"),
            ("GET", "/wait"),
            ("POST", "/cancel"),
            ("GET", "/logs"),
        ] {
            let answer = house.ask(&format!("{method} /api/v1/executions/{hostile}{rest}"), "", b"").await;
            assert_eq!(
                (answer.status, answer.error().0.as_str()),
                (400, "invalid_id"),
                "{method} {hostile}{rest}"
            );
        }
    }
    for path in [
        "/api/v1/executions/../secret",
        "/api/v1/executions/",
        "/api/v1/executions//status",
        "/",
        "/api/v1/executions/e/x",
    ] {
        let answer = house.get(path).await;
        assert_eq!(answer.status / 100, 4, "{path}");
        assert!(
            ["no_route", "invalid_id"].contains(&answer.error().0.as_str()),
            "{path}: {:?}",
            answer.error()
        );
    }
    let answer = house.ask_as("GET /api/v1/executions/a\0b", "", b"").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_query_that_is_wrong_is_told_what_would_be_right() {
    let house = House::open().await;
    house.fake.runs("e");
    for (line, named) in [
        ("GET /api/v1/executions/e/wait?timeout=soon", "\"soon\" is not a number of seconds"),
        ("GET /api/v1/executions/e/wait?timeout=-1", "from 0 to 3600"),
        ("GET /api/v1/executions/e/wait?timeout=NaN", "\"NaN\""),
        ("GET /api/v1/executions/e/wait?timeout=inf", "\"inf\""),
        ("GET /api/v1/executions/e/wait?timeout=3601", "3600"),
        ("GET /api/v1/executions/e/wait?timeout=", "seconds"),
        ("GET /api/v1/executions/e/wait?timeuot=1", "timeuot"),
        ("GET /api/v1/executions/e/wait?timeout=1&timeout=2", "duplicate"),
        ("DELETE /api/v1/executions/e?timeout=x", "\"x\""),
        ("DELETE /api/v1/executions?all=1", "all"),
        ("GET /api/v1/executions/e/status?until=done", "success"),
        ("GET /api/v1/executions/e/status?timeout=1", "until"),
        ("GET /api/v1/executions/e/logs?follow=perhaps", "neither 1 (yes) nor 0 (no)"),
        ("GET /api/v1/executions/e/logs?job=a%2Fb", "job id"),
        ("GET /api/v1/executions/e?x=1", "x"),
    ] {
        let answer = house.ask(line, "", b"").await;
        let (code, message) = answer.error();
        assert_eq!((answer.status, code.as_str()), (400, "invalid_query"), "{line}");
        assert!(message.contains(named), "{line}: {message}");
    }
    assert!(house.fake.request("e").is_some());
}

#[tokio::test]
async fn a_method_that_does_not_fit_is_told_which_do() {
    let house = House::open().await;
    for line in [
        "PUT /api/v1/executions",
        "POST /api/v1/executions/e",
        "GET /api/v1/executions/e/cancel",
        "DELETE /healthz",
    ] {
        let answer = house.ask(line, "", b"").await;
        assert_eq!((answer.status, answer.error().0.as_str()), (405, "no_method"), "{line}");
        assert!(answer.header("allow").is_some(), "{line}: {}", answer.head);
    }
}
