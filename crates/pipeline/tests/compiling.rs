//! What a checked job becomes: phases, stages and steps of the model.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jobwright_model::{FailurePolicy, Job, RunId, Step, StepType, StepUuid, labels};
use jobwright_pipeline::{
    CompileContext, HOST_BACKEND, HostSecrets, Loader, Pipeline, RemoteVariable, Report, ResolveSecret,
    SecretError, SecretSource, Target, compile, visible_variables,
};

const DOCKER: Target<'static> = Target { backend: "docker", images: true, limits: true };
const PROCESS: Target<'static> = Target { backend: "process", images: false, limits: false };

/// Secrets of a host that has the variable `CI_TOKEN` and the file `key`.
struct Scripted;

impl ResolveSecret for Scripted {
    fn resolve(&self, source: &SecretSource) -> Result<String, SecretError> {
        match source {
            SecretSource::Env(name) if name == "CI_TOKEN" => Ok("t0ken".to_owned()),
            SecretSource::File(path) if path.to_str() == Some("key") => Ok("k3y".to_owned()),
            SecretSource::Env(name) => Err(SecretError::EnvUnset(name.clone())),
            SecretSource::File(path) => Err(SecretError::Unreadable {
                path: path.clone(),
                reason: std::io::Error::from(std::io::ErrorKind::NotFound),
            }),
        }
    }

    fn env_file(&self, path: &Path) -> Result<String, SecretError> {
        match path.to_str() {
            Some("a.env") => Ok("LEVEL=a.env\nONE=a.env\nTOKEN=fr0m-file\n".to_owned()),
            Some("b.env") => Ok("ONE=b.env\n".to_owned()),
            Some("bad.env") => Ok("ONE=1\nhunter2\n".to_owned()),
            _ => self.resolve(&SecretSource::File(path.to_owned())),
        }
    }
}

fn compiled(file: &str, target: Target<'_>, environment: &[(&str, &str)]) -> Result<Job, Report> {
    let pipeline = parse(file);
    compile_first(&pipeline, target, environment)
}

fn parse(file: &str) -> Pipeline {
    Loader::new().every_key().parse("p.yaml", file.as_bytes()).unwrap_or_else(|report| panic!("{report}"))
}

fn compile_first(
    pipeline: &Pipeline,
    target: Target<'_>,
    environment: &[(&str, &str)],
) -> Result<Job, Report> {
    in_context(target, environment, |context| compile(pipeline, &pipeline.jobs[0], context))
}

