//! The output of executions: who reads it, from where, until when, and what is not in it.

use std::time::Duration;

use futures_util::StreamExt;
use jobwright_backend::conformance::Script;
use jobwright_executor::{Error, Executor};
use jobwright_model::{ExecutionStatus, JobId, LogStreamRequest};

use crate::site::{Site, World, job, name, talkative};

// covers: nunet 43-44, 46-47, 49
pub(crate) async fn logs_are_read_while_it_runs_and_after_it(world: &World) {
    let script = Script::new().print("first\n").say_ready().sleep(1).print("last\n");
    world.executor.start(world.request("one", &script)).await.unwrap();
    world.until_printed("one", "ready").await;
    let now = world.log("one", false, false).await;
    assert!(now.starts_with("first\n") && !now.contains("last"), "{now:?}");
    let followed = world.log("one", false, true).await;
    assert_eq!(followed, "first\nready\nlast\n");
    assert_eq!(world.log("one", false, false).await, followed);
    assert_eq!(world.log("one", true, true).await, "");
    let other = LogStreamRequest {
        job_id: JobId::new("another").unwrap(),
        execution_id: name("one"),
        tail: false,
        follow: false,
    };
    let refused = world.executor.get_log_stream(other).await.err().unwrap();
    assert!(matches!(refused, Error::OtherJob { .. }), "{refused}");
}

// covers: nunet 46
pub(crate) async fn logs_from_now_on_leave_out_what_was_before(world: &World) {
    let script = Script::new().print("first\n").say_ready().sleep(1).print("last\n");
    world.executor.start(world.request("one", &script)).await.unwrap();
    world.until_printed("one", "ready").await;
    assert_eq!(world.log("one", true, true).await, "last\n");
}

pub(crate) async fn logs_from_a_byte_on_leave_out_what_is_before_it(world: &World) {
    let script = Script::new().print("first\n").say_ready().sleep(1).print("last\n");
    world.executor.start(world.request("one", &script)).await.unwrap();
    world.until_printed("one", "ready").await;
    let request = LogStreamRequest { job_id: job(), execution_id: name("one"), tail: false, follow: true };
    assert_eq!(world.executor.get_log_length(request.clone()).await.unwrap(), "first\nready\n".len() as u64);
    let from = async |place| {
        let output = world.executor.get_log_stream_from(request.clone(), place).await.unwrap();
        let chunks: Vec<_> = output.map(Result::unwrap).collect().await;
        let text = chunks.iter().map(|chunk| String::from_utf8_lossy(&chunk.bytes)).collect::<String>();
        (chunks.first().map(|chunk| chunk.offset), text)
    };
    assert_eq!(from(8).await, (Some(8), "ady\nlast\n".to_owned()));
    assert_eq!(from(14).await, (Some(14), "st\n".to_owned()));
    assert_eq!(from(17).await, (None, String::new()));
    let both = world.executor.get_log_stream_from(LogStreamRequest { tail: true, ..request }, 0).await;
    assert!(matches!(both.err(), Some(Error::Invalid { .. })));
}

pub(crate) async fn two_that_run_do_not_share_a_results_directory(world: &World) {
    let results = world.folder("results");
    let request = |id| {
        let mut request = world.request(id, &Script::new().say_ready().forever());
        request.results_dir = Some(results.clone());
        request
    };
    world.executor.start(request("one")).await.unwrap();
    world.until_printed("one", "ready").await;
    let error = world.executor.start(request("two")).await.unwrap_err().to_string();
    assert!(error.contains("results_dir") && error.contains("is written by another execution"), "{error}");
    assert_eq!(world.executor.list().await.unwrap().len(), 1);
    world.executor.cancel(&name("one")).await.unwrap();
    world.executor.start(request("two")).await.unwrap();
    world.until_printed("two", "ready").await;
}

// covers: nunet 51
pub(crate) async fn an_old_one_leaves_the_logs_of_a_newer_one_alone(world: &World) {
    let results = world.folder("results");
    let request = |id, keep| {
        let mut request = world.request(id, &Script::new().print(format!("{id}\n")));
        (request.results_dir, request.persist_logs_duration) = (Some(results.clone()), keep);
        request
    };
    let keep = Duration::from_millis(1500);
    world.executor.run(request("old", Some(keep))).await.unwrap();
    world.executor.run(request("new", None)).await.unwrap();
    let logs = |id| LogStreamRequest { job_id: job(), execution_id: name(id), tail: false, follow: false };
    while world.executor.get_log_stream(logs("old")).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(std::fs::read_to_string(results.join("stdout.log")).unwrap(), "new\n");
}

