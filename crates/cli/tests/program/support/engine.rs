//! The Docker engine, where there is one, by its command line: what of a state directory's things is in it.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

/// The image of all steps.
pub(crate) const IMAGE: &str = "jobwright-test/base:latest";

const KINDS: [(&str, &[&str]); 3] = [
    ("container", &["container", "ls", "--all", "--quiet"]),
    ("network", &["network", "ls", "--quiet"]),
    ("volume", &["volume", "ls", "--quiet"]),
];

/// The address of an engine that has the image; none, with a line that says why, when there is none.
pub(crate) fn docker() -> Option<&'static str> {
    static HOST: OnceLock<Result<String, String>> = OnceLock::new();
    match HOST.get_or_init(look) {
        Ok(host) => Some(host),
        Err(why) => {
            eprintln!("SKIPPED: {why}");
            None
        }
    }
}

/// The address of a Podman service that has the image, as [`docker`].
pub(crate) fn podman() -> Option<&'static str> {
    static HOST: OnceLock<Option<String>> = OnceLock::new();
    let look = || {
        let Ok(host) = std::env::var("JOBWRIGHT_TEST_PODMAN_HOST") else {
            eprintln!("SKIPPED: no Podman service (set JOBWRIGHT_TEST_PODMAN_HOST)");
            return None;
        };
        look_at(host, "JOBWRIGHT_TEST_PODMAN_HOST").map_err(|why| eprintln!("SKIPPED: {why}")).ok()
    };
    HOST.get_or_init(look).as_deref()
}

fn look() -> Result<String, String> {
    let host = std::env::var("JOBWRIGHT_TEST_DOCKER_HOST")
        .unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    look_at(host, "JOBWRIGHT_TEST_DOCKER_HOST")
}

fn look_at(host: String, variable: &str) -> Result<String, String> {
    if host.strip_prefix("unix://").is_some_and(|socket| !Path::new(socket).exists()) {
        return Err(format!("no engine at {host} (set {variable})"));
    }
    ask(&host, &["image", "inspect", IMAGE])
        .map(|_| host.clone())
        .map_err(|why| format!("{host} has no {IMAGE}: {why}"))
}

/// The engine's answer.
pub(crate) fn ask(host: &str, args: &[&str]) -> Result<String, String> {
    // Docker's own command does not understand all that Podman answers.
    let is_podman = std::env::var("JOBWRIGHT_TEST_PODMAN_HOST").is_ok_and(|podman| podman == host);
    let (program, flag) = if is_podman { ("podman", "--url") } else { ("docker", "--host") };
    let answer = Command::new(program).args([flag, host]).args(args).output();
    let answer = answer.map_err(|error| format!("no {program} command: {error}"))?;
    match answer.status.success() {
        true => Ok(String::from_utf8_lossy(&answer.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&answer.stderr).trim().to_owned()),
    }
}

/// What is labelled as this state directory's, by kind.
pub(crate) fn belongings(host: &str, state: &Path) -> Vec<(&'static str, String)> {
    let Ok(owner) = std::fs::read_to_string(state.join("owner")) else { return Vec::new() };
    let label = format!("label=dev.jobwright.owner={}", owner.trim());
    let mut found = Vec::new();
    for (kind, list) in KINDS {
        let ids = ask(host, &[list, &["--filter", &label]].concat()).expect("the engine answers");
        found.extend(ids.lines().map(|id| (kind, id.to_owned())));
    }
    found
}

pub(crate) fn leftovers(host: &str, state: &Path) -> Vec<String> {
    belongings(host, state).into_iter().map(|(kind, id)| format!("{kind} {id}")).collect()
}

/// All that the engine shows about them.
pub(crate) fn inspect(host: &str, state: &Path) -> String {
    let shown = |(kind, id): (&str, String)| ask(host, &[kind, "inspect", &id]).unwrap_or_default();
    belongings(host, state).into_iter().map(shown).collect()
}

/// For the end of a test, which may have failed already.
pub(crate) fn remove_leftovers(host: &str, state: &Path) {
    if ask(host, &["version"]).is_err() {
        return;
    }
    for (kind, id) in belongings(host, state) {
        let _ = ask(host, &[kind, "rm", "--force", &id]);
    }
}
