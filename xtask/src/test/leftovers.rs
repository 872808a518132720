//! Before and after the tests: is anything with our labels in an engine that was not there before? Not for removing it, which
//! would hide who left it.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use super::summary::Tally;
use super::{Setting, processes};

const LABEL: &str = "label=dev.jobwright.owner";
const LIMIT: Duration = Duration::from_secs(60);

const ENGINES: [&str; 2] = ["JOBWRIGHT_TEST_DOCKER_HOST", "JOBWRIGHT_TEST_PODMAN_HOST"];

/// What is in the engines before the tests: of an earlier run that was killed, or of somebody who works beside this one.
pub(crate) fn before(environment: &[(String, String)]) -> BTreeSet<String> {
    let hosts = environment.iter().filter(|(name, _)| ENGINES.contains(&name.as_str()));
    // An engine that does not answer now has nothing to excuse later.
    hosts.flat_map(|(_, host)| left(host).unwrap_or_default()).collect()
}

/// Containers, networks and volumes of each engine that the tests used.
pub(crate) fn run(setting: &Setting) -> Tally {
    let mut tally = Tally::default();
    for variable in ENGINES {
        let Some((_, host)) = setting.environment.iter().find(|(name, _)| name == variable) else {
            tally.skipped.push(format!("{variable} is not set: no engine to look into"));
            continue;
        };
        let new =
            left(host).map(|left| left.into_iter().filter(|thing| !setting.left_before.contains(thing)));
        match new.map(Vec::from_iter) {
            Ok(left) if left.is_empty() => tally.passed += 1,
            Ok(left) => tally.failed.push(format!("{host} still has {}", left.join(", "))),
            Err(error) => tally.failed.push(format!("{host}: {error:#}")),
        }
    }
    tally
}

fn left(host: &str) -> anyhow::Result<Vec<String>> {
    let mut left = Vec::new();
    for (kind, list) in [
        ("container", &["ps", "--all", "--format", "{{.Names}}"][..]),
        ("network", &["network", "ls", "--format", "{{.Name}}"][..]),
        ("volume", &["volume", "ls", "--format", "{{.Name}}"][..]),
    ] {
        let mut command = Command::new("docker");
        command.args(["--host", host]).args(list).args(["--filter", LABEL]);
        let names = processes::output(&mut command, LIMIT)?;
        left.extend(names.lines().map(|name| format!("{kind} {name}")));
    }
    Ok(left)
}