fn in_context<T>(
    target: Target<'_>,
    environment: &[(&str, &str)],
    body: impl FnOnce(&CompileContext<'_>) -> T,
) -> T {
    let next = Cell::new(0);
    let context = CompileContext {
        run: &RunId::new("20261120T132503Z-567825").unwrap(),
        target,
        environment: &environment
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        secrets: &Scripted,
        workspace: true,
        step_uuid: &|| {
            next.set(next.get() + 1);
            StepUuid::new(format!("s{}", next.get())).unwrap()
        },
    };
    body(&context)
}

fn job(lines: &str) -> String {
    format!(
        "stages: [test]\nvariables: {{SHARED: file, LEVEL: file}}\na:\n  stage: test\n  image: alpine:3.20\n  script: [echo 1, 'echo 2 # x']\n{lines}"
    )
}

fn script_step(job: &Job) -> &Step {
    let steps: Vec<&Step> = job.phases[0].workflow.steps().collect();
    steps[steps.len() - 1]
}

#[test]
fn a_job_is_one_phase_with_its_script_as_one_step() {
    let job = compiled(&job("  timeout: 10m\n"), DOCKER, &[]).unwrap();
    assert_eq!((job.name.as_str(), job.timeouts.total), ("a", Some(Duration::from_secs(600))));
    let [phase] = job.phases.as_slice() else { panic!() };
    assert_eq!((phase.backend.as_str(), phase.always), ("docker", false));
    assert_eq!(phase.workflow.stages.len(), 1);
    let step = script_step(&job);
    assert_eq!(step.kind, StepType::Commands);
    assert_eq!((step.name.as_str(), step.image.as_str()), ("a", "alpine:3.20"));
    assert_eq!(step.commands, ["echo 1", "echo 2 # x"]);
    assert!(step.on_success && !step.on_failure && !step.detached);
}

#[test]
fn without_services_there_is_no_network_and_without_files_no_volume() {
    let job = compiled(&job(""), DOCKER, &[]).unwrap();
    let workflow = &job.phases[0].workflow;
    assert_eq!((workflow.network.as_str(), workflow.volume.as_str()), ("", "jw_s1_workspace"));
    assert!(script_step(&job).networks.is_empty());
}

#[test]
fn the_project_lies_where_the_commands_run() {
    let step = |lines: &str| {
        let job = compiled(&job(lines), DOCKER, &[]).unwrap();
        let step = script_step(&job);
        (step.working_dir.clone(), step.workspace_base.clone())
    };
    assert_eq!(step(""), ("/workspace".to_owned(), "/workspace".to_owned()));
    assert_eq!(step("  workdir: /app\n"), ("/app".to_owned(), "/app".to_owned()));
}

// covers: local-ci 82
#[test]
fn services_run_detached_in_a_first_stage_under_their_alias() {
    let services = "  services:\n    - postgres:16\n    - {image: redis:7, alias: cache, variables: {MODE: fast}}\n  secrets: {TOKEN: {env: CI_TOKEN}}\n";
    let job = compiled(&job(services), DOCKER, &[("CLI", "x")]).unwrap();
    let workflow = &job.phases[0].workflow;
    let [first, second] = workflow.stages.as_slice() else { panic!() };
    assert_eq!(workflow.network, "jw_s1_network");
    for (step, alias) in first.steps.iter().zip(["postgres", "cache"]) {
        assert!(step.detached && step.kind == StepType::Service);
        assert_eq!((step.name.as_str(), step.networks[0].name.as_str()), (alias, "jw_s1_network"));
        assert_eq!(step.networks[0].aliases, [alias]);
        assert!(step.secret_mapping.is_empty());
    }
    // The job's variables are not the services' (local-ci.md 1.7).
    assert!(first.steps[0].environment.is_empty());
    assert_eq!(first.steps[1].environment, BTreeMap::from([("MODE".to_owned(), "fast".to_owned())]));
    assert_eq!(second.steps[0].networks[0].name, "jw_s1_network");
    let uuids: Vec<&str> = workflow.steps().map(|step| step.uuid.as_str()).collect();
    assert_eq!(uuids, ["s2", "s3", "s1"]);
}

// covers: local-ci 91
#[test]
fn the_command_line_wins_over_the_job_and_the_job_over_the_file() {
    let job =
        compiled(&job("  variables: {LEVEL: job, OWN: job}\n"), DOCKER, &[("OWN", "cli"), ("NEW", "cli")])
            .unwrap();
    let environment: Vec<(&str, &str)> =
        script_step(&job).environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(environment, [("LEVEL", "job"), ("NEW", "cli"), ("OWN", "cli"), ("SHARED", "file")]);
}

// covers: local-ci 91
#[test]
fn the_command_lines_variables_arrive_in_a_job_without_any() {
    let job = compiled("stages: [t]\na: {stage: t, image: x, script: ls}\n", DOCKER, &[("A", "1")]).unwrap();
    assert_eq!(script_step(&job).environment["A"], "1");
}

#[test]
fn secrets_become_variables_that_are_marked_and_masked() {
    let job = compiled(&job("  secrets: {TOKEN: {env: CI_TOKEN}, KEY: {file: key}}\n"), DOCKER, &[]).unwrap();
    let step = script_step(&job);
    assert_eq!((step.environment["TOKEN"].as_str(), step.environment["KEY"].as_str()), ("t0ken", "k3y"));
    let marked: Vec<&str> = step.secret_mapping.keys().map(String::as_str).collect();
    assert_eq!(marked, ["KEY", "TOKEN"]);
    let masked: Vec<_> =
        job.phases[0].workflow.secrets.iter().map(|s| (s.name.as_str(), s.value.as_str())).collect();
    assert_eq!(masked, [("KEY", "k3y"), ("TOKEN", "t0ken")]);
}

#[test]
fn a_job_overrides_the_files_secret_and_the_files_variable() {
    let file = "stages: [t]\nvariables: {B: plain}\nsecrets: {A: {env: MISSING}}\na:\n  stage: t\n  image: x\n  script: ls\n  variables: {A: own}\n  secrets: {B: {env: CI_TOKEN}}\n";
    let job = compiled(file, DOCKER, &[]).unwrap();
    let step = script_step(&job);
    assert_eq!((step.environment["A"].as_str(), step.environment["B"].as_str()), ("own", "t0ken"));
    assert_eq!(step.secret_mapping.keys().collect::<Vec<_>>(), ["B"]);
}

#[test]
fn a_secret_given_on_the_command_line_is_not_looked_up_and_stays_masked() {
    let job = compiled(&job("  secrets: {TOKEN: {env: MISSING}}\n"), DOCKER, &[("TOKEN", "given")]).unwrap();
    let step = script_step(&job);
    assert_eq!(step.environment["TOKEN"], "given");
    assert_eq!(step.secret_mapping["TOKEN"], "given");
    assert_eq!(job.phases[0].workflow.secrets[0].value, "given");
}

#[test]
fn every_missing_secret_is_an_error_with_its_place() {
    let report =
        compiled(&job("  secrets:\n    TOKEN: {env: MISSING}\n    KEY: {file: none}\n"), DOCKER, &[])
            .unwrap_err();
    insta::assert_snapshot!("missing-secrets", report.summary());
}

#[test]
fn a_job_without_an_image_is_refused_on_a_backend_with_images() {
    let file = "stages: [t]\na: {stage: t, script: ls}\n";
    let report = compiled(file, DOCKER, &[]).unwrap_err();
    assert!(report.summary().contains("needs an image on the backend `docker`"), "{}", report.summary());
    assert_eq!(script_step(&compiled(file, PROCESS, &[]).unwrap()).image, "sh");
}

#[test]
fn on_a_backend_without_images_an_image_is_a_shell_or_nothing() {
    let file = |image: &str| format!("stages: [t]\na: {{stage: t, image: '{image}', script: ls}}\n");
    let image = |name: &str| script_step(&compiled(&file(name), PROCESS, &[]).unwrap()).image.clone();
    assert_eq!((image("bash").as_str(), image("golang:1.24").as_str()), ("bash", "sh"));
}

#[test]
fn job_and_steps_carry_run_stage_and_job() {
    let job = compiled(&job("  services: [redis]\n"), DOCKER, &[]).unwrap();
    let expected = BTreeMap::from([
        (labels::RUN.to_owned(), "20261120T132503Z-567825".to_owned()),
        (labels::STAGE.to_owned(), "test".to_owned()),
        (labels::JOB.to_owned(), "a".to_owned()),
    ]);
    assert_eq!(job.labels, expected);
    assert!(job.phases[0].workflow.steps().all(|step| step.workflow_labels == expected));
}

#[test]
fn the_hosts_secrets_are_its_variables_and_its_files_without_the_last_line_break() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = HostSecrets::new(folder.path());
    let file = |name: &str, bytes: &[u8]| {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        secrets.resolve(&SecretSource::File(name.into()))
    };
    assert_eq!(file("a", b"value\r\n").unwrap(), "value");
    assert_eq!(file("b", b"two\nlines\n\n").unwrap(), "two\nlines\n");
    assert!(matches!(file("c", b"\xff"), Err(SecretError::Unusable { .. })));
    assert!(matches!(file("d", b"a\0b"), Err(SecretError::Unusable { .. })));
    assert!(matches!(file("e", &vec![b'x'; 200_000]), Err(SecretError::Unusable { .. })));
    let missing = secrets.resolve(&SecretSource::File("none".into())).unwrap_err();
    assert!(missing.to_string().contains("none"), "{missing}");
    let path = secrets.resolve(&SecretSource::Env("PATH".to_owned())).unwrap();
    assert_eq!(path, std::env::var("PATH").unwrap());
    let unset = secrets.resolve(&SecretSource::Env("JOBWRIGHT_NO_SUCH_VARIABLE".to_owned()));
    assert!(matches!(unset, Err(SecretError::EnvUnset(_))));
}

