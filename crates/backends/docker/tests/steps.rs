//! What steps of the Docker backend do and see, on the real engines. What the port promises of every backend is in
//! `conformance.rs`.

// The lint's exception for tests does not reach their fixtures.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::{Duration, Instant};

use bollard::models::{ContainerCreateBody, HostConfig, NetworkCreateRequest};
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use futures_util::{StreamExt, stream};
use jobwright_backend::{Backend, Error, ExecRequest, ImageProblem, LogPosition, TerminalSize, labels};
use jobwright_docker::{Docker, DockerSettings, PullPolicy};
use jobwright_model::{Conn, ExitStatus, HostAlias, Stage, Step, StepType, StepUuid, TaskUuid, Workflow};
use serde_json::json;

use tokio::io::AsyncWriteExt;

use support::{Bench, IMAGE, step};

fn docker_option(step: &mut Step, key: &str, value: serde_json::Value) {
    let options = step.backend_options.entry("docker").or_insert_with(|| json!({}));
    options[key] = value;
}

fn joined(mut step: Step) -> Step {
    step.networks = vec![Conn { name: "net".to_owned(), aliases: Vec::new() }];
    step
}

async fn container_id(bench: &Bench, step: &Step) -> String {
    let name = jobwright_backend::names::container_name(step, &bench.task).unwrap();
    bench.engine.client().inspect_container(&name, None).await.unwrap().id.unwrap()
}

