//! `jobwright agent`: takes jobs from queues and runs them. Where our flags meet the names that an executor of Sourcegraph has for the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jobwright_agent::{
    Agent, AgentSettings, Error as AgentError, HostRules, Identity, Offer, Outcome, Remote, name_of,
};
use jobwright_backend::{Backend, BackendRegistry};
use jobwright_client::{ExecutorAuth, QueueClient};
use jobwright_journal::StateDir;
use jobwright_model::{Auth, QueueName, parse_duration};

use super::server::{read_private, unread};
use crate::args::{AgentArgs, AgentCommand, AgentRunArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::{aside, sink};
use crate::{backends, signals};

/// What a Sourcegraph takes for a build of its own that reads every form of a job.
const VERSION: &str = "0.0.0+dev";
/// The oldest git that can be told what it is told.
const OLDEST_GIT: (u32, u32) = (2, 26);
/// Names that say of a variable that its value is secret.
const SECRET_NAMES: [&str; 6] = ["TOKEN", "PASSWORD", "SECRET", "CREDENTIAL", "API_KEY", "AUTH"];
/// A shorter one is no secret that could be told from other words.
const SHORTEST_SECRET: usize = 8;

pub(crate) async fn run(args: AgentArgs, state: &StateDir) -> Result<Exit, Failure> {
    match args.command {
        Some(AgentCommand::Validate(args)) => validate(*args, state).await,
        None => work(args.run, state).await,
    }
}

async fn work(args: AgentRunArgs, state: &StateDir) -> Result<Exit, Failure> {
    let Configured { client, settings, identity, offer, registry, long_poll } = configured(args, state)?;
    let mut available = Vec::new();
    for backend in registry.iter() {
        match backend.load().await {
            Ok(_) => available.push(Arc::clone(backend)),
            Err(error) => aside::say(format_args!("without the {} backend: {error}", backend.name())),
        }
    }
    let about = about(&available).await;
    let (server, name) = (client.server(), client.name().to_owned());
    let source = Remote::new(client, settings.queues.clone(), offer, about).long_poll(long_poll);
    let queues = settings.queues.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let agent =
        Agent::new(Arc::new(source), settings, identity, available, state.clone()).map_err(failure)?;
    sink::say(format_args!("{name} takes jobs from {queues} at {server}"));
    let outcome = agent.run(signals::asked_to_drain()?).await.map_err(failure)?;
    match outcome {
        Outcome::Drained | Outcome::Done => Ok(Exit::Success),
        Outcome::CutShort => Ok(Exit::Cancelled),
    }
}

fn failure(error: AgentError) -> Failure {
    let exit = match error {
        AgentError::Setting(_) => Exit::Invalid,
        _ => Exit::Unavailable,
    };
    Failure::new(exit, error)
}

/// All that the flags and variables say, checked before anything is asked of anybody.
struct Configured {
    client: QueueClient,
    settings: AgentSettings,
    identity: Identity,
    offer: Offer,
    registry: BackendRegistry,
    long_poll: Duration,
}

fn configured(args: AgentRunArgs, state: &StateDir) -> Result<Configured, Failure> {
    let queues = queues(args.queues)?;
    let url = args.url.or_else(|| external("EXECUTOR_FRONTEND_URL")).ok_or_else(|| {
        Failure::new(
            Exit::Invalid,
            "there is no server to take jobs from: say --url, or EXECUTOR_FRONTEND_URL",
        )
    })?;
    let (auth, secret) = auth(args.token_file.as_deref())?;
    let name = name_of(state).map_err(failure)?;
    let client = QueueClient::new(&url, &auth, name).map_err(|error| Failure::new(Exit::Invalid, error))?;
    let temporary = args.workspaces.unwrap_or_else(std::env::temp_dir);
    let mut settings = AgentSettings::new(queues, temporary);
    take(&mut settings.max_jobs, args.max_jobs, "EXECUTOR_MAXIMUM_NUM_JOBS", number)?;
    take(&mut settings.max_runtime, args.job_timeout, "EXECUTOR_MAXIMUM_RUNTIME_PER_JOB", duration)?;
    take(&mut settings.poll_interval, args.poll_interval, "EXECUTOR_QUEUE_POLL_INTERVAL", duration)?;
    settings.total_jobs =
        some(args.total_jobs, "EXECUTOR_NUM_TOTAL_JOBS", number)?.filter(|total| *total > 0);
    settings.max_active =
        some(args.max_active_time, "EXECUTOR_MAX_ACTIVE_TIME", duration)?.filter(|active| !active.is_zero());
    settings.drain_within = args.drain_timeout;
    settings.keep_workspaces = args.keep_workspaces || flag("EXECUTOR_KEEP_WORKSPACES")?;
    settings.host = host_rules(args.cpus, args.memory, args.add_host_gateway, args.src)?;
    if settings.max_jobs == 0 {
        return Err(Failure::new(Exit::Invalid, "--max-jobs: an agent runs at least one job at a time"));
    }
    let offer = Offer {
        version: VERSION.to_owned(),
        num_cpus: Some(settings.host.cpus.ceil() as i64).filter(|cpus| *cpus > 0),
        memory: settings.host.memory.clone(),
        disk_space: external("EXECUTOR_FIRECRACKER_DISK_SPACE").unwrap_or_default(),
    };
    let identity = identity(secret);
    let registry = backends::registry(args.backends, state);
    Ok(Configured { client, settings, identity, offer, registry, long_poll: args.long_poll })
}

/// Exactly one of the two names that an executor knows, or ours.
fn queues(own: Vec<QueueName>) -> Result<Vec<QueueName>, Failure> {
    if !own.is_empty() {
        return Ok(own);
    }
    let names = match (external("EXECUTOR_QUEUE_NAME"), external("EXECUTOR_QUEUE_NAMES")) {
        (Some(name), None) => vec![name],
        (None, Some(names)) => names.split(',').map(|name| name.trim().to_owned()).collect(),
        (None, None) => {
            let text = "there is no queue to take jobs from: say --queue, EXECUTOR_QUEUE_NAME or EXECUTOR_QUEUE_NAMES";
            return Err(Failure::new(Exit::Invalid, text));
        }
        (Some(_), Some(_)) => {
            let text = "EXECUTOR_QUEUE_NAME and EXECUTOR_QUEUE_NAMES are both set; set one of them";
            return Err(Failure::new(Exit::Invalid, text));
        }
    };
    let parsed = names.iter().map(|name| QueueName::new(name.as_str()));
    parsed.collect::<Result<_, _>>().map_err(|error| Failure::new(Exit::Invalid, error))
}

/// How the agent signs on, and the secret of it.
fn auth(file: Option<&Path>) -> Result<(ExecutorAuth, String), Failure> {
    let secret = match file {
        Some(file) => read_private(file).map_err(|why| unread(file, &why))?.trim().to_owned(),
        None => external("JOBWRIGHT_EXECUTOR_TOKEN")
            .or_else(|| external("EXECUTOR_FRONTEND_PASSWORD"))
            .unwrap_or_default(),
    };
    let auth = match external("EXECUTOR_FRONTEND_USERNAME") {
        Some(username) => ExecutorAuth::Basic { username, password: secret.clone() },
        None => ExecutorAuth::Token(secret.clone()),
    };
    Ok((auth, secret))
}

fn host_rules(
    cpus: Option<f64>,
    memory: Option<String>,
    add_host_gateway: bool,
    src: String,
) -> Result<HostRules, Failure> {
    let mut rules = HostRules { src, ..HostRules::default() };
    let here = std::thread::available_parallelism().map_or(1.0, |cpus| cpus.get() as f64);
    rules.cpus = rules.cpus.min(here);
    let old = some(None, "EXECUTOR_FIRECRACKER_NUM_CPUS", number)?;
    take(&mut rules.cpus, cpus.or(old), "EXECUTOR_JOB_NUM_CPUS", number)?;
    if !(0.0..=4096.0).contains(&rules.cpus) {
        return Err(Failure::new(Exit::Invalid, format!("{} is no number of processors", rules.cpus)));
    }
    let external_memory =
        || external("EXECUTOR_JOB_MEMORY").or_else(|| external("EXECUTOR_FIRECRACKER_MEMORY"));
    if let Some(memory) = memory.or_else(external_memory) {
        rules.memory = memory;
    }
    rules.add_host_gateway = add_host_gateway || flag("EXECUTOR_DOCKER_ADD_HOST_GATEWAY")?;
    if let Some(text) = external("EXECUTOR_DOCKER_AUTH_CONFIG") {
        rules.auths = auths(&text)?;
    }
    Ok(rules)
}

/// Credentials out of a configuration of docker.
fn auths(text: &str) -> Result<BTreeMap<String, Auth>, Failure> {
    let payload = serde_json::json!({
        "dockerAuthConfig": serde_json::from_str::<serde_json::Value>(text).map_err(|error| wrong("EXECUTOR_DOCKER_AUTH_CONFIG", &error))?
    });
    let payload = jobwright_queue::Payload::from_stored(payload)
        .map_err(|error| wrong("EXECUTOR_DOCKER_AUTH_CONFIG", &error))?;
    let pair = |(host, bytes): (String, Vec<u8>)| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (username, password) = text.split_once(':').unwrap_or_default();
        (host, Auth { username: username.to_owned(), password: password.to_owned() })
    };
    Ok(payload.docker_auths.into_iter().map(pair).collect())
}

