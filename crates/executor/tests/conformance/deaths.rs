//! What becomes of executions whose owner dies, as their next owner finds them.

use std::time::Duration;

use jobwright_backend::conformance::Script;
use jobwright_executor::{Error, Executor};
use jobwright_model::{ExecutionRequest, ExecutionStatus};

use crate::site::{Site, World, name};

/// The dummy's engine is a part of its process.
pub(crate) fn dies_with_its_owner(world: &World) -> bool {
    let dies = matches!(world.site, Site::Dummy);
    if dies {
        println!("skipped: what the dummy runs dies with its owner");
    }
    dies
}

/// Its owner is killed when it runs.
fn crash_while_it_runs(world: &World, request: ExecutionRequest) {
    world.before_a_crash(move |executor| async move {
        executor.start(request).await.unwrap();
        executor.wait_for_status(&name("one"), ExecutionStatus::Running, None).await.unwrap();
    });
}

// covers: nunet 34, 76
pub(crate) async fn one_whose_owner_died_is_taken_over(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    let request = world.request("one", &Script::new().say_ready().sleep(2).print("later\n").exit(4));
    crash_while_it_runs(world, request);
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Running);
    let refused: Vec<_> = world.executor.adopt().await.unwrap();
    assert!(refused.is_empty(), "{refused:?}");
    let result = world.executor.wait(&name("one")).await.unwrap();
    assert_eq!((result.exit_code, result.stdout.as_str()), (4, "ready\nlater\n"), "{result:?}");
}

pub(crate) async fn one_whose_results_directory_is_gone_is_taken_over_all_the_same(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    let results = world.folder("results");
    let mut request = world.request("one", &Script::new().say_ready().sleep(2).print("later\n"));
    request.results_dir = Some(results.clone());
    crash_while_it_runs(world, request);
    std::fs::remove_dir_all(&results).unwrap();
    let result = world.executor.wait(&name("one")).await.unwrap();
    assert_eq!((result.exit_code, result.stdout.as_str()), (0, "ready\nlater\n"), "{result:?}");
    assert!(!results.exists());
}

pub(crate) async fn what_cannot_be_read_is_not_listed_and_can_be_removed(world: &World) {
    for id in ["no-document", "no-result", "whole"] {
        world.executor.run(world.request(id, &Script::new().print("out\n").exit(3))).await.unwrap();
    }
    let folder = |id| world.state.run_dir(&world.executor.run_of(&name(id)).unwrap());
    std::fs::write(folder("no-document").join("execution.json"), "").unwrap();
    // As a power cut leaves it: the journal has the end.
    std::fs::write(folder("no-result").join("result.json"), "").unwrap();
    let listed = world.executor.list().await.unwrap();
    let ids: Vec<&str> = listed.iter().map(|item| item.execution_id.as_str()).collect();
    assert_eq!(ids, ["no-result", "whole"]);
    let again = world.executor.wait(&name("no-result")).await;
    let again = again.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((again.exit_code, again.stdout.as_str()), (3, "out\n"));
    world.executor.remove(&name("no-document"), Duration::from_secs(5)).await.unwrap();
    let gone = world.executor.get_status(&name("no-document")).await;
    assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
}

pub(crate) async fn what_another_version_wrote_is_not_forgotten(world: &World) {
    world.executor.run(world.request("one", &Script::new().print("out\n"))).await.unwrap();
    let folder = world.state.run_dir(&world.executor.run_of(&name("one")).unwrap());
    let (path, result) = (folder.join("execution.json"), folder.join("result.json"));
    let own = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, own.replacen("\"format\":1", "\"format\":2", 1)).unwrap();
    // As of one that has not ended.
    std::fs::rename(&result, folder.join("later")).unwrap();
    let error = world.executor.remove(&name("one"), Duration::from_secs(5)).await.unwrap_err().to_string();
    assert!(error.contains("format 2"), "{error}");
    std::fs::write(&path, own).unwrap();
    std::fs::rename(folder.join("later"), result).unwrap();
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Success);
}

pub(crate) async fn one_that_was_only_about_to_be_paused_can_be_resumed(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    crash_while_it_runs(world, world.request("one", &Script::new().say_ready().forever()));
    // What is noted first, before the backend is asked.
    let folder = world.state.run_dir(&world.executor.run_of(&name("one")).unwrap());
    std::fs::write(folder.join("paused"), "").unwrap();
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Paused);
    world.executor.resume(&name("one")).await.unwrap();
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Running);
}

pub(crate) async fn one_that_was_paused_when_its_owner_died_stays_so(world: &World) {
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

pub(crate) async fn what_ended_while_nobody_owned_it_has_its_true_result(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    let request = world.request("one", &Script::new().say_ready().sleep(1).print("later\n").exit(6));
    crash_while_it_runs(world, request);
    // Nobody is there to tell that it has ended. Where that takes longer it is taken over while it runs, with the same result.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let result = match world.executor.wait(&name("one")).await {
        Ok(result) => result,
        Err(Error::AlreadyConcluded { result, .. }) => *result,
        Err(error) => panic!("{error}"),
    };
    assert_eq!((result.exit_code, result.stdout.as_str()), (6, "ready\nlater\n"), "{result:?}");
}

/// Neither who wants its end nor who gives it up makes another end of it, and the end of what it wrote is there.
pub(crate) async fn what_ended_while_nobody_owned_it_cannot_be_ended_otherwise(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    // A code as shells tell of a signal, which an end that was asked for brings, too.
    let script = || Script::new().say_ready().sleep(1).print("later\n").exit(143);
    for id in ["cancelled", "given-up"] {
        let request = world.request(id, &script());
        world.before_a_crash(move |executor| async move {
            executor.start(request).await.unwrap();
            executor.wait_for_status(&name(id), ExecutionStatus::Running, None).await.unwrap();
        });
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    match world.executor.cancel(&name("cancelled")).await {
        Err(Error::AlreadyConcluded { result, .. }) => {
            assert_eq!((result.exit_code, result.stdout.as_str()), (143, "ready\nlater\n"), "{result:?}");
        }
        other => panic!("it was cancelled after its end: {other:?}"),
    }
    assert!(world.executor.give_up(&world.executor.run_of(&name("given-up")).unwrap()).await.unwrap());
    let info = world.executor.get_info(&name("given-up")).await.unwrap();
    assert_eq!(info.status, ExecutionStatus::Failed);
    let result = match world.executor.wait(&name("given-up")).await {
        Err(Error::AlreadyConcluded { result, .. }) => *result,
        other => panic!("{other:?}"),
    };
    assert_eq!((result.exit_code, result.stdout.as_str()), (143, "ready\nlater\n"), "{result:?}");
}

pub(crate) async fn a_cancel_that_came_while_nobody_owned_it_is_honoured(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    let request = world.request("one", &Script::new().say_ready().forever());
    crash_while_it_runs(world, request);
    world.executor.cancel(&name("one")).await.unwrap();
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Failed);
}
