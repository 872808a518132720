//! Logs of attempts.

use std::time::Duration;

use jobwright_model::{AttemptEnd, LogEntry, LogOut, QueueRules};
use jobwright_store::{AddedLog, KeptLogEntry, Lease, LogUpdate};

use crate::fixture::*;

fn entry(key: &str, out: &str) -> LogEntry {
    LogEntry {
        key: key.to_owned(),
        command: None,
        started_at: at(3),
        exit_code: None,
        out: out.to_owned(),
        duration: None,
    }
}

async fn add(store: &Store, lease: &Lease, entry: &LogEntry) -> AddedLog {
    store.add_log(&holds(lease), entry, at(0)).await.unwrap()
}

async fn whole(store: &Store, lease: &Lease, text: &str) -> LogUpdate {
    store.update_log(&holds(lease), 1, &LogOut::Whole(text.to_owned()), None, at(0)).await.unwrap()
}

async fn delta(store: &Store, lease: &Lease, from: u64, text: &str) -> LogUpdate {
    let out = LogOut::Delta { at: from, text: text.to_owned() };
    store.update_log(&holds(lease), 1, &out, None, at(0)).await.unwrap()
}

async fn first(store: &Store, lease: &Lease) -> KeptLogEntry {
    store.logs(&lease.token, 1, 0).await.unwrap().remove(0)
}

/// What the first entry printed, and how often that was rewritten.
async fn output(store: &Store, lease: &Lease) -> (String, u64) {
    let kept = first(store, lease).await;
    assert_eq!(kept.length, kept.log.out.len() as u64);
    (kept.log.out, kept.revision)
}

/// A job with an entry of this output.
async fn begun(database: &Database, out: &str) -> (Store, Lease) {
    let store = database.with_rules(&QueueRules { max_retries: 5, ..QueueRules::default() }).await;
    push_one(&store, "a").await;
    let lease = take(&store).await;
    assert_eq!(add(&store, &lease, &entry("step.docker.0", out)).await, AddedLog::As(1));
    (store, lease)
}

// covers: sourcegraph 20
pub(crate) async fn entries_are_numbered_from_one(database: &Database) {
    let (store, lease) = begun(database, "").await;
    let command = vec!["sh".to_owned(), "-c".to_owned(), "echo 'a'; \"\u{0}\"".to_owned()];
    let second = LogEntry {
        command: Some(command.clone()),
        exit_code: Some(-1),
        duration: Some(Duration::from_millis(1500)),
        ..entry("setup.git.init", "done\n")
    };
    assert_eq!(add(&store, &lease, &second).await, AddedLog::As(2));
    let by_name = store.add_log(&named("agent", &lease.job.job), &entry("c", ""), at(0)).await.unwrap();
    assert_eq!(by_name, AddedLog::As(3));
    let kept = store.logs(&lease.token, 0, 0).await.unwrap();
    let numbers: Vec<_> = kept.iter().map(|kept| kept.entry).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(kept[1].log, second);
    assert_eq!((kept[0].log.command.as_ref(), kept[0].log.exit_code), (None, None));
    assert_eq!(store.logs(&lease.token, 3, 0).await.unwrap().len(), 1);
    assert!(store.logs(&lease.token, 4, 0).await.unwrap().is_empty());
}

pub(crate) async fn a_whole_text_takes_the_place_of_what_was(database: &Database) {
    let (store, lease) = begun(database, "").await;
    for (text, revision) in [
        ("one\n", 0),
        ("one\ntwo\n", 0),
        ("one\ntwo\n", 0),
        ("one\n2\n", 1),
        ("one\né", 2),
        ("one\nè", 3),
        ("", 4),
    ] {
        assert_eq!(whole(&store, &lease, text).await, LogUpdate::Made(text.len() as u64), "{text:?}");
        assert_eq!(output(&store, &lease).await, (text.to_owned(), revision), "{text:?}");
    }
}

pub(crate) async fn a_delta_goes_on_or_rewrites(database: &Database) {
    let (store, lease) = begun(database, "one\n").await;
    assert_eq!(delta(&store, &lease, 4, "two\n").await, LogUpdate::Made(8));
    assert_eq!(output(&store, &lease).await, ("one\ntwo\n".to_owned(), 0));
    // Told once more, as after an answer that was lost.
    assert_eq!(delta(&store, &lease, 4, "two\n").await, LogUpdate::Made(8));
    assert_eq!(output(&store, &lease).await, ("one\ntwo\n".to_owned(), 0));
    assert_eq!(delta(&store, &lease, 5, "hree").await, LogUpdate::Made(9));
    assert_eq!(output(&store, &lease).await, ("one\nthree".to_owned(), 1));
    assert_eq!(delta(&store, &lease, 0, "").await, LogUpdate::Made(0));
    assert_eq!(output(&store, &lease).await, (String::new(), 2));
}

// covers: sourcegraph 22
pub(crate) async fn what_is_no_place_for_a_delta_is_refused(database: &Database) {
    let (store, lease) = begun(database, "é").await;
    for from in [1, 3, u64::MAX] {
        assert_eq!(delta(&store, &lease, from, "x").await, LogUpdate::Gap { has: 2 }, "{from}");
    }
    assert_eq!(output(&store, &lease).await, ("é".to_owned(), 0));
    for entry in [0, 2, u64::MAX] {
        let out = LogOut::Whole("x".to_owned());
        let update = store.update_log(&holds(&lease), entry, &out, None, at(0)).await.unwrap();
        assert_eq!(update, LogUpdate::NoEntry, "{entry}");
    }
    assert_eq!((stale_writes(&store).await, store.logs(&lease.token, 1, 0).await.unwrap().len()), (0, 1));
}