/// What is secret of this process: its token, and what its variables' names say is.
fn identity(secret: String) -> Identity {
    let mut secrets: BTreeMap<String, String> = std::env::vars()
        .filter(|(name, value)| {
            let name = name.to_uppercase();
            value.len() >= SHORTEST_SECRET && SECRET_NAMES.iter().any(|word| name.contains(word))
        })
        .filter(|(_, value)| !Path::new(value).exists())
        .collect();
    secrets.insert("the executor token".to_owned(), secret);
    Identity { secrets }
}

/// A variable that an executor of Sourcegraph knows; an empty one is not set.
fn external(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn wrong(name: &str, why: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Invalid, format!("{name}: {why}"))
}

/// Our flag, else the external name, else what is there.
fn take<T>(
    into: &mut T,
    own: Option<T>,
    name: &str,
    read: fn(&str) -> Result<T, String>,
) -> Result<(), Failure> {
    if let Some(value) = some(own, name, read)? {
        *into = value;
    }
    Ok(())
}

fn some<T>(own: Option<T>, name: &str, read: fn(&str) -> Result<T, String>) -> Result<Option<T>, Failure> {
    match own {
        Some(own) => Ok(Some(own)),
        None => external(name).map(|text| read(&text).map_err(|why| wrong(name, &why))).transpose(),
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?} is not such a number"))
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

/// As the original's language reads one.
fn flag(name: &str) -> Result<bool, Failure> {
    match external(name).map(|value| value.to_lowercase()).as_deref() {
        None | Some("0" | "f" | "false") => Ok(false),
        Some("1" | "t" | "true") => Ok(true),
        Some(other) => Err(wrong(name, &format!("{other:?} is neither true nor false"))),
    }
}

/// What a sign of life tells of this machine, by the names on the wire.
async fn about(backends: &[Arc<dyn Backend>]) -> Vec<(String, String)> {
    let mut about = vec![
        ("os".to_owned(), std::env::consts::OS.to_owned()),
        ("architecture".to_owned(), architecture().to_owned()),
        ("executorVersion".to_owned(), VERSION.to_owned()),
    ];
    for backend in backends.iter().filter(|backend| backend.capabilities().images) {
        if let Ok(info) = backend.load().await {
            about.push(("dockerVersion".to_owned(), info.engine));
        }
    }
    for (name, program, argument) in [("gitVersion", "git", "--version"), ("srcCliVersion", "src", "version")]
    {
        if let Some(version) = version_of(program, argument) {
            about.push((name.to_owned(), version));
        }
    }
    about
}

/// As the original's language calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The first number with dots that a program says of its version; none when it is not there.
fn version_of(program: &str, argument: &str) -> Option<String> {
    let output =
        Command::new(program).arg(argument).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit())).map(str::to_owned)
}

async fn validate(args: AgentRunArgs, state: &StateDir) -> Result<Exit, Failure> {
    let Configured { client, settings, registry, .. } = configured(args, state)?;
    let mut problems = Vec::new();
    match version_of("git", "--version").as_deref().map(|version| (version.to_owned(), is_recent(version))) {
        None => problems.push("git is not there; it fetches the jobs' repositories".to_owned()),
        Some((version, false)) => {
            problems.push(format!(
                "git {version} is too old; {}.{} or later is needed",
                OLDEST_GIT.0, OLDEST_GIT.1
            ));
        }
        Some(_) => {}
    }
    if find_program(&settings.host.src).is_none() {
        problems.push(format!("{} is not there; only jobs with cli steps need it", settings.host.src));
    }
    for backend in registry.iter() {
        if let Err(error) = backend.load().await {
            problems.push(format!("without the {} backend: {error}", backend.name()));
        }
    }
    if let Err(error) = client.test_auth().await {
        problems.push(error.to_string());
    }
    if problems.is_empty() {
        sink::say("All checks passed!");
        return Ok(Exit::Success);
    }
    problems.iter().for_each(sink::say);
    Ok(Exit::Failed)
}

fn is_recent(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= OLDEST_GIT
}

fn find_program(name: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}
