//! How many calls a step costs, and what is told when the engine goes away. What they cost in time is measured by `cargo xtask
//! bench`.

// The lint's exception for tests does not reach their fixtures.
#![allow(clippy::unwrap_used)]

mod support;

use futures_util::StreamExt;
use jobwright_backend::{Backend, Error, LogPosition};
use jobwright_docker::DockerSettings;
use jobwright_model::{Step, StepUuid, TaskUuid, Workflow};

use support::proxy::Proxy;
use support::{Bench, Engine, IMAGE, Output, step};

fn trivial() -> Step {
    let mut step = Step::new("trivial", StepUuid::random());
    step.image = IMAGE.to_owned();
    step.entrypoint = vec!["/bin/echo".to_owned(), "hello".to_owned()];
    step
}

fn through(proxy: &Proxy, engine: &Engine) -> Bench {
    Bench::with(engine, DockerSettings { host: Some(proxy.host()), ..engine.settings() })
}

/// The seven: the bare six, and the second look at the log that makes sure of its last lines.
#[tokio::test]
async fn a_step_costs_seven_calls() {
    let Some(engine) = Engine::docker().await else { return };
    let proxy = Proxy::before(&engine.host);
    let bench = through(&proxy, &engine);
    bench.docker.load().await.unwrap();
    bench.docker.setup_workflow(&Workflow::default(), &bench.task).await.unwrap();
    proxy.take_calls();
    let step = trivial();
    bench.docker.prepare_step(&step, &bench.task, &jobwright_backend::Silent).await.unwrap();
    let (output, _) = bench.run(&step).await;
    bench.docker.destroy_step(&step, &bench.task).await.unwrap();
    assert_eq!(output.stdout, "hello\n");
    let calls = proxy.take_calls();
    let kinds: Vec<_> = calls
        .iter()
        .map(|call| {
            let verb = call.split(' ').next().unwrap();
            format!(
                "{verb} {}",
                call.rsplit('/').next().unwrap().split('-').next().map_or("", |last| if last.len() > 40 {
                    "container"
                } else {
                    last
                })
            )
        })
        .collect();
    assert_eq!(
        kinds,
        ["POST create", "POST start", "GET logs", "GET logs", "POST wait", "GET json", "DELETE container"],
        "{calls:?}"
    );
    assert!(calls.iter().all(|call| call.contains(" /v1.")), "the version is spoken: {calls:?}");
    bench.done().await;
}

#[tokio::test]
async fn an_engine_that_goes_away_is_told_as_gone_and_nothing_is_lost() {
    for engine in Engine::all().await {
        let proxy = Proxy::before(&engine.host);
        let bench = through(&proxy, &engine);
        let step = step("survivor", &["echo before", "sleep 2", "echo after"]);
        bench.docker.start_step(&step, &bench.task).await.unwrap();
        let mut log = bench.docker.tail_step(&step, &bench.task, LogPosition::START).await.unwrap();
        let mut position = LogPosition::START;
        let mut seen = String::new();
        while !seen.ends_with("before\n") || !seen.contains("\nbefore\n") {
            let chunk = log.next().await.unwrap().unwrap();
            position = chunk.next;
            seen.push_str(&String::from_utf8_lossy(&chunk.bytes));
        }
        let cut = async {
            tokio::task::yield_now().await;
            proxy.cut();
        };
        let (waited, ()) = tokio::join!(bench.docker.wait_step(&step, &bench.task), cut);
        assert!(matches!(waited, Err(Error::EngineGone { .. })), "{waited:?}");
        let broken = loop {
            match log.next().await {
                Some(Ok(chunk)) => {
                    position = chunk.next;
                    seen.push_str(&String::from_utf8_lossy(&chunk.bytes));
                }
                other => break other,
            }
        };
        assert!(matches!(broken, Some(Err(Error::EngineGone { .. }))), "{broken:?}");
        // A new instance that reaches the engine reads on where the old one was cut off, and knows the end.
        let fresh = bench.fresh();
        let mut rest = fresh.tail_step(&step, &bench.task, position).await.unwrap();
        while let Some(chunk) = rest.next().await {
            seen.push_str(&String::from_utf8_lossy(&chunk.unwrap().bytes));
        }
        assert!(seen.ends_with("before\n+ sleep 2\n+ echo after\nafter\n"), "{seen}");
        let whole = Output::of(&*fresh, &step, &bench.task).await;
        assert_eq!(seen, whole.stdout);
        assert_eq!(
            fresh.wait_step(&step, &bench.task).await.unwrap().status,
            jobwright_model::ExitStatus::Code(0)
        );
        fresh.destroy_workflow(&Workflow::default(), &bench.task).await.unwrap();
        assert!(fresh.leftovers(&bench.owner).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_instance_of_another_owner_sees_nothing_of_a_task() {
    let Some(engine) = Engine::docker().await else { return };
    let (bench, other) = (Bench::new(&engine), Bench::new(&engine));
    let step = step("mine", &["sleep 60"]);
    bench.docker.start_step(&step, &bench.task).await.unwrap();
    other.docker.destroy_workflow(&Workflow::default(), &bench.task).await.unwrap();
    assert!(matches!(other.docker.wait_step(&step, &bench.task).await, Err(Error::UnknownStep { .. })));
    assert_eq!(other.docker.discoverer().unwrap().discover_workflows().await.unwrap(), []);
    let found = bench.fresh().discoverer().unwrap().discover_workflows().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].task, TaskUuid::new(bench.task.as_str()).unwrap());
    bench.done().await;
    other.done().await;
}
