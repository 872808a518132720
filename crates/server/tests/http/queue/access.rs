//! Who may ask.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jobwright_model::JobRef;
use jobwright_server::{QueueApi, Server, Token};
use serde_json::{Value, json};

use super::support::{Caller, Desk, PASSWORD, WORD, error_of, json_of, name, payload, store, text};
use crate::fake::Fake;

const AUTH: &str = "/.executors/test/auth";

fn basic(name: &str, password: &str) -> String {
    format!("authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
}

// covers: sourcegraph 33, 38
#[tokio::test]
async fn the_word_of_executors_opens_what_is_theirs_and_nothing_else_does() {
    let desk = Desk::open().await;
    let right = desk.executor().get(AUTH).await;
    assert_eq!((right.status, text(&right)), (200, "ok"));
    for header in [
        "",
        "authorization: token-executor\r\n",
        "authorization: token-executor wrong-word-of-them\r\n",
        &format!("authorization: token-executor {WORD} more\r\n"),
        &format!("authorization: token-executor  {WORD}\r\n"),
        &format!("authorization: {WORD}\r\n"),
        &format!("authorization: Bearer {WORD}\r\n"),
        &format!("authorization: Bearer {}\r\n", crate::support::TOKEN),
        &format!("authorization: token-executor {WORD}\r\nauthorization: token-executor {WORD}\r\n"),
        &basic("executor", WORD),
    ] {
        for line in [
            "GET /.executors/test/auth",
            "POST /.executors/queue/batches/dequeue",
            "POST /.executors/queue/none/heartbeat",
        ] {
            let answer = desk.with(header).ask(line, b"{}").await;
            assert_eq!(answer.status, 401, "{line} {header}");
            assert!(!text(&answer).is_empty() && !text(&answer).contains("hunter2"), "{}", text(&answer));
        }
    }
}

#[tokio::test]
async fn the_two_interfaces_do_not_open_each_other() {
    let desk = Desk::open().await;
    assert_eq!(desk.executor().get("/api/v1/executor").await.status, 401);
    assert_eq!(desk.executor().get("/.executors/../api/v1/executor").await.status, 404);
    assert_eq!(desk.house.get(AUTH).await.status, 401);
    assert_eq!(desk.house.get("/api/v1/executor").await.status, 200);
    let stranger = format!("host: example.org\r\nauthorization: token-executor {WORD}\r\n");
    assert_eq!(desk.house.ask_as(&format!("GET {AUTH}"), &stranger, b"").await.status, 403);
}

#[tokio::test]
async fn two_words_hold_while_one_is_changed_for_the_other() {
    let other = Token::new("the-next-word-of-executors").unwrap();
    let desk =
        Desk::open_as(|api| api.executor_token(&Token::new(WORD).unwrap()).executor_token(&other)).await;
    let next = desk.with("authorization: token-executor the-next-word-of-executors\r\n");
    for caller in [desk.executor(), next] {
        assert_eq!(caller.get(AUTH).await.status, 200);
    }
}

// covers: sourcegraph 33 (not configured)
#[tokio::test]
async fn without_credentials_nobody_is_served_unless_that_is_meant() {
    let desk = Desk::open_as(|api| api).await;
    for caller in [desk.executor(), desk.with(""), desk.with(&basic("a", "b"))] {
        for line in [
            "GET /.executors/test/auth",
            "POST /.executors/queue/dequeue",
            "POST /.executors/queue/batches/markComplete",
        ] {
            let answer = caller.ask(line, b"{}").await;
            assert_eq!(
                (answer.status, text(&answer).trim()),
                (500, "Executors are not configured on this instance")
            );
        }
    }
    let open = Desk::open_as(|api| api.open_on_loopback(true)).await;
    open.push("batches", payload()).await;
    let answer = open.with("").post("batches/dequeue", &json!({"executorName": "e"})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(mark(&open.with(""), &json!({"executorName": "e", "jobId": 1})).await, 204);
}

#[tokio::test]
async fn what_is_open_is_not_open_to_other_machines() {
    let api = QueueApi::new(store()).open_on_loopback(true);
    let builder = Server::builder(std::sync::Arc::new(Fake::new())).token(Some(Token::new(WORD).unwrap()));
    let builder = builder.tcp("0.0.0.0:0".parse().unwrap()).beyond_loopback(true).queues(Some(api));
    let error = builder.bind().await.err().unwrap().to_string();
    assert!(error.contains("other machines could take jobs without a token"), "{error}");
}

// covers: sourcegraph 39
#[tokio::test]
async fn an_early_executor_signs_on_with_a_name_and_a_password() {
    let desk = Desk::open_as(|api| api.basic("executor", &Token::new(PASSWORD).unwrap()).unwrap()).await;
    let missing = desk.with("").get(AUTH).await;
    assert_eq!(missing.status, 401);
    assert!(missing.head.contains("www-authenticate: basic realm=\"sourcegraph\""), "{}", missing.head);
    for (name, password) in [("executor", "wrong"), ("other", PASSWORD), ("", PASSWORD), ("executor", "")] {
        assert_eq!(desk.with(&basic(name, password)).get(AUTH).await.status, 403, "{name}");
    }
    let caller = desk.with(&basic("executor", PASSWORD));
    assert_eq!(caller.get(AUTH).await.status, 200);
    desk.push("batches", payload()).await;
    let job = json_of(&caller.post("batches/dequeue", &json!({"executorName": "e"})).await);
    assert_eq!(job["files"], json!({"a.txt": "text"}), "files are texts, as the interface document has them");
    assert_eq!(mark(&caller, &json!({"executorName": "e", "jobId": 1})).await, 204);
}

async fn mark(caller: &Caller, body: &Value) -> u16 {
    caller.post("batches/markComplete", body).await.status
}

// covers: sourcegraph 34
#[tokio::test]
async fn a_jobs_token_opens_what_is_of_that_job_alone() {
    let desk = Desk::open().await;
    let job = desk.taken("e").await;
    let other = desk.taken("e").await;
    let token = job["token"].as_str().unwrap();
    assert!(token.len() == 40 && token != other["token"].as_str().unwrap());
    let own = json!({"executorName": "e", "jobId": 1});
    let line = "POST /.executors/queue/batches/markComplete";
    let bearer = |token: &str| format!("authorization: Bearer {token}\r\n");
    let id = |id: &str| format!("x-sourcegraph-job-id: {id}\r\n");
    let named = "x-sourcegraph-executor-name: e\r\n";
    for (status, headers) in [
        (400, bearer(token) + named),
        (400, bearer(token) + &id("one") + named),
        (400, bearer(token) + &id("1")),
        (400, bearer(token) + &id("1") + "x-sourcegraph-executor-name:\r\n"),
        (401, bearer(&"0".repeat(40)) + &id("1") + named),
        (401, bearer("short") + &id("1") + named),
        (401, id("1") + named),
        (401, format!("authorization: {token}\r\n") + &id("1") + named),
        (403, bearer(token) + &id("2") + named),
        (403, "authorization: token-executor wrong-word-of-them\r\n".to_owned()),
    ] {
        let answer = desk.with(&headers).ask(line, own.to_string().as_bytes()).await;
        assert_eq!(answer.status, status, "{headers}");
    }
    let caller = desk.job(&job, "e");
    assert_eq!(caller.post("codeintel/markComplete", &own).await.status, 403, "another queue");
    assert_eq!(caller.post("none/markComplete", &own).await.status, 403, "no queue");
    assert_eq!(
        mark(&caller, &json!({"executorName": "e", "jobId": 2})).await,
        403,
        "another job in the body"
    );
    assert_eq!(caller.get(AUTH).await.status, 401, "what is of executors");
    assert_eq!(caller.post("batches/dequeue", &json!({"executorName": "e"})).await.status, 401);
    assert_eq!(
        mark(&caller, &json!({"executorName": "x", "jobId": 1})).await,
        404,
        "another executor in the body"
    );
    assert_eq!(mark(&caller, &own).await, 204);
    assert_eq!(desk.kept("batches", 2).await.state.as_str(), "processing");
}

// covers: sourcegraph 24 (the token), 35
#[tokio::test]
async fn a_jobs_token_dies_with_its_attempt() {
    let desk = Desk::open_as(|api| api.executor_token(&Token::new(WORD).unwrap())).await;
    desk.store.create_queue(&name("batches"), &super::support::rules()).await.unwrap();
    let first = desk.taken("e").await;
    let body = json!({"executorName": "e", "jobId": 1, "errorMessage": "no luck"});
    assert_eq!(desk.job(&first, "e").post("batches/markErrored", &body).await.status, 204);
    assert_eq!(desk.job(&first, "e").post("batches/markErrored", &body).await.status, 401, "it is dead");
    let again = desk.executor().post("batches/dequeue", &json!({"executorName": "e"})).await;
    let second = json_of(&again);
    assert!(second["id"] == first["id"] && second["token"] != first["token"]);
    assert_eq!(
        mark(&desk.job(&first, "e"), &body).await,
        401,
        "the first one of two attempts of one executor"
    );
    assert_eq!(mark(&desk.job(&second, "e"), &body).await, 204);
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_not_found() {
    let desk = Desk::open().await;
    for queue in ["none", "a%2Fb", "-", "%00"] {
        let answer = desk.executor().post(&format!("{queue}/dequeue"), &json!({"executorName": "e"})).await;
        assert_eq!(answer.status, 404, "{queue}");
    }
    assert_eq!(desk.executor().ask("GET /.executors/queue/batches/dequeue", b"").await.status, 405);
    desk.store.create_queue(&name("none"), &super::support::rules()).await.unwrap();
    assert_eq!(
        desk.executor().post("none/dequeue", &json!({"executorName": "e"})).await.status,
        204,
        "it is there now"
    );
    let answer = desk.executor().post("none/addExecutionLogEntry", &json!({"jobId": 1})).await;
    assert_eq!(error_of(&answer), "unknown job");
    assert!(desk.store.job(&JobRef::new(name("none"), 1)).await.unwrap().is_none());
}
