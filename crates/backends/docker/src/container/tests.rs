//! What a step becomes, without an engine.

use jobwright_model::{HostAlias, Port, StepUuid};
use serde_json::json;

use super::*;
use crate::plan::Made;

fn step() -> Step {
    let mut step = Step::new("build", StepUuid::new("s1").unwrap());
    step.image = "golang:1.23".to_owned();
    step
}

fn blueprint_with(settings: &DockerSettings, step: &Step) -> Result<Blueprint> {
    let made = |given: &str| Some(Made { given: given.to_owned(), name: format!("jw_{given}") });
    let plan = Plan { network: made("net"), volume: made("vol"), workspace: None };
    let around = Surroundings {
        owner: &OwnerId::new("o1").unwrap(),
        task: &TaskUuid::new("t1").unwrap(),
        plan: &plan,
        settings,
        kind: EngineKind::Docker,
    };
    Blueprint::of(step, around)
}

fn blueprint(change: impl FnOnce(&mut Step)) -> Result<Blueprint> {
    let mut step = step();
    change(&mut step);
    blueprint_with(&DockerSettings::default(), &step)
}

fn host(blueprint: &Blueprint) -> &HostConfig {
    blueprint.body.host_config.as_ref().unwrap()
}

fn invalid(change: impl FnOnce(&mut Step), named: &str) {
    let error = blueprint(change).unwrap_err();
    assert!(matches!(error, Error::InvalidStep { .. }) && error.to_string().contains(named), "{error}");
}

// covers: woodpecker 63
#[test]
fn commands_become_a_script_and_an_entrypoint_overrides_who_runs_it() {
    let made = blueprint(|step| {
        step.commands = vec!["make".to_owned()];
        step.workspace_base = "/w".to_owned();
        step.working_dir = "/w/src".to_owned();
    });
    let body = made.unwrap().body;
    assert_eq!(body.entrypoint, Some(Script::entrypoint()));
    assert_eq!(body.working_dir.as_deref(), Some("/w"));
    assert!(body.env.unwrap().iter().any(|variable| variable.starts_with("CI_SCRIPT=")));

    let own = vec!["/bin/bash".to_owned()];
    let made = blueprint(|step| {
        step.commands = vec!["make".to_owned()];
        step.entrypoint = own.clone();
    });
    assert_eq!(made.unwrap().body.entrypoint, Some(own));
}

#[test]
fn without_commands_the_image_s_own_entrypoint_runs_in_the_working_directory() {
    let made = blueprint(|step| {
        step.working_dir = "/w/src".to_owned();
        step.workspace_base = "/w".to_owned();
    });
    let body = made.unwrap().body;
    assert_eq!((body.entrypoint, body.cmd, body.working_dir.as_deref()), (None, None, Some("/w/src")));
}

#[test]
fn the_workspace_volume_is_translated_and_mounted_once() {
    let by_name = blueprint(|step| {
        step.workspace_base = "/w".to_owned();
        step.volumes = vec!["vol:/w".to_owned(), "vol:/w".to_owned(), "cache:/c:ro".to_owned()];
    });
    let by_name = by_name.unwrap();
    assert_eq!(host(&by_name).binds, Some(vec!["jw_vol:/w".to_owned(), "cache:/c:ro".to_owned()]));
    assert_eq!(by_name.workspace.as_deref(), Some("/w"));
    let by_place = blueprint(|step| step.workspace_base = "/w".to_owned()).unwrap();
    assert_eq!(host(&by_place).binds, Some(vec!["jw_vol:/w".to_owned()]));
    let occupied = blueprint(|step| {
        step.workspace_base = "/w".to_owned();
        step.volumes = vec!["/home/me/project:/w".to_owned()];
    });
    let occupied = occupied.unwrap();
    assert_eq!(host(&occupied).binds, Some(vec!["/home/me/project:/w".to_owned()]));
    assert_eq!(occupied.workspace, None);
}

