//! `jobwright workflow run`: what Woodpecker's compiler wrote.

use serde_json::{Value, json};

use crate::support::{Bench, Ended, IMAGE, docker};

/// A step with commands, and what it has besides.
fn step(name: &str, image: &str, commands: &[&str], besides: Value) -> Value {
    let mut step = json!({
        "name": name, "uuid": format!("uuid-{name}"), "type": "commands", "image": image, "commands": commands,
        "on_success": true, "workspace_base": "/workspace", "working_dir": "/workspace", "auth_config": {},
    });
    let object = step.as_object_mut().unwrap();
    object.extend(besides.as_object().unwrap().clone());
    step
}

fn stages(stages: Vec<Vec<Value>>) -> Value {
    json!({ "pipeline": stages.into_iter().map(|steps| json!({ "steps": steps })).collect::<Vec<_>>() })
}

/// Where workflows run here: the bench, the image, the flag.
fn places() -> Vec<(Bench, &'static str, &'static str)> {
    let mut places = vec![(Bench::new().without_engine(), "sh", "process")];
    places.extend(docker().map(|host| (Bench::new().on(host), IMAGE, "docker")));
    places
}

fn run(bench: &Bench, backend: &str, workflow: &Value) -> (Ended, Vec<Value>) {
    bench.file("workflow.json", workflow.to_string());
    let ended = bench.run(&["workflow", "run", "--json", "-b", backend, "workflow.json"]);
    let events = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (ended, events)
}

/// How each step ended.
fn outcomes(events: &[Value]) -> Vec<(String, String)> {
    let finished = events.iter().filter(|event| event["type"] == "step_finished");
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let mut outcomes: Vec<_> = finished.map(|event| (text(event, "step"), text(event, "outcome"))).collect();
    outcomes.sort();
    outcomes
}

/// What a step printed.
fn printed(events: &[Value], step: &str) -> String {
    let of_step = events.iter().filter(|event| event["type"] == "log_line" && event["step"] == step);
    of_step.filter_map(|event| event["data"].as_str()).collect()
}

fn expected(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(step, outcome)| ((*step).to_owned(), (*outcome).to_owned())).collect()
}

