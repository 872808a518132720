//! The log of an attempt as events.

use std::time::Duration;

use jiff::Timestamp;
use jobwright_model::{AttemptEnd, JobRef, LogEntry, LogOut, QueuedState, Speaker};
use jobwright_server::Token;
use serde_json::{Value, json};

use super::events::Events;
use super::refused;
use crate::queue::support::{Desk, WORD, name, payload};

const BEGUN: &str = "2026-01-02T03:04:05Z";

fn speaker() -> Speaker {
    Speaker::Holder { name: "e".into(), job: JobRef::new(name("batches"), 1) }
}

impl Desk {
    async fn begins(&self, key: &str, out: &str, exit_code: Option<i32>) {
        let entry = LogEntry {
            key: key.into(),
            command: Some(vec!["echo".into(), "a b".into()]),
            started_at: BEGUN.parse().unwrap(),
            exit_code,
            out: out.into(),
            duration: exit_code.map(|_| Duration::from_millis(1500)),
        };
        self.store.add_log(&speaker(), &entry, Timestamp::now()).await.unwrap();
    }

    async fn prints(&self, entry: u64, out: &str, exit_code: Option<i32>) {
        let end = exit_code.map(|code| (code, Duration::from_millis(20)));
        let out = LogOut::Whole(out.into());
        self.store.update_log(&speaker(), entry, &out, end, Timestamp::now()).await.unwrap();
    }

    async fn completes(&self) {
        self.store.finish(&speaker(), &AttemptEnd::Completed, Timestamp::now()).await.unwrap();
    }

    async fn events(&self, path: &str) -> Events {
        Events::of(self.house.tcp, path).await
    }
}

fn event(name: &str, data: Value) -> (String, Value) {
    (name.to_owned(), data)
}

fn entry(number: u64, key: &str) -> (String, Value) {
    let data = json!({"entry": number, "key": key, "command": ["echo", "a b"], "started_at": BEGUN});
    event("entry", data)
}

fn output(number: u64, offset: u64, text: &str) -> (String, Value) {
    event("output", json!({"entry": number, "offset": offset, "text": text}))
}

fn ended(number: u64, code: i32, time: u64) -> (String, Value) {
    event("ended", json!({"entry": number, "exit_code": code, "duration_ms": time}))
}

fn end(attempt: u32, state: &str) -> (String, Value) {
    event("end", json!({"attempt": attempt, "state": state}))
}

#[tokio::test]
async fn a_log_tells_each_command_what_it_printed_and_how_it_ended() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    desk.begins("setup", "ü\n", Some(0)).await;
    desk.begins("step.docker.0", "", None).await;
    let so_far = [entry(1, "setup"), output(1, 0, "ü\n"), ended(1, 0, 1500), entry(2, "step.docker.0")];
    let told = desk.events("/batches/jobs/1/logs").await.all().await;
    assert_eq!(told, [&so_far[..], &[end(1, "processing")]].concat(), "what is there, not followed");
    desk.prints(2, "x", Some(7)).await;
    desk.completes().await;
    for query in ["", "?follow=1", "?attempt=1&follow=true"] {
        let told = desk.events(&format!("/batches/jobs/1/logs{query}")).await.all().await;
        let rest = [output(2, 0, "x"), ended(2, 7, 20), end(1, "completed")];
        assert_eq!(told, [&so_far[..], &rest].concat(), "{query}");
    }
}

#[tokio::test]
async fn a_log_that_is_followed_tells_what_comes_and_what_is_rewritten() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    desk.begins("a", "one\n", None).await;
    let mut events = desk.events("/batches/jobs/1/logs?follow=1").await;
    let mut next = async || events.next().await.unwrap();
    assert_eq!([next().await, next().await], [entry(1, "a"), output(1, 0, "one\n")]);
    desk.prints(1, "one\ntwo\n", None).await;
    assert_eq!(next().await, output(1, 4, "two\n"));
    desk.prints(1, "one\n***\n", None).await;
    assert_eq!(
        [next().await, next().await],
        [event("rewritten", json!({"entry": 1})), output(1, 0, "one\n***\n")]
    );
    // The next command begins before the end of this one is told.
    desk.begins("b", "", None).await;
    assert_eq!(next().await, entry(2, "b"));
    desk.prints(1, "one\n***\nthree\n", Some(0)).await;
    assert_eq!([next().await, next().await], [output(1, 8, "three\n"), ended(1, 0, 20)]);
    desk.prints(2, "last", Some(1)).await;
    desk.completes().await;
    assert_eq!(
        [next().await, next().await, next().await],
        [output(2, 0, "last"), ended(2, 1, 20), end(1, "completed")]
    );
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_long_log_is_told_whole() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    // More than a store gives at once, of characters of three bytes.
    let long = "€".repeat(4 << 20);
    desk.begins("long", &long, Some(0)).await;
    for number in 0..250 {
        desk.begins(&number.to_string(), "", Some(0)).await;
    }
    let told = desk.events("/batches/jobs/1/logs").await.all().await;
    let mut text = String::new();
    for (_, data) in told.iter().filter(|(name, data)| name == "output" && data["entry"] == 1) {
        assert_eq!(data["offset"], text.len());
        text += data["text"].as_str().unwrap();
    }
    assert!(text == long, "{} bytes of {}", text.len(), long.len());
    for name in ["entry", "ended"] {
        assert_eq!(told.iter().filter(|(other, _)| other == name).count(), 251);
    }
}