pub(crate) async fn an_entry_ends_once_it_has_an_exit_code(database: &Database) {
    let (store, lease) = begun(database, "a").await;
    let end = Some((137, Duration::from_micros(1_234_567)));
    let out = LogOut::Delta { at: 1, text: "b".to_owned() };
    store.update_log(&holds(&lease), 1, &out, end, at(0)).await.unwrap();
    assert_eq!(delta(&store, &lease, 2, "c").await, LogUpdate::Made(3));
    let kept = first(&store, &lease).await;
    assert_eq!((kept.log.exit_code, kept.log.duration), (Some(137), end.map(|(_, duration)| duration)));
    assert_eq!(kept.log.out, "abc");
}

// covers: sourcegraph 21
pub(crate) async fn who_does_not_hold_a_job_writes_no_log(database: &Database) {
    let (store, lease) = begun(database, "kept").await;
    let job = &lease.job.job;
    let write = async |speaker| {
        let added = store.add_log(&speaker, &entry("x", "x"), at(0)).await.unwrap();
        let out = LogOut::Whole("x".to_owned());
        let changed = store.update_log(&speaker, 1, &out, Some((0, seconds(1))), at(0)).await.unwrap();
        assert_eq!((added, changed), (AddedLog::Stale, LogUpdate::Stale));
    };
    write(named("other", job)).await;
    end(&store, &lease, AttemptEnd::Completed, at(1)).await;
    write(holds(&lease)).await;
    write(named("agent", job)).await;
    assert_eq!(stale_writes(&store).await, 6);
    let kept = store.logs(&lease.token, 1, 0).await.unwrap();
    assert_eq!((kept.len(), kept[0].log.out.as_str(), kept[0].log.exit_code), (1, "kept", None));
}

pub(crate) async fn an_attempt_keeps_its_log(database: &Database) {
    let (store, first) = begun(database, "first").await;
    end(&store, &first, errored(), at(0)).await;
    let second = take_at(&store, at(100)).await.unwrap();
    assert!(store.logs(&second.token, 1, 0).await.unwrap().is_empty());
    assert_eq!(add(&store, &second, &entry("again", "second")).await, AddedLog::As(1));
    assert_eq!(output(&store, &first).await.0, "first");
    assert_eq!(output(&store, &second).await.0, "second");
}

/// Reads all that an entry printed, as somebody who follows it does.
async fn follow(store: &Store, lease: &Lease) -> (String, usize) {
    let (mut out, mut readings) = (String::new(), 0);
    loop {
        let kept = store.logs(&lease.token, 1, out.len() as u64).await.unwrap().remove(0);
        assert!(kept.log.out.len() < 5 << 20);
        out += &kept.log.out;
        readings += 1;
        if out.len() as u64 == kept.length {
            return (out, readings);
        }
    }
}

pub(crate) async fn a_long_output_is_read_in_pieces_between_characters(database: &Database) {
    let text: String = (0..600_000).map(|number| format!("line {number} é😀\n")).collect();
    let (store, lease) = begun(database, &text[..text.floor_char_boundary(70_001)]).await;
    assert_eq!(whole(&store, &lease, &text).await, LogUpdate::Made(text.len() as u64));
    assert_eq!(add(&store, &lease, &entry("after", "")).await, AddedLog::As(2));
    let (read, readings) = follow(&store, &lease).await;
    assert!(read == text, "what was read is not what was written");
    assert!(readings > 2 && first(&store, &lease).await.revision == 0);
    assert_eq!(store.logs(&lease.token, 1, 0).await.unwrap().len(), 1);
    assert_eq!(store.logs(&lease.token, 1, text.len() as u64 - 5).await.unwrap().len(), 2);
}

pub(crate) async fn a_long_output_is_rewritten_from_where_it_differs(database: &Database) {
    let before: String = (0..20_000).map(|number| format!("step {number}\n")).collect();
    let (store, lease) = begun(database, &before).await;
    for cut in [before.len() - 3, 150_001, 65_536, 65_535, 4_097, 1] {
        let text = format!("{}!{}", &before[..cut], &before[..cut / 2]);
        assert_eq!(whole(&store, &lease, &text).await, LogUpdate::Made(text.len() as u64));
        assert!(follow(&store, &lease).await.0 == text, "{cut}");
        assert_eq!(whole(&store, &lease, &before).await, LogUpdate::Made(before.len() as u64));
    }
    assert_eq!(first(&store, &lease).await.revision, 12);
    for byte in (0..3_000).step_by(7) {
        let more = format!("{byte},");
        let length = first(&store, &lease).await.length;
        assert_eq!(delta(&store, &lease, length, &more).await, LogUpdate::Made(length + more.len() as u64));
    }
    let (text, _) = follow(&store, &lease).await;
    assert!(text.starts_with(&before) && text.ends_with("2989,2996,"));
    assert_eq!(first(&store, &lease).await.revision, 12);
}

pub(crate) async fn reading_goes_on_from_anywhere(database: &Database) {
    let text = "aé😀z".repeat(20_000);
    let (store, lease) = begun(database, &text).await;
    for from in
        [0, 1, 2, 3, 4, 65_530, 65_536, 65_537, 65_538, 65_539, text.len() - 1, text.len(), text.len() + 9]
    {
        let kept = store.logs(&lease.token, 1, from as u64).await.unwrap().remove(0);
        let expected = text.get(text.ceil_char_boundary(from)..).unwrap_or_default();
        assert!(kept.log.out == expected, "{from}");
        assert_eq!(kept.length, text.len() as u64);
    }
}
