//! The life of an execution, from its start to its removal, as its id tells it.

use std::time::Duration;

use jobwright_backend::conformance::Script;
use jobwright_executor::{Error, Executor};
use jobwright_model::{Cause, ExecutionStatus, JobId};
use tokio::time::timeout;

use crate::site::{Site, World, job, name, talkative};

// covers: nunet 1, 11, 13, 17, 74-75
pub(crate) async fn an_execution_runs_to_its_end_with_its_output_and_exit_code(world: &World) {
    let result = world.executor.run(world.request("one", &talkative())).await.unwrap();
    assert_eq!((result.exit_code, result.killed, result.error_msg.as_str()), (0, false, ""));
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("out\n", "err\n"));
    world.executor.start(world.request("two", &talkative())).await.unwrap();
    let waited = match world.executor.wait(&name("two")).await {
        // It may have ended before.
        Ok(result) => result,
        Err(Error::AlreadyConcluded { result, .. }) => *result,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(waited.stdout, "out\n");
}

// covers: nunet 19-20
pub(crate) async fn one_that_fails_keeps_its_exit_code_and_its_output(world: &World) {
    let result = world.executor.run(world.request("one", &talkative().exit(7))).await.unwrap();
    assert_eq!((result.exit_code, result.ending.cause.clone()), (7, Cause::ExitCode));
    assert!(result.error_msg.contains('7'), "{}", result.error_msg);
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Failed);
}

// covers: nunet 2-3, 12
pub(crate) async fn an_id_is_given_once(world: &World) {
    let forever = Script::new().say_ready().forever();
    world.executor.start(world.request("one", &forever)).await.unwrap();
    let again = world.executor.start(world.request("one", &forever)).await;
    assert!(matches!(again, Err(Error::AlreadyStarted(_))), "{again:?}");
    let mut other = world.request("one", &forever);
    other.job_id = JobId::new("another").unwrap();
    let other = world.executor.start(other).await;
    assert!(matches!(other, Err(Error::OtherJob { .. })), "{other:?}");
    world.executor.cancel(&name("one")).await.unwrap();
    let after = world.executor.run(world.request("one", &forever)).await;
    assert!(matches!(after, Err(Error::AlreadyCompleted(_))), "{after:?}");
}

// covers: nunet 10
pub(crate) async fn of_many_who_start_one_id_one_wins(world: &World) {
    let request = world.request("one", &Script::new().say_ready().forever());
    let tries = (0..20).map(|_| {
        let (executor, request) = (world.executor.clone(), request.clone());
        tokio::spawn(async move { executor.start(request).await })
    });
    let tried = futures_util::future::join_all(tries).await;
    let won = tried.iter().filter(|tried| matches!(tried, Ok(Ok(())))).count();
    assert_eq!(won, 1, "{tried:?}");
    assert_eq!(world.executor.list().await.unwrap().len(), 1);
}

// covers: nunet 14, 26, 37, 45
pub(crate) async fn what_nobody_knows_is_not_found(world: &World) {
    let (executor, id) = (&world.executor, name("nobody"));
    let refused = |error: Error| assert!(matches!(error, Error::NotFound(_)), "{error}");
    refused(executor.wait(&id).await.unwrap_err());
    refused(executor.cancel(&id).await.unwrap_err());
    refused(executor.pause(&id).await.unwrap_err());
    refused(executor.resume(&id).await.unwrap_err());
    refused(executor.remove(&id, Duration::from_secs(1)).await.unwrap_err());
    refused(executor.get_status(&id).await.unwrap_err());
    refused(executor.wait_for_status(&id, ExecutionStatus::Running, None).await.unwrap_err());
    refused(executor.exec(&id, &["true".to_owned()]).await.unwrap_err());
    refused(executor.stats(&id).await.unwrap_err());
    refused(executor.get_info(&id).await.unwrap_err());
    refused(executor.get_net_info(&id).await.unwrap_err());
    assert!(executor.list().await.unwrap().is_empty());
}

// covers: nunet 15, 41
pub(crate) async fn waiting_for_one_that_ended_is_an_error_with_its_result(world: &World) {
    world.executor.run(world.request("one", &talkative().exit(3))).await.unwrap();
    match world.executor.wait(&name("one")).await {
        Err(Error::AlreadyConcluded { result, .. }) => {
            assert_eq!((result.exit_code, result.stdout.as_str()), (3, "out\n"));
        }
        other => panic!("{other:?}"),
    }
}