#[tokio::test]
async fn who_follows_a_job_that_waits_is_told_of_its_first_attempt() {
    let desk = Desk::open().await;
    desk.push("batches", payload()).await;
    assert_eq!(desk.events("/batches/jobs/1/logs").await.all().await, [end(0, "queued")]);
    let mut events = desk.events("/batches/jobs/1/logs?follow=1").await;
    desk.executor().post("batches/dequeue", &json!({"executorName": "e"})).await;
    desk.begins("a", "", None).await;
    assert_eq!(events.next().await.unwrap(), entry(1, "a"));
    desk.completes().await;
    assert_eq!(events.all().await, [end(1, "completed")]);
    let other = desk.push("batches", payload()).await;
    let events = desk.events("/batches/jobs/2/logs?follow=1").await;
    assert_eq!(desk.store.cancel(&other, Timestamp::now()).await.unwrap(), Some(QueuedState::Canceled));
    assert_eq!(events.all().await, [end(0, "canceled")]);
}

#[tokio::test]
async fn each_attempt_has_its_log_and_others_are_not_there() {
    let desk = Desk::open().await;
    desk.taken("e").await;
    desk.begins("first", "", Some(1)).await;
    let failed = AttemptEnd::Failed("x".into());
    desk.store.finish(&speaker(), &failed, Timestamp::now()).await.unwrap();
    desk.own("POST", "/batches/jobs/1/retry", &json!(null)).await;
    desk.executor().post("batches/dequeue", &json!({"executorName": "e"})).await;
    desk.begins("second", "", Some(0)).await;
    let first = desk.events("/batches/jobs/1/logs?attempt=1&follow=1").await.all().await;
    assert_eq!(first, [entry(1, "first"), ended(1, 1, 1500), end(1, "failed")]);
    let latest = desk.events("/batches/jobs/1/logs").await.all().await;
    assert_eq!(latest, [entry(1, "second"), ended(1, 0, 1500), end(2, "processing")]);
    for (query, expected) in [
        ("attempt=3", (404, "no_attempt")),
        ("attempt=0", (404, "no_attempt")),
        ("attempt=x", (400, "invalid_query")),
        ("follow=maybe", (400, "invalid_query")),
        ("tail=1", (400, "invalid_query")),
    ] {
        let answer = desk.look(&format!("/batches/jobs/1/logs?{query}")).await;
        assert_eq!(refused(&answer), (expected.0, expected.1.to_owned()), "{query}");
    }
}

#[tokio::test]
async fn who_follows_has_a_place_and_gives_it_back() {
    let word = Token::new(WORD).unwrap();
    let desk = Desk::built(|builder| builder.connections(2), |api| api.executor_token(&word)).await;
    desk.taken("e").await;
    desk.begins("a", "", None).await;
    let mut events = desk.events("/batches/jobs/1/logs?follow=1").await;
    events.next().await.unwrap();
    let refusal = desk.look("/batches/jobs/1/logs?follow=1").await;
    assert_eq!(refused(&refusal), (503, "too_many_waiting".into()));
    assert_eq!(desk.look("/batches/jobs/1/logs").await.status, 200, "who does not follow needs none");
    desk.completes().await;
    assert_eq!(events.all().await, [end(1, "completed")]);
    assert_eq!(desk.events("/batches/jobs/1/logs?follow=1").await.all().await.len(), 2);
}

#[tokio::test]
async fn a_silent_log_says_that_it_is_there_and_ends_with_the_server() {
    let word = Token::new(WORD).unwrap();
    let keep_alive = Duration::from_millis(10);
    let mut desk =
        Desk::built(|builder| builder.keep_alive(keep_alive), |api| api.executor_token(&word)).await;
    desk.taken("e").await;
    let mut events = desk.events("/batches/jobs/1/logs?follow=1").await;
    events.until_comment().await;
    events.until_comment().await;
    desk.house.stop.take().unwrap().send(()).unwrap();
    let (name, data) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &data["error"]["code"]), ("error", &json!("shutting_down")));
    assert_eq!(events.next().await, None);
}
