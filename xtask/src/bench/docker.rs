//! A step in a container against the same engine calls made bare over the same socket.
//!
//! The step has a workspace and no services: a volume, no network. Both sides put the project's files in.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::engine_api::Engine;
use super::project::{Jobwright, Project, equal_jobs};
use super::table::Row;
use super::turns;

const IMAGE: &str = "jobwright-test/base:latest";

/// At most 1.1 times the bare calls.
pub(crate) fn step(jobwright: &Jobwright, rounds: usize) -> Result<Vec<Row>> {
    let engine = Engine::find()?;
    engine
        .call("GET", &format!("/v1.41/images/{IMAGE}/json"), None)
        .context("the base image is not there (`cargo xtask test --provision --only fmt` builds it)")?;
    let image = format!("image: {IMAGE}");
    let project = Project::new(jobwright, &equal_jobs(1, 1, &[&image, "script: [\"true\"]"]))?;
    let files = Command::new("tar").args(["-cf", "-", "."]).current_dir(project.folder()).output()?.stdout;
    let host = [("DOCKER_HOST".to_owned(), engine.host())];
    let ours = || project.finish(project.start(&["--backend", "docker"], &host)?);
    let taken = turns::take(rounds, || bare(&engine, &files), ours)?;
    Ok(vec![Row::time("a docker step over bare calls", taken.measured, taken.floor, 1.1, Duration::ZERO)])
}

/// Volume, container, files, start, log, wait, removal.
fn bare(engine: &Engine, files: &[u8]) -> Result<()> {
    let volume =
        named(engine, "/v1.41/volumes/create", &json!({"Labels": {"dev.jobwright.bench": "1"}}), "Name")?;
    let container = json!({
        "Image": IMAGE,
        "Cmd": ["/bin/sh", "-e", "-c", "echo + true; true"],
        "WorkingDir": "/workspace",
        "Labels": {"dev.jobwright.bench": "1"},
        "HostConfig": {"Mounts": [{"Type": "volume", "Source": volume, "Target": "/workspace"}]},
    });
    let id = named(engine, "/v1.41/containers/create", &container, "Id")?;
    let outcome = run_container(engine, &id, files);
    engine.call("DELETE", &format!("/v1.41/containers/{id}?force=1&v=1"), None)?;
    engine.call("DELETE", &format!("/v1.41/volumes/{volume}"), None)?;
    outcome
}

fn run_container(engine: &Engine, id: &str, files: &[u8]) -> Result<()> {
    let archive = format!("/v1.41/containers/{id}/archive?path=/workspace");
    engine.call("PUT", &archive, Some(("application/x-tar", files)))?;
    engine.call("POST", &format!("/v1.41/containers/{id}/start"), None)?;
    engine.call("GET", &format!("/v1.41/containers/{id}/logs?follow=1&stdout=1&stderr=1"), None)?;
    engine.call("POST", &format!("/v1.41/containers/{id}/wait"), None)?;
    engine.call("GET", &format!("/v1.41/containers/{id}/json"), None)?;
    Ok(())
}

fn named(engine: &Engine, path: &str, body: &Value, field: &str) -> Result<String> {
    let answer = engine.call("POST", path, Some(("application/json", body.to_string().as_bytes())))?;
    let answer: Value = serde_json::from_slice(&answer)?;
    let name = answer.get(field).and_then(Value::as_str);
    Ok(name.with_context(|| format!("{path} answers without {field}"))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bare_calls_run_and_leave_nothing_behind() {
        let engine = match Engine::find() {
            Ok(engine) => engine,
            Err(error) => return println!("skipped: {error:#}"),
        };
        if engine.call("GET", &format!("/v1.41/images/{IMAGE}/json"), None).is_err() {
            return println!("skipped: {IMAGE} is not built here");
        }
        let empty_archive = [0; 1024];
        bare(&engine, &empty_archive).unwrap();
        let filter = "filters=%7B%22label%22%3A%5B%22dev.jobwright.bench%22%5D%7D";
        let containers = engine.call("GET", &format!("/v1.41/containers/json?all=1&{filter}"), None).unwrap();
        assert_eq!(String::from_utf8_lossy(&containers).trim(), "[]");
        let volumes = engine.call("GET", &format!("/v1.41/volumes?{filter}"), None).unwrap();
        let volumes: Value = serde_json::from_slice(&volumes).unwrap();
        assert!(volumes["Volumes"].as_array().is_none_or(Vec::is_empty), "{volumes}");
    }
}
