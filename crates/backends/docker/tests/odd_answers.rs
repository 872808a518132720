//! What is made of answers that a real engine gives only by accident: a `wait` and a log that never end, states that nobody
//! has heard of.

// The lint's exception for tests does not reach their fixtures.
#![allow(clippy::unwrap_used)]

mod support;

use jobwright_backend::{Backend, Error};
use jobwright_docker::{Docker, DockerSettings};
use jobwright_model::{ExitStatus, OwnerId, Step, StepUuid, TaskUuid};

use support::Output;
use support::scripted::{Script, Scripted};

/// A backend, and its step in an engine that follows a script.
struct Stage {
    docker: Docker,
    step: Step,
    task: TaskUuid,
    _engine: Scripted,
}

impl Stage {
    fn of(script: Script) -> Self {
        let (owner, task) = (OwnerId::random(), TaskUuid::random());
        let step = Step::new("odd", StepUuid::random());
        let engine = Scripted::with(script, &owner, &task, &step);
        let settings = DockerSettings { host: Some(engine.host()), ..DockerSettings::default() };
        Self { docker: Docker::new(Some(settings), owner), step, task, _engine: engine }
    }

    async fn status(&self) -> jobwright_backend::Result<ExitStatus> {
        Ok(self.docker.wait_step(&self.step, &self.task).await?.status)
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_is_seen_although_the_engine_s_wait_never_answers() {
    let stage = Stage::of(Script::of(&["running", "running", "running", "stopped"]));
    assert_eq!(stage.status().await.unwrap(), ExitStatus::Code(3));
}

#[tokio::test(start_paused = true)]
async fn output_ends_although_the_engine_s_follower_never_does_and_nothing_of_it_is_lost() {
    let script = Script { output: "one\ntwo\nthree\n", ..Script::of(&["running", "running", "stopped"]) };
    let stage = Stage::of(script);
    let output = Output::of(&stage.docker, &stage.step, &stage.task).await;
    assert_eq!(output.stdout, "one\ntwo\nthree\n");
}

/// DESIGN rules 1 and 6.
#[tokio::test(start_paused = true)]
async fn a_state_that_nobody_told_us_of_is_looked_at_again() {
    let stage = Stage::of(Script::of(&["hibernating", "stopping", "hibernating", "exited"]));
    assert_eq!(stage.status().await.unwrap(), ExitStatus::Code(3));
}

/// DESIGN rules 1 and 6: an error, not an end.
#[tokio::test(start_paused = true)]
async fn a_state_that_stays_unknown_is_told_as_the_engine_s_words() {
    let stage = Stage::of(Script::of(&["hibernating"]));
    let error = stage.status().await.unwrap_err();
    assert!(matches!(error, Error::Engine { .. }), "{error}");
    assert!(error.to_string().contains("hibernating"), "{error}");
    let found = stage.docker.discoverer().unwrap().discover_workflows().await.unwrap();
    assert_eq!(found.len(), 1, "what may run is found, so that somebody looks after it");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_makes_up_its_id_is_known_by_its_host_and_folder() {
    let stage = Stage::of(Script::of(&["running"]));
    assert_eq!(stage.docker.load().await.unwrap().engine_id.as_deref(), Some("podman:vm:/r"));
}
