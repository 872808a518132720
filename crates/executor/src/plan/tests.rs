use std::sync::Arc;

use jobwright_backend::dummy::DummyEngine;
use jobwright_model::{AllocationKey, ExecutionId, Gpu, GpuVendor, JobId, SpecConfig, StorageVolume};
use serde_json::json;

use super::*;

fn backend() -> Arc<dyn Backend> {
    Arc::new(DummyEngine::default().backend())
}

fn request() -> ExecutionRequest {
    let spec =
        SpecConfig::new("dummy").with_param("image", "app").with_param("cmd", vec!["serve".to_owned()]);
    ExecutionRequest::new(JobId::new("j").unwrap(), ExecutionId::new("e").unwrap(), spec)
}

fn step(request: &ExecutionRequest) -> Step {
    job(request, &*backend()).unwrap().phases[0].workflow.steps().next().unwrap().clone()
}

fn option(request: &ExecutionRequest, name: &str) -> Value {
    step(request).backend_options["docker"][name].clone()
}

fn refused(request: &ExecutionRequest) -> String {
    job(request, &*backend()).unwrap_err().to_string()
}

// covers: nunet 6-7, 68
#[test]
fn parameters_of_an_engine_are_checked_by_name() {
    let mut request = request();
    request.engine_spec = request
        .engine_spec
        .with_param("working_directory", "/srv")
        .with_param("environment", json!(["A=1", "B=x=y"]));
    request.environment.insert("A".into(), "2".into());
    let step = step(&request);
    assert_eq!((step.image.as_str(), step.working_dir.as_str()), ("app", "/srv"));
    assert_eq!(step.environment, BTreeMap::from([("A".into(), "2".into()), ("B".into(), "x=y".into())]));
    for (name, value, named) in [
        ("imagee", json!("x"), "imagee"),
        ("image", json!(" "), "image cannot be empty"),
        ("image", json!(5), "image: it is not a text"),
        ("cmd", json!("serve"), "is not a list"),
        ("environment", json!(["A=b", "hunter2"]), "its item 2 is not NAME=VALUE"),
        ("working_directory", json!("srv"), "is not an absolute path"),
        ("privileged", json!("yes"), "neither true nor false"),
    ] {
        let mut bad = self::request();
        bad.engine_spec = bad.engine_spec.with_param(name, value);
        let error = refused(&bad);
        assert!(error.contains(named) && error.contains("engine_spec.params"), "{error}");
    }
}

// covers: nunet 68
#[test]
fn a_command_alone_is_for_the_images_own_entrypoint() {
    assert_eq!(option(&request(), "cmd"), json!(["serve"]));
    assert!(step(&request()).entrypoint.is_empty());
    let mut whole = request();
    whole.engine_spec = whole.engine_spec.with_param("entrypoint", vec!["/app".to_owned()]);
    assert_eq!(step(&whole).entrypoint, ["/app", "serve"]);
}

// covers: nunet 60-61
#[test]
fn only_the_graphics_processors_that_were_asked_for_are_given() {
    let gpu = |vendor, index| Gpu { vendor, index };
    let mut request = request();
    request.resources.gpus =
        vec![gpu(GpuVendor::Nvidia, 1), gpu(GpuVendor::Amd, 0), gpu(GpuVendor::Intel, 2)];
    assert_eq!(option(&request, "gpus"), json!({"nvidia": ["1"]}));
    assert_eq!(option(&request, "groups"), json!(["video"]));
    let devices =
        ["/dev/kfd", "/dev/dri/card0", "/dev/dri/renderD128", "/dev/dri/card2", "/dev/dri/renderD130"];
    assert_eq!(step(&request).devices, devices.map(|path| format!("{path}:{path}:rwm")));
    assert!(step(&self::request()).devices.is_empty());
}

// covers: nunet 64-65
#[test]
fn ports_and_name_servers_are_told_to_the_engine() {
    let mut request = request();
    let port = |ip: Option<&str>, host_port| PortToBind {
        ip: ip.map(|ip| ip.parse().unwrap()),
        host_port,
        executor_port: 80,
    };
    request.ports_to_bind =
        vec![port(None, 8080), port(Some("127.0.0.1"), 8081), port(None, 0), port(None, 0)];
    request.gateway_ip = Some("10.0.0.1".parse().unwrap());
    assert_eq!(option(&request, "bindings")[1], json!({"ip": "127.0.0.1", "host_port": 8081, "port": 80}));
    assert_eq!(step(&request).dns, ["10.0.0.1", "1.1.1.1"]);
    assert_eq!(option(&request, "dns_options"), json!(["ndots:1", "timeout:2", "attempts:1"]));
    request.ports_to_bind.push(port(None, 8080));
    assert!(refused(&request).contains("8080 is bound twice"));
}

// covers: nunet 62-63
#[test]
fn volumes_are_bound_as_they_were_asked_for_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().display().to_string();
    let mut request = request();
    request.inputs = vec![StorageVolume { read_only: true, ..StorageVolume::bind(&source, "/in") }];
    request.outputs = vec![StorageVolume { read_only: true, ..StorageVolume::bind(&source, "/out") }];
    request.results_dir = Some(folder.path().join("results"));
    assert_eq!(step(&request).volumes, [format!("{source}:/in:ro"), format!("{source}:/out:rw")]);
    for (change, named) in [
        (StorageVolume { kind: "nfs".into(), ..StorageVolume::bind(&source, "/in") }, "inputs[0].type"),
        (StorageVolume::bind("", "/in"), "inputs[0].source"),
        (StorageVolume::bind("relative", "/in"), "inputs[0].source"),
        (StorageVolume::bind(format!("{source}/../x"), "/in"), "holds `..`"),
        (StorageVolume::bind(format!("{source}/nothing"), "/in"), "is not there"),
        (StorageVolume::bind(&source, "/in:rw"), "inputs[0].target"),
    ] {
        request.inputs = vec![change];
        assert!(refused(&request).contains(named), "{}", refused(&request));
    }
}

// covers: nunet 66
#[test]
fn only_keys_that_can_be_given_are_taken() {
    let key =
        |kind: &str, file: &str| AllocationKey { kind: kind.into(), file: file.into(), dest: String::new() };
    let mut request = request();
    request.keys = vec![key("ssh", "ssh-ed25519 AAAA")];
    assert!(job(&request, &*backend()).is_ok());
    request.keys = vec![key("gpg", "x")];
    assert!(refused(&request).contains("keys[0].type"));
    request.keys = vec![key("ssh", " ")];
    assert!(refused(&request).contains("keys[0].file"));
}

// covers: nunet 58
#[test]
fn a_limit_that_a_backend_does_not_keep_is_refused() {
    let mut request = request();
    request.resources.disk_bytes = Some(1 << 30);
    assert!(refused(&request).contains("a limit on disk"));
    request.resources = Resources { cpu_cores: Some(0.5), ..Resources::default() };
    assert!(refused(&request).contains("limits on processors and memory"), "the dummy has none");
}

#[test]
fn a_secret_that_is_an_id_and_a_time_of_nothing_are_refused() {
    let mut request = request();
    request.execution_id = ExecutionId::new("my-hunter2").unwrap();
    request.secrets.insert("TOKEN".into(), "hunter2".into());
    let error = refused(&request);
    assert!(error.contains("secrets.TOKEN") && !error.contains("hunter2"), "{error}");
    request.secrets.clear();
    request.timeout = Some(std::time::Duration::ZERO);
    assert!(refused(&request).contains("timeout"));
}