pub(crate) async fn one_that_is_removed_when_it_has_ended_is_told_to_who_waits_elsewhere(world: &World) {
    if matches!(world.site, Site::Dummy) {
        return println!("skipped: nobody else reaches the dummy");
    }
    let script = Script::new().print("first\n").say_ready().sleep(1).print("last\n").exit(5);
    world.executor.start(world.request("one", &script)).await.unwrap();
    world.until_printed("one", "ready").await;
    let elsewhere = world.another().await;
    let follow = LogStreamRequest { job_id: job(), execution_id: name("one"), tail: false, follow: true };
    let logs = elsewhere.get_log_stream(follow).await.unwrap();
    let id = name("one");
    let watched = async {
        let read =
            logs.map(|chunk| String::from_utf8(chunk.unwrap().bytes.to_vec()).unwrap()).collect::<String>();
        tokio::join!(elsewhere.wait(&id), read)
    };
    let removed = async {
        world.executor.wait(&id).await.unwrap();
        world.executor.remove(&id, Duration::from_secs(5)).await.unwrap();
    };
    let ((result, text), ()) = tokio::join!(watched, removed);
    let result = result.unwrap();
    assert_eq!((result.exit_code, result.stdout.as_str()), (5, "first\nready\nlast\n"), "{result:?}");
    assert_eq!(text, "first\nready\nlast\n");
}

// covers: nunet 54
pub(crate) async fn a_reader_that_leaves_holds_nothing_up(world: &World) {
    // Lines that no engine cuts into pieces.
    let (lines, length) = (200, 15_000);
    let line = |script: Script| script.fill(b'x', length).print("\n");
    let script = (0..lines).fold(Script::new().say_ready(), |script, _| line(script));
    world.executor.start(world.request("one", &script)).await.unwrap();
    world.until_printed("one", "ready").await;
    let request = LogStreamRequest { job_id: job(), execution_id: name("one"), tail: false, follow: true };
    let idle = world.executor.get_log_stream(request).await.unwrap();
    let status = ExecutionStatus::Success;
    world.executor.wait_for_status(&name("one"), status, Some(Duration::from_secs(60))).await.unwrap();
    drop(idle);
    assert_eq!(
        world.log("one", false, false).await.len() as u64,
        "ready\n".len() as u64 + lines * (length + 1)
    );
}

// covers: nunet 50
pub(crate) async fn results_lie_in_their_directory_while_it_runs(world: &World) {
    let results = world.folder("results");
    let mut request =
        world.request("one", &Script::new().print("first\n").say_ready().sleep(1).complain("last\n"));
    request.results_dir = Some(results.clone());
    world.executor.start(request).await.unwrap();
    world.until_printed("one", "ready").await;
    let read = |name| std::fs::read_to_string(results.join(name)).unwrap();
    assert_eq!(read("stdout.log"), "first\nready\n");
    assert!(!read("stderr.log").contains("last"));
    let status = ExecutionStatus::Success;
    world.executor.wait_for_status(&name("one"), status, Some(Duration::from_secs(30))).await.unwrap();
    assert_eq!((read("stdout.log"), read("stderr.log")), ("first\nready\n".to_owned(), "last\n".to_owned()));
}

// covers: nunet 51
pub(crate) async fn logs_go_when_their_time_is_over(world: &World) {
    let results = world.folder("results");
    std::fs::write(results.join("theirs"), "x").unwrap();
    let mut request = world.request("one", &talkative());
    (request.results_dir, request.persist_logs_duration) = (Some(results.clone()), Some(Duration::ZERO));
    let result = world.executor.run(request).await.unwrap();
    assert_eq!(result.stdout, "out\n");
    while results.join("stdout.log").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let request = LogStreamRequest { job_id: job(), execution_id: name("one"), tail: false, follow: false };
    let gone = world.executor.get_log_stream(request).await.err().unwrap();
    assert!(matches!(gone, Error::LogsExpired(_)), "{gone}");
    assert!(results.join("theirs").exists());
    match world.executor.wait(&name("one")).await {
        Err(Error::AlreadyConcluded { result, .. }) => {
            assert_eq!((result.exit_code, result.stdout), (0, String::new()))
        }
        other => panic!("{other:?}"),
    }
}

// covers: nunet 48
pub(crate) async fn logs_of_one_that_is_about_to_start_are_waited_for(world: &World) {
    let request = world.request("one", &talkative());
    let executor = world.executor.clone();
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        executor.start(request).await.unwrap();
    });
    assert_eq!(world.log("one", false, true).await.len(), "out\nerr\n".len());
    later.await.unwrap();
}

pub(crate) async fn a_secret_is_nowhere_in_its_output(world: &World) {
    let mut request = world.request("one", &Script::new().print("my hunter2-swordfish\n"));
    request.secrets = [("TOKEN".to_owned(), "hunter2-swordfish".to_owned())].into();
    let result = world.executor.run(request).await.unwrap();
    assert_eq!(result.stdout, "my ********\n");
    assert_eq!(world.log("one", false, false).await, "my ********\n");
}
