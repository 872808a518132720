//! Jobs of several phases, and the one workspace that goes through them.

use std::sync::Arc;

use jobwright_backend::conformance::Script;
use jobwright_model::{Job, Outcome};
use jobwright_runtime::{Backends, JobRun};

use super::files::Small;
use super::{containers, scenario};
use crate::suite::Scenario;
use crate::world::{Site, World};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_phase_finds_what_the_one_before_left),
        scenario!(an_empty_workspace_is_handed_over_too),
        scenario!(a_phase_that_always_runs_sees_what_a_failed_one_left),
        scenario!(a_workspace_goes_from_the_host_into_containers_and_back, containers),
    ]
}

async fn a_phase_finds_what_the_one_before_left(world: World) {
    let first = world.step("first", &Script::new().print_file("link").write_file("made", "by first"));
    let second = world.step("second", &Script::new().print_file("made").print_file("link"));
    let job = world.plan_job(vec![world.phase(first), world.phase(second)]).files(Arc::new(Small::default()));
    let report = world.finish_job(job).await;
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(world.seen.output("first"), "data\n");
    assert_eq!(world.seen.output("second"), "by firstdata\n");
}

async fn an_empty_workspace_is_handed_over_too(world: World) {
    let first = world.step("first", &Script::new().print("nothing made"));
    let second = world.step("second", &Script::new().print("nothing found"));
    let report = world.finish_job(world.plan_job(vec![world.phase(first), world.phase(second)])).await;
    assert!(report.ending.succeeded(), "{report:?}");
    assert_eq!(world.seen.output("second"), "nothing found");
}

async fn a_phase_that_always_runs_sees_what_a_failed_one_left(world: World) {
    let first = world.step("first", &Script::new().write_file("report", "broken").exit(5));
    let second = world.step("second", &Script::new());
    let after = world.step("after", &Script::new().print_file("report"));
    let mut always = world.phase(after);
    always.always = true;
    let phases = vec![world.phase(first), world.phase(second), always];
    let report = world.finish_job(world.plan_job(phases)).await;
    assert_eq!((report.ending.outcome, report.ending.exit_code), (Outcome::Failed, Some(5)));
    assert!(world.seen.traces("second").is_empty());
    assert_eq!(world.seen.output("after"), "broken");
}

/// With its modes and links, in both directions.
async fn a_workspace_goes_from_the_host_into_containers_and_back(world: World) {
    let host = World::open(&Site::Process).await;
    let prepare = host.shell("prepare", "mkdir bin && printf '#!/bin/sh\\necho $0\\n' > bin/tool && chmod 750 bin/tool && ln -s bin/tool tool");
    let build = world.shell(
        "build",
        "./tool && stat -c %a bin/tool && ln -s made by && echo in a container > made && chmod 600 made",
    );
    let collect = host.shell("collect", "./tool && cat by && stat -c %a made bin/tool && readlink by");
    let phases = vec![host.phase(prepare), world.phase(build), host.phase(collect)];
    let backends = Backends::from([
        (host.backend.name().to_owned(), Arc::clone(&host.backend)),
        (world.backend.name().to_owned(), Arc::clone(&world.backend)),
    ]);
    let job = Job { name: "job".to_owned(), phases, ..Job::default() };
    let job = JobRun::new(job, backends, Arc::clone(&world.seen) as _).scope(&world.scope);
    let report = world.finish_job(job).await;
    assert!(report.ending.succeeded(), "{report:?} {}", world.seen.text());
    assert_eq!(world.seen.output("build"), "./tool\n750\n");
    assert_eq!(world.seen.output("collect"), "./tool\nin a container\n600\n750\nmade\n");
    assert_eq!(host.leftovers().await, Vec::<String>::new());
}
