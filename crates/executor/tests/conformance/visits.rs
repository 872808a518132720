//! The promises about going into executions, and about giving up what a dead owner left.

use std::sync::Arc;

use async_trait::async_trait;
use jobwright_backend::conformance::Script;
use jobwright_executor::{Error, Executor};
use jobwright_model::{Cause, Ending, ExecutionStatus, ExitStatus, ProvisionScript, StepExit};
use jobwright_runtime::{Visited, Visitor};

use crate::deaths::dies_with_its_owner;
use crate::site::{World, name};

/// Ends at once with this code; without one never.
struct Guest(Option<i32>);

#[async_trait]
impl Visitor for Guest {
    async fn visit(&self, _visited: Visited<'_>) -> Result<StepExit, Ending> {
        match self.0 {
            Some(code) => Ok(StepExit::new(ExitStatus::Code(code))),
            None => std::future::pending().await,
        }
    }
}

fn long() -> Script {
    Script::new().say_ready().sleep(300)
}

pub(crate) async fn one_that_is_there_for_a_visit_ends_with_it_and_as_it_did(world: &World) {
    world.executor.visit(world.request("one", &long()), Arc::new(Guest(Some(5)))).await.unwrap();
    let result = match world.executor.wait(&name("one")).await {
        Ok(result) => result,
        Err(Error::AlreadyConcluded { result, .. }) => *result,
        Err(error) => panic!("{error}"),
    };
    assert_eq!((result.exit_code, &result.ending.cause), (5, &Cause::ExitCode), "{result:?}");
    let mut provisioned = world.request("two", &long());
    provisioned.provision_scripts =
        vec![ProvisionScript { name: "first".to_owned(), content: "true".to_owned() }];
    let refused = world.executor.visit(provisioned, Arc::new(Guest(None))).await;
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
}

pub(crate) async fn somebody_goes_into_one_that_runs_and_it_goes_on(world: &World) {
    world.executor.start(world.request("one", &long())).await.unwrap();
    world.until_printed("one", "ready").await;
    let exit = world.executor.enter(&name("one"), &Guest(Some(3))).await.unwrap().unwrap();
    assert_eq!(exit.status, ExitStatus::Code(3));
    assert_eq!(world.executor.get_status(&name("one")).await.unwrap(), ExecutionStatus::Running);
    world.executor.cancel(&name("one")).await.unwrap();
    let refused = world.executor.enter(&name("one"), &Guest(Some(3))).await;
    assert!(matches!(refused, Err(Error::AlreadyConcluded { .. })));
}

pub(crate) async fn one_whose_visit_died_with_its_owner_is_ended_by_who_comes_next(world: &World) {
    if dies_with_its_owner(world) {
        return;
    }
    let request = world.request("one", &long());
    world.before_a_crash(move |executor| async move {
        executor.visit(request, Arc::new(Guest(None))).await.unwrap();
        executor.wait_for_status(&name("one"), ExecutionStatus::Running, None).await.unwrap();
    });
    let result = world.executor.wait(&name("one")).await.unwrap();
    assert_eq!(result.ending.cause, Cause::ByShutdown, "{result:?}");
}

// covers: nunet 32
pub(crate) async fn what_a_dead_owner_left_is_given_up_and_what_a_living_one_has_is_not(world: &World) {
    world.executor.start(world.request("lives", &long())).await.unwrap();
    world.until_printed("lives", "ready").await;
    let lives = world.executor.run_of(&name("lives")).unwrap();
    assert!(!world.executor.give_up(&lives).await.unwrap());
    assert_eq!(world.executor.get_status(&name("lives")).await.unwrap(), ExecutionStatus::Running);
    world.executor.cancel(&name("lives")).await.unwrap();
    assert!(!world.executor.give_up(&lives).await.unwrap(), "it is over");
    if dies_with_its_owner(world) {
        return;
    }
    let request = world.request("left", &long());
    world.before_a_crash(move |executor| async move {
        executor.start(request).await.unwrap();
        executor.wait_for_status(&name("left"), ExecutionStatus::Running, None).await.unwrap();
    });
    let left = world.executor.run_of(&name("left")).unwrap();
    assert!(world.executor.give_up(&left).await.unwrap());
    assert_eq!(world.executor.get_status(&name("left")).await.unwrap(), ExecutionStatus::Failed);
}