#[test]
fn stages_run_in_order_and_share_a_workspace() {
    for (bench, image, backend) in places() {
        let mut workflow = stages(vec![
            vec![step("write", image, &["echo shared > file"], json!({ "volumes": ["files:/workspace"] }))],
            vec![step("read", image, &["cat file"], json!({ "volumes": ["files:/workspace"] }))],
        ]);
        workflow["volume"] = json!("files");
        let (ended, events) = run(&bench, backend, &workflow);
        ended.expect(0);
        assert!(printed(&events, "read").ends_with("\nshared\n"), "{events:#?}");
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

// covers: woodpecker 35
#[test]
fn conditions_and_ignored_failures_are_heeded() {
    for (bench, image, backend) in places() {
        let workflow = stages(vec![
            vec![step("ignored", image, &["exit 4"], json!({ "failure": "ignore" }))],
            vec![step("goes-on", image, &["true"], json!({}))],
            vec![step("breaks", image, &["exit 5"], json!({ "failure": "fail" }))],
            vec![
                step("after", image, &["true"], json!({})),
                step("rescue", image, &["true"], json!({ "on_success": false, "on_failure": true })),
            ],
        ]);
        let (ended, events) = run(&bench, backend, &workflow);
        ended.expect(1);
        let outcomes = outcomes(&events);
        let all = [
            ("after", "skipped"),
            ("breaks", "failed"),
            ("goes-on", "succeeded"),
            ("ignored", "failed"),
            ("rescue", "succeeded"),
        ];
        assert_eq!(outcomes, expected(&all), "{backend}");
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn only_ignored_failures_let_the_workflow_pass() {
    for (bench, image, backend) in places() {
        let workflow =
            stages(vec![vec![step("ignored", image, &["exit 4"], json!({ "failure": "ignore" }))]]);
        run(&bench, backend, &workflow).0.expect(0);
    }
}

#[test]
fn dependencies_are_a_graph() {
    for (bench, image, backend) in places() {
        let workflow = stages(vec![vec![
            step("last", image, &["true"], json!({ "depends_on": ["middle"] })),
            step("middle", image, &["exit 1"], json!({ "depends_on": ["first"] })),
            step("first", image, &["true"], json!({})),
        ]]);
        let (ended, events) = run(&bench, backend, &workflow);
        ended.expect(1);
        let all = [("first", "succeeded"), ("last", "skipped"), ("middle", "failed")];
        assert_eq!(outcomes(&events), expected(&all), "{backend}");
    }
}

// covers: woodpecker 42
#[test]
fn detached_steps_and_services_end_with_the_workflow() {
    for (bench, image, backend) in places() {
        let endless = "while :; do sleep 0.1; done";
        let workflow = stages(vec![
            vec![
                step("service", image, &["echo up", endless], json!({ "type": "service", "detach": true })),
                step("detached", image, &["echo up too", endless], json!({ "detach": true })),
            ],
            vec![step("work", image, &["echo done"], json!({}))],
        ]);
        let (ended, events) = run(&bench, backend, &workflow);
        ended.expect(0);
        assert!(printed(&events, "work").ends_with("\ndone\n"), "{events:#?}");
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn a_service_is_reached_by_its_name() {
    let Some(host) = docker() else { return };
    let bench = Bench::new().on(host);
    let on_network = |alias: &str| json!({ "networks": [{ "name": "net", "aliases": [alias] }] });
    let mut service =
        step("site", IMAGE, &["while :; do echo hello | nc -l -p 8000; done"], on_network("site"));
    service["type"] = json!("service");
    service["detach"] = json!(true);
    let ask = "until nc site 8000 < /dev/null | grep hello; do sleep 0.1; done";
    let mut workflow = stages(vec![vec![service], vec![step("ask", IMAGE, &[ask], on_network("ask"))]]);
    workflow["network"] = json!("net");
    let (ended, events) = run(&bench, "docker", &workflow);
    ended.expect(0);
    assert!(printed(&events, "ask").ends_with("\nhello\n"), "{events:#?}");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn the_same_file_runs_twice_at_the_same_time() {
    for (bench, image, backend) in places() {
        let mut workflow = stages(vec![vec![step(
            "meet",
            image,
            &["test ! -e mark", "touch mark", "sleep 1"],
            json!({ "volumes": ["files:/workspace"] }),
        )]]);
        workflow["volume"] = json!("files");
        bench.file("workflow.json", workflow.to_string());
        let args = ["workflow", "run", "-b", backend, "workflow.json"];
        let (one, two) = (bench.start(bench.command(&args)), bench.start(bench.command(&args)));
        one.end().expect(0);
        two.end().expect(0);
        assert_eq!(bench.leftovers(), [""; 0], "{backend}");
    }
}

#[test]
fn a_workflows_secrets_are_masked() {
    for (bench, image, backend) in places() {
        let besides = json!({ "environment": { "TOKEN": "hunter2-hunter2" }, "secret_mapping": { "TOKEN": "hunter2-hunter2" } });
        let mut workflow = stages(vec![vec![step("tell", image, &["echo \"<$TOKEN>\""], besides)]]);
        workflow["secrets"] = json!([{ "name": "token", "value": "hunter2-hunter2" }]);
        let (ended, _) = run(&bench, backend, &workflow);
        let ended = ended.expect(0);
        assert!(ended.stdout.contains("<********>") && !ended.stdout.contains("hunter2"), "{}", ended.stdout);
        workflow["pipeline"][0]["steps"][0]["entrypoint"] = json!(["/missing/program", "hunter2-hunter2"]);
        workflow["pipeline"][0]["steps"][0]["commands"] = json!([]);
        let (ended, _) = run(&bench, backend, &workflow);
        assert_eq!(ended.code(), 1);
        assert!(!ended.said().contains("hunter2"), "{}", ended.said());
    }
}

/// The engine has to know the values of a step that runs an image's own program; nobody else has.
#[test]
fn a_secret_of_a_step_without_commands_is_not_in_what_jobwright_says_about_itself() {
    let Some(host) = docker() else { return };
    let bench = Bench::new().on(host);
    let besides = json!({
        "type": "plugin", "commands": [], "entrypoint": ["/bin/sh", "-c", "echo \"<$TOKEN>\"; exit 3"],
        "environment": { "TOKEN": "hunter2-hunter2" }, "secret_mapping": { "TOKEN": "hunter2-hunter2" },
    });
    bench.file("workflow.json", stages(vec![vec![step("tell", IMAGE, &[], besides)]]).to_string());
    for level in ["debug", "trace"] {
        let ended = bench.run(&["workflow", "run", "--log", level, "workflow.json"]).expect(1);
        assert!(ended.stdout.contains("<********>"), "{}", ended.stdout);
        assert!(!ended.said().contains("hunter2"), "{}", ended.said());
    }
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_workflow_can_come_by_standard_input() {
    let bench = Bench::new().without_engine();
    let file =
        bench.file("given", stages(vec![vec![step("x", "sh", &["echo from stdin"], json!({}))]]).to_string());
    let mut command = bench.command(&["workflow", "run", "-"]);
    command.stdin(std::fs::File::open(file).unwrap());
    let ended = bench.end(command).expect(0);
    assert!(
        ended.stdout.contains("from stdin\n") && ended.stdout.contains("✓ workflow  "),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_file_that_is_no_workflow_is_told_where_it_is_wrong_and_not_shown() {
    let bench = Bench::new().without_engine();
    for (content, told) in [
        (&b"{\"secrets\": [{\"value\": \"hunter2\""[..], "workflow.json:1:32: it ends too early"),
        (b"{\"secrets\":\n \"hunter2\"}", "workflow.json:2:10: it is JSON, but no workflow"),
        (b"hunter2", "workflow.json:1:1: it is not JSON"),
        (b"", "workflow.json:1:0: it ends too early"),
        (b"[[[[[[[[", "it is JSON, but no workflow"),
        (b"{\"pipeline\": [{\"steps\": [{\"uuid\": \"../../hunter2\"}]}]}", "it is JSON, but no workflow"),
        (b"\xff\xfe\x00hunter2", "it is not JSON"),
    ] {
        bench.file("workflow.json", content);
        let ended = bench.run(&["workflow", "run", "workflow.json"]).expect(2);
        assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
        assert!(!ended.said().contains("hunter2"), "{}", ended.said());
    }
    bench.run(&["workflow", "run", "nothing.json"]).expect(4);
    assert!(bench.runs().is_empty(), "no run was begun");
}
