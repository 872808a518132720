//! Keys of a job whose meaning is a backend's or the runtime's business, through the engine: each does what the file says, for real.

use std::path::Path;
use std::time::{Duration, Instant};

use jobwright_events::RunMode;
use jobwright_model::Cause;

use crate::project::{Project, Told, docker};
use crate::world::Site;

const AFTER: &str = r#"
a:
  stage: build
  image: IMAGE
  script: [echo kept > file, exit 3]
  after_script: ['echo "after: $(cat file)"', exit 9]
b:
  stage: test
  image: IMAGE
  script: [sleep 1000 & echo all-is-up; sleep 1000]
  after_script: [echo after-all]
"#;

async fn after_script(site: Option<Site>) {
    let Some(site) = site else { return };
    let project = Project::new(&[&site], AFTER).await;
    let told = project.run_in(RunMode::Parallel, Some("all-is-up\n")).await;
    assert_eq!(told.job("b").ending.cause, Cause::ByUser);
    assert!(told.output("b").contains("\nafter-all\n"), "it runs after a cancellation: {}", told.output("b"));
    let alone = Project::new(&[&site], AFTER.split("b:\n").next().unwrap()).await.run().await;
    assert_eq!(alone.job("a").ending.exit_code, Some(3), "its own failure changes nothing");
    assert!(alone.output("a").contains("after: kept\n"), "{}", alone.output("a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_script_runs_whatever_became_of_the_script_on_host_processes() {
    after_script(Some(Site::Process)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_script_runs_whatever_became_of_the_script_in_docker() {
    after_script(docker().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_script_runs_whatever_became_of_the_script_in_podman() {
    after_script(crate::engines::Engine::podman().await.map(Site::Containers)).await;
}

// covers: local-ci 63, 66
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_attempt_has_the_whole_time_and_a_workspace_of_its_own() {
    let jobs = r#"
a:
  stage: build
  retry: 3
  timeout: 2s
  script: [echo x >> DIR/tries, test ! -e own, touch own, '[ $(wc -l < DIR/tries) -ge 3 ] || sleep 1000 & wait']
"#;
    let jobs = jobs.replace("sleep 1000 & wait", "sleep 1000");
    let told = Project::new(&[&Site::Process], &jobs).await.run().await;
    let report = told.job("a");
    assert!(report.ending.succeeded(), "{report:?}\n{}", told.output("a"));
    assert_eq!(report.attempts, 3);
    let steps = told.events.iter().filter(|event| event.r#type == "step_started");
    assert_eq!(steps.map(|event| event.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    let timed_out = told.events.iter().filter(|event| event.data.contains("timed out"));
    assert_eq!(timed_out.count(), 2, "each attempt's end is told");
}

// covers: local-ci 66, 67
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_ends_the_whole_process_tree_at_once() {
    let jobs = "a: {stage: build, timeout: 1s, script: ['(trap \"\" HUP; sleep 1000) & sleep 1000']}\n";
    let begun = Instant::now();
    let told = Project::new(&[&Site::Process], jobs).await.run().await;
    assert_eq!(told.job("a").ending.cause, Cause::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_silent_for_too_long_is_ended_and_one_that_speaks_is_not() {
    let jobs = r#"
speaks: {stage: build, silence_timeout: 2s, script: ['for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done']}
silent: {stage: test, silence_timeout: 1s, script: [echo hello, sleep 1000]}
"#;
    let told = Project::new(&[&Site::Process], jobs).await.run().await;
    assert!(told.job("speaks").ending.succeeded(), "{:?}", told.report);
    assert_eq!(told.job("silent").ending.cause, Cause::SilenceTimeout);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_come_from_env_files_over_the_pipelines_and_under_the_jobs() {
    let jobs = "a: {stage: build, env_file: [one.env, two.env], variables: {C: job}, script: ['echo \"<$A-$B-$C>\"']}\n";
    let project = Project::new(&[&Site::Process], jobs).await;
    std::fs::write(project.path().join("one.env"), "A=one\nB=one\nC=one\n").unwrap();
    std::fs::write(project.path().join("two.env"), "B=two\n").unwrap();
    let told = project.run().await;
    assert!(told.output("a").contains("<one-two-job>\n"), "{}", told.output("a"));
    std::fs::remove_file(project.path().join("two.env")).unwrap();
    let refused = project.run().await.report.error.expect("it is refused").to_string();
    assert!(refused.contains("two.env"), "{refused}");
}

/// Two engines, as two programs have them, over one state directory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrency_group_holds_over_two_runs_at_a_time() {
    let jobs = "a: {stage: build, concurrency: {limit: 1, group: g}, script: [mkdir DIR/here, sleep 0.5, rmdir DIR/here]}\n";
    let project = Project::new(&[&Site::Process], jobs).await;
    let passes = [0, 1, 2].map(|_| project.pass(RunMode::Sequential, None));
    let told = futures_util::future::join_all(passes).await;
    for told in &told {
        assert!(told.job("a").ending.succeeded(), "{}", told.output("a"));
    }
    let waited = |told: &&Told| told.events.iter().any(|event| event.data.contains("waits for another run"));
    assert_eq!(told.iter().filter(waited).count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_on_the_backend_that_it_names() {
    let Some(docker) = docker().await else { return };
    let jobs = r#"
here: {stage: build, backend: process, script: [test -d DIR/project]}
there: {stage: build, image: IMAGE, script: [test ! -e DIR/project]}
"#;
    let told = Project::new(&[&docker, &Site::Process], jobs).await.run_in(RunMode::Parallel, None).await;
    assert!(told.report.ending.succeeded(), "{:?}", told.report);
    let unknown = jobs.replace("backend: process", "backend: nowhere");
    let refused = Project::new(&[&docker, &Site::Process], &unknown).await.run().await.report;
    assert!(refused.error.unwrap().to_string().contains("\"nowhere\""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_the_kernel_s_and_refused_where_there_are_none() {
    let jobs = r#"
a:
  stage: build
  image: IMAGE
  resources: {cpu: 0.5, memory: 64MiB}
  script:
    - cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2> /dev/null || true
"#;
    let on_the_host = r#"
a:
  stage: build
  resources: {cpu: 0.5, memory: 64MiB}
  script:
    - 'of() { grep "$1" /proc/self/cgroup | cut -d : -f 3; }'
    - 'cd /sys/fs/cgroup && cat memory$(of :memory:)/memory.limit_in_bytes .$(of ^0::)/memory.max 2> /dev/null || true'
"#;
    let project = Project::new(&[&Site::Process], on_the_host).await;
    let told = project.run().await;
    if project.worlds[0].backend.capabilities().limits {
        assert!(told.output("a").contains("\n67108864\n"), "{:?} {}", told.report, told.output("a"));
    } else {
        assert!(told.report.error.expect("it is refused").to_string().contains("limit processors or memory"));
    }
    let Some(docker) = docker().await else { return };
    let told = Project::new(&[&docker], jobs).await.run().await;
    assert!(told.output("a").contains("\n67108864\n"), "{:?} {}", told.report, told.output("a"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_knows_the_host_by_name_or_is_on_its_network() {
    let Some(docker) = docker().await else { return };
    let jobs = r#"
named: {stage: build, image: IMAGE, network: {host_access: true}, script: [grep host.docker.internal /etc/hosts]}
own: {stage: build, image: IMAGE, script: ['! grep host.docker.internal /etc/hosts', 'echo net=$(readlink /proc/self/ns/net)']}
host: {stage: build, image: IMAGE, network: {host_mode: true}, script: ['echo net=$(readlink /proc/self/ns/net)']}
"#;
    let told = Project::new(&[&docker], jobs).await.run().await;
    assert!(told.report.ending.succeeded(), "{:?} {}", told.report, told.output("named"));
    let namespace = |job: &str| {
        let output = told.output(job);
        output.lines().find(|line| line.starts_with("net=")).map(str::to_owned)
    };
    let ours = std::fs::read_link(Path::new("/proc/self/ns/net")).unwrap();
    assert_ne!(namespace("own"), namespace("host"));
    assert_eq!(namespace("host").unwrap(), format!("net={}", ours.display()));
}

const HOOKS: &str = r#"
a:
  stage: build
  image: IMAGE
  job_bootstrap: {run: [test -d DIR/project, echo from-bootstrap > made]}
  script: [cat made, echo from-script > made, exit CODE]
  job_cleanup: {run: ['echo "cleanup saw $(cat made)"']}
"#;

async fn hooks(site: Option<Site>) {
    let Some(site) = site else { return };
    let sites = [&site, &Site::Process];
    let sites = if matches!(site, Site::Process) { &sites[..1] } else { &sites[..] };
    for (code, passes) in [("0", true), ("3", false)] {
        let told = Project::new(sites, &HOOKS.replace("CODE", code)).await.run().await;
        let output = told.output("a");
        assert_eq!(told.job("a").ending.succeeded(), passes, "{:?} {output}", told.report);
        assert!(output.contains("from-bootstrap\n"), "{output}");
        assert!(output.contains("cleanup saw from-script\n"), "{output}");
    }
    let broken = HOOKS.replace("echo from-bootstrap > made", "exit 5").replace("$(cat made)", "all of it");
    let told = Project::new(sites, &broken.replace("CODE", "0")).await.run().await;
    let output = told.output("a");
    assert_eq!(
        told.job("a").error.as_deref(),
        Some("Job a failed: job_bootstrap 2: exited with non-zero status 5")
    );
    assert!(!output.contains("cat made") && output.contains("cleanup saw all of it\n"), "{output}");
}

// covers: local-ci 68, 70
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_the_host_run_around_a_script_on_host_processes() {
    hooks(Some(Site::Process)).await;
}

// covers: local-ci 68, 70
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_the_host_run_around_a_script_in_docker() {
    hooks(docker().await).await;
}

// covers: local-ci 68, 70
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_the_host_run_around_a_script_in_podman() {
    hooks(crate::engines::Engine::podman().await.map(Site::Containers)).await;
}

// covers: local-ci 69
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleanup_that_fails_fails_the_job_and_commands_on_the_host_have_their_own_time() {
    let jobs = r#"
a: {stage: build, parallel: true, job_bootstrap: {run: ["true"]}, script: [echo x], job_cleanup: {run: [exit 4]}}
b: {stage: build, parallel: true, job_bootstrap: {run: [sleep 1000], timeout: 1s}, script: [echo never]}
c: {stage: build, parallel: true, job_bootstrap: {run: ["true"]}, script: [echo x], job_cleanup: {run: [sleep 1000], timeout: 1s}}
"#;
    let begun = Instant::now();
    let told = Project::new(&[&Site::Process], jobs).await.run().await;
    assert_eq!(
        told.job("a").error.as_deref(),
        Some("Job a failed: job_cleanup 1: exited with non-zero status 4")
    );
    assert_eq!(
        (&told.job("b").ending.cause, &told.job("c").ending.cause),
        (&Cause::Timeout, &Cause::Timeout)
    );
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

// covers: local-ci 70, 76
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_job_is_cleaned_up_after_also_in_its_bootstrap() {
    let jobs = "a: {stage: build, job_bootstrap: {run: [echo up-and-so-on; sleep 1000]}, script: [echo never], job_cleanup: {run: [echo cleaned-up]}}\n";
    let project = Project::new(&[&Site::Process], jobs).await;
    let told = project.run_in(RunMode::Sequential, Some("up-and-so-on\n")).await;
    assert_eq!(told.job("a").ending.cause, Cause::ByUser);
    assert!(told.output("a").contains("\ncleaned-up\n"), "{}", told.output("a"));
}
