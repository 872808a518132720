//! Rules of local-ci.md that only a real backend can show: its sections 1.3, 1.9, 2.3 and 2.5. The keys of ours are `keys`'s.

use crate::project::{Project, docker};
use crate::world::Site;
use jobwright_model::{Cause, Outcome};

const ITEMS: &str = r#"
a:
  stage: build
  image: IMAGE
  script:
    - cd / && KEPT=yes            # a comment
    - "true &"
    - |
      cat <<TEXT
      here is $KEPT
      TEXT
    - 'echo "in $PWD" # and no more'
    - exit 7
    - echo never-reached
"#;

async fn script_items(site: Option<Site>) {
    let Some(site) = site else { return };
    let told = Project::new(&[&site], ITEMS).await.run().await;
    let output = told.output("a");
    assert!(output.contains("\nhere is yes\n") && output.contains("\nin /\n"), "{output}");
    assert!(output.contains("+ exit 7") && !output.contains("never-reached"), "{output}");
    assert_eq!(told.job("a").ending.exit_code, Some(7), "{output}");
}

// covers: local-ci 125
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_carry_state_on_and_nothing_else_on_host_processes() {
    script_items(Some(Site::Process)).await;
}

// covers: local-ci 123 (an image that is here is not pulled), 125
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_carry_state_on_and_nothing_else_in_docker() {
    script_items(docker().await).await;
}

const LOUD: &str = r#"
a:
  stage: build
  image: IMAGE
  script: ['i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); echo "line $i of many that a failing job prints"; done; printf last-words; exit 3']
"#;

/// Every byte is told, and told before the end of the job.
async fn a_loud_failure(site: Option<Site>) {
    let Some(site) = site else { return };
    let told = Project::new(&[&site], LOUD).await.run().await;
    assert_eq!(told.job("a").ending.exit_code, Some(3));
    let output = told.output("a");
    let (_, printed) = output.split_once("\nline 1 ").expect("it prints after the echo of its command");
    assert!(
        printed.ends_with("line 20000 of many that a failing job prints\nlast-words"),
        "{}",
        &output[output.len() - 100..]
    );
    assert_eq!(printed.lines().count(), 20_001);
    let kinds: Vec<&str> =
        told.events.iter().filter(|event| event.job == "a").map(|event| event.r#type.as_str()).collect();
    let last_line = kinds.iter().rposition(|kind| *kind == "log_line");
    assert!(last_line < kinds.iter().position(|kind| *kind == "job_finished"));
}

// covers: local-ci 29, 124
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_job_tells_all_its_output_before_its_end_on_host_processes() {
    a_loud_failure(Some(Site::Process)).await;
}

// covers: local-ci 29, 124
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_job_tells_all_its_output_before_its_end_in_docker() {
    a_loud_failure(docker().await).await;
}

/// local-ci runs no cleanup then; ours does, as what was begun may have to be taken back.
// covers: local-ci 63, 68
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_that_fails_is_an_attempt_without_a_script() {
    let jobs = r#"
a:
  stage: build
  retry: 2
  job_bootstrap: {run: [echo x >> DIR/tries, '[ $(wc -l < DIR/tries) -ge 3 ]']}
  script: [echo x >> DIR/scripts]
"#;
    let project = Project::new(&[&Site::Process], jobs).await;
    let told = project.run().await;
    assert_eq!((told.job("a").ending.succeeded(), told.job("a").attempts), (true, 3), "{}", told.output("a"));
    let scripts = std::fs::read_to_string(project.path().join("../scripts")).unwrap();
    assert_eq!(scripts, "x\n", "only the third attempt came to its script");
}

// covers: local-ci 69
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_script_and_a_cleanup_that_both_fail_the_scripts_error_is_the_jobs() {
    let jobs =
        "a: {stage: build, job_bootstrap: {run: ['true']}, script: [exit 3], job_cleanup: {run: [exit 4]}}\n";
    let told = Project::new(&[&Site::Process], jobs).await.run().await;
    let report = told.job("a");
    assert_eq!((report.ending.outcome, report.ending.exit_code), (Outcome::Failed, Some(3)));
    assert!(told.output("a").contains("+ exit 4"), "the cleanup ran");
}

/// local-ci's own first attempt does not see `--env`.
// covers: local-ci 68, 91
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_the_host_have_the_jobs_variables() {
    let jobs = r#"
a:
  stage: build
  matrix: [{VALUE: [7]}]
  variables: {OWN: job}
  job_bootstrap: {run: ['echo "boot <$VALUE> <$OWN> <$GIVEN>"']}
  script: ["true"]
  job_cleanup: {run: ['echo "clean <$VALUE> <$OWN> <$GIVEN>"']}
"#;
    let mut project = Project::new(&[&Site::Process], jobs).await;
    project.give("GIVEN", "by-hand");
    let output = project.run().await.output("a_VALUE.7");
    for when in ["boot", "clean"] {
        assert!(output.contains(&format!("\n{when} <7> <job> <by-hand>\n")), "{output}");
    }
}

// covers: local-ci 66 (what the timeout covers)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_the_host_are_no_part_of_a_jobs_time() {
    let jobs = r#"
a: {stage: build, timeout: 2s, job_bootstrap: {run: [sleep 2.5]}, script: [echo in-time], job_cleanup: {run: [sleep 2.5]}}
b: {stage: build, parallel: true, timeout: 1s, job_bootstrap: {run: ["true"]}, script: [sleep 1000]}
"#;
    let told = Project::new(&[&Site::Process], jobs).await.run().await;
    assert!(told.job("a").ending.succeeded(), "{:?} {}", told.report, told.output("a"));
    assert_eq!(told.job("b").ending.cause, Cause::Timeout);
}
