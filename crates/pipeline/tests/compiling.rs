//! What a checked job becomes: phases, stages and steps of the model.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use jobwright_model::{Job, RunId, Step, StepType, StepUuid};
use jobwright_pipeline::{
    CompileContext, HostSecrets, JOB_LABEL, Pipeline, RUN_LABEL, Report, ResolveSecret, STAGE_LABEL,
    SecretError, SecretSource, Target, compile,
};

const DOCKER: Target<'static> = Target { backend: "docker", images: true };
const PROCESS: Target<'static> = Target { backend: "process", images: false };

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
}

fn compiled(file: &str, target: Target<'_>, environment: &[(&str, &str)]) -> Result<Job, Report> {
    let pipeline = Pipeline::parse("p.yaml", file.as_bytes()).unwrap_or_else(|report| panic!("{report}"));
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
    compile(&pipeline, &pipeline.jobs[0], &context)
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
        (RUN_LABEL.to_owned(), "20261120T132503Z-567825".to_owned()),
        (STAGE_LABEL.to_owned(), "test".to_owned()),
        (JOB_LABEL.to_owned(), "a".to_owned()),
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
