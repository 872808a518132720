//! The parameters of an engine: which there are, and what is wrong with those that were given (nunet.md 2.5, 3).

use std::collections::BTreeMap;

use jobwright_model::SpecConfig;
use serde_json::Value;

use super::{Command, Target};
use crate::error::{Error, Result};

/// What a container is told, and what a program of this host is.
const OF_IMAGES: &str = "image, entrypoint, cmd, environment, working_directory, user, privileged";
const OF_HOSTS: &str = "entrypoint, cmd, environment, working_directory";

/// Parameters that make sense.
#[derive(Debug, Default)]
pub(super) struct Spec {
    pub(super) image: String,
    entrypoint: Vec<String>,
    cmd: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    pub(super) working_directory: String,
    pub(super) user: Option<String>,
    pub(super) privileged: bool,
}

impl Spec {
    pub(super) fn of(config: &SpecConfig, target: Target) -> Result<Self> {
        let mut spec = Self::default();
        for (key, value) in &config.params {
            let wrong = |reason: String| Error::invalid(format!("engine_spec.params.{key}"), reason);
            let known = if target.images { OF_IMAGES } else { OF_HOSTS };
            let is_known = known.split(", ").any(|known| known == key);
            if !is_known {
                return Err(wrong(format!(
                    "the {} engine knows no such parameter; it knows {known}",
                    target.name
                )));
            }
            spec.take(key, value).map_err(wrong)?;
        }
        let of_engine =
            |rule: &str| Error::invalid("engine_spec.params", format!("{} engine: {rule}", target.name));
        if target.images && spec.image.trim().is_empty() {
            return Err(of_engine("image cannot be empty"));
        }
        if !target.images && spec.command().is_empty() {
            return Err(of_engine("entrypoint and cmd cannot both be empty"));
        }
        let program = spec.entrypoint.first().or(spec.cmd.first());
        if program.is_some_and(String::is_empty) {
            let key = if spec.entrypoint.is_empty() { "cmd" } else { "entrypoint" };
            let place = format!("engine_spec.params.{key}[0]");
            return Err(Error::invalid(place, "it is empty; it is the program to run"));
        }
        Ok(spec)
    }

    fn take(&mut self, key: &str, value: &Value) -> Result<(), String> {
        match key {
            "image" => self.image = text(value)?,
            "entrypoint" => self.entrypoint = texts(value)?,
            "cmd" => self.cmd = texts(value)?,
            "environment" => self.environment = variables(value)?,
            "working_directory" => self.working_directory = directory(value)?,
            "user" => self.user = Some(text(value)?),
            "privileged" => self.privileged = value.as_bool().ok_or("is neither true nor false")?,
            _ => {}
        }
        Ok(())
    }

    pub(super) fn command(&self) -> Command {
        Command { entrypoint: self.entrypoint.clone(), cmd: self.cmd.clone() }
    }
}

impl Command {
    fn is_empty(&self) -> bool {
        self.entrypoint.is_empty() && self.cmd.is_empty()
    }
}

fn text(value: &Value) -> Result<String, String> {
    let text = value.as_str().ok_or_else(|| "it is not a text".to_owned())?;
    if text.contains('\0') { Err("it holds a zero byte".to_owned()) } else { Ok(text.to_owned()) }
}

/// A list of texts; the original writes `null` for an empty one.
fn texts(value: &Value) -> Result<Vec<String>, String> {
    if value.is_null() {
        return Ok(Vec::new());
    }
    let items = value.as_array().ok_or_else(|| "it is not a list of texts".to_owned())?;
    items.iter().map(text).collect()
}

fn variables(value: &Value) -> Result<BTreeMap<String, String>, String> {
    // The text may be a secret value: it is not shown.
    let pair = |(place, text): (usize, String)| match text.split_once('=') {
        Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
        None => Err(format!("its item {} is not NAME=VALUE", place + 1)),
    };
    texts(value)?.into_iter().enumerate().map(pair).collect()
}

fn directory(value: &Value) -> Result<String, String> {
    let path = text(value)?;
    match path.is_empty() || path.starts_with('/') {
        true => Ok(path),
        false => Err(format!("{path:?} is not an absolute path")),
    }
}