// covers: nunet 23, 25, 28-29
pub(crate) async fn a_cancelled_one_ends_and_failed_everywhere(world: &World) {
    world
        .executor
        .start(world.request("one", &Script::new().say_ready().ignore_term().forever()))
        .await
        .unwrap();
    world.until_printed("one", "ready").await;
    let waiting = {
        let executor = world.executor.clone();
        tokio::spawn(async move { executor.wait(&name("one")).await })
    };
    world.executor.wait_for_status(&name("one"), ExecutionStatus::Running, None).await.unwrap();
    world.executor.cancel(&name("one")).await.unwrap();
    let result = match waiting.await.unwrap() {
        Ok(result) => result,
        Err(Error::AlreadyConcluded { result, .. }) => *result,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(result.ending.cause, Cause::ByUser);
    assert!(result.error_msg.contains("cancelled"), "{}", result.error_msg);
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Failed);
}

// covers: nunet 27
pub(crate) async fn cancelling_one_that_ended_is_an_error(world: &World) {
    world.executor.run(world.request("one", &talkative())).await.unwrap();
    let refused = world.executor.cancel(&name("one")).await;
    assert!(matches!(refused, Err(Error::AlreadyConcluded { .. })), "{refused:?}");
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Success);
}

// covers: nunet 36, 38
pub(crate) async fn statuses_follow_each_other(world: &World) {
    let gate = world.request("one", &Script::new().say_ready().sleep(1));
    world.executor.start(gate).await.unwrap();
    let first = world.executor.get_status(&name("one")).await.unwrap();
    assert!(matches!(first, ExecutionStatus::Pending | ExecutionStatus::Running), "{first}");
    world.executor.wait_for_status(&name("one"), ExecutionStatus::Running, None).await.unwrap();
    let success = ExecutionStatus::Success;
    world.executor.wait_for_status(&name("one"), success, Some(Duration::from_secs(30))).await.unwrap();
}

// covers: nunet 38-40
pub(crate) async fn a_status_that_is_not_reached_is_an_error_in_time(world: &World) {
    world.executor.start(world.request("one", &Script::new().say_ready().forever())).await.unwrap();
    world.until_printed("one", "ready").await;
    let (executor, id) = (&world.executor, name("one"));
    let never = executor.wait_for_status(&id, ExecutionStatus::Paused, Some(Duration::from_millis(150)));
    let error = timeout(Duration::from_secs(5), never).await.expect("it fires").unwrap_err();
    assert!(error.to_string().contains("did not reach status paused"), "{error}");
    executor.cancel(&name("one")).await.unwrap();
    let late = executor.wait_for_status(&id, ExecutionStatus::Success, None);
    assert!(matches!(timeout(Duration::from_secs(5), late).await, Ok(Err(Error::DidNotReach { .. }))));
}

