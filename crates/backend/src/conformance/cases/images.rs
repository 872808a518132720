//! Images, the network between steps, and the memory limit.

use jobwright_model::{ExitStatus, StepType};

use super::{case, images, network};
use crate::Error;
use crate::conformance::check::{ensure, refused, same};
use crate::conformance::{Case, CaseResult, Facilities, Script, Trial};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(an_unknown_image_is_a_typed_error, "woodpecker 64", images),
        case!(an_image_that_is_no_reference_is_a_typed_error, "", images),
        case!(a_service_is_reached_by_its_name, "woodpecker 66", network),
        case!(the_memory_limit_is_told_from_other_ends, "woodpecker 39", memory_limit),
    ]
}

fn memory_limit(has: &Facilities) -> Option<&'static str> {
    (!(has.capabilities.oom && has.capabilities.limits))
        .then_some("a memory limit and the detection of its use")
}

async fn an_unknown_image_is_a_typed_error(trial: &Trial<'_>) -> CaseResult {
    let mut step = trial.step("build", &Script::new());
    step.image = "registry.jobwright.invalid/none:latest".to_owned();
    let task = trial.set_up(&[&step]).await?;
    refused("starting it", task.start(&step).await, |error| matches!(error, Error::Image { .. }))?;
    task.destroy_step(&step).await?;
    Ok(())
}

async fn an_image_that_is_no_reference_is_a_typed_error(trial: &Trial<'_>) -> CaseResult {
    let mut step = trial.step("build", &Script::new());
    step.image = "No Such::Reference!".to_owned();
    let task = trial.plan(&[&step]);
    let ran = async {
        task.set_up().await?;
        task.start(&step).await
    };
    refused("running it", ran.await, |error| {
        matches!(error, Error::Image { .. } | Error::InvalidStep { .. } | Error::InvalidWorkflow { .. })
    })
}

async fn a_service_is_reached_by_its_name(trial: &Trial<'_>) -> CaseResult {
    let server = "while :; do echo pong | nc -l -p 7777; done";
    let client = "i=0; while [ $i -lt 200 ]; do \
                  nc -w 2 the-server 7777 < /dev/null | grep -q pong && exit 0; \
                  i=$((i + 1)); sleep 0.1; done; exit 1";
    let mut service = trial.connected_step("the-server", &Script::new());
    service.entrypoint = trial.shell("", server).entrypoint;
    service.kind = StepType::Service;
    service.detached = true;
    let mut reader = trial.connected_step("client", &Script::new());
    reader.entrypoint = trial.shell("", client).entrypoint;
    let task = trial.set_up(&[&service, &reader]).await?;
    task.start(&service).await?;
    same("the client's status", &task.run(&reader).await?.1.status, &ExitStatus::Code(0))
}

async fn the_memory_limit_is_told_from_other_ends(trial: &Trial<'_>) -> CaseResult {
    let mut step = trial.step("build", &Script::new().fill_memory());
    trial.fixture().limit_memory(&mut step, 32 * 1024 * 1024);
    let task = trial.set_up(&[&step]).await?;
    let (_, exit) = task.run(&step).await?;
    ensure!(exit.oom, "the end by the memory limit is not told: {exit:?}");
    ensure!(exit.status != ExitStatus::Code(0), "an end by the memory limit counts as a success");
    Ok(())
}
