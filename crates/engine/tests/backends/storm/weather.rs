//! A random job: what its steps do, how long it may take, and when somebody has enough of it. Nothing here is checked.

use std::time::Duration;

use fastrand::Rng;
use jobwright_backend::conformance::Script;
use jobwright_model::{FailurePolicy, Phase, Step, StepType, Timeouts};

use crate::world::{Site, World, connected};

/// One job's fate.
pub(super) struct Weather {
    pub(super) phases: Vec<Phase>,
    pub(super) timeouts: Timeouts,
    pub(super) cancel_after: Option<Duration>,
}

impl Weather {
    /// A job of one or two phases, each of one to three stages of one to three steps.
    pub(super) fn of(rng: &mut Rng, world: &World) -> Self {
        let count = if one_in(rng, 4) { 2 } else { 1 };
        let phases = (0..count).map(|number| phase(rng, world, number)).collect();
        // A container takes its time to begin.
        let pace = if is_slow(world) { 2 } else { 1 };
        let millis = |rng: &mut Rng, range| Duration::from_millis(pace * rng.u64(range));
        let timeouts = Timeouts {
            total: Some(millis(rng, 1500..5000)),
            step: one_in(rng, 3).then(|| millis(rng, 500..2000)),
            silence: one_in(rng, 5).then(|| millis(rng, 500..1500)),
        };
        let cancel_after = one_in(rng, 3).then(|| millis(rng, 0..2500));
        Self { phases, timeouts, cancel_after }
    }
}

fn is_slow(world: &World) -> bool {
    matches!(world.site(), Site::Containers(_))
}

fn one_in(rng: &mut Rng, n: u32) -> bool {
    rng.u32(..n) == 0
}

fn phase(rng: &mut Rng, world: &World, number: u32) -> Phase {
    let most = if is_slow(world) { 2 } else { 3 };
    let stages = rng.u32(1..=most);
    let stages = (0..stages).map(|stage| {
        let steps = rng.u32(1..=most);
        (0..steps).map(|step| self::step(rng, world, &format!("step-{number}-{stage}-{step}"))).collect()
    });
    let stages: Vec<Vec<Step>> = stages.collect();
    Phase {
        backend: world.backend.name().to_owned(),
        workflow: world.workflow(stages),
        always: number > 0 && one_in(rng, 2),
        ..Phase::default()
    }
}

fn step(rng: &mut Rng, world: &World, name: &str) -> Step {
    let mut step = act(rng, world, name);
    step.on_failure = one_in(rng, 5);
    step.failure = one_in(rng, 5).then_some(FailurePolicy::Ignore);
    step.detached = one_in(rng, 6);
    if one_in(rng, 10) {
        (step.kind, step.detached) = (StepType::Service, true);
    }
    if world.backend.capabilities().network && one_in(rng, 4) {
        step = connected(step);
    }
    step
}

/// What a step does.
fn act(rng: &mut Rng, world: &World, name: &str) -> Step {
    let script = Script::new().print("begun\n");
    let script = match rng.u32(..100) {
        0..30 => script.complain("fine\n"),
        30..40 => script.exit(rng.u8(1..)),
        40..48 => script.sleep(1).print("slept"),
        48..56 => script.forever(),
        56..63 => script.leave_behind().exit(rng.u8(..3)),
        63..70 => return world.shell(name, "(setsid sleep 1000000 > /dev/null 2>&1 &) ; echo left one"),
        70..76 => script.ignore_term().leave_behind().forever(),
        76..81 => script.die(rng.choice([9, 15]).unwrap_or(9)),
        81..86 => return world.unstartable(name),
        86..90 => return pictureless(world, name),
        90..96 => script.fill(b'x', rng.u64(1..1 << 20)),
        _ => script.leave_behind_writing("still here\n"),
    };
    world.step(name, &script)
}

/// A step whose image, or shell, is nowhere.
fn pictureless(world: &World, name: &str) -> Step {
    let mut step = world.empty_step(name);
    let images = world.backend.capabilities().images;
    step.image = if images { "registry.jobwright.invalid/none:1" } else { "/no/such/sh" }.to_owned();
    step.commands = vec!["true".to_owned()];
    step
}
