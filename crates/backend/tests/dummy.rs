//! What each variable of the table in `dummy` does, and what tests see of an engine.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use futures_util::StreamExt;
use jobwright_backend::dummy::{Act, Dummy, DummyEngine, Verb, give_script};
use jobwright_backend::{
    Availability, Backend, Error, ImageProblem, LogPosition, LogStream, Silent, StepControl, StreamKind,
};
use jobwright_model::{ExitStatus, Port, Step, StepExit, StepType, StepUuid, TaskUuid, Workflow};
use tokio::time::{Instant, timeout};

/// A step of a task of its own on an engine of its own.
struct Scene {
    dummy: Dummy,
    workflow: Workflow,
    task: TaskUuid,
    step: Step,
}

impl Scene {
    /// A step with these variables, whose task is set up.
    async fn with(variables: &[(&str, &str)]) -> Self {
        let scene = Self::unprepared(variables);
        scene.set_up().await.unwrap();
        scene
    }

    fn unprepared(variables: &[(&str, &str)]) -> Self {
        let mut step = Step::new("build", StepUuid::new("s1").unwrap());
        step.commands = vec!["make".to_owned(), "make test".to_owned()];
        step.environment = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        Self { dummy: Dummy::default(), workflow: Workflow::default(), task: TaskUuid::random(), step }
    }

    async fn set_up(&self) -> Result<(), Error> {
        self.dummy.setup_workflow(&self.workflow, &self.task).await
    }

    async fn start(&self) -> Result<(), Error> {
        self.dummy.start_step(&self.step, &self.task).await
    }

    async fn wait(&self) -> Result<StepExit, Error> {
        self.dummy.wait_step(&self.step, &self.task).await
    }

    async fn tail(&self) -> Result<LogStream, Error> {
        self.dummy.tail_step(&self.step, &self.task, LogPosition::START).await
    }

    async fn destroy_step(&self) -> Result<(), Error> {
        self.dummy.destroy_step(&self.step, &self.task).await
    }

    async fn destroy(&self) -> Result<(), Error> {
        self.dummy.destroy_workflow(&self.workflow, &self.task).await
    }

    /// Starts the step and answers its output and its end.
    async fn play(&self) -> (String, StepExit) {
        self.start().await.unwrap();
        let exit = self.wait().await.unwrap();
        let chunks: Vec<_> = self.tail().await.unwrap().map(|chunk| chunk.unwrap().bytes).collect().await;
        (String::from_utf8(chunks.concat()).unwrap(), exit)
    }
}

async fn status(variables: &[(&str, &str)]) -> ExitStatus {
    Scene::with(variables).await.play().await.1.status
}

#[tokio::test(start_paused = true)]
async fn a_step_prints_what_woodpeckers_dummy_prints() {
    let (output, exit) = Scene::with(&[]).await.play().await;
    let expected = "StepName: build\nStepType: commands\nStepUUID: s1\nStepCommands:\n\
                    ------------------\nmake\nmake test\n------------------\n";
    assert_eq!(output, expected);
    assert_eq!(exit.status, ExitStatus::Code(0));
}

#[tokio::test(start_paused = true)]
async fn sleep_takes_time_by_tokios_clock_and_shows_in_the_exit() {
    let scene = Scene::with(&[("SLEEP", "1h30m")]).await;
    let begun = Instant::now();
    let (_, exit) = scene.play().await;
    assert_eq!(begun.elapsed().as_secs(), 5400);
    let took = exit.finished.unwrap().duration_since(exit.started.unwrap());
    assert_eq!(took.as_secs(), 5400);
}

// covers: woodpecker 1
#[tokio::test(start_paused = true)]
async fn a_backend_answers_every_verb_of_the_interface() {
    let Scene { dummy, workflow, task, step } = Scene::unprepared(&[]);
    let backend: &dyn Backend = &dummy;
    assert_eq!(backend.name(), "dummy");
    assert!(matches!(backend.is_available().await, Availability::Available));
    assert!(backend.load().await.unwrap().platform.contains('/'));
    backend.setup_workflow(&workflow, &task).await.unwrap();
    backend.start_step(&step, &task).await.unwrap();
    let log = backend.tail_step(&step, &task, LogPosition::START).await.unwrap();
    assert!(log.count().await > 0);
    assert_eq!(backend.wait_step(&step, &task).await.unwrap().status, ExitStatus::Code(0));
    backend.destroy_step(&step, &task).await.unwrap();
    assert!(backend.wait_step(&step, &task).await.is_err());
    backend.destroy_workflow(&workflow, &task).await.unwrap();
    assert!(backend.start_step(&step, &task).await.is_err());
}

