//! How a job is written: as the original's encoder does it, with `null` for lists and maps that it would leave out nowhere, in its order of keys.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use super::{Job, JobForm, ZERO_TIME, written};
use crate::{CliStep, DockerStep, File, Payload};

/// Why a job cannot be written in a form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file {file:?} {problem}; the executor has to be of a version that understands it, 4.3 or later")]
pub struct Unencodable {
    file: String,
    problem: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireJob<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    queue: &'a str,
    repository_name: &'a str,
    repository_directory: &'a str,
    commit: &'a str,
    fetch_tags: bool,
    shallow_clone: bool,
    sparse_checkout: Option<&'a [String]>,
    files: BTreeMap<&'a str, WireFile<'a>>,
    docker_steps: Option<Vec<WireDockerStep<'a>>>,
    cli_steps: Option<Vec<WireCliStep<'a>>>,
    redacted_values: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    docker_auth_config: Option<WireAuthConfig<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireFile<'a> {
    Text(&'a str),
    Object(WireFileObject<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireFileObject<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    bucket: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    modified_at: String,
}

#[derive(Serialize)]
struct WireDockerStep<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    image: &'a str,
    commands: Option<&'a [String]>,
    dir: &'a str,
    env: Option<&'a [String]>,
}

#[derive(Serialize)]
struct WireCliStep<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    key: &'a str,
    command: Option<&'a [String]>,
    dir: &'a str,
    env: Option<&'a [String]>,
}

#[derive(Serialize)]
struct WireAuthConfig<'a> {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    auths: BTreeMap<&'a str, WireAuth>,
}

#[derive(Serialize)]
struct WireAuth {
    auth: String,
}

pub(super) fn job(job: &Job, form: JobForm) -> Result<Vec<u8>, Unencodable> {
    let wire =
        WireJob { id: Some(job.id), token: Some(&job.token), queue: &job.queue, ..of(&job.payload, form)? };
    Ok(written(&wire))
}

/// A job's payload as it is kept: the second version without what belongs to an attempt.
pub(crate) fn stored(payload: &Payload) -> Value {
    // The second version can say every file.
    of(payload, JobForm::V2).ok().and_then(|wire| serde_json::to_value(wire).ok()).unwrap_or_default()
}

fn of(payload: &Payload, form: JobForm) -> Result<WireJob<'_>, Unencodable> {
    let files = payload.files.iter().map(|(name, file)| Ok((name.as_str(), wire_file(name, file, form)?)));
    Ok(WireJob {
        version: (form == JobForm::V2).then_some(2),
        id: None,
        token: None,
        queue: "",
        repository_name: &payload.repository_name,
        repository_directory: &payload.repository_directory,
        commit: &payload.commit,
        fetch_tags: payload.fetch_tags,
        shallow_clone: payload.shallow_clone,
        sparse_checkout: some(&payload.sparse_checkout),
        files: files.collect::<Result<_, _>>()?,
        docker_steps: some(&payload.docker_steps).map(|steps| steps.iter().map(docker_step).collect()),
        cli_steps: some(&payload.cli_steps).map(|steps| steps.iter().map(cli_step).collect()),
        redacted_values: Some(&payload.redacted_values).filter(|values| !values.is_empty()),
        docker_auth_config: (form == JobForm::V2).then(|| auth_config(&payload.docker_auths)),
    })
}

/// A list; none when it is empty, as the original writes it.
fn some<T>(list: &[T]) -> Option<&[T]> {
    Some(list).filter(|list| !list.is_empty())
}

fn wire_file<'a>(name: &str, file: &'a File, form: JobForm) -> Result<WireFile<'a>, Unencodable> {
    let cannot = |problem| Unencodable { file: name.to_owned(), problem };
    let plain = || std::str::from_utf8(&file.content).map_err(|_| cannot("is not UTF-8 text"));
    let content = match form {
        JobForm::Early if file.bucket.is_empty() && file.key.is_empty() => {
            return Ok(WireFile::Text(plain()?));
        }
        JobForm::Early => return Err(cannot("is to be fetched by the executor")),
        JobForm::V1 => Cow::Borrowed(plain()?),
        JobForm::V2 => Cow::Owned(STANDARD.encode(&file.content)),
    };
    let modified_at = file.modified_at.map_or_else(|| ZERO_TIME.to_owned(), |moment| moment.to_string());
    Ok(WireFile::Object(WireFileObject { content, bucket: &file.bucket, key: &file.key, modified_at }))
}

fn docker_step(step: &DockerStep) -> WireDockerStep<'_> {
    WireDockerStep {
        key: &step.key,
        image: &step.image,
        commands: some(&step.commands),
        dir: &step.dir,
        env: some(&step.env),
    }
}

fn cli_step(step: &CliStep) -> WireCliStep<'_> {
    WireCliStep { key: &step.key, command: some(&step.commands), dir: &step.dir, env: some(&step.env) }
}

fn auth_config(auths: &BTreeMap<String, Vec<u8>>) -> WireAuthConfig<'_> {
    let auths = auths.iter().map(|(host, auth)| (host.as_str(), WireAuth { auth: STANDARD.encode(auth) }));
    WireAuthConfig { auths: auths.collect() }
}
