//! Texts that may hold anything.

use jobwright_model::{AttemptEnd, LogEntry, LogOut, NewJob, QueueRules, QueuedState};
use jobwright_store::{Error, Filter};
use serde_json::json;

use crate::fixture::*;

const HOSTILE: [&str; 9] = [
    "",
    "'; DROP TABLE jobs; --",
    "\"quoted\" `ticks` $1 ?1 :name @x %s \\ \\' {bytes} {free}",
    "a\0b\0",
    "😀 é ñ 漢字 \u{202e}",
    "\r\n\t\u{7f}\u{1b}[31m",
    "NULL",
    "x'41' || E'\\001' /* */ -- ",
    "\u{fffd}\u{feff}\u{10ffff}",
];

pub(crate) async fn any_text_is_kept_as_it_is(database: &Database) {
    let store = database.with_queue().await;
    for text in HOSTILE {
        let payload = json!({ text: [text, {"deep": text}] });
        let job = NewJob { tenant: text.to_owned(), ..NewJob::new(queue("q"), payload.clone()) };
        let job = push(&store, job).await;
        let lease = store.dequeue(&ask(text), at(0)).await.unwrap().unwrap();
        assert_eq!((&lease.job.job, lease.job.tenant.as_str()), (&job, text));
        assert_eq!((lease.job.holder.as_deref(), &lease.job.payload), (Some(text), &payload));
        let speaker = named(text, &job);
        let entry = LogEntry {
            key: text.to_owned(),
            command: Some(vec![text.to_owned(); 2]),
            started_at: at(0),
            exit_code: None,
            out: text.to_owned(),
            duration: None,
        };
        store.add_log(&speaker, &entry, at(0)).await.unwrap();
        let out = LogOut::Delta { at: text.len() as u64, text: text.to_owned() };
        store.update_log(&speaker, 1, &out, None, at(0)).await.unwrap();
        let kept = store.logs(&lease.token, 1, 0).await.unwrap().remove(0);
        assert_eq!(kept.log, LogEntry { out: text.repeat(2), ..entry });
        assert_eq!(
            store.heartbeat(std::slice::from_ref(&speaker), at(1)).await.unwrap().len(),
            1,
            "{text:?}"
        );
        store.finish(&speaker, &AttemptEnd::Failed(text.to_owned()), at(2)).await.unwrap();
        let kept = store.job(&job).await.unwrap().unwrap();
        assert_eq!((kept.failure_message.as_deref(), kept.state), (Some(text), QueuedState::Failed));
        let attempt = store.attempts(&job).await.unwrap().remove(0);
        assert_eq!((attempt.holder.as_str(), attempt.failure_message.as_deref()), (text, Some(text)));
        let of_tenant = Filter { tenant: Some(text.to_owned()), ..Filter::default() };
        assert_eq!(store.jobs(&of_tenant).await.unwrap().len(), 1, "{text:?}");
        let about = [(text.to_owned(), text.to_owned())];
        store.seen(text, &[queue("q")], &about, at(0)).await.unwrap();
        let known = store.executors(at(0)).await.unwrap();
        assert_eq!(known.iter().find(|known| known.name == text).unwrap().about, about);
    }
}

pub(crate) async fn nothing_that_looks_like_sql_is(database: &Database) {
    let store = database.with_queue().await;
    for text in HOSTILE {
        push(&store, new_job(text, text)).await;
    }
    // Who says nearly the same is somebody else.
    let job = store.dequeue(&ask("agent' OR '1'='1"), at(0)).await.unwrap().unwrap().job.job;
    for holder in ["agent", "agent' OR '1'='1' --", "%", "", "agent' OR '1'='1\0"] {
        assert!(store.heartbeat(&[named(holder, &job)], at(0)).await.unwrap().is_empty(), "{holder:?}");
    }
    let hostile = Filter { tenant: Some("' OR 1=1 --".to_owned()), ..Filter::default() };
    assert!(store.jobs(&hostile).await.unwrap().is_empty());
    assert_eq!(store.jobs(&Filter::default()).await.unwrap().len(), HOSTILE.len());
    assert_eq!(store.create_queue(&queue("select"), &QueueRules::default()).await.ok(), Some(true));
}

pub(crate) async fn names_too_long_for_an_index_are_refused(database: &Database) {
    let store = database.with_queue().await;
    let (most, too_long) = ("é".repeat(512), "é".repeat(513));
    let job = push(&store, new_job(&most, "a")).await;
    assert_eq!(store.dequeue(&ask(&most), at(0)).await.unwrap().unwrap().job.job, job);
    let told = |error: Error| error.to_string();
    let refused = store.push(vec![new_job(&too_long, "b")], at(0)).await.unwrap_err();
    let expected = "pushing a job: the name of the tenant has 1026 bytes, 1024 are the most";
    assert_eq!(told(refused), expected);
    assert!(told(store.dequeue(&ask(&too_long), at(0)).await.unwrap_err()).contains("holder has 1026 bytes"));
    assert!(told(store.seen(&too_long, &[], &[], at(0)).await.unwrap_err()).contains("agent has 1026 bytes"));
    assert_eq!(push_one(&store, "c").await.id, 2);
}
