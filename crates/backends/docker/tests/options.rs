//! What a step asks for in `backend_options.docker`, as it comes out on the real engines, and how a step is reached. What is wrong
//! with how it is asked for is in the unit tests of `options`, `ports` and `gpus`.

// The lint's exception for tests does not reach their fixtures.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use jobwright_backend::{Backend, Error};
use jobwright_model::{ExitStatus, MappedPort, NetInfo, Step, StepUuid};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use support::{Bench, IMAGE, step};

fn ask(step: &mut Step, options: Value) {
    step.backend_options.insert("docker".to_owned(), options);
}

/// A step that runs its image's or its own entrypoint.
fn plugin(name: &str, entrypoint: &[&str]) -> Step {
    let mut step = Step::new(name, StepUuid::random());
    step.image = IMAGE.to_owned();
    step.entrypoint = entrypoint.iter().map(|&word| word.to_owned()).collect();
    step
}

/// A server of this folder's one page, which says `works`.
fn web(options: Value) -> Step {
    let mut web =
        plugin("web", &["/bin/sh", "-c", "echo works >/tmp/index.html; exec httpd -f -p 80 -h /tmp"]);
    ask(&mut web, options);
    web
}

async fn network(bench: &Bench, step: &Step) -> jobwright_backend::Result<NetInfo> {
    bench.docker.control().unwrap().network(step, &bench.task).await
}

/// What the server at `port` answers. It may not listen yet, and then the connection is refused or closed.
async fn page(port: &MappedPort) -> String {
    let ask = || async {
        let mut server = TcpStream::connect((port.host_ip.as_str(), port.host_port)).await?;
        server.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        server.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answered = async {
        loop {
            match ask().await {
                Ok(answer) if !answer.is_empty() => return answer,
                _ => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(Duration::from_secs(20), answered).await.expect("the published port leads to the server")
}

on_every_engine! {
    async fn a_cmd_is_what_the_image_s_own_entrypoint_gets(engine: &Engine) {
        let image = "jobwright-test/echo:1";
        let entrypoint = [r#"ENTRYPOINT ["/bin/echo", "the image's"]"#];
        if engine.client().inspect_image(image).await.is_err() {
            support::base::import_with(&engine.client(), image, &[], &entrypoint).await.unwrap();
        }
        let mut bench = Bench::new(engine);
        let mut of_the_image = plugin("image", &[]);
        of_the_image.image = image.to_owned();
        let mut of_the_step = plugin("step", &["/bin/echo", "the step's"]);
        for step in [&mut of_the_image, &mut of_the_step] {
            ask(step, json!({"cmd": ["two words", "", "$HOME"]}));
        }
        bench.set_up(&[&of_the_image, &of_the_step]).await;
        assert_eq!(bench.run(&of_the_image).await.0.stdout, "the image's two words  $HOME\n");
        assert_eq!(bench.run(&of_the_step).await.0.stdout, "the step's two words  $HOME\n");
        bench.done().await;
    }

    // covers: nunet 64, 72
    async fn every_binding_of_a_port_leads_to_it_and_is_told(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let local = |host_port: u16| json!({"ip": "127.0.0.1", "host_port": host_port, "port": 80});
        let chosen = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let web = web(json!({"bindings": [local(0), local(chosen)]}));
        bench.set_up(&[&web]).await;
        bench.docker.prepare_step(&web, &bench.task, &jobwright_backend::Silent).await.unwrap();
        let early = network(&bench, &web).await;
        assert!(matches!(early, Err(Error::UnknownStep { .. })), "{early:?}");
        bench.docker.start_step(&web, &bench.task).await.unwrap();

        let told = network(&bench, &web).await.unwrap();
        assert_eq!(told.mapped_ports.len(), 2, "{told:?}");
        assert!(told.mapped_ports.iter().any(|port| port.host_port == chosen), "{told:?}");
        for port in &told.mapped_ports {
            assert_eq!((&port.host_ip[..], port.executor_port, &port.protocol[..]), ("127.0.0.1", 80, "tcp"));
            assert!(page(port).await.ends_with("works\n"));
        }
        assert!(!told.network.is_empty() && !told.ip_address.is_empty() && told.cidr.contains('/'), "{told:?}");
        bench.done().await;
    }

    // covers: nunet 72
    async fn a_step_without_a_network_of_its_own_has_no_address_to_tell(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let [mut host, mut none] = ["host", "none"].map(|mode| {
            let mut step = plugin(mode, &["/bin/sleep", "1000"]);
            step.network_mode = mode.to_owned();
            step
        });
        for step in [&mut host, &mut none] {
            step.kind = jobwright_model::StepType::Service;
        }
        bench.set_up(&[&host, &none]).await;
        for step in [&host, &none] {
            bench.docker.start_step(step, &bench.task).await.unwrap();
            assert_eq!(network(&bench, step).await.unwrap(), NetInfo::default(), "{}", step.name);
        }
        bench.done().await;
    }

    async fn a_step_s_user_is_in_the_groups_that_it_asks_for(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let mut step = step("grouped", &["id -G | tr ' ' '\\n' | sort -n | tail -2"]);
        ask(&mut step, json!({"groups": ["nogroup", "4321"]}));
        bench.set_up(&[&step]).await;
        let (output, _) = bench.run(&step).await;
        assert!(output.stdout.ends_with("\n4321\n65534\n"), "{output:?}");
        bench.done().await;
    }

    async fn a_group_that_the_image_does_not_know_is_told_at_the_start(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let mut step = step("grouped", &["true"]);
        ask(&mut step, json!({"groups": ["nobodys"]}));
        bench.set_up(&[&step]).await;
        let error = bench.docker.start_step(&step, &bench.task).await.unwrap_err();
        assert!(matches!(error, Error::Start { .. }) && error.to_string().contains("nobodys"), "{error}");
        bench.done().await;
    }

    // covers: nunet 65
    async fn the_first_name_server_is_asked_first_with_the_options_that_were_said(engine: &Engine) {
        let mut bench = Bench::new(engine);
        let mut step = plugin("resolving", &["/bin/cat", "/etc/resolv.conf"]);
        step.dns = vec!["10.20.30.1".to_owned(), "1.1.1.1".to_owned()];
        step.dns_search = vec!["internal".to_owned()];
        ask(&mut step, json!({"dns_options": ["ndots:1", "timeout:2", "attempts:1"]}));
        bench.set_up(&[&step]).await;
        let (output, exit) = bench.run(&step).await;
        let said = |keyword: &str| -> Vec<String> {
            let lines = output.stdout.lines().filter_map(|line| line.strip_prefix(keyword));
            lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
        };
        assert_eq!(said("nameserver "), ["10.20.30.1", "1.1.1.1"]);
        assert_eq!((said("search "), said("options ")), (vec!["internal".to_owned()], ["ndots:1", "timeout:2", "attempts:1"].map(str::to_owned).to_vec()));
        assert_eq!(exit.status, ExitStatus::Code(0));
        bench.done().await;
    }
}