// covers: woodpecker 67
#[test]
fn the_operator_s_volumes_profile_and_limits_are_added() {
    let settings = DockerSettings {
        volumes: vec!["/certs:/certs:ro".to_owned(), "/other:/c".to_owned()],
        apparmor_profile: Some("strict".to_owned()),
        limit_mem: 1 << 30,
        limit_mem_swap: 2 << 30,
        limit_cpu_quota: 50_000,
        limit_cpu_shares: 5,
        limit_cpu_set: Some("0-1".to_owned()),
        ..DockerSettings::default()
    };
    let mut step = step();
    step.volumes = vec!["cache:/c".to_owned(), "/certs:/certs:ro".to_owned()];
    let made = blueprint_with(&settings, &step).unwrap();
    let config = host(&made);
    assert_eq!(config.binds, Some(vec!["cache:/c".to_owned(), "/certs:/certs:ro".to_owned()]));
    assert_eq!(config.security_opt, Some(vec!["apparmor=strict".to_owned()]));
    assert_eq!((config.memory, config.memory_swap), (Some(1 << 30), Some(2 << 30)));
    assert_eq!((config.cpu_quota, config.cpu_shares, config.nano_cpus), (Some(50_000), Some(5), None));
    assert_eq!(config.cpuset_cpus.as_deref(), Some("0-1"));

    step.backend_options.insert("docker".to_owned(), json!({"memory": "4g", "cpus": 8}));
    let made = blueprint_with(&settings, &step).unwrap();
    let config = host(&made);
    assert_eq!((config.memory, config.nano_cpus, config.cpu_quota), (Some(1 << 30), Some(500_000_000), None));
}

// covers: woodpecker 66
#[test]
fn a_step_joins_its_networks_under_its_name_unless_it_says_its_mode() {
    let settings = DockerSettings { network: Some("proxy".to_owned()), ..DockerSettings::default() };
    let mut step = step();
    step.networks = vec![Conn { name: "net".to_owned(), aliases: vec!["build".to_owned(), "db".to_owned()] }];
    let made = blueprint_with(&settings, &step).unwrap();
    assert_eq!(host(&made).network_mode.as_deref(), Some("jw_net"));
    let endpoints = made.body.networking_config.clone().unwrap().endpoints_config.unwrap();
    assert_eq!(endpoints["jw_net"].aliases, Some(vec!["build".to_owned(), "db".to_owned()]));
    assert_eq!(made.further_networks[0].0, "proxy");

    step.network_mode = "host".to_owned();
    let made = blueprint_with(&settings, &step).unwrap();
    assert_eq!(host(&made).network_mode.as_deref(), Some("host"));
    assert!(made.body.networking_config.is_none() && made.further_networks.is_empty());
}

#[test]
fn a_step_without_networks_is_on_the_engine_s_default() {
    let made = blueprint(|_| {}).unwrap();
    assert_eq!((&host(&made).network_mode, &made.body.networking_config), (&None, &None));
}

#[test]
fn devices_tmpfs_hosts_and_ports_are_taken_apart() {
    let made = blueprint(|step| {
        step.devices = vec!["/dev/fuse:/dev/x:r".to_owned(), "/dev/kvm".to_owned()];
        step.tmpfs = vec!["/t:size=1m".to_owned(), "/u".to_owned()];
        step.extra_hosts = vec![
            HostAlias { name: "h".to_owned(), ip: "::1".to_owned() },
            HostAlias { name: "gw".to_owned(), ip: "host-gateway".to_owned() },
        ];
        step.ports = vec![
            Port { number: 53, protocol: "UDP".to_owned() },
            Port { number: 80, protocol: String::new() },
        ];
    });
    let made = made.unwrap();
    let config = host(&made);
    let devices = config.devices.clone().unwrap();
    assert_eq!(devices[0].path_in_container.as_deref(), Some("/dev/x"));
    assert_eq!(devices[0].cgroup_permissions.as_deref(), Some("r"));
    assert_eq!(devices[1].path_in_container.as_deref(), Some("/dev/kvm"));
    assert_eq!(config.tmpfs.clone().unwrap()["/t"], "size=1m");
    assert_eq!(config.extra_hosts, Some(vec!["h:::1".to_owned(), "gw:host-gateway".to_owned()]));
    assert_eq!(made.body.exposed_ports, Some(vec!["53/udp".to_owned(), "80/tcp".to_owned()]));
    assert_eq!(config.port_bindings, None);
}

fn asked(step: &mut Step, options: serde_json::Value) {
    step.backend_options.insert("docker".to_owned(), options);
}