on_every_engine! {
    // covers: woodpecker 63
    async fn a_command_that_reads_its_input_does_not_eat_the_commands_after_it(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let step = step("reader", &["cat", "echo after", "false", "echo never"]);
        bench.set_up(&[&step]).await;
        let (output, exit) = bench.run(&step).await;
        assert_eq!(output.stdout, "+ cat\n+ echo after\nafter\n+ false\n");
        assert_eq!(exit.status, ExitStatus::Code(1));
        bench.done().await;
    }

    async fn a_script_of_any_length_runs(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let long = format!(": {}", "x".repeat(300_000));
        let mut step = step("long", &[&long, "echo end"]);
        step.environment.insert("SECRET".to_owned(), "hidden".to_owned());
        step.secret_mapping.insert("SECRET".to_owned(), "hidden".to_owned());
        step.commands.push("echo ${#SECRET}; ls -A /.jobwright".to_owned());
        bench.set_up(&[&step]).await;
        let (output, exit) = bench.run(&step).await;
        assert!(output.stdout.ends_with("\n6\nscript\n"), "{}", &output.stdout[output.stdout.len() - 80..]);
        assert_eq!(exit.status, ExitStatus::Code(0));
        bench.done().await;
    }

    async fn a_secret_reaches_the_commands_and_not_the_engine_s_record(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let mut step = step("secretive", &["echo got ${#TOKEN} $COPY", "ls -A /.jobwright", "cat ~/.netrc | wc -l"]);
        let secret = "it's a \"secret\" $HOME `x` \\ of\ntwo lines";
        for (name, value) in [
            ("TOKEN", secret),
            ("COPY", "plain"),
            ("CI_NETRC_MACHINE", "forge"),
            ("CI_NETRC_USERNAME", "me"),
            ("CI_NETRC_PASSWORD", "netrc-word"),
        ] {
            step.environment.insert(name.to_owned(), value.to_owned());
        }
        step.secret_mapping.insert("TOKEN".to_owned(), secret.to_owned());
        docker_option(&mut step, "user", json!("nobody"));
        step.environment.insert("HOME".to_owned(), "/tmp".to_owned());
        step.working_dir = "/tmp".to_owned();
        bench.set_up(&[&step]).await;
        bench.docker.prepare_step(&step, &bench.task, &jobwright_backend::Silent).await.unwrap();
        let record = engine.client().inspect_container(&container_id(&bench, &step).await, None).await.unwrap();
        let shown = serde_json::to_string(&record).unwrap();
        assert!(!shown.contains("two lines") && !shown.contains("netrc-word"), "{shown}");
        let (output, exit) = bench.run(&step).await;
        assert_eq!(exit.status, ExitStatus::Code(0), "{output:?}");
        let printed: Vec<_> = output.stdout.lines().filter(|line| !line.starts_with('+')).collect();
        assert_eq!(printed, [format!("got {} plain", secret.len()).as_str(), "3"]);
        bench.done().await;
    }

    // covers: woodpecker 53
    async fn a_step_of_commands_ends_at_once_when_it_is_asked_and_so_do_its_children(engine: &Engine) {
        let settings = DockerSettings { stop_timeout: 30, ..engine.settings() };
        let mut bench = Bench::with(engine, settings);
        let child = "(trap 'sleep 0.3; echo cleaned; exit 0' TERM; echo ready; while :; do sleep 0.1; done) & sleep 1000";
        let step = step("server", &[child]);
        bench.set_up(&[&step]).await;
        bench.docker.start_step(&step, &bench.task).await.unwrap();
        let mut log = bench.docker.tail_step(&step, &bench.task, LogPosition::START).await.unwrap();
        let mut seen = String::new();
        while !seen.contains("\nready") {
            seen.push_str(&String::from_utf8_lossy(&log.next().await.unwrap().unwrap().bytes));
        }
        let begun = Instant::now();
        let waiting = async { bench.docker.wait_step(&step, &bench.task).await };
        let (exit, destroyed) = tokio::join!(waiting, bench.docker.destroy_step(&step, &bench.task));
        destroyed.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        assert_eq!(exit.unwrap().status, ExitStatus::Code(143));
        while let Some(Ok(chunk)) = log.next().await {
            seen.push_str(&String::from_utf8_lossy(&chunk.bytes));
        }
        assert!(seen.contains("cleaned"), "{seen}");
        bench.done().await;
    }

    /// Process 1 of a container does not get a SIGTERM that it has no handler for: only force ends this one.
    // covers: woodpecker 53
    async fn a_service_that_hears_no_signal_does_not_hold_the_workflow_s_end_up(engine: &Engine) {
        let settings = DockerSettings { stop_timeout: 60, ..engine.settings() };
        let mut bench = Bench::with(engine, settings.clone());
        let service = |name: &str| {
            let mut service = Step::new(name, StepUuid::random());
            service.kind = StepType::Service;
            service.image = IMAGE.to_owned();
            service.entrypoint = vec!["/bin/sleep".to_owned(), "1000".to_owned()];
            service
        };
        let (by_itself, with_the_rest) = (service("one"), service("other"));
        bench.set_up(&[&by_itself, &with_the_rest]).await;
        bench.docker.start_step(&by_itself, &bench.task).await.unwrap();
        bench.docker.start_step(&with_the_rest, &bench.task).await.unwrap();
        let begun = Instant::now();
        bench.docker.destroy_step(&by_itself, &bench.task).await.unwrap();
        // A new instance knows from the engine alone which one is a service.
        let fresh = jobwright_docker::Docker::new(Some(settings), bench.owner.clone());
        fresh.destroy_workflow(&bench.workflow, &bench.task).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        bench.done().await;
    }

    // covers: woodpecker 62, 31
    async fn a_taken_name_is_told_and_its_owner_is_left_alone(engine: &Engine) {
        let (mut first, mut second) = (Bench::new(engine), Bench::new(engine));
        let mut step = step("named", &["sleep 60"]);
        step.container_name_scheme = "wp_{uuid}".to_owned();
        first.set_up(&[&step]).await;
        second.set_up(&[&step]).await;
        first.docker.start_step(&step, &first.task).await.unwrap();
        let refused = second.docker.start_step(&step, &second.task).await.unwrap_err();
        assert!(matches!(&refused, Error::NameTaken(name) if *name == format!("wp_{}", step.uuid)), "{refused}");
        second.docker.destroy_step(&step, &second.task).await.unwrap();
        second.done().await;
        let record = engine.client().inspect_container(&format!("wp_{}", step.uuid), None).await.unwrap();
        assert_eq!(record.state.unwrap().running, Some(true));
        let carried = record.config.unwrap().labels.unwrap();
        assert_eq!(carried[labels::WOODPECKER_UUID], step.uuid.as_str());
        assert_eq!(carried[labels::WOODPECKER_STEP], "named");
        first.done().await;
    }

    /// DESIGN rule 1.
    async fn a_container_that_vanishes_is_no_success(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let step = step("victim", &["sleep 60"]);
        bench.set_up(&[&step]).await;
        bench.docker.start_step(&step, &bench.task).await.unwrap();
        let id = container_id(&bench, &step).await;
        let remove = async {
            let options = RemoveContainerOptionsBuilder::new().force(true).build();
            engine.client().remove_container(&id, Some(options)).await.unwrap();
        };
        let (exit, ()) = tokio::join!(bench.docker.wait_step(&step, &bench.task), remove);
        assert!(!matches!(exit.unwrap().status, ExitStatus::Code(0) | ExitStatus::Signal(_)));
        let later = bench.docker.wait_step(&step, &bench.task).await.unwrap();
        assert_eq!(later.status, ExitStatus::Unknown);
        bench.done().await;
    }

    // covers: woodpecker 66
    async fn steps_reach_each_other_by_name_in_a_network_that_is_made_for_them(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let mut server = joined(step("server", &["nc -l -p 80 -e echo hello"]));
        server.detached = true;
        server.networks[0].aliases = vec!["also".to_owned()];
        let look = "for i in 1 2 3 4 5 6 7 8 9 10; do nc server 80 && break; sleep 0.3; done; nslookup also >/dev/null && echo found";
        let client = joined(step("client", &[look]));
        bench.set_up(&[&server, &client]).await;
        let made = bench.docker.leftovers(&bench.owner).await.unwrap();
        assert_eq!((made.networks.len(), made.volumes.len()), (1, 1));
        bench.docker.start_step(&server, &bench.task).await.unwrap();
        let (output, _) = bench.run(&client).await;
        assert!(output.stdout.contains("hello\n"), "{output:?}");
        bench.done().await;
    }

    async fn what_no_step_needs_is_not_made(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let mut alone = step("alone", &["echo on its own"]);
        alone.workspace_base = String::new();
        alone.working_dir = "/tmp/made".to_owned();
        bench.set_up(&[&alone]).await;
        assert!(bench.docker.leftovers(&bench.owner).await.unwrap().is_empty());
        let (output, _) = bench.run(&alone).await;
        assert!(output.stdout.ends_with("on its own\n"), "{output:?}");
        bench.done().await;
    }

    async fn a_workflow_runs_twice_at_the_same_time(engine: &Engine) {
        let (mut first, mut second) = (Bench::new(engine), Bench::new(engine));
        second.owner = first.owner.clone();
        second.docker = first.docker.clone();
        let step = joined(step("same", &["echo $WHO > mine", "sleep 0.5", "cat mine"]));
        let (mut one, mut other) = (step.clone(), step);
        one.environment.insert("WHO".to_owned(), "one".to_owned());
        other.environment.insert("WHO".to_owned(), "other".to_owned());
        first.set_up(&[&one]).await;
        second.set_up(&[&other]).await;
        let ((a, _), (b, _)) = tokio::join!(first.run(&one), second.run(&other));
        assert!(a.stdout.ends_with("\none\n") && b.stdout.ends_with("\nother\n"), "{a:?} {b:?}");
        first.docker.destroy_workflow(&first.workflow, &first.task).await.unwrap();
        second.done().await;
    }

    async fn an_empty_volume_is_filled_from_the_image_and_then_overlaid(engine: &Engine) {
        let image = "jobwright-test/app:1";
        support::base::import(&engine.client(), image, &[("app/image", "from the image\n"), ("app/both", "old\n")]).await.unwrap();
        let mut bench = Bench::new(engine);
        let mut step = step("app", &["cat image both"]);
        step.image = image.to_owned();
        (step.workspace_base, step.working_dir) = ("/app".to_owned(), "/app".to_owned());
        bench.set_up(&[&step]).await;
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(4);
        archive.append_data(&mut header, "both", &b"new\n"[..]).unwrap();
        let bytes = archive.into_inner().unwrap();
        let archive = stream::iter([Ok(bytes::Bytes::from(bytes))]).boxed();
        bench.docker.put(&bench.task, "", archive).await.unwrap();
        let (output, _) = bench.run(&step).await;
        assert!(output.stdout.ends_with("from the image\nnew\n"), "{output:?}");
        bench.done().await;
    }

    // covers: woodpecker 18
    async fn a_volume_that_another_container_holds_is_told_and_goes_when_it_is_free(engine: &Engine) {
        let mut bench = Bench::new(engine);
        bench.set_up(&[&step("any", &["true"])]).await;
        let volume = bench.docker.leftovers(&bench.owner).await.unwrap().volumes.remove(0);
        let body = ContainerCreateBody {
            image: Some(IMAGE.to_owned()),
            cmd: Some(vec!["true".to_owned()]),
            host_config: Some(HostConfig { binds: Some(vec![format!("{volume}:/x")]), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let holder = engine.client().create_container(None, body).await.unwrap().id;
        let begun = Instant::now();
        let error = bench.docker.destroy_workflow(&bench.workflow, &bench.task).await.unwrap_err();
        assert!(error.to_string().contains(&volume), "{error}");
        assert!(begun.elapsed() >= Duration::from_secs(3), "it was tried again: {:?}", begun.elapsed());
        let (again, ()) = tokio::join!(bench.docker.destroy_workflow(&bench.workflow, &bench.task), async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            engine.client().remove_container(&holder, None).await.unwrap();
        });
        again.unwrap();
        bench.done().await;
    }

    // covers: woodpecker 67
    async fn user_limits_tmpfs_hosts_and_resolvers_are_what_the_step_asks_for(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let mut step = step("odd", &[
            "id -u", "grep ' /scratch ' /proc/mounts | cut -d' ' -f3", "grep -c 'extra' /etc/hosts",
            "grep -c 10.9.8.7 /etc/resolv.conf", "grep -c corp.example /etc/resolv.conf", "df -k /dev/shm | tail -1 | awk '{print $2}'",
            "test -c /dev/nothing && echo device", "awk '/gateway/ {print NF}' /etc/hosts | tail -1",
        ]);
        docker_option(&mut step, "user", json!("65534:65534"));
        docker_option(&mut step, "shm_size", json!("8m"));
        docker_option(&mut step, "cpus", json!(0.5));
        step.working_dir = "/tmp".to_owned();
        step.tmpfs = vec!["/scratch:size=1m".to_owned()];
        step.dns = vec!["10.9.8.7".to_owned()];
        step.dns_search = vec!["corp.example".to_owned()];
        step.devices = vec!["/dev/null:/dev/nothing:rw".to_owned()];
        step.extra_hosts = vec![HostAlias { name: "extra".to_owned(), ip: "10.1.2.3".to_owned() },
            HostAlias { name: "gateway".to_owned(), ip: "host-gateway".to_owned() }];
        bench.set_up(&[&step]).await;
        let (output, exit) = bench.run(&step).await;
        let printed: Vec<_> = output.stdout.lines().filter(|line| !line.starts_with('+')).collect();
        assert_eq!(printed, ["65534", "tmpfs", "1", "1", "1", "8192", "device", "2"], "{output:?}");
        assert_eq!(exit.status, ExitStatus::Code(0));
        bench.done().await;
    }

    async fn an_image_s_own_entrypoint_runs_when_there_are_no_commands(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let mut step = Step::new("plugin", StepUuid::random());
        step.image = IMAGE.to_owned();
        step.working_dir = "/made/by/the/engine".to_owned();
        step.entrypoint = vec!["/bin/sh".to_owned(), "-c".to_owned(), "pwd; echo $PLUGIN_X".to_owned()];
        step.environment.insert("PLUGIN_X".to_owned(), "x".to_owned());
        bench.set_up(&[&step]).await;
        let (output, _) = bench.run(&step).await;
        assert_eq!(output.stdout, "/made/by/the/engine\nx\n");
        bench.done().await;
    }

    async fn images_that_cannot_be_had_are_told_apart(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let mut missing = step("missing", &["true"]);
        missing.image = "registry.invalid/nothing:1".to_owned();
        let mut wrong = step("wrong", &["true"]);
        wrong.image = "Not A Reference".to_owned();
        let mut nameless = step("nameless", &["true"]);
        nameless.image = String::new();
        bench.set_up(&[&missing, &wrong, &nameless]).await;
        let problem = |result: jobwright_backend::Result<()>| match result.unwrap_err() {
            Error::Image { problem, .. } => problem,
            other => panic!("{other}"),
        };
        let started = bench.docker.start_step(&missing, &bench.task).await;
        assert!(matches!(problem(started), ImageProblem::PullFailed(_)));
        let started = bench.docker.start_step(&wrong, &bench.task).await;
        assert!(matches!(problem(started), ImageProblem::InvalidReference(_)));
        let started = bench.docker.start_step(&nameless, &bench.task).await;
        assert!(matches!(started, Err(Error::InvalidStep { .. })));
        let never = Bench::with(engine, DockerSettings { pull: PullPolicy::Never, ..engine.settings() });
        let started = never.docker.start_step(&missing, &never.task).await;
        assert_eq!(problem(started), ImageProblem::Absent);
        never.done().await;
        bench.done().await;
    }

    async fn a_command_with_a_terminal_sees_its_size_and_every_new_one(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let step = step("host", &["sleep 60"]);
        bench.set_up(&[&step]).await;
        bench.docker.start_step(&step, &bench.task).await.unwrap();
        let size = |columns, rows| TerminalSize { columns, rows };
        let request = ExecRequest {
            argv: ["sh", "-c", "read a; stty size; read b; stty size; exit 7"].map(str::to_owned).into(),
            terminal: Some(size(90, 30)),
            ..ExecRequest::default()
        };
        let control = bench.docker.control().unwrap();
        let mut session = control.exec(&step, &bench.task, request).await.unwrap();
        let (mut input, mut output) = (session.stdin().unwrap(), session.output().unwrap());
        let mut seen = String::new();
        for (next, expected) in [(None, "30 90"), (Some(size(100, 40)), "40 100")] {
            if let Some(next) = next {
                session.resize(next).await.unwrap();
            }
            input.write_all(b"go\n").await.unwrap();
            while !seen.contains(expected) {
                let chunk = output.next().await.expect(expected).unwrap();
                seen.push_str(&String::from_utf8_lossy(&chunk.bytes));
            }
        }
        assert_eq!(session.wait().await.unwrap().status, ExitStatus::Code(7));
        bench.done().await;
    }

    async fn without_a_volume_files_go_into_the_prepared_container_and_out_of_it(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let mut alone = step("alone", &["cat in; echo made > out"]);
        alone.network_mode = "none".to_owned();
        let stage = Stage { steps: vec![alone.clone()] };
        bench.workflow = Workflow { stages: vec![stage], ..Workflow::default() };
        bench.docker.setup_workflow(&bench.workflow, &bench.task).await.unwrap();
        bench.docker.prepare_step(&alone, &bench.task, &jobwright_backend::Silent).await.unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(6);
        archive.append_data(&mut header, "in", &b"given\n"[..]).unwrap();
        let bytes = archive.into_inner().unwrap();
        let archive = stream::iter([Ok(bytes::Bytes::from(bytes))]).boxed();
        bench.docker.put(&bench.task, "", archive).await.unwrap();
        let (output, _) = bench.run(&alone).await;
        assert!(output.stdout.contains("\ngiven\n"), "{output:?}");
        let got = bench.docker.get(&bench.task, &[globset::Glob::new("o*").unwrap()]).await.unwrap();
        let got: Vec<u8> = got.map(|piece| piece.unwrap()).collect::<Vec<_>>().await.concat();
        let mut archive = tar::Archive::new(got.as_slice());
        let names: Vec<_> = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        assert_eq!(names, [std::path::PathBuf::from("out")]);
        bench.done().await;
    }

    /// An owner that died had asked for it, and the engine made it after the next one had looked.
    async fn a_container_that_comes_late_does_not_stay_beside_the_one_that_is_made_anew(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let step = step("late", &["echo said by $WHOM"]);
        bench.set_up(&[&step]).await;
        let mut early = step.clone();
        early.environment.insert("WHOM".to_owned(), "the dead".to_owned());
        let dead = Docker::new(Some(engine.settings()), bench.owner.clone());
        dead.prepare_step(&early, &bench.task, &jobwright_backend::Silent).await.unwrap();
        let mut anew = step;
        anew.environment.insert("WHOM".to_owned(), "the living".to_owned());
        bench.docker.prepare_step(&anew, &bench.task, &jobwright_backend::Silent).await.unwrap();
        let again = bench.docker.prepare_step(&anew, &bench.task, &jobwright_backend::Silent).await;
        assert!(matches!(again, Err(Error::AlreadyStarted(_))), "{again:?}");
        let (output, _) = bench.run(&anew).await;
        assert!(output.stdout.contains("said by the living"), "{output:?}");
        bench.done().await;
    }

    /// As above; Docker makes a second one of the same name without a word, and then knows none of them by it.
    async fn a_network_that_comes_late_is_no_obstacle_and_goes_with_the_other(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let step = joined(step("inside", &["ip addr show dev eth0 | grep inet"]));
        bench.set_up(&[&step]).await;
        let ours = bench.docker.leftovers(&bench.owner).await.unwrap().networks.remove(0);
        let ours = engine.client().inspect_network(&ours, None).await.unwrap();
        let late = NetworkCreateRequest {
            name: ours.name.unwrap(),
            driver: Some("bridge".to_owned()),
            labels: ours.labels,
            ..NetworkCreateRequest::default()
        };
        // Podman refuses it.
        let _ = engine.client().create_network(late).await;
        let (output, exit) = bench.run(&step).await;
        assert_eq!(exit.status, ExitStatus::Code(0), "{output:?}");
        bench.done().await;
    }

    async fn a_network_has_ipv6_addresses_when_the_operator_wants_them(engine: &Engine) {
        let mut bench = Bench::with(engine, DockerSettings { ipv6: true, ..engine.settings() });
        let step = joined(step("six", &["true"]));
        bench.set_up(&[&step]).await;
        let network = bench.docker.leftovers(&bench.owner).await.unwrap().networks.remove(0);
        let network = engine.client().inspect_network(&network, None).await.unwrap();
        let subnets: Vec<_> = network.ipam.unwrap().config.unwrap().into_iter().filter_map(|part| part.subnet).collect();
        assert!(subnets.iter().any(|subnet| subnet.contains("::")), "{subnets:?}");
        assert!(subnets.iter().any(|subnet| !subnet.contains("::")), "{subnets:?}");
        bench.done().await;
    }

    async fn the_last_lines_of_quick_containers_are_never_lost(engine: &Engine) {
        let bench = Bench::new(engine);
        let rounds = std::env::var("JOBWRIGHT_TEST_QUICK_CONTAINERS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
        let run = |number: usize| {
            let bench = &bench;
            async move {
                let mut step = Step::new("quick", StepUuid::random());
                step.image = IMAGE.to_owned();
                let script = format!("seq 1 200; printf 'the end of {number}'");
                step.entrypoint = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
                bench.docker.start_step(&step, &bench.task).await.unwrap();
                let output = bench.output(&step).await;
                bench.docker.destroy_step(&step, &bench.task).await.unwrap();
                let expected: String = (1..=200).map(|line| format!("{line}\n")).collect();
                assert_eq!(output.stdout, format!("{expected}the end of {number}"), "container {number}");
            }
        };
        stream::iter(0..rounds).map(run).buffer_unordered(4).collect::<Vec<()>>().await;
        bench.done().await;
    }
}

#[tokio::test]
async fn a_backend_without_settings_says_so() {
    let docker = jobwright_docker::Docker::new(None, jobwright_model::OwnerId::random());
    let error = docker.load().await.unwrap_err();
    assert!(matches!(error, Error::NoSettings("docker")), "{error}");
    assert!(!docker.is_available().await.is_available());
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named_with_the_reason() {
    let settings =
        DockerSettings { host: Some("unix:///no/such.sock".to_owned()), ..DockerSettings::default() };
    let docker = jobwright_docker::Docker::new(Some(settings), jobwright_model::OwnerId::random());
    match docker.is_available().await {
        jobwright_backend::Availability::Unavailable(reason) => {
            assert!(reason.contains("/no/such.sock"), "{reason}")
        }
        jobwright_backend::Availability::Available => panic!("there is none"),
    }
    let task = TaskUuid::random();
    let error = docker.destroy_workflow(&jobwright_model::Workflow::default(), &task).await.unwrap_err();
    assert!(matches!(error, Error::EngineGone { .. }), "{error}");
}
