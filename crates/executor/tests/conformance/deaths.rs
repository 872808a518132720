//! What becomes of executions whose owner dies, as their next owner finds them.

use std::time::Duration;

use jobwright_backend::conformance::Script;
use jobwright_executor::{Error, Executor};
use jobwright_model::ExecutionStatus;

use crate::site::{Site, World, name};

/// The dummy's engine is a part of its process.
pub(crate) fn dies_with_its_owner(world: &World) -> bool {
    let dies = matches!(world.site, Site::Dummy);
    if dies {
        println!("skipped: what the dummy runs dies with its owner");
    }
    dies
}

// covers: nunet 34, 76
pub(crate) async fn one_whose_owner_died_is_taken_over(world: &World) {
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

pub(crate) async fn a_cancel_that_came_while_nobody_owned_it_is_honoured(world: &World) {
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
