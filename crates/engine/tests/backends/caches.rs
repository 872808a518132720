//! Caches whose paths lie outside of the working directory, from run to run.

use jobwright_model::Cause;

use crate::engines::Engine;
use crate::project::{Project, Told};
use crate::world::Site;

impl Told {
    /// What people were told of caches.
    fn of_caches(&self) -> String {
        let lines = self.events.iter().filter(|event| event.r#type == "diagnostic");
        lines.filter(|event| event.data.contains("cache ")).map(|event| event.data.as_str()).collect()
    }
}

const OUTSIDE: &str = r#"
a:
  stage: build
  image: IMAGE
  cache: {key: deps, paths: [/root/.deps, inside, /opt/more/x]}
  script:
    - cat /root/.deps/one inside/two /opt/more/x/three 2>/dev/null || echo found-nothing
    - mkdir -p /root/.deps inside /opt/more/x; ln -sf one /root/.deps/link
    - echo first > /root/.deps/one; echo second > inside/two; echo third > /opt/more/x/three
    - exit $CODE
  after_script: ['echo after sees $(cat /root/.deps/link)']
"#;

async fn outside(engine: Option<Engine>) {
    let Some(engine) = engine else { return };
    let site = Site::Containers(engine);
    let project = Project::new(&[&site], &OUTSIDE.replace("$CODE", "1")).await;
    let failed = project.run().await;
    assert_eq!(failed.job("a").ending.cause, Cause::ExitCode, "{:?}", failed.report);
    let file = project.path().join(".jobwright.yaml");
    let text = std::fs::read_to_string(&file).unwrap().replace("exit 1", "exit 0");
    std::fs::write(&file, text).unwrap();
    let first = project.run().await;
    assert!(first.job("a").ending.succeeded(), "{:?}", first.report);
    assert!(
        first.output("a").contains("found-nothing\n"),
        "a job that failed keeps nothing: {}",
        first.output("a")
    );
    assert!(first.of_caches().contains("\"deps (outside)\""), "{}", first.of_caches());
    let second = project.run().await;
    let output = second.output("a");
    assert!(output.contains("first\nsecond\nthird\n"), "{output} {}", second.of_caches());
    assert!(output.contains("after sees first\n"), "{output} {}", second.of_caches());
}

// covers: local-ci 122
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_outside_of_the_working_directory_are_kept_in_docker() {
    outside(Engine::docker().await).await;
}

// covers: local-ci 122
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_outside_of_the_working_directory_are_kept_in_podman() {
    outside(Engine::podman().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_host_such_a_path_is_the_hosts_own_and_is_said_to_be() {
    let jobs = "a: {stage: build, cache: {key: k, paths: [DIR/own, inside]}, script: [mkdir -p inside DIR/own, touch -d @9 inside/x inside]}\n";
    let project = Project::new(&[&Site::Process], jobs).await;
    let first = project.run().await;
    assert!(first.of_caches().contains("it stays there from run to run"), "{}", first.of_caches());
    assert!(project.dir.path().join("own").is_dir());
    let second = project.run().await;
    assert!(second.of_caches().contains("unchanged since it was kept"), "{}", second.of_caches());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_the_whole_file_system_is_refused_as_a_cache() {
    let Some(engine) = Engine::docker().await else { return };
    let jobs = "a: {stage: build, image: IMAGE, workdir: /app/src, cache: {key: k, paths: [/, /app]}, script: [echo x]}\n";
    let told = Project::new(&[&Site::Containers(engine)], jobs).await.run().await;
    assert!(told.report.ending.succeeded(), "{:?}", told.report);
    assert_eq!(told.of_caches().matches("it is not kept").count(), 2, "{}", told.of_caches());
}