// covers: woodpecker 34, 39
#[tokio::test(start_paused = true)]
async fn the_end_is_as_scripted() {
    assert_eq!(status(&[("STEP_EXIT_CODE", "3")]).await, ExitStatus::Code(3));
    assert_eq!(status(&[("DUMMY_SIGNAL", "11")]).await, ExitStatus::Signal(11));
    assert_eq!(status(&[("DUMMY_EXIT_UNKNOWN", "true")]).await, ExitStatus::Unknown);
    for (code, expected) in [("", 137), ("9", 9)] {
        let scene = Scene::with(&[("STEP_OOM_KILLED", "true"), ("STEP_EXIT_CODE", code)]).await;
        let (_, exit) = scene.play().await;
        assert!(exit.oom);
        assert_eq!(exit.status, ExitStatus::Code(expected));
    }
}

// covers: woodpecker 12, 13
#[tokio::test(start_paused = true)]
async fn set_up_fails_for_a_task_and_for_a_step() {
    let mut scene = Scene::unprepared(&[("DUMMY_SETUP_FAIL", "no room")]);
    scene.workflow.stages = vec![jobwright_model::Stage { steps: vec![scene.step.clone()] }];
    let error = scene.set_up().await.unwrap_err();
    assert!(
        matches!(&error, Error::InvalidWorkflow { step: Some(step), reason } if *step == scene.step.uuid && reason == "no room"),
        "{error:?}"
    );
    scene.task = TaskUuid::new(jobwright_backend::dummy::SETUP_SHOULD_FAIL).unwrap();
    assert!(matches!(scene.set_up().await, Err(Error::InvalidWorkflow { step: None, .. })));
    scene.destroy().await.unwrap();
    assert_eq!(scene.dummy.engine().leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn preparing_and_starting_fail_as_scripted() {
    let scene = Scene::with(&[("STEP_START_FAIL", "true")]).await;
    assert!(matches!(scene.start().await, Err(Error::Start { .. })));
    let scene = Scene::with(&[("EXPECT_TYPE", "service")]).await;
    assert!(matches!(scene.start().await, Err(Error::InvalidStep { .. })));
    let scene = Scene::with(&[("DUMMY_PREPARE_FAIL", "no disk")]).await;
    let prepared = scene.dummy.prepare_step(&scene.step, &scene.task, &Silent).await;
    assert!(prepared.unwrap_err().to_string().contains("no disk"));
    assert!(scene.start().await.is_err());
    for (word, problem) in [("absent", "is not present"), ("unauthorized", "was refused")] {
        let scene = Scene::with(&[("DUMMY_IMAGE_FAIL", word)]).await;
        let error = scene.start().await.unwrap_err();
        assert!(matches!(&error, Error::Image { .. }) && error.to_string().contains(problem), "{error}");
    }
    let mut scene = Scene::with(&[]).await;
    scene.step.image = "registry.invalid:5000/none".to_owned();
    let refused = scene.start().await;
    assert!(matches!(refused, Err(Error::Image { problem: ImageProblem::NotFound(_), .. })));
}

// covers: woodpecker 22, 23, 24
#[tokio::test(start_paused = true)]
async fn tail_wait_and_destroy_fail_as_scripted() {
    let scene = Scene::with(&[("STEP_TAIL_FAIL", "1")]).await;
    scene.start().await.unwrap();
    assert!(scene.tail().await.is_err());

    let scene = Scene::with(&[("SLEEP", "5s"), ("DUMMY_WAIT_FAIL", "lost it")]).await;
    scene.start().await.unwrap();
    let begun = Instant::now();
    assert!(scene.wait().await.unwrap_err().to_string().contains("lost it"));
    assert_eq!(begun.elapsed(), Duration::from_secs(5), "the error comes at the step's end");

    let scene = Scene::with(&[("DUMMY_DESTROY_FAIL", "busy")]).await;
    scene.start().await.unwrap();
    assert!(scene.destroy_step().await.unwrap_err().to_string().contains("busy"));
    scene.destroy().await.unwrap();
    assert_eq!(scene.dummy.engine().leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn destroying_the_workflow_fails_as_scripted_and_leaves_nothing() {
    let mut scene = Scene::unprepared(&[]);
    scene.task = TaskUuid::new(jobwright_backend::dummy::DESTROY_SHOULD_FAIL).unwrap();
    scene.set_up().await.unwrap();
    scene.start().await.unwrap();
    assert!(scene.destroy().await.is_err());
    assert_eq!(scene.dummy.engine().leftovers(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn output_is_as_scripted() {
    let outputs = [
        (vec![("DUMMY_OUTPUT", "größe")], "größe".to_owned()),
        (vec![("DUMMY_OUTPUT", "x\n"), ("DUMMY_LINES", "2")], "x\nline 1\nline 2\n".to_owned()),
        (vec![("DUMMY_OUTPUT", "x\n"), ("DUMMY_PRINT_ENV", "A, B"), ("A", "1")], "x\nA=1\nB=\n".to_owned()),
        (
            vec![("DUMMY_OUTPUT", "x\n"), ("DUMMY_OUTPUT_BYTES", "100")],
            format!("x\n{0}\n{1}", "y".repeat(79), "y".repeat(20)),
        ),
        (
            vec![("DUMMY_OUTPUT", "x\n"), ("DUMMY_INTERLEAVE", "2")],
            "x\nout 1\nerr 1\nout 2\nerr 2\n".to_owned(),
        ),
        (vec![("DUMMY_OUTPUT", "x\n"), ("DUMMY_STDERR", "e\n")], "x\ne\n".to_owned()),
    ];
    for (variables, expected) in outputs {
        assert_eq!(Scene::with(&variables).await.play().await.0, expected, "{variables:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_the_mapping_is_printed_too() {
    let mut scene = Scene::with(&[("DUMMY_OUTPUT", "x\n"), ("DUMMY_PRINT_ENV", "TOKEN")]).await;
    scene.step.secret_mapping.insert("TOKEN".to_owned(), "hush".to_owned());
    assert_eq!(scene.play().await.0, "x\nTOKEN=hush\n");
}

#[tokio::test(start_paused = true)]
async fn output_is_split_within_characters() {
    let scene = Scene::with(&[("DUMMY_OUTPUT", "é📦"), ("DUMMY_SPLIT", "1")]).await;
    scene.start().await.unwrap();
    let chunks: Vec<_> = scene.tail().await.unwrap().map(|chunk| chunk.unwrap()).collect().await;
    assert!(chunks.iter().all(|chunk| chunk.bytes.len() == 1 && chunk.stream == StreamKind::Stdout));
    let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.to_vec()).collect();
    assert_eq!(bytes, "é📦".as_bytes());
}

#[tokio::test(start_paused = true)]
async fn lines_come_with_a_pause_after_each() {
    let scene =
        Scene::with(&[("DUMMY_OUTPUT", "a\nb\n"), ("DUMMY_LINES", "1"), ("DUMMY_LINE_DELAY", "10s")]).await;
    let begun = Instant::now();
    scene.start().await.unwrap();
    let mut tail = scene.tail().await.unwrap();
    let mut came = Vec::new();
    while let Some(chunk) = tail.next().await {
        came.push((String::from_utf8(chunk.unwrap().bytes.to_vec()).unwrap(), begun.elapsed().as_secs()));
    }
    assert_eq!(came, [("a\n".to_owned(), 0), ("b\n".to_owned(), 10), ("line 1\n".to_owned(), 20)]);
}

// covers: woodpecker 60
#[tokio::test(start_paused = true)]
async fn an_open_output_outlasts_the_exit_until_the_step_is_destroyed() {
    for variable in ["DUMMY_LOG_OPEN", "DUMMY_LOG_ENDLESS"] {
        let value = if variable == "DUMMY_LOG_OPEN" { "true" } else { "1s" };
        let scene = Scene::with(&[(variable, value)]).await;
        scene.start().await.unwrap();
        scene.wait().await.unwrap();
        let tail = scene.tail().await.unwrap();
        let day = Duration::from_secs(86_400);
        let mut tail = tail.chain(futures_util::stream::empty());
        assert!(timeout(day, tail.by_ref().for_each(|_| async {})).await.is_err(), "{variable}");
        scene.destroy_step().await.unwrap();
        tail.for_each(|_| async {}).await;
    }
}

#[tokio::test(start_paused = true)]
async fn output_breaks_off_where_it_is_scripted_to() {
    let scene = Scene::with(&[("DUMMY_OUTPUT", "0123456789"), ("DUMMY_TAIL_BREAK", "4")]).await;
    scene.start().await.unwrap();
    let mut tail = scene.tail().await.unwrap();
    assert_eq!(tail.next().await.unwrap().unwrap().bytes, "0123");
    assert!(tail.next().await.unwrap().is_err());
    assert!(tail.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_engine_is_gone_for_a_step_after_the_scripted_time() {
    let scene = Scene::with(&[("SLEEP", "1h"), ("DUMMY_ENGINE_GONE", "10s")]).await;
    scene.start().await.unwrap();
    let begun = Instant::now();
    let mut tail = scene.tail().await.unwrap();
    assert!(tail.next().await.unwrap().is_ok(), "what it printed before is there");
    assert!(matches!(tail.next().await.unwrap(), Err(Error::EngineGone { .. })));
    assert!(matches!(scene.wait().await, Err(Error::EngineGone { .. })));
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    scene.destroy().await.unwrap();
}

// covers: woodpecker 85
#[tokio::test(start_paused = true)]
async fn an_engine_that_vanished_answers_nothing_and_comes_back_with_its_steps() {
    let scene = Scene::with(&[("SLEEP", "1h")]).await;
    scene.start().await.unwrap();
    let engine = scene.dummy.engine().clone();
    let (waited, ()) = tokio::join!(scene.wait(), async { engine.vanish() });
    assert!(matches!(waited, Err(Error::EngineGone { .. })));
    assert!(matches!(scene.destroy().await, Err(Error::EngineGone { .. })));
    let found = scene.dummy.discoverer().unwrap().discover_workflows().await;
    assert!(matches!(found, Err(Error::EngineGone { .. })), "silence is not an empty list");
    assert!(matches!(scene.dummy.is_available().await, Availability::Unavailable(_)));
    engine.come_back();
    assert_eq!(scene.wait().await.unwrap().status, ExitStatus::Code(0));
}

// covers: woodpecker 53
#[tokio::test(start_paused = true)]
async fn a_step_that_ignores_sigterm_takes_the_whole_grace() {
    for (variables, grace) in
        [(vec![("SLEEP", "1h")], 0), (vec![("SLEEP", "1h"), ("DUMMY_IGNORE_TERM", "true")], 1)]
    {
        let scene = Scene::with(&variables).await;
        scene.start().await.unwrap();
        let begun = Instant::now();
        let (exit, destroyed) = tokio::join!(scene.wait(), scene.destroy_step());
        destroyed.unwrap();
        assert_eq!(begun.elapsed().as_secs(), grace);
        assert_eq!(exit.unwrap().status, ExitStatus::Signal(if grace == 0 { 15 } else { 9 }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_runs_until_it_is_destroyed_unless_it_says_how_it_ends() {
    let mut scene = Scene::with(&[]).await;
    scene.step.kind = StepType::Service;
    scene.start().await.unwrap();
    assert!(timeout(Duration::from_secs(86_400), scene.wait()).await.is_err());
    let (exit, destroyed) = tokio::join!(scene.wait(), scene.destroy());
    destroyed.unwrap();
    assert_eq!(exit.unwrap().status, ExitStatus::Signal(15));

    let mut scene = Scene::with(&[("STEP_EXIT_CODE", "4")]).await;
    scene.step.kind = StepType::Service;
    assert_eq!(scene.play().await.1.status, ExitStatus::Code(4));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_an_error_that_names_the_variable() {
    let bad = [
        ("SLEEP", "soon"),
        ("STEP_EXIT_CODE", "256"),
        ("STEP_OOM_KILLED", "yes"),
        ("DUMMY_SIGNAL", "65"),
        ("DUMMY_SPLIT", "0"),
        ("DUMMY_IMAGE_FAIL", "burnt"),
        ("DUMMY_SCRIPT", "[{\"dance\": 1}]"),
        ("DUMMY_EXIT_COED", "3"),
    ];
    for (name, value) in bad {
        let scene = Scene::with(&[(name, value)]).await;
        let error = scene.start().await.unwrap_err();
        assert!(matches!(error, Error::InvalidStep { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_script_stands_in_place_of_the_other_variables() {
    let mut scene = Scene::with(&[("SLEEP", "1h"), ("STEP_EXIT_CODE", "3")]).await;
    let hello = Act::Print { to: StreamKind::Stdout, bytes: b"hello".to_vec() };
    give_script(&mut scene.step, &[hello, Act::FillMemory]);
    let (output, exit) = scene.play().await;
    assert_eq!(output, "hello");
    assert!(exit.oom && exit.status == ExitStatus::Signal(9), "{exit:?}");
}

#[tokio::test(start_paused = true)]
async fn stats_are_as_scripted() {
    let scene =
        Scene::with(&[("SLEEP", "1h"), ("DUMMY_STATS_MEMORY", "4096"), ("DUMMY_STATS_CPU", "3s")]).await;
    scene.start().await.unwrap();
    let stats = scene.dummy.stats(&scene.step, &scene.task).await.unwrap();
    assert_eq!((stats.memory, stats.cpu), (4096, Duration::from_secs(3)));
}

#[tokio::test(start_paused = true)]
async fn how_a_step_is_reached_is_told_while_it_runs() {
    let mut scene = Scene::with(&[("SLEEP", "1h")]).await;
    scene.step.ports = vec![Port { number: 5432, protocol: String::new() }];
    let early = scene.dummy.network(&scene.step, &scene.task).await;
    assert!(matches!(early, Err(Error::UnknownStep { .. })), "{early:?}");
    scene.start().await.unwrap();
    let told = scene.dummy.network(&scene.step, &scene.task).await.unwrap();
    assert_eq!((&told.ip_address[..], &told.cidr[..]), ("192.0.2.1", "192.0.2.0/24"));
    assert_eq!((told.mapped_ports[0].host_port, &told.mapped_ports[0].protocol[..]), (5432, "tcp"));
}

// covers: woodpecker 21
#[tokio::test(start_paused = true)]
async fn calls_are_noted_in_order_over_all_instances() {
    let scene = Scene::with(&[]).await;
    scene.play().await;
    let later = scene.dummy.engine().backend();
    later.destroy_step(&scene.step, &scene.task).await.unwrap();
    scene.destroy().await.unwrap();
    let calls = scene.dummy.engine().calls();
    assert_eq!(calls.of_step("build"), [Verb::Start, Verb::Wait, Verb::Tail, Verb::DestroyStep]);
    assert_eq!((calls.count(Verb::SetUp), calls.count(Verb::DestroyWorkflow)), (1, 1));
    assert_eq!(calls.all().last().unwrap().task.as_ref(), Some(&scene.task));
}

#[tokio::test(start_paused = true)]
async fn steps_end_with_the_last_handle_to_their_engine() {
    let engine = DummyEngine::default();
    let mut scene = Scene::unprepared(&[("DUMMY_LOG_ENDLESS", "1s")]);
    scene.dummy = engine.backend();
    scene.set_up().await.unwrap();
    scene.start().await.unwrap();
    let tail = scene.tail().await.unwrap();
    let mut tail = Box::pin(tail);
    assert!(tail.next().await.is_some());
    drop((engine, scene, tail));
    tokio::task::yield_now().await;
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 0, "nothing of it runs on");
}
