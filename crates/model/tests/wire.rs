//! The JSON of the Woodpecker interface document's types: what another compiler wrote is read, and written again as equal
//! JSON. Not for what the values mean to a backend.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jobwright_model::{
    Auth, Conn, ExitStatus, FailurePolicy, HostAlias, Port, Secret, Stage, Step, StepExit, StepState,
    StepType, StepUuid, Workflow,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const COMPILED: &str = include_str!("golden/compiled-workflow.json");

/// Every key that the interface document's `Step` has.
const STEP_KEYS: [&str; 31] = [
    "name",
    "org_id",
    "uuid",
    "type",
    "image",
    "pull",
    "detach",
    "privileged",
    "working_dir",
    "workspace_base",
    "environment",
    "secret_mapping",
    "entrypoint",
    "commands",
    "extra_hosts",
    "volumes",
    "tmpfs",
    "devices",
    "networks",
    "dns",
    "dns_search",
    "on_failure",
    "on_success",
    "failure",
    "auth_config",
    "network_mode",
    "ports",
    "backend_options",
    "workflow_labels",
    "container_name_scheme",
    "depends_on",
];

/// A step in which no field is empty.
fn full_step() -> Step {
    let text = |text: &str| text.to_owned();
    let map = |key: &str, value: &str| BTreeMap::from([(text(key), text(value))]);
    let mut step = Step::new("build", StepUuid::new("s1").unwrap());
    step.org_id = 7;
    step.kind = StepType::Plugin;
    step.image = text("image:1");
    step.pull = true;
    step.detached = true;
    step.privileged = true;
    step.working_dir = text("/woodpecker/src");
    step.workspace_base = text("/woodpecker");
    step.environment = map("KEY", "value");
    step.secret_mapping = map("TOKEN", "hush");
    step.entrypoint = vec![text("/bin/sh")];
    step.commands = vec![text("make")];
    step.extra_hosts = vec![HostAlias { name: text("host"), ip: text("::1") }];
    step.volumes = vec![text("a:/b")];
    step.tmpfs = vec![text("/tmp")];
    step.devices = vec![text("/dev/null:/dev/null")];
    step.networks = vec![Conn { name: text("net"), aliases: vec![text("build")] }];
    step.dns = vec![text("1.1.1.1")];
    step.dns_search = vec![text("example.com")];
    step.on_failure = true;
    step.on_success = true;
    step.failure = Some(FailurePolicy::Ignore);
    step.auth_config = Auth { username: text("robot"), password: text("pass") };
    step.network_mode = text("host");
    step.ports = vec![Port { number: 53, protocol: text("udp") }];
    step.backend_options = json!({"docker": {"user": "1000"}}).as_object().unwrap().clone();
    step.workflow_labels = map("label", "x");
    step.container_name_scheme = text("wp_{uuid}");
    step.depends_on = vec![text("clone")];
    step
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

// covers: woodpecker 2, 3
#[test]
fn a_compiled_workflow_is_written_again_as_equal_json() {
    let original: Value = serde_json::from_str(COMPILED).unwrap();
    let workflow: Workflow = serde_json::from_str(COMPILED).unwrap();
    assert_eq!(
        workflow.steps().map(|step| step.name.as_str()).collect::<Vec<_>>(),
        ["clone", "database", "test"]
    );
    assert_eq!(serde_json::to_value(&workflow).unwrap(), original);
}

// covers: woodpecker 2
#[test]
fn a_workflow_has_the_four_keys_even_when_it_is_empty() {
    let empty = json!({"pipeline": null, "network": "", "volume": "", "secrets": null});
    assert_eq!(serde_json::to_value(Workflow::default()).unwrap(), empty);
    assert_eq!(serde_json::from_value::<Workflow>(empty).unwrap(), Workflow::default());
    assert_eq!(serde_json::from_value::<Workflow>(json!({})).unwrap(), Workflow::default());
    assert_eq!(serde_json::to_value(Stage::default()).unwrap(), json!({}));
    assert_eq!(serde_json::from_value::<Stage>(json!({"steps": null})).unwrap(), Stage::default());
}

// covers: woodpecker 3
#[test]
fn a_full_step_has_every_key_of_the_interface_document_and_no_other() {
    let written = serde_json::to_value(full_step()).unwrap();
    let mut expected = STEP_KEYS;
    expected.sort_unstable();
    assert_eq!(keys(&written), expected);
    assert_eq!(serde_json::from_value::<Step>(written).unwrap(), full_step());
}

// covers: woodpecker 3
#[test]
fn what_is_empty_in_a_step_is_absent_but_for_name_uuid_type_and_auth() {
    let mut step = Step::new("", StepUuid::new("s1").unwrap());
    step.on_success = false;
    let written = serde_json::to_value(&step).unwrap();
    assert_eq!(written, json!({"name": "", "uuid": "s1", "type": "commands", "auth_config": {}}));
    assert_eq!(serde_json::from_value::<Step>(written).unwrap(), step);
}

// covers: woodpecker 3
#[test]
fn a_step_is_read_with_nulls_for_what_go_never_filled_and_with_unknown_fields() {
    let mut sparse = json!({"name": "a", "uuid": "s1", "invented_later": {"x": [1]}});
    let lists = [
        "environment",
        "secret_mapping",
        "entrypoint",
        "commands",
        "extra_hosts",
        "volumes",
        "tmpfs",
        "devices",
        "networks",
        "dns",
        "dns_search",
        "ports",
        "backend_options",
        "workflow_labels",
        "depends_on",
        "failure",
    ];
    for key in lists {
        sparse[key] = Value::Null;
    }
    let mut expected = Step::new("a", StepUuid::new("s1").unwrap());
    expected.on_success = false;
    assert_eq!(serde_json::from_value::<Step>(sparse).unwrap(), expected);
}

#[test]
fn a_step_without_identity_or_with_a_bad_one_is_refused() {
    for bad in [json!({"name": "a"}), json!({"uuid": "s1"}), json!({"name": "a", "uuid": "../s1"})] {
        assert!(serde_json::from_value::<Step>(bad.clone()).is_err(), "{bad}");
    }
}

// covers: woodpecker 32
#[test]
fn every_step_type_is_read_and_written_and_an_unknown_one_is_kept() {
    for word in ["clone", "service", "plugin", "commands", "cache", "teleport"] {
        let kind: StepType = serde_json::from_value(json!(word)).unwrap();
        assert_eq!(matches!(kind, StepType::Unknown(_)), word == "teleport");
        assert_eq!(serde_json::to_value(&kind).unwrap(), json!(word));
    }
    assert_eq!(serde_json::from_value::<StepType>(json!("")).unwrap(), StepType::Commands);
}

#[test]
fn every_failure_policy_is_read_and_a_misspelt_one_is_refused_with_the_right_words() {
    for (word, policy) in
        [("fail", FailurePolicy::Fail), ("ignore", FailurePolicy::Ignore), ("cancel", FailurePolicy::Cancel)]
    {
        let step: Step = serde_json::from_value(json!({"name": "a", "uuid": "s1", "failure": word})).unwrap();
        assert_eq!(step.failure_policy(), policy);
        assert_eq!(serde_json::to_value(&step).unwrap()["failure"], json!(word));
    }
    let misspelt = json!({"name": "a", "uuid": "s1", "failure": "ignroe"});
    let error = serde_json::from_value::<Step>(misspelt).unwrap_err().to_string();
    assert!(error.contains("ignroe") && error.contains("`ignore`"), "{error}");
}

// covers: woodpecker 4
#[test]
fn a_state_has_the_four_keys_and_its_error_keeps_its_go_name() {
    let running = serde_json::to_value(StepState::default()).unwrap();
    assert_eq!(running, json!({"exit_code": 0, "exited": false, "oom_killed": false, "Error": null}));
    let failed = StepState {
        exit_code: 137,
        exited: true,
        oom_killed: true,
        error: Some("boom".to_owned()),
        ..StepState::default()
    };
    let written = json!({"exit_code": 137, "exited": true, "oom_killed": true, "Error": "boom"});
    assert_eq!(serde_json::to_value(&failed).unwrap(), written);
    assert_eq!(serde_json::from_value::<StepState>(written).unwrap(), failed);
}

// covers: woodpecker 5
#[test]
fn the_newer_keys_of_a_state_are_read_and_not_written() {
    let newer = json!({
        "started": 1_700_000_000, "exit_code": 3, "exited": true, "skipped": true, "oom_killed": false, "Error": {},
        "invented_later": 1
    });
    let state: StepState = serde_json::from_value(newer).unwrap();
    assert_eq!((state.started, state.skipped, state.exit_code), (1_700_000_000, true, 3));
    assert!(state.error.is_some(), "Go writes any error as an empty object");
    assert_eq!(keys(&serde_json::to_value(&state).unwrap()), ["Error", "exit_code", "exited", "oom_killed"]);
    assert_eq!(serde_json::from_value::<StepState>(json!({})).unwrap(), StepState::default());
}

// covers: woodpecker 74
#[test]
fn an_exit_that_cannot_be_known_is_never_shown_as_a_success() {
    let state = StepState::from(&StepExit::new(ExitStatus::Unknown));
    assert!(state.exited && state.exit_code != 0 && state.error.is_some(), "{state:?}");
    let killed = StepState::from(&StepExit { oom: true, ..StepExit::new(ExitStatus::Signal(9)) });
    assert_eq!((killed.exit_code, killed.oom_killed, killed.error), (137, true, None));
    assert_eq!(StepState::from(&StepExit::new(ExitStatus::Code(0))).exit_code, 0);
}

// covers: woodpecker 6
#[test]
fn credentials_omit_what_is_empty() {
    assert_eq!(serde_json::to_value(Auth::default()).unwrap(), json!({}));
    let user = Auth { username: "robot".to_owned(), password: String::new() };
    assert_eq!(serde_json::to_value(&user).unwrap(), json!({"username": "robot"}));
    assert!(!user.is_complete());
    let whole = json!({"username": "robot", "password": "pass"});
    let read: Auth = serde_json::from_value(whole.clone()).unwrap();
    assert!(read.is_complete());
    assert_eq!(serde_json::to_value(read).unwrap(), whole);
}

#[test]
fn connections_ports_and_host_aliases_are_written_as_go_writes_them() {
    assert_eq!(serde_json::to_value(Conn::default()).unwrap(), json!({"name": "", "aliases": null}));
    assert_eq!(serde_json::to_value(Port::default()).unwrap(), json!({}));
    let port: Port = serde_json::from_value(json!({"number": 65535})).unwrap();
    assert_eq!((port.number, port.protocol.as_str()), (65535, ""));
    assert!(serde_json::from_value::<Port>(json!({"number": 65536})).is_err());
    assert_eq!(serde_json::to_value(HostAlias::default()).unwrap(), json!({}));
    assert_eq!(serde_json::to_value(Secret::default()).unwrap(), json!({}));
}

#[test]
fn no_debug_form_shows_a_secret() {
    let mut workflow: Workflow = serde_json::from_str(COMPILED).unwrap();
    workflow.secrets.push(Secret { name: "other".to_owned(), value: "s3cr3t".to_owned() });
    let shown = [
        format!("{workflow:#?}"),
        format!("{:?}", full_step()),
        format!("{:?}", full_step().auth_config),
        format!("{:?}", workflow.secrets),
    ];
    for text in shown {
        for secret in ["s3cr3t", "hush", "pass\""] {
            assert!(!text.contains(secret), "{secret:?} is in {text}");
        }
    }
}

prop_compose! {
    fn any_step()(
        name in ".*",
        uuid in "[a-z0-9][a-zA-Z0-9_.-]{0,40}",
        kind in "[a-z]{1,8}",
        org_id in any::<i64>(),
        flags in any::<[bool; 5]>(),
        texts in prop::collection::vec(".*", 5),
        lists in prop::collection::vec(prop::collection::vec(".*", 0..4), 8),
        maps in prop::collection::vec(prop::collection::btree_map(".*", ".*", 0..4), 3),
        port in any::<u16>(),
        failure in prop::option::of(prop::sample::select(vec![FailurePolicy::Fail, FailurePolicy::Ignore, FailurePolicy::Cancel])),
    ) -> Step {
        let mut step = Step::new(name, StepUuid::new(uuid).unwrap());
        step.org_id = org_id;
        step.kind = StepType::from(kind.as_str());
        [step.pull, step.detached, step.privileged, step.on_failure, step.on_success] = flags;
        let [image, working_dir, workspace_base, network_mode, scheme] = <[String; 5]>::try_from(texts).unwrap();
        (step.image, step.working_dir, step.workspace_base) = (image, working_dir, workspace_base);
        (step.network_mode, step.container_name_scheme) = (network_mode, scheme);
        let [entrypoint, commands, volumes, tmpfs, devices, dns, aliases, depends_on] =
            <[Vec<String>; 8]>::try_from(lists).unwrap();
        (step.entrypoint, step.commands, step.volumes, step.tmpfs) = (entrypoint, commands, volumes, tmpfs);
        (step.devices, step.dns, step.depends_on) = (devices, dns, depends_on);
        step.networks = vec![Conn { name: "net".to_owned(), aliases }];
        let [environment, secrets, labels] = <[BTreeMap<String, String>; 3]>::try_from(maps).unwrap();
        (step.environment, step.secret_mapping, step.workflow_labels) = (environment, secrets, labels);
        step.ports = vec![Port { number: port, protocol: String::new() }];
        step.failure = failure;
        step
    }
}

proptest! {
    // covers: woodpecker 3
    #[test]
    fn any_step_comes_back_as_it_was(step in any_step()) {
        let text = serde_json::to_string(&step).unwrap();
        prop_assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step);
    }

    #[test]
    fn no_text_makes_a_reader_panic(text in ".*") {
        let _ = serde_json::from_str::<Workflow>(&text);
        let _ = serde_json::from_value::<Step>(json!({"name": text, "uuid": text, "type": text, "failure": text}));
    }
}