// covers: nunet 42
pub(crate) async fn one_that_is_paused_stands_still_until_it_is_resumed(world: &World) {
    let executor = &world.executor;
    executor.start(world.request("one", &Script::new().say_ready().repeat("tick\n"))).await.unwrap();
    world.until_printed("one", "tick").await;
    let early = executor.resume(&name("one")).await;
    assert!(matches!(early, Err(Error::WrongStatus { .. })), "{early:?}");
    executor.pause(&name("one")).await.unwrap();
    assert_eq!(executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Paused);
    let twice = executor.pause(&name("one")).await;
    assert!(matches!(twice, Err(Error::WrongStatus { .. })), "{twice:?}");
    let exec = executor.exec(&name("one"), &["true".to_owned()]).await;
    assert!(matches!(exec, Err(Error::WrongStatus { .. })), "{exec:?}");
    executor.resume(&name("one")).await.unwrap();
    assert_eq!(executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Running);
    let before = world.log("one", false, false).await.matches("tick").count();
    while world.log("one", false, false).await.matches("tick").count() == before {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

// covers: nunet 70
pub(crate) async fn a_command_runs_in_it(world: &World) {
    if matches!(world.site, Site::Dummy) {
        return println!("skipped: the dummy has no shell");
    }
    world.executor.start(world.request("one", &Script::new().say_ready().forever())).await.unwrap();
    world.until_printed("one", "ready").await;
    let argv = ["/bin/sh", "-c", "echo out; echo err >&2; exit 5"].map(str::to_owned);
    let output = world.executor.exec(&name("one"), &argv).await.unwrap();
    assert_eq!((output.exit_code, output.stdout.as_str(), output.stderr.as_str()), (5, "out\n", "err\n"));
    let nothing = world.executor.exec(&name("one"), &[]).await;
    assert!(matches!(nothing, Err(Error::Invalid { .. })), "{nothing:?}");
    world.executor.cancel(&name("one")).await.unwrap();
    let after = world.executor.exec(&name("one"), &argv).await;
    assert!(matches!(after, Err(Error::AlreadyConcluded { .. })), "{after:?}");
}

// covers: nunet 71
pub(crate) async fn what_it_uses_is_told(world: &World) {
    world.executor.start(world.request("one", &Script::new().say_ready().forever())).await.unwrap();
    world.until_printed("one", "ready").await;
    let stats = world.executor.stats(&name("one")).await.unwrap();
    assert!(stats.timestamp > 0);
    if !matches!(world.site, Site::Dummy) {
        assert!(stats.memory > 0 && stats.pids > 0, "{stats:?}");
    }
}

// covers: nunet 69, 72-73
pub(crate) async fn it_is_listed_and_described(world: &World) {
    world.executor.start(world.request("b", &Script::new().say_ready().forever())).await.unwrap();
    world.executor.run(world.request("a", &talkative().exit(1))).await.unwrap();
    world.until_printed("b", "ready").await;
    let list = world.executor.list().await.unwrap();
    let told: Vec<_> =
        list.iter().map(|item| (item.execution_id.as_str(), item.running, item.status)).collect();
    assert_eq!(told, [("a", false, ExecutionStatus::Failed), ("b", true, ExecutionStatus::Running)]);
    let info = world.executor.get_info(&name("b")).await.unwrap();
    assert_eq!((info.runtime.as_str(), &info.job_id), (world.backend_name(), &job()));
    assert_eq!(world.executor.get_id(), world.another().await.get_id(), "it is the same after a restart");
    match world.executor.get_net_info(&name("b")).await {
        Ok(_) | Err(Error::Unsupported { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

// covers: nunet 30
pub(crate) async fn a_removed_one_is_forgotten_and_its_id_is_free(world: &World) {
    world.executor.run(world.request("one", &talkative())).await.unwrap();
    world.executor.remove(&name("one"), Duration::from_secs(5)).await.unwrap();
    assert!(matches!(world.executor.get_status(&name("one")).await, Err(Error::NotFound(_))));
    let again = world.executor.run(world.request("one", &Script::new().print("again\n"))).await.unwrap();
    assert_eq!(again.stdout, "again\n");
}

// covers: nunet 30-31
pub(crate) async fn removing_one_that_runs_ends_it(world: &World) {
    world.executor.start(world.request("one", &Script::new().say_ready().forever())).await.unwrap();
    world.until_printed("one", "ready").await;
    world.executor.remove(&name("one"), Duration::from_secs(30)).await.unwrap();
    assert!(world.executor.list().await.unwrap().is_empty());
    assert_eq!(world.leftovers().await, [""; 0]);
}

// covers: nunet 32
pub(crate) async fn cleaning_up_removes_all_of_them(world: &World) {
    let stranger = World::open(&world.site).await;
    stranger.executor.start(stranger.request("one", &Script::new().say_ready().forever())).await.unwrap();
    stranger.until_printed("one", "ready").await;
    for id in ["a", "b"] {
        world.executor.start(world.request(id, &Script::new().say_ready().forever())).await.unwrap();
    }
    world.executor.run(world.request("c", &talkative())).await.unwrap();
    world.executor.cleanup().await.unwrap();
    assert!(world.executor.list().await.unwrap().is_empty());
    assert_eq!(stranger.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Running);
    stranger.executor.cleanup().await.unwrap();
}

// covers: nunet 16
pub(crate) async fn one_who_stops_waiting_ends_nothing(world: &World) {
    world.executor.start(world.request("one", &Script::new().say_ready().forever())).await.unwrap();
    let id = name("one");
    let waiting = timeout(Duration::from_millis(100), world.executor.wait(&id));
    assert!(waiting.await.is_err(), "it runs, so nobody has an answer");
    world.until_printed("one", "ready").await;
    assert_eq!(world.executor.get_status(&id).await.unwrap(), ExecutionStatus::Running);
}

// covers: nunet 22-23
pub(crate) async fn a_signal_from_elsewhere_is_told(world: &World) {
    if matches!(world.site, Site::Containers(_)) {
        return println!("skipped: the first process of a container does not hear its own signals");
    }
    let result = world.executor.run(world.request("one", &Script::new().die(9))).await.unwrap();
    assert_eq!(result.exit_code, 137, "{result:?}");
    assert_eq!(result.ending.cause, Cause::Signal);
    assert!(result.killed && result.error_msg.contains("signal 9"), "{result:?}");
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Failed);
}
