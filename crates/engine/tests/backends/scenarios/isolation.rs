//! Two at once, and one after the other.

use jobwright_backend::conformance::Script;
use jobwright_model::{FailurePolicy, TaskUuid};

use super::scenario;
use crate::suite::Scenario;
use crate::world::{World, ending};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(one_workflow_twice_at_the_same_time_does_not_meet_itself),
        scenario!(a_task_uuid_can_be_used_again),
    ]
}

/// Equal to the last uuid. Each looks for the mark of the other before it makes its own, and they go on only when both have.
// covers: woodpecker 10, 11
async fn one_workflow_twice_at_the_same_time_does_not_meet_itself(world: World) {
    let mut look = world.step("look", &Script::new().print_file("mark"));
    look.failure = Some(FailurePolicy::Ignore);
    let work = world.step("work", &Script::new().write_file("mark", "").say_ready().await_file("go"));
    let workflow = world.workflow([vec![look], vec![work]]);
    let (one, two) = (world.beside(), world.beside());
    let tasks = [TaskUuid::random(), TaskUuid::random()];
    let second = async {
        one.seen.until_printed("work", "ready").await;
        let report = async {
            let report = two.plan(&workflow).task(tasks[1].clone()).run().await;
            two.check(&report);
            report
        };
        let go = async {
            two.seen.until_printed("work", "ready").await;
            for task in &tasks {
                world.touch(task, "go").await;
            }
        };
        tokio::join!(report, go).0
    };
    let first = one.plan(&workflow).task(tasks[0].clone()).run();
    let (first, second) = tokio::join!(first, second);
    one.check(&first);
    for report in [first, second] {
        assert!(report.ending.succeeded(), "{report:?}");
        assert_eq!(ending(&report, "look").exit_code, Some(1), "it saw the other's mark");
    }
}

// covers: woodpecker 16
async fn a_task_uuid_can_be_used_again(world: World) {
    let mut look = world.step("look", &Script::new().print_file("mark"));
    look.failure = Some(FailurePolicy::Ignore);
    let work = world.step("work", &Script::new().write_file("mark", "").exit(4));
    let workflow = world.workflow([vec![look], vec![work]]);
    let task = TaskUuid::random();
    for _ in 0..2 {
        let world = world.beside();
        let report = world.finish(world.plan(&workflow).task(task.clone())).await;
        assert_eq!(ending(&report, "look").exit_code, Some(1));
        assert_eq!(ending(&report, "work").exit_code, Some(4));
    }
}
