//! The promises, one case each.

use std::time::Duration;

use futures_util::future::BoxFuture;
use jobwright_backend::conformance::Script;
use jobwright_executor::{Error, Executor};
use jobwright_model::{
    AllocationKey, Cause, ExecutionStatus, JobId, LogStreamRequest, ProvisionScript, StorageVolume,
};
use tokio::time::timeout;

use crate::site::{Site, World, job, name};
use crate::visits::{
    one_that_is_there_for_a_visit_ends_with_it_and_as_it_did,
    one_whose_visit_died_with_its_owner_is_ended_by_who_comes_next,
    somebody_goes_into_one_that_runs_and_it_goes_on,
    what_a_dead_owner_left_is_given_up_and_what_a_living_one_has_is_not,
};

type Case = (&'static str, for<'w> fn(&'w World) -> BoxFuture<'w, ()>);

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        [$((stringify!($name), (|world| Box::pin($name(world))) as for<'w> fn(&'w World) -> BoxFuture<'w, ()>)),*]
    };
}

fn all() -> Vec<Case> {
    cases![
        an_execution_runs_to_its_end_with_its_output_and_exit_code,
        one_that_fails_keeps_its_exit_code_and_its_output,
        an_id_is_given_once,
        of_many_who_start_one_id_one_wins,
        what_nobody_knows_is_not_found,
        waiting_for_one_that_ended_is_an_error_with_its_result,
        a_cancelled_one_ends_and_failed_everywhere,
        cancelling_one_that_ended_is_an_error,
        statuses_follow_each_other,
        a_status_that_is_not_reached_is_an_error_in_time,
        one_that_is_paused_stands_still_until_it_is_resumed,
        logs_are_read_while_it_runs_and_after_it,
        logs_from_now_on_leave_out_what_was_before,
        a_reader_that_leaves_holds_nothing_up,
        results_lie_in_their_directory_while_it_runs,
        a_command_runs_in_it,
        what_it_uses_is_told,
        it_is_listed_and_described,
        a_removed_one_is_forgotten_and_its_id_is_free,
        removing_one_that_runs_ends_it,
        cleaning_up_removes_all_of_them,
        what_cannot_be_started_is_a_result,
        one_that_takes_too_long_is_ended,
        a_secret_is_nowhere_in_its_output,
        provision_scripts_run_first_and_in_order,
        a_provision_script_that_fails_ends_it,
        a_bad_request_makes_nothing,
        one_whose_owner_died_is_taken_over,
        one_that_was_paused_when_its_owner_died_stays_so,
        what_ended_while_nobody_owned_it_has_its_true_result,
        a_cancel_that_came_while_nobody_owned_it_is_honoured,
        logs_go_when_their_time_is_over,
        one_that_is_there_for_a_visit_ends_with_it_and_as_it_did,
        somebody_goes_into_one_that_runs_and_it_goes_on,
        one_whose_visit_died_with_its_owner_is_ended_by_who_comes_next,
        what_a_dead_owner_left_is_given_up_and_what_a_living_one_has_is_not,
        one_who_stops_waiting_ends_nothing,
        logs_of_one_that_is_about_to_start_are_waited_for,
        memory_beyond_its_limit_ends_it_with_a_cause_of_its_own,
        parts_of_processors_are_taken_or_refused,
        a_signal_from_elsewhere_is_told,
        volumes_are_there_as_they_were_asked_for,
        a_key_lies_where_it_is_looked_for,
    ]
    .into()
}

/// Every case on `site`, each in a world of its own, after which nothing is left.
pub(crate) async fn run(site: Option<Site>) {
    let Some(site) = site else { return };
    let filter = std::env::var("JOBWRIGHT_EXECUTIONS").unwrap_or_default();
    let words: Vec<&str> = filter.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let mut failed = Vec::new();
    for (case, check) in all() {
        if !words.is_empty() && !words.iter().any(|word| case.contains(word)) {
            continue;
        }
        let site = site.clone();
        let checked = tokio::spawn(async move {
            let world = World::open(&site).await;
            timeout(Duration::from_secs(90), check(&world)).await.expect("it is done in time");
            world.executor.cleanup().await.unwrap();
            assert_eq!(world.leftovers().await, [""; 0], "left behind");
        });
        if let Err(error) = checked.await {
            failed.push(format!("{case}: {error}"));
        }
    }
    assert!(failed.is_empty(), "{} failed on {}:\n{}", failed.len(), site.name(), failed.join("\n"));
}

/// The dummy's engine is a part of its process.
pub(crate) fn dies_with_its_owner(world: &World) -> bool {
    let dies = matches!(world.site, Site::Dummy);
    if dies {
        println!("skipped: what the dummy runs dies with its owner");
    }
    dies
}

fn talkative() -> Script {
    Script::new().print("out\n").complain("err\n")
}

// covers: nunet 1, 11, 13, 17, 74-75
async fn an_execution_runs_to_its_end_with_its_output_and_exit_code(world: &World) {
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
async fn one_that_fails_keeps_its_exit_code_and_its_output(world: &World) {
    let result = world.executor.run(world.request("one", &talkative().exit(7))).await.unwrap();
    assert_eq!((result.exit_code, result.ending.cause.clone()), (7, Cause::ExitCode));
    assert!(result.error_msg.contains('7'), "{}", result.error_msg);
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Failed);
}

// covers: nunet 2-3, 12
async fn an_id_is_given_once(world: &World) {
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
async fn of_many_who_start_one_id_one_wins(world: &World) {
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
async fn what_nobody_knows_is_not_found(world: &World) {
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
async fn waiting_for_one_that_ended_is_an_error_with_its_result(world: &World) {
    world.executor.run(world.request("one", &talkative().exit(3))).await.unwrap();
    match world.executor.wait(&name("one")).await {
        Err(Error::AlreadyConcluded { result, .. }) => {
            assert_eq!((result.exit_code, result.stdout.as_str()), (3, "out\n"));
        }
        other => panic!("{other:?}"),
    }
}

// covers: nunet 23, 25, 28-29
async fn a_cancelled_one_ends_and_failed_everywhere(world: &World) {
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
async fn cancelling_one_that_ended_is_an_error(world: &World) {
    world.executor.run(world.request("one", &talkative())).await.unwrap();
    let refused = world.executor.cancel(&name("one")).await;
    assert!(matches!(refused, Err(Error::AlreadyConcluded { .. })), "{refused:?}");
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Success);
}

// covers: nunet 36, 38
async fn statuses_follow_each_other(world: &World) {
    let gate = world.request("one", &Script::new().say_ready().sleep(1));
    world.executor.start(gate).await.unwrap();
    let first = world.executor.get_status(&name("one")).await.unwrap();
    assert!(matches!(first, ExecutionStatus::Pending | ExecutionStatus::Running), "{first}");
    world.executor.wait_for_status(&name("one"), ExecutionStatus::Running, None).await.unwrap();
    let success = ExecutionStatus::Success;
    world.executor.wait_for_status(&name("one"), success, Some(Duration::from_secs(30))).await.unwrap();
}

// covers: nunet 38-40
async fn a_status_that_is_not_reached_is_an_error_in_time(world: &World) {
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
async fn one_that_is_paused_stands_still_until_it_is_resumed(world: &World) {
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

// covers: nunet 43-44, 46-47, 49
async fn logs_are_read_while_it_runs_and_after_it(world: &World) {
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
async fn logs_from_now_on_leave_out_what_was_before(world: &World) {
    let script = Script::new().print("first\n").say_ready().sleep(1).print("last\n");
    world.executor.start(world.request("one", &script)).await.unwrap();
    world.until_printed("one", "ready").await;
    assert_eq!(world.log("one", true, true).await, "last\n");
}

// covers: nunet 54
async fn a_reader_that_leaves_holds_nothing_up(world: &World) {
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
async fn results_lie_in_their_directory_while_it_runs(world: &World) {
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

// covers: nunet 70
async fn a_command_runs_in_it(world: &World) {
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
async fn what_it_uses_is_told(world: &World) {
    world.executor.start(world.request("one", &Script::new().say_ready().forever())).await.unwrap();
    world.until_printed("one", "ready").await;
    assert!(world.executor.stats(&name("one")).await.unwrap().timestamp > 0);
}

// covers: nunet 69, 72-73
async fn it_is_listed_and_described(world: &World) {
    world.executor.start(world.request("b", &Script::new().say_ready().forever())).await.unwrap();
    world.executor.run(world.request("a", &talkative().exit(1))).await.unwrap();
    world.until_printed("b", "ready").await;
    let list = world.executor.list().await.unwrap();
    let told: Vec<_> =
        list.iter().map(|item| (item.execution_id.as_str(), item.running, item.status)).collect();
    assert_eq!(told, [("a", false, ExecutionStatus::Failed), ("b", true, ExecutionStatus::Running)]);
    let info = world.executor.get_info(&name("b")).await.unwrap();
    assert_eq!((info.runtime.as_str(), &info.job_id), (world.backend_name(), &job()));
    assert_eq!(world.executor.get_id(), world.executor.clone().get_id());
    match world.executor.get_net_info(&name("b")).await {
        Ok(_) | Err(Error::Unsupported { .. }) => {}
        Err(error) => panic!("{error}"),
    }
}

// covers: nunet 30
async fn a_removed_one_is_forgotten_and_its_id_is_free(world: &World) {
    world.executor.run(world.request("one", &talkative())).await.unwrap();
    world.executor.remove(&name("one"), Duration::from_secs(5)).await.unwrap();
    assert!(matches!(world.executor.get_status(&name("one")).await, Err(Error::NotFound(_))));
    let again = world.executor.run(world.request("one", &Script::new().print("again\n"))).await.unwrap();
    assert_eq!(again.stdout, "again\n");
}

// covers: nunet 30-31
async fn removing_one_that_runs_ends_it(world: &World) {
    world.executor.start(world.request("one", &Script::new().say_ready().forever())).await.unwrap();
    world.until_printed("one", "ready").await;
    world.executor.remove(&name("one"), Duration::from_secs(30)).await.unwrap();
    assert!(world.executor.list().await.unwrap().is_empty());
    assert_eq!(world.leftovers().await, [""; 0]);
}

// covers: nunet 32
async fn cleaning_up_removes_all_of_them(world: &World) {
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

// covers: nunet 4, 18
async fn what_cannot_be_started_is_a_result(world: &World) {
    if matches!(world.site, Site::Dummy) {
        return println!("skipped: the dummy starts anything");
    }
    let mut request = world.request("one", &Script::new());
    request.engine_spec = request.engine_spec.with_param("entrypoint", vec!["/no/such/program".to_owned()]);
    let result = world.executor.run(request).await.unwrap();
    assert_eq!(result.exit_code, -1, "{result:?}");
    assert!(result.error_msg.contains("/no/such/program"), "{}", result.error_msg);
    assert_eq!(world.leftovers().await, [""; 0]);
}

// covers: nunet 24
async fn one_that_takes_too_long_is_ended(world: &World) {
    let mut request = world.request("one", &Script::new().say_ready().forever());
    request.timeout = Some(Duration::from_secs(3));
    let result = world.executor.run(request).await.unwrap();
    assert_eq!(result.ending.cause, Cause::Timeout, "{result:?}");
    assert_eq!(result.stdout, "ready\n");
}

async fn a_secret_is_nowhere_in_its_output(world: &World) {
    let mut request = world.request("one", &Script::new().print("my hunter2-swordfish\n"));
    request.secrets = [("TOKEN".to_owned(), "hunter2-swordfish".to_owned())].into();
    let result = world.executor.run(request).await.unwrap();
    assert_eq!(result.stdout, "my ********\n");
    assert_eq!(world.log("one", false, false).await, "my ********\n");
}

fn provisioned(world: &World, scripts: &[(&str, &str)]) -> jobwright_model::ExecutionRequest {
    let mut request = world.request("one", &Script::new().print("job\n"));
    let script =
        |(name, content): &(&str, &str)| ProvisionScript { name: (*name).into(), content: (*content).into() };
    request.provision_scripts = scripts.iter().map(script).collect();
    request
}

// covers: nunet 67
async fn provision_scripts_run_first_and_in_order(world: &World) {
    if matches!(world.site, Site::Dummy) {
        return println!("skipped: the dummy has no shell");
    }
    let scripts = [("z first", "#!/bin/sh\necho one \"$0\" | grep -c 'z first'"), ("a second", "echo two")];
    let result = world.executor.run(provisioned(world, &scripts)).await.unwrap();
    assert_eq!(result.stdout, "Executing z first\n1\nExecuting a second\ntwo\njob\n", "{result:?}");
}

// covers: nunet 67
async fn a_provision_script_that_fails_ends_it(world: &World) {
    if matches!(world.site, Site::Dummy) {
        return println!("skipped: the dummy has no shell");
    }
    let result =
        world.executor.run(provisioned(world, &[("bad", "exit 9"), ("never", "echo never")])).await.unwrap();
    assert_eq!((result.exit_code, result.stdout.as_str()), (9, "Executing bad\n"), "{result:?}");
}

// covers: nunet 5-7, 58, 63
async fn a_bad_request_makes_nothing(world: &World) {
    type Change = fn(&mut jobwright_model::ExecutionRequest);
    let changes: [(&str, Change); 8] = [
        ("engine_spec.type", |request| request.engine_spec.kind = "  ".to_owned()),
        ("no-such-engine", |request| request.engine_spec.kind = "no-such-engine".to_owned()),
        ("limit on disk", |request| request.resources.disk_bytes = Some(1 << 30)),
        ("cpu_cores", |request| request.resources.cpu_cores = Some(-1.0)),
        ("ram_bytes", |request| request.resources.ram_bytes = Some(u64::MAX)),
        ("inputs[0].source", |request| {
            request.inputs = vec![jobwright_model::StorageVolume::bind("/tmp/../etc", "/x")];
        }),
        ("results_dir", |request| {
            request.outputs = vec![jobwright_model::StorageVolume::bind("/tmp", "/tmp")];
        }),
        ("variables", |request| {
            request.environment.extend((0..10_000).map(|number| (format!("V{number}"), String::new())));
        }),
    ];
    for (named, change) in changes {
        let mut request = world.request("one", &talkative());
        change(&mut request);
        let error = world.executor.start(request).await.unwrap_err();
        assert!(error.to_string().contains(named), "{named}: {error}");
    }
    assert!(world.executor.list().await.unwrap().is_empty());
    assert_eq!(world.leftovers().await, [""; 0]);
}

// covers: nunet 34, 76
async fn one_whose_owner_died_is_taken_over(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    let request = world.request("one", &Script::new().say_ready().sleep(2).print("later\n").exit(4));
    world.before_a_crash(move |executor| async move {
        executor.start(request).await.unwrap();
        executor.wait_for_status(&name("one"), ExecutionStatus::Running, None).await.unwrap();
    });
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Running);
    let refused: Vec<_> = world.executor.adopt().await.unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    let result = world.executor.wait(&name("one")).await.unwrap();
    assert_eq!((result.exit_code, result.stdout.as_str()), (4, "ready\nlater\n"), "{result:?}");
}

async fn one_that_was_paused_when_its_owner_died_stays_so(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    let request = world.request("one", &Script::new().say_ready().sleep(1).print("later\n"));
    world.before_a_crash(move |executor| async move {
        executor.start(request).await.unwrap();
        executor.wait_for_status(&name("one"), ExecutionStatus::Running, None).await.unwrap();
        executor.pause(&name("one")).await.unwrap();
    });
    world.executor.adopt().await.unwrap();
    world.executor.wait_for_status(&name("one"), ExecutionStatus::Paused, None).await.unwrap();
    world.executor.resume(&name("one")).await.unwrap();
    let status = ExecutionStatus::Success;
    world.executor.wait_for_status(&name("one"), status, Some(Duration::from_secs(30))).await.unwrap();
    assert_eq!(world.log("one", false, false).await, "ready\nlater\n");
}

async fn what_ended_while_nobody_owned_it_has_its_true_result(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    let request = world.request("one", &Script::new().say_ready().print("later\n").exit(6));
    world.before_a_crash(move |executor| async move {
        executor.start(request).await.unwrap();
        executor.wait_for_status(&name("one"), ExecutionStatus::Running, None).await.unwrap();
    });
    let result = match world.executor.wait(&name("one")).await {
        Ok(result) => result,
        Err(Error::AlreadyConcluded { result, .. }) => *result,
        Err(error) => panic!("{error}"),
    };
    assert_eq!((result.exit_code, result.stdout.as_str()), (6, "ready\nlater\n"), "{result:?}");
}

async fn a_cancel_that_came_while_nobody_owned_it_is_honoured(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    let request = world.request("one", &Script::new().say_ready().forever());
    world.before_a_crash(move |executor| async move {
        executor.start(request).await.unwrap();
        executor.wait_for_status(&name("one"), ExecutionStatus::Running, None).await.unwrap();
    });
    world.executor.cancel(&name("one")).await.unwrap();
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Failed);
}

// covers: nunet 51
async fn logs_go_when_their_time_is_over(world: &World) {
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
}

// covers: nunet 16
async fn one_who_stops_waiting_ends_nothing(world: &World) {
    world.executor.start(world.request("one", &Script::new().say_ready().forever())).await.unwrap();
    let id = name("one");
    let waiting = timeout(Duration::from_millis(100), world.executor.wait(&id));
    assert!(waiting.await.is_err(), "it runs, so nobody has an answer");
    world.until_printed("one", "ready").await;
    assert_eq!(world.executor.get_status(&id).await.unwrap(), ExecutionStatus::Running);
}

// covers: nunet 48
async fn logs_of_one_that_is_about_to_start_are_waited_for(world: &World) {
    let request = world.request("one", &talkative());
    let executor = world.executor.clone();
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        executor.start(request).await.unwrap();
    });
    assert_eq!(world.log("one", false, true).await.len(), "out\nerr\n".len());
    later.await.unwrap();
}

// covers: nunet 21, 55, 57
async fn memory_beyond_its_limit_ends_it_with_a_cause_of_its_own(world: &World) {
    let mut request = world.request("one", &Script::new().print("before\n").fill_memory());
    request.resources.ram_bytes = Some(64 << 20);
    let result = match world.executor.run(request).await {
        Err(Error::Unsupported { .. }) if !world.capabilities().await.limits => {
            return println!("skipped: {} limits no memory", world.site.name());
        }
        result => result.unwrap(),
    };
    if !world.capabilities().await.oom {
        assert_ne!(result.exit_code, 0, "{result:?}");
        return println!("skipped: {} does not tell memory from other ends", world.site.name());
    }
    assert_eq!(result.ending.cause, Cause::OutOfMemory, "{result:?}");
    assert!(result.error_msg.contains("OOM") && result.stdout.contains("before"), "{result:?}");
}

// covers: nunet 56
async fn parts_of_processors_are_taken_or_refused(world: &World) {
    let mut request = world.request("one", &talkative());
    request.resources.cpu_cores = Some(0.5);
    match world.executor.run(request).await {
        Err(Error::Unsupported { .. }) if !world.capabilities().await.limits => {
            println!("skipped: {} limits no processors", world.site.name());
        }
        result => assert_eq!(result.unwrap().exit_code, 0),
    }
}

// covers: nunet 22-23
async fn a_signal_from_elsewhere_is_told(world: &World) {
    if matches!(world.site, Site::Containers(_)) {
        return println!("skipped: the first process of a container does not hear its own signals");
    }
    let result = world.executor.run(world.request("one", &Script::new().die(9))).await.unwrap();
    assert_eq!(result.exit_code, 137, "{result:?}");
    if result.ending.cause == Cause::Signal {
        assert!(result.killed && result.error_msg.contains("signal 9"), "{result:?}");
    }
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Failed);
}

// covers: nunet 62
async fn volumes_are_there_as_they_were_asked_for(world: &World) {
    if !matches!(world.site, Site::Containers(_)) {
        return println!("skipped: only containers have volumes of their own");
    }
    let (input, output) = (world.folder("in"), world.folder("out"));
    std::fs::write(input.join("file"), "content\n").unwrap();
    let mut request = world.request("one", &Script::new());
    let script = "cat /in/file > /out/copy; touch /in/new 2>/dev/null && echo written; true";
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    request.engine_spec = request.engine_spec.with_param("entrypoint", argv);
    let bind = |source: &std::path::Path, target| StorageVolume::bind(source.display().to_string(), target);
    request.inputs = vec![StorageVolume { read_only: true, ..bind(&input, "/in") }];
    request.outputs = vec![bind(&output, "/out")];
    request.results_dir = Some(world.folder("results"));
    let result = world.executor.run(request).await.unwrap();
    assert_eq!((result.exit_code, result.stdout.as_str()), (0, ""), "{result:?}");
    assert_eq!(std::fs::read_to_string(output.join("copy")).unwrap(), "content\n");
}

// covers: nunet 66
async fn a_key_lies_where_it_is_looked_for(world: &World) {
    if !matches!(world.site, Site::Containers(_)) {
        return println!("skipped: only containers have keys of their own");
    }
    let mut request = world.request("one", &Script::new());
    let argv = ["/bin/sh", "-c", "cat /root/.ssh/authorized_keys; stat -c %a /root/.ssh/authorized_keys"];
    request.engine_spec = request.engine_spec.with_param("entrypoint", argv.map(str::to_owned).to_vec());
    request.keys =
        vec![AllocationKey { kind: "ssh".into(), file: "ssh-ed25519 AAAA me".into(), dest: String::new() }];
    let result = world.executor.run(request).await.unwrap();
    assert_eq!(result.stdout, "ssh-ed25519 AAAA me\n600\n", "{result:?}");
}
