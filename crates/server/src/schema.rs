//! What requests and answers look like, for the OpenAPI description: images of the model's types, which know nothing of OpenAPI. Nothing
//! is read or written by them; `tests/openapi.rs` holds them against what the model's types write.
#![expect(dead_code, reason = "they are looked at when the description is made, and never made themselves")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, OpenApi, ToSchema};

mod answers;
mod queries;
mod queues;

pub(crate) use answers::*;
pub(crate) use queries::*;
pub(crate) use queues::*;

/// The events of an output stream, which no route names as its body.
pub(crate) fn of_events() -> utoipa::openapi::OpenApi {
    #[derive(OpenApi)]
    #[openapi(components(schemas(OutputEvent, EndEvent)))]
    struct Events;
    Events::openapi()
}

/// What is to be run, under which id, and within which bounds.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecutionRequest {
    /// What it belongs to.
    job_id: Id,
    /// Its id, chosen by the caller; never given twice.
    execution_id: Id,
    engine_spec: SpecConfig,
    /// What it may use. What is not said is not bounded.
    #[serde(default)]
    resources: Resources,
    /// Volumes that it reads, and writes unless they are read-only.
    #[serde(default)]
    inputs: Vec<StorageVolume>,
    /// Volumes that it writes; they need a `results_dir`.
    #[serde(default)]
    outputs: Vec<StorageVolume>,
    /// An absolute directory of the host that gets `stdout.log` and `stderr.log` while it runs.
    results_dir: Option<String>,
    /// Scripts that run before it, in this order; the first that fails ends the execution with its exit code.
    #[serde(default)]
    provision_scripts: Vec<ProvisionScript>,
    /// Ports of the host that lead into it.
    #[serde(default)]
    ports_to_bind: Vec<PortToBind>,
    /// The address of the first name server that it asks.
    gateway_ip: Option<String>,
    /// Keys that it gets.
    #[serde(default)]
    keys: Vec<AllocationKey>,
    /// Its variables; they win over those of the engine's own parameters.
    #[serde(default)]
    environment: BTreeMap<String, String>,
    /// Variables whose values are masked wherever they show up.
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    /// How long its logs are kept after it has ended, in seconds; without it until it is removed.
    #[schema(minimum = 0)]
    persist_logs_duration: Option<f64>,
    /// How long it may take in all, images and scripts included, in seconds; without it as long as it likes.
    #[schema(minimum = 0)]
    timeout: Option<f64>,
}

/// A letter or a digit, then letters, digits, `_`, `.` and `-`.
#[derive(ToSchema, Deserialize)]
#[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
pub(crate) struct Id(String);

/// An engine's name and what it is to be told.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpecConfig {
    /// The engine: a backend's name.
    #[serde(rename = "type")]
    kind: String,
    /// Its parameters.
    #[serde(default)]
    #[schema(value_type = Object)]
    params: Map<String, Value>,
}

/// What an execution may use. What is not said is not bounded.
#[derive(ToSchema, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resources {
    /// Processors; parts of one are allowed.
    cpu_cores: Option<f64>,
    /// Memory in bytes.
    ram_bytes: Option<u64>,
    /// Disk in bytes.
    disk_bytes: Option<u64>,
    /// Graphics processors; those that are not named are not visible.
    #[serde(default)]
    gpus: Vec<Gpu>,
}

/// A graphics processor of the host.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gpu {
    /// Which of its vendor's, from 0.
    index: u32,
    vendor: GpuVendor,
}

/// Who made a graphics processor. `AMD` is read as `AMD/ATI`.
#[derive(ToSchema, Deserialize)]
pub(crate) enum GpuVendor {
    #[serde(rename = "NVIDIA")]
    Nvidia,
    #[serde(rename = "AMD/ATI")]
    AmdAti,
    #[serde(rename = "AMD")]
    Amd,
    #[serde(rename = "Intel")]
    Intel,
}

/// A place of the host inside of the execution.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StorageVolume {
    /// How it comes there; `bind` is the only way, and holds when nothing is said.
    #[serde(default, rename = "type")]
    kind: String,
    /// An absolute path of the host.
    source: String,
    /// An absolute path in the execution.
    target: String,
    /// Whether it must not be written to. Of an output it is not looked at.
    #[serde(default)]
    readonly: bool,
}

/// A script that runs before an execution's own command, in its environment.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProvisionScript {
    /// What it is called in the output.
    name: String,
    /// Its text; one that begins with `#!` is read by that program, any other by `/bin/sh`.
    content: String,
}

/// A port of the host that leads to one of the execution's, over TCP.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortToBind {
    /// The host's address; all of them without it.
    ip: Option<String>,
    /// The host's port; 0 for any that is free.
    #[schema(minimum = 0, maximum = 65535)]
    host_port: u16,
    /// The port in the execution.
    #[schema(minimum = 0, maximum = 65535)]
    executor_port: u16,
}

/// A key that an execution gets.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllocationKey {
    /// Which kind; `ssh` is the only one.
    #[serde(rename = "type")]
    kind: String,
    /// The key's text.
    file: String,
    /// Where it goes, for kinds that say so; an `ssh` key goes into root's `authorized_keys`.
    #[serde(default)]
    dest: String,
}

/// A command that is to be run in an execution.
#[derive(ToSchema, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecCommand {
    /// The program and its arguments; no shell reads them.
    argv: Vec<String>,
}
