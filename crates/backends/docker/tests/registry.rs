//! Pulls from a registry that wants credentials: policies, where credentials come from, and what a refusal is told as. The
//! registry is Debian's `docker-registry` on a loopback port, filled by `skopeo` from the image that the other tests use.

// The lint's exception for tests does not reach their fixtures.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bollard::query_parameters::RemoveImageOptionsBuilder;
use jobwright_backend::{Backend, Error, ImageProblem, Progress, ProgressEvent, Result};
use jobwright_docker::{DockerSettings, PullPolicy};
use jobwright_model::{Auth, ExitStatus, Step};
use tokio::sync::OnceCell;

use support::{Bench, Engine, step};

/// A password whose base64 has the two characters in which the URL-safe alphabet differs, whatever comes before it.
const PASSWORD: &str = "~~~???>>>~?>word";

/// A running registry with one image in it, `app:1`.
struct Registry {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Registry {
    async fn start(engine: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        fs::write(at("users"), run("htpasswd", &["-Bbn", "me", PASSWORD])?)
            .map_err(|error| error.to_string())?;
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .map_err(|e| e.to_string())?
            .port();
        let configuration = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\nauth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            at("storage"),
            at("users"),
        );
        fs::write(at("config.yml"), configuration).map_err(|error| error.to_string())?;
        let child = Command::new("docker-registry")
            .args(["serve", &at("config.yml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("docker-registry: {error}"))?;
        let registry = Self { child, port, folder };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > Duration::from_secs(20) {
                return Err("docker-registry: it does not listen".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        registry.fill(engine)?;
        Ok(registry)
    }

    fn fill(&self, engine: &str) -> Result<(), String> {
        let credentials = format!("me:{PASSWORD}");
        let policy = self.folder.path().join("policy.json");
        fs::write(&policy, r#"{"default": [{"type": "insecureAcceptAnything"}]}"#)
            .map_err(|error| error.to_string())?;
        let source = format!("docker-daemon:{}", support::IMAGE);
        let target = format!("docker://{}", self.image("app:1"));
        let policy = policy.display().to_string();
        let daemon = format!("--src-daemon-host={engine}");
        let arguments = [
            "--policy",
            &policy,
            "copy",
            &daemon,
            "--dest-tls-verify=false",
            "--dest-creds",
            &credentials,
            &source,
            &target,
        ];
        run("skopeo", &arguments).map(drop)
    }

    fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }

    fn step(&self, name: &str, image: &str, auth: Option<&str>) -> Step {
        let mut step = step(name, &["echo ran"]);
        step.image = self.image(image);
        if let Some(password) = auth {
            step.auth_config = Auth { username: "me".to_owned(), password: password.to_owned() };
        }
        step
    }
}

/// The registry and the engine, or none with a line that says why.
async fn surroundings() -> Option<(&'static Registry, Engine)> {
    static REGISTRY: OnceCell<Option<Registry>> = OnceCell::const_new();
    let engine = Engine::docker().await?;
    let start = || async {
        Registry::start(&engine.host)
            .await
            .inspect_err(|reason| eprintln!("SKIPPED: no registry: {reason}"))
            .ok()
    };
    Some((REGISTRY.get_or_init(start).await.as_ref()?, engine))
}

/// Remembers what was told.
#[derive(Default)]
struct Told(Mutex<Vec<ProgressEvent>>);

impl Progress for Told {
    fn report(&self, event: ProgressEvent) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }
}

impl Told {
    fn kinds(&self) -> Vec<&'static str> {
        let mut kinds: Vec<_> = self
            .0
            .lock()
            .unwrap()
            .iter()
            .map(|event| match event {
                ProgressEvent::PullStarted { .. } => "started",
                ProgressEvent::Layer { .. } => "layer",
                ProgressEvent::PullFinished { .. } => "finished",
                ProgressEvent::PullFailedUsingLocal { .. } => "using local",
                _ => "other",
            })
            .collect();
        kinds.dedup();
        kinds
    }
}

async fn forget(engine: &Engine, image: &str) {
    let options = RemoveImageOptionsBuilder::new().force(true).build();
    let _ = engine.client().remove_image(image, Some(options), None).await;
}

async fn prepare(bench: &Bench, step: &Step) -> (Result<()>, Vec<&'static str>) {
    let told = Told::default();
    let prepared = bench.docker.prepare_step(step, &bench.task, &told).await;
    (prepared, told.kinds())
}

fn problem(result: Result<()>) -> ImageProblem {
    match result {
        Err(Error::Image { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

/// One test, as all its parts have the engine's one set of images between them.
// covers: woodpecker 64, 65, local-ci 123, nunet 9
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn images_are_pulled_when_and_as_whom_they_should_be() {
    let Some((registry, engine)) = surroundings().await else { return };
    let image = registry.image("app:1");

    // Not here: pulled with the step's credentials, which arrive although their base64 is not everybody's.
    let bench = Bench::new(&engine);
    let own = registry.step("own", "app:1", Some(PASSWORD));
    let (prepared, told) = prepare(&bench, &own).await;
    prepared.unwrap();
    assert_eq!(told, ["started", "layer", "finished"]);
    assert_eq!(bench.run(&own).await.1.status, ExitStatus::Code(0));

    // Here: not pulled again, whoever asks.
    let (prepared, told) = prepare(&bench, &registry.step("here", "app:1", None)).await;
    prepared.unwrap();
    assert_eq!(told, Vec::<&str>::new());

    // Asked to pull, and refused: what is here does, unless the step has credentials.
    let mut pulling = registry.step("pulling", "app:1", None);
    pulling.pull = true;
    let (prepared, told) = prepare(&bench, &pulling).await;
    prepared.unwrap();
    assert_eq!(told, ["started", "using local"]);
    let mut refused = registry.step("refused", "app:1", Some("wrong"));
    refused.pull = true;
    assert!(matches!(problem(prepare(&bench, &refused).await.0), ImageProblem::Unauthorized(_)));

    // The operator's policy.
    let with = |pull| Bench::with(&engine, DockerSettings { pull, ..engine.settings() });
    let always = with(PullPolicy::Always);
    let (prepared, told) = prepare(&always, &registry.step("always", "app:1", Some(PASSWORD))).await;
    prepared.unwrap();
    assert_eq!(told.first().copied(), Some("started"));
    assert_eq!(told.last().copied(), Some("finished"));
    always.done().await;
    let never = with(PullPolicy::Never);
    let mut asking = registry.step("never", "app:1", None);
    asking.pull = true;
    let (prepared, told) = prepare(&never, &asking).await;
    prepared.unwrap();
    assert_eq!(told, Vec::<&str>::new());
    bench.done().await;
    never.docker.destroy_workflow(&never.workflow, &never.task).await.unwrap();
    forget(&engine, &image).await;
    assert_eq!(problem(prepare(&never, &asking).await.0), ImageProblem::Absent);
    never.done().await;

    // Refusals, with nothing here.
    let bench = Bench::new(&engine);
    let nobody = prepare(&bench, &registry.step("nobody", "app:1", None)).await.0;
    assert!(matches!(problem(nobody), ImageProblem::Unauthorized(_)));
    let wrong = prepare(&bench, &registry.step("wrong", "app:1", Some("wrong"))).await.0;
    let said = wrong.as_ref().unwrap_err().to_string();
    assert!(!said.contains("wrong\"") && said.contains(&image), "{said}");
    assert!(matches!(problem(wrong), ImageProblem::Unauthorized(_)));
    let unknown = prepare(&bench, &registry.step("unknown", "app:2", Some(PASSWORD))).await.0;
    assert!(matches!(problem(unknown), ImageProblem::NotFound(_)));

    // Several at the same time share one pull.
    let steps: Vec<_> = (0..4).map(|n| registry.step(&format!("s{n}"), "app:1", Some(PASSWORD))).collect();
    let prepared = futures_util::future::join_all(steps.iter().map(|step| prepare(&bench, step))).await;
    for (prepared, told) in prepared {
        prepared.unwrap();
        assert!(told.first() == Some(&"started") && told.last() == Some(&"finished"), "{told:?}");
    }
    bench.done().await;

    // The user's configuration: an entry, then a helper. In this process alone, so not while others read it.
    let folder = tempfile::tempdir().unwrap();
    let write = |configuration: String| fs::write(folder.path().join("config.json"), configuration).unwrap();
    // SAFETY: the other test of this binary reads no environment while this one runs.
    unsafe { std::env::set_var("DOCKER_CONFIG", folder.path()) };
    let host = registry.image("");
    let host = host.trim_end_matches('/');
    use base64::Engine as _;
    let auth = base64::prelude::BASE64_STANDARD.encode(format!("me:{PASSWORD}"));
    let helper = folder.path().join("docker-credential-test");
    fs::write(&helper, format!("#!/bin/sh\nread host\n[ \"$host\" = {host} ] || exit 1\nprintf '{{\"Username\":\"me\",\"Secret\":\"{PASSWORD}\"}}'\n")).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    // SAFETY: as above.
    unsafe { std::env::set_var("PATH", path) };
    for configuration in [
        format!(r#"{{"auths": {{"http://{host}/v2/": {{"auth": "{auth}"}}}}}}"#),
        format!(r#"{{"credHelpers": {{"{host}": "test"}}}}"#),
        r#"{"credsStore": "test"}"#.to_owned(),
    ] {
        forget(&engine, &image).await;
        write(configuration.clone());
        let bench = Bench::new(&engine);
        let (prepared, _) = prepare(&bench, &registry.step("configured", "app:1", None)).await;
        prepared.unwrap_or_else(|error| panic!("{configuration}: {error}"));
        bench.done().await;
    }
    forget(&engine, &image).await;
}