#[test]
fn a_cmd_is_what_an_entrypoint_gets() {
    let cmd = || vec!["--port".to_owned(), "80".to_owned()];
    let body = blueprint(|step| asked(step, json!({ "cmd": cmd() }))).unwrap().body;
    assert_eq!((body.entrypoint, body.cmd), (None, Some(cmd())));

    let own = || vec!["/serve".to_owned()];
    let made = blueprint(|step| {
        step.entrypoint = own();
        asked(step, json!({ "cmd": cmd() }));
    });
    let body = made.unwrap().body;
    assert_eq!((body.entrypoint, body.cmd), (Some(own()), Some(cmd())));
    assert_eq!(blueprint(|step| asked(step, json!({"cmd": []}))).unwrap().body.cmd, None);
    let with_commands = |step: &mut Step| {
        step.commands = vec!["make".to_owned()];
        asked(step, json!({ "cmd": cmd() }));
    };
    invalid(with_commands, "docker.cmd");
}

#[test]
fn bindings_are_exposed_and_published() {
    let bindings = json!([{"ip": "127.0.0.1", "host_port": 8080, "port": 3000}]);
    let made = blueprint(|step| asked(step, json!({ "bindings": bindings }))).unwrap();
    assert_eq!(made.body.exposed_ports, Some(vec!["3000/tcp".to_owned()]));
    let published = serde_json::to_value(&host(&made).port_bindings).unwrap();
    assert_eq!(published, json!({"3000/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}));
}

// covers: nunet 60, 61
#[test]
fn graphics_processors_are_those_that_are_named() {
    let made = blueprint(|step| asked(step, json!({"gpus": {"nvidia": ["1"]}}))).unwrap();
    let sent = serde_json::to_value(host(&made)).unwrap();
    let expected = json!([{"Driver": "nvidia", "DeviceIDs": ["1"], "Capabilities": [["gpu"]]}]);
    assert_eq!((&sent["DeviceRequests"], &sent["Devices"]), (&expected, &serde_json::Value::Null));

    let amd = blueprint(|step| {
        step.devices = vec!["/dev/kfd".to_owned(), "/dev/dri".to_owned()];
        asked(step, json!({"groups": ["video"]}));
    });
    let amd = serde_json::to_value(host(&amd.unwrap())).unwrap();
    let paths: Vec<_> =
        amd["Devices"].as_array().unwrap().iter().map(|one| one["PathOnHost"].clone()).collect();
    assert_eq!((json!(paths), &amd["GroupAdd"]), (json!(["/dev/kfd", "/dev/dri"]), &json!(["video"])));

    let without = serde_json::to_value(host(&blueprint(|_| {}).unwrap())).unwrap();
    for key in ["DeviceRequests", "Devices", "GroupAdd", "DnsOptions"] {
        assert_eq!(without.get(key), None, "{key}");
    }
}

// covers: nunet 65
#[test]
fn name_servers_keep_their_order_and_get_their_options() {
    let made = blueprint(|step| {
        step.dns = vec!["10.20.30.1".to_owned(), "1.1.1.1".to_owned()];
        step.dns_search = vec!["internal".to_owned()];
        asked(step, json!({"dns_options": ["ndots:1", "timeout:2", "attempts:1"]}));
    });
    let sent = serde_json::to_value(host(&made.unwrap())).unwrap();
    assert_eq!(sent["Dns"], json!(["10.20.30.1", "1.1.1.1"]));
    assert_eq!(sent["DnsSearch"], json!(["internal"]));
    assert_eq!(sent["DnsOptions"], json!(["ndots:1", "timeout:2", "attempts:1"]));
}

// covers: woodpecker 67
#[test]
fn what_is_written_wrong_is_refused_with_the_field_and_the_rule() {
    invalid(|step| step.dns = vec!["resolver".to_owned()], "resolver");
    invalid(|step| step.volumes = vec!["/only".to_owned()], "/only");
    invalid(|step| step.volumes = vec!["a:relative".to_owned()], "relative");
    invalid(|step| step.devices = vec!["/dev/x:/dev/y:q".to_owned()], "/dev/x");
    invalid(
        |step| step.extra_hosts = vec![HostAlias { name: "h".to_owned(), ip: "there".to_owned() }],
        "there",
    );
    invalid(|step| step.ports = vec![Port { number: 0, protocol: String::new() }], "0/");
    invalid(|step| step.ports = vec![Port { number: 5, protocol: "icmp".to_owned() }], "icmp");
    invalid(|step| drop(step.backend_options.insert("docker".to_owned(), json!({"colour": 1}))), "colour");
}

// covers: woodpecker 32
#[test]
fn a_step_of_a_kind_that_nobody_knows_is_refused_by_its_kind() {
    let error = blueprint(|step| step.kind = StepType::from("magic")).unwrap_err();
    assert!(
        matches!(error, Error::UnsupportedStepType { .. }) && error.to_string().contains("magic"),
        "{error}"
    );
}