#[test]
fn commands_on_the_host_are_phases_before_and_after_the_script_a_stage_for_each_command() {
    let hooks = "  job_bootstrap: {run: [cd src, make]}\n  job_cleanup: {run: [make clean]}\n  after_script: [echo over, exit 1]\n";
    let job = compiled(&job(hooks), DOCKER, &[("CLI", "x")]).unwrap();
    let shape: Vec<_> = job
        .phases
        .iter()
        .map(|phase| (phase.backend.as_str(), phase.always, phase.workflow.stages.len()))
        .collect();
    assert_eq!(
        shape,
        [(HOST_BACKEND, false, 2), ("docker", false, 1), ("docker", true, 1), (HOST_BACKEND, true, 1)]
    );
    let steps: Vec<&Step> = job.phases.iter().flat_map(|phase| phase.workflow.steps()).collect();
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["job_bootstrap 1", "job_bootstrap 2", "a", "after_script", "job_cleanup 1"]);
    assert_eq!((steps[0].commands.as_slice(), steps[0].image.as_str()), (&["cd src".to_owned()][..], "sh"));
    assert!(steps.iter().all(|step| step.environment["CLI"] == "x" && step.working_dir == "/workspace"));
    let volumes: std::collections::BTreeSet<&str> =
        job.phases.iter().map(|phase| phase.workflow.volume.as_str()).collect();
    assert!(volumes.len() == 4 && !volumes.contains(""));
}

