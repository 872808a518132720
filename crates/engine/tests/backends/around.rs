//! Commands on the host around all jobs of a run, and the variables that a server has for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jobwright_engine::{FetchError, FetchedVariable, VariableSource};
use jobwright_events::RunMode;
use jobwright_model::{Cause, Outcome};
use jobwright_pipeline::RemoteProvider;

use crate::project::{Project, Told};
use crate::world::Site;

const SECRET: &str = "hunter2-swordfish";

impl Told {
    /// The number of the first event that `wanted` is true of.
    fn first(&self, wanted: impl Fn(&jobwright_events::WireEvent) -> bool) -> u64 {
        self.events.iter().find(|event| wanted(event)).map_or(0, |event| event.seq)
    }

    /// What ran around the jobs printed, and what the run said of it.
    fn around(&self) -> String {
        let own = self.events.iter().filter(|event| event.r#type == "log_line" && event.job.is_empty());
        own.map(|event| event.data.as_str()).collect()
    }

    fn text(&self) -> String {
        self.events.iter().map(|event| format!("{event:?}\n")).collect()
    }
}

async fn project(lines: &str) -> Project {
    let project = Project::new(&[&Site::Process], lines).await;
    std::fs::write(project.dir.path().join("token"), SECRET).unwrap();
    project
}

const AROUND: &str = r#"
secrets: {TOKEN: {file: DIR/token}}
bootstrap: {run: ['echo here: $(pwd)', touch made, 'echo token: $TOKEN; sleep 1000 & echo began']}
cleanup: {run: [rm made, echo cleaned-up]}
a: {stage: build, script: [test -e made, exit CODE]}
"#;

// covers: local-ci 71-72
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_around_all_jobs_run_in_the_projects_own_directory_and_tell_of_it() {
    for (code, passes) in [("0", true), ("7", false)] {
        let project = project(&AROUND.replace("CODE", code)).await;
        let told = project.run().await;
        assert_eq!(told.report.ending.succeeded(), passes, "{:?} {}", told.report, told.around());
        let here = std::fs::canonicalize(project.path()).unwrap();
        assert!(told.around().contains(&format!("here: {}\n", here.display())), "{}", told.around());
        assert!(!project.path().join("made").exists() && project.path().join(".jobwright.yaml").exists());
        assert!(!told.text().contains(SECRET) && told.around().contains("token: ********\n"));
        let began = told.first(|event| event.data.contains("began") && event.step == "bootstrap 3");
        let started = told.first(|event| event.r#type == "job_started");
        let finished = told.first(|event| event.r#type == "job_finished");
        let cleaned = told.first(|event| event.data.contains("cleaned-up") && event.step == "cleanup 2");
        assert!(0 < began && began < started && started < finished && finished < cleaned, "{}", told.text());
        assert_eq!(told.events.last().unwrap().r#type, "run_finished");
    }
}

// covers: local-ci 71
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_that_fails_keeps_all_jobs_from_running_and_is_cleaned_up_after() {
    let project = project(
        r#"
bootstrap: {run: [touch made, exit 5, echo never-reached]}
cleanup: {run: [rm made]}
a: {stage: build, script: [echo the-job-ran]}
b: {stage: test, parallel: true, script: [echo the-job-ran]}
"#,
    )
    .await;
    let told = project.run().await;
    assert_eq!((told.report.ending.outcome, told.report.ending.exit_code), (Outcome::Failed, Some(5)));
    let why = "Bootstrap failed: bootstrap 2: exited with non-zero status 5";
    assert!(told.around().contains(why) && told.events.last().unwrap().err == why, "{}", told.text());
    assert!(!told.around().contains("never-reached") && !told.text().contains("the-job-ran"));
    for job in ["a", "b"] {
        assert_eq!(told.job(job).ending.cause, Cause::Dependency("bootstrap".to_owned()));
    }
    assert!(!project.path().join("made").exists(), "{}", told.around());
}

// covers: local-ci 71
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_in_bootstrap_or_in_a_job_is_cleaned_up_after() {
    for (bootstrap, script) in
        [("echo up-and-so-on; sleep 1000", "echo x"), ("true", "echo up-and-so-on; sleep 1000")]
    {
        let lines = format!(
            "bootstrap: {{run: [touch made, '{bootstrap}']}}\ncleanup: {{run: [rm made]}}\n\
             a: {{stage: build, script: ['{script}']}}\n"
        );
        let project = project(&lines).await;
        let begun = Instant::now();
        let told = project.run_in(RunMode::Sequential, Some("up-and-so-on\n")).await;
        assert_eq!(told.report.ending.cause, Cause::ByUser);
        assert!(!project.path().join("made").exists(), "{}", told.text());
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
}

// covers: local-ci 71 (best effort)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cleanup_goes_on_after_a_failure_which_is_told_and_fails_nothing() {
    let project = project(
        "bootstrap: {run: [touch made]}\ncleanup: {run: [exit 4, rm made, sleep 1000], timeout: 5s}\n\
         a: {stage: build, script: [echo x]}\n",
    )
    .await;
    let told = project.run().await;
    assert!(told.report.ending.succeeded(), "{:?}", told.report);
    assert!(!project.path().join("made").exists());
    let around = told.around();
    assert!(around.contains("Cleanup failed: cleanup 1: exited with non-zero status 4\n"), "{around}");
    assert!(around.contains("Cleanup failed: cleanup 3: timed out"), "{around}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_has_a_time_of_its_own() {
    let project =
        project("bootstrap: {run: [sleep 1000], timeout: 1s}\na: {stage: build, script: [echo x]}\n").await;
    let told = project.run().await;
    assert_eq!(told.report.ending.cause, Cause::Timeout);
    assert!(told.around().contains("Bootstrap failed: bootstrap 1: timed out"), "{}", told.around());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_on_the_host_are_refused_before_anything_begins_where_nothing_runs_them() {
    let lines = "bootstrap: {run: [echo x]}\na: {stage: build, image: IMAGE, script: [echo x]}\n";
    let told = Project::new(&[&Site::Dummy], lines).await.run().await;
    let error = told.report.error.as_ref().expect("it is refused").to_string();
    assert!(error.contains("`bootstrap`") && error.contains("need the process backend"), "{error}");
    assert!(told.report.jobs.is_empty() && !told.text().contains("job_started"));
}

/// A server that has these variables.
struct Server(Result<Vec<FetchedVariable>, String>);

#[async_trait]
impl VariableSource for Server {
    async fn variables(
        &self,
        provider: &RemoteProvider,
        token: &str,
    ) -> Result<Vec<FetchedVariable>, FetchError> {
        assert_eq!((provider.url.as_str(), provider.project_id), ("https://gitlab.example", 7));
        match &self.0 {
            Ok(variables) => Ok(variables.clone()),
            Err(why) if why.is_empty() => std::future::pending().await,
            Err(why) => Err(FetchError(format!("{why} ({token})"))),
        }
    }
}

fn variable(name: &str, value: &str, masked: bool) -> FetchedVariable {
    let (name, value, environments) = (name.to_owned(), Some(value.to_owned()), "*".to_owned());
    FetchedVariable { name, value, masked, environments }
}

/// A project with a provider whose token is in the file `token`.
async fn provided(server: Server) -> Project {
    let lines = r#"
remote_provider: {url: gitlab.example, project_id: 7, access_token: {file: DIR/token}}
bootstrap: {run: ['echo bootstrap: $PLAIN']}
a:
  stage: build
  variables: {OWN: from-the-file}
  if: vars.PLAIN == "remote-plain"
  script: ['echo $PLAIN $OWN $SECRET hunter2-swordfish', 'test "$SECRET" = remote-secret']
"#;
    let mut project = project(lines).await;
    project.source = Some(Arc::new(server));
    project
}

// covers: local-ci 91
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_servers_variables_are_below_the_files_and_its_secrets_are_masked() {
    let variables = vec![
        variable("PLAIN", "remote-plain", false),
        variable("OWN", "remote-own", false),
        variable("SECRET", "remote-secret", true),
    ];
    let told = provided(Server(Ok(variables))).await.run().await;
    assert!(told.job("a").ending.succeeded(), "{:?} {}", told.report, told.text());
    assert!(
        told.output("a").contains("remote-plain from-the-file ******** ********\n"),
        "{}",
        told.output("a")
    );
    assert!(told.around().contains("bootstrap: remote-plain\n"));
    let all = told.text();
    assert!(!all.contains("remote-secret\"") && !all.contains("remote-own"), "{all}");
    let diagnostics = told.events.iter().filter(|event| event.r#type == "diagnostic");
    assert!(diagnostics.clone().all(|event| !event.data.contains("remote-plain")), "no value is told by us");
    assert!(diagnostics.into_iter().any(|event| event.data.contains("3 variable(s) of the project 7")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_that_cannot_be_had_keep_the_run_from_beginning_and_the_token_from_being_told() {
    let told = provided(Server(Err("status 500".to_owned()))).await.run().await;
    let error = told.report.error.as_ref().unwrap().to_string();
    assert!(
        error.contains("the project 7 at https://gitlab.example") && error.contains("status 500 (********)"),
        "{error}"
    );
    assert!(!told.text().contains(SECRET) && !told.text().contains("job_started"));
    let project = provided(Server(Ok(Vec::new()))).await;
    std::fs::remove_file(project.dir.path().join("token")).unwrap();
    let error = project.run().await.report.error.unwrap().to_string();
    assert!(error.contains("no value for the access token"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancel_while_a_server_does_not_answer_is_prompt() {
    let project = provided(Server(Err(String::new()))).await;
    let told = project.run_in(RunMode::Sequential, Some("Config file loaded")).await;
    assert_eq!(told.report.ending.cause, Cause::ByUser);
}
