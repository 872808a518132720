//! `cargo xtask layers`: which crate may know what (DESIGN section 2), held against the manifests. Not for
//! what a crate's code does with what it may know.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use toml::Table;

use crate::repository;

/// The rooms from the lowest floor up. A crate uses what is below its own floor, nothing on it or above.
const FLOORS: [&[&str]; 9] = [
    &["model"],
    &["redact", "journal", "shim"],
    &["events", "workspace"],
    &["backend", "store"],
    &["pipeline", "runtime", "queue", "process", "docker", "microvm", "kubernetes"],
    &["engine", "executor", "client"],
    &["agent", "maintenance"],
    &["server"],
    &["cli"],
];

/// Rooms that only `cli` names.
const BACKENDS: [&str; 4] = ["process", "docker", "microvm", "kubernetes"];

/// Foreign crates that only some rooms know, and the subject that this keeps in one place.
const OWNED: [(&str, &[&str], &[&str]); 7] = [
    ("SQL", &["rusqlite", "sqlx", "tokio-postgres", "postgres", "diesel"], &["store"]),
    (
        "HTTP",
        &["axum", "hyper", "hyper-util", "reqwest", "tower-http", "ureq", "utoipa", "utoipa-axum"],
        &["server", "client"],
    ),
    ("the Engine API", &["bollard", "bollard-stubs"], &["docker"]),
    ("Kubernetes", &["kube", "k8s-openapi"], &["kubernetes"]),
    ("the command line", &["clap_complete", "indicatif", "tracing-subscriber"], &["cli"]),
    ("YAML", &["granit-parser", "saphyr-parser", "serde-saphyr"], &["pipeline", "maintenance"]),
    ("untyped errors", &["anyhow", "eyre"], &[]),
];

/// Foreign crates that a room does without, and why.
const WITHOUT: [(&str, &[&str], &str); 2] = [
    ("model", &["tokio", "async-trait", "futures-util"], "it is plain data, without I/O or async"),
    ("shim", &["tokio", "clap", "tracing-subscriber"], "it is tiny and outlives its parent"),
];

/// Checks every manifest under `crates/`.
pub(crate) fn run() -> Result<()> {
    let mut problems = Vec::new();
    let manifests = manifests()?;
    for (room, manifest) in &manifests {
        problems.extend(faults(room, manifest));
    }
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    println!("{} crates stand on their floors", manifests.len());
    Ok(())
}

fn manifests() -> Result<BTreeMap<String, Table>> {
    let mut found = BTreeMap::new();
    for source in repository::sources("crates", &["toml"])? {
        if source.path.file_name().is_none_or(|name| name != "Cargo.toml") {
            continue;
        }
        let room = source.path.parent().and_then(Path::file_name).unwrap_or_default();
        let manifest: Table =
            source.text.parse().with_context(|| format!("failed to parse {}", source.path.display()))?;
        found.insert(room.to_string_lossy().into_owned(), manifest);
    }
    Ok(found)
}

fn faults(room: &str, manifest: &Table) -> Vec<String> {
    let Some(floor) = floor(room) else {
        return vec![format!("{room}: no floor is known for this room (xtask/src/layers.rs)")];
    };
    let mut faults = Vec::new();
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str());
    if name != Some(&format!("jobwright-{room}")) {
        faults.push(format!("{room}: the crate is called {name:?}, not jobwright-{room}"));
    }
    for dependency in dependencies(manifest) {
        match dependency.strip_prefix("jobwright-") {
            Some(used) => faults.extend(room_fault(room, floor, used)),
            None => faults.extend(foreign_fault(room, &dependency)),
        }
    }
    faults
}

fn room_fault(room: &str, floor: usize, used: &str) -> Option<String> {
    if BACKENDS.contains(&used) && room != "cli" {
        return Some(format!("{room}: only cli and tests name a backend, but it uses {used}"));
    }
    match self::floor(used) {
        Some(below) if below < floor => None,
        Some(_) => Some(format!("{room}: {used} is not below it")),
        None => Some(format!("{room}: it uses {used}, whose floor is not known")),
    }
}

fn foreign_fault(room: &str, dependency: &str) -> Option<String> {
    let owned =
        OWNED.iter().find(|(_, crates, owners)| crates.contains(&dependency) && !owners.contains(&room));
    if let Some((subject, _, owners)) = owned {
        let owners = if owners.is_empty() { "nobody under crates/".to_owned() } else { owners.join(" and ") };
        return Some(format!("{room}: {owners} may know {subject}, but it uses {dependency}"));
    }
    let (_, _, why) = WITHOUT.iter().find(|(of, crates, _)| *of == room && crates.contains(&dependency))?;
    Some(format!("{room}: it uses {dependency}, but {why}"))
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Everything that a crate is built with; what only its tests use is free.
fn dependencies(manifest: &Table) -> Vec<String> {
    let platforms = manifest.get("target").and_then(|target| target.as_table()).into_iter().flatten();
    let tables = platforms.filter_map(|(_, platform)| platform.as_table()).chain([manifest]);
    tables
        .flat_map(|table| ["dependencies", "build-dependencies"].map(|section| table.get(section)))
        .flatten()
        .filter_map(|section| section.as_table())
        .flat_map(|section| section.iter().map(|(name, value)| package_of(name, value)))
        .collect()
}

/// A dependency's package, which `package = "..."` may hide behind another name.
fn package_of(name: &str, value: &toml::Value) -> String {
    value.get("package").and_then(|package| package.as_str()).unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(room: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"jobwright-{room}\"\n{dependencies}");
        faults(room, &text.parse().unwrap())
    }

    #[test]
    fn a_crate_uses_what_is_below_its_floor() {
        let good = "[dependencies]\njobwright-model.workspace = true\njobwright-backend.workspace = true\ntokio = \"1\"\n";
        assert_eq!(check("runtime", good), Vec::<String>::new());
    }

    #[test]
    fn nothing_on_its_floor_or_above_is_used() {
        assert_eq!(
            check("journal", "[dependencies]\njobwright-redact = {}\n"),
            ["journal: redact is not below it"]
        );
        assert_eq!(
            check("events", "[build-dependencies]\njobwright-cli = {}\n"),
            ["events: cli is not below it"]
        );
    }

    #[test]
    fn only_cli_and_tests_name_a_backend() {
        assert_eq!(check("engine", "[dependencies]\njobwright-docker = {}\n").len(), 1);
        assert_eq!(check("cli", "[dependencies]\njobwright-docker = {}\n"), Vec::<String>::new());
        assert_eq!(check("engine", "[dev-dependencies]\njobwright-docker = {}\n"), Vec::<String>::new());
    }

    #[test]
    fn a_subject_stays_in_its_room_under_any_name_and_on_any_platform() {
        assert_eq!(check("queue", "[dependencies]\ndb = { package = \"sqlx\" }\n").len(), 1);
        assert_eq!(check("queue", "[target.'cfg(unix)'.dependencies]\nreqwest = \"1\"\n").len(), 1);
        assert_eq!(check("model", "[dependencies]\ntokio = \"1\"\n").len(), 1);
        assert_eq!(check("model", "[dependencies]\nanyhow = \"1\"\n").len(), 1);
    }

    #[test]
    fn an_unknown_room_has_no_floor() {
        assert_eq!(check("attic", "").len(), 1);
    }
}