#[test]
fn what_runs_after_the_script_is_in_its_image_without_its_services_and_may_fail() {
    let job = compiled(&job("  services: [redis]\n  after_script: exit 1\n"), DOCKER, &[]).unwrap();
    let after = &job.phases[1];
    let [step] = after.workflow.stages[0].steps.as_slice() else { panic!() };
    assert!(after.always && after.workflow.network.is_empty() && step.networks.is_empty());
    assert_eq!((step.image.as_str(), step.failure), ("alpine:3.20", Some(FailurePolicy::Ignore)));
}

#[test]
fn secrets_are_masked_in_every_phase() {
    let lines = "  secrets: {TOKEN: {env: CI_TOKEN}}\n  after_script: ls\n  job_bootstrap: {run: ls}\n";
    let job = compiled(&job(lines), DOCKER, &[]).unwrap();
    assert_eq!(job.phases.len(), 3);
    assert!(job.phases.iter().all(|phase| phase.workflow.secrets[0].value == "t0ken"));
    assert!(
        job.phases.iter().flat_map(|phase| phase.workflow.steps()).all(|step| step.secret_mapping.len() == 1)
    );
}

#[test]
fn silence_has_its_own_limit_and_the_whole_job_another() {
    let timeouts = compiled(&job("  silence_timeout: 30\n  timeout: 60\n"), DOCKER, &[]).unwrap().timeouts;
    assert_eq!((timeouts.silence.unwrap().as_secs(), timeouts.total.unwrap().as_secs()), (30, 60));
}

// covers: local-ci 78
#[test]
fn the_hosts_network_is_reached_by_name_or_shared() {
    let step = |lines: &str| script_step(&compiled(&job(lines), DOCKER, &[]).unwrap()).clone();
    let access = step("  network: {host_access: true}\n");
    let host = &access.extra_hosts[0];
    assert_eq!((host.name.as_str(), host.ip.as_str()), ("host.docker.internal", "host-gateway"));
    assert_eq!(access.network_mode, "");
    assert_eq!(step("  network: {host_mode: true}\n").network_mode, "host");
    let process = compiled(&job("  network: {host_mode: true}\n"), PROCESS, &[]).unwrap();
    assert_eq!(script_step(&process).network_mode, "");
}

#[test]
fn limits_are_the_engines_options_and_refused_where_there_are_none() {
    let lines = "  resources: {cpu: 1.5, memory: 64Mi}\n";
    let job_of = compiled(&job(lines), DOCKER, &[]).unwrap();
    let options = &script_step(&job_of).backend_options["docker"];
    assert_eq!(*options, serde_json::json!({"cpus": 1.5, "memory": 67_108_864}));
    assert!(script_step(&compiled(&job(""), DOCKER, &[]).unwrap()).backend_options.is_empty());
    let limited = Target { limits: true, ..PROCESS };
    let options =
        script_step(&compiled(&job(lines), limited, &[]).unwrap()).backend_options["process"].clone();
    assert_eq!(options, serde_json::json!({"cpus": 1.5, "memory": 67_108_864}));
    let report = compiled(&job(lines), PROCESS, &[]).unwrap_err();
    assert!(report.summary().contains("cannot limit processors or memory"), "{}", report.summary());
    let report = compiled(&job("  network: {host_access: true}\n"), PROCESS, &[]).unwrap_err();
    assert!(report.summary().contains("host.docker.internal"), "{}", report.summary());
}

#[test]
fn files_of_variables_stand_between_the_file_and_the_job() {
    let file = job("  env_file: [a.env, b.env]\n  variables: {OWN: job}\n");
    let job_of = compiled(&file, DOCKER, &[("OWN", "cli")]).unwrap();
    let environment = &script_step(&job_of).environment;
    let shown: Vec<&str> = ["LEVEL", "ONE", "OWN", "SHARED"].map(|name| environment[name].as_str()).into();
    assert_eq!(shown, ["a.env", "b.env", "cli", "file"]);
    let own = compiled(&job("  env_file: a.env\n  variables: {LEVEL: job}\n"), DOCKER, &[]).unwrap();
    assert_eq!(script_step(&own).environment["LEVEL"], "job");
}

#[test]
fn a_file_that_gives_a_secrets_name_a_value_gives_a_secret() {
    let file = format!("secrets: {{TOKEN: {{env: MISSING}}}}\n{}", job("  env_file: a.env\n"));
    let job = compiled(&file, DOCKER, &[]).unwrap();
    let step = script_step(&job);
    assert_eq!(
        (step.environment["TOKEN"].as_str(), step.secret_mapping["TOKEN"].as_str()),
        ("fr0m-file", "fr0m-file")
    );
    assert_eq!(job.phases[0].workflow.secrets[0].value, "fr0m-file");
}

#[test]
fn a_file_of_variables_that_cannot_be_used_is_an_error_where_it_is_named_without_its_text() {
    let found = compiled(&job("  env_file: [none.env, bad.env]\n"), DOCKER, &[]).unwrap_err().summary();
    assert_eq!(found.lines().count(), 2, "{found}");
    assert!(
        found.contains("the file `bad.env`, line 2: a variable needs a `=`") && !found.contains("hunter"),
        "{found}"
    );
}

// covers: local-ci 91
#[test]
fn six_levels_of_variables_stand_over_each_other() {
    let file = "stages: [t]\nvariables: {G: global, T: global, J: global, M: global, C: global, R: global}\n\
        .t: {variables: {T: template, J: template, M: template, C: template}}\n\
        a: {extends: .t, stage: t, image: x, script: ls, variables: {J: job, M: job, C: job}, matrix: [{M: matrix, C: matrix}]}\n";
    let mut pipeline = parse(file);
    for name in ["G", "T", "J", "M", "C", "ONLY"] {
        let remote = RemoteVariable { value: "remote".to_owned(), masked: false };
        pipeline.remote_variables.insert(name.to_owned(), remote);
    }
    let job = compile_first(&pipeline, DOCKER, &[("C", "cli")]).unwrap();
    let environment = &script_step(&job).environment;
    let shown = ["C", "M", "J", "T", "G", "ONLY"].map(|name| environment[name].as_str());
    assert_eq!(shown, ["cli", "matrix", "job", "template", "global", "remote"]);
}

// covers: local-ci 91
#[test]
fn what_the_remote_provider_gives_is_below_everything_else_and_masked_as_it_says() {
    let mut pipeline = parse(&job("  secrets: {KEY: {file: key}}\n"));
    for (name, masked) in [("LEVEL", false), ("PLAIN", false), ("HIDDEN", true), ("KEY", false)] {
        let value = format!("remote-{name}");
        pipeline.remote_variables.insert(name.to_owned(), RemoteVariable { value, masked });
    }
    let job = compile_first(&pipeline, DOCKER, &[]).unwrap();
    let step = script_step(&job);
    let shown = ["LEVEL", "PLAIN", "HIDDEN", "KEY"].map(|name| step.environment[name].as_str());
    assert_eq!(shown, ["file", "remote-PLAIN", "remote-HIDDEN", "k3y"]);
    assert_eq!(step.secret_mapping.keys().collect::<Vec<_>>(), ["HIDDEN", "KEY"]);
    let job = compile_first(&pipeline, DOCKER, &[("HIDDEN", "given")]).unwrap();
    assert_eq!(script_step(&job).secret_mapping["HIDDEN"], "given");
    assert!(!format!("{:?}", pipeline.remote_variables).contains("remote-"));
}

#[test]
fn a_condition_sees_all_variables_but_secrets() {
    let pipeline = parse(&job("  secrets: {KEY: {file: key}, TOKEN: {env: CI_TOKEN}}\n  env_file: b.env\n"));
    let visible = in_context(DOCKER, &[("TOKEN", "x"), ("CLI", "x")], |context| {
        visible_variables(&pipeline, &pipeline.jobs[0], context).unwrap()
    });
    assert_eq!(visible.keys().collect::<Vec<_>>(), ["CLI", "LEVEL", "ONE", "SHARED"]);
}
