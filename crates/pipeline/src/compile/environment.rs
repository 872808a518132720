//! A job's variables and secrets, level over level (local-ci.md 1.9). No message quotes a value.

use std::collections::{BTreeMap, BTreeSet};

use crate::compile::CompileContext;
use crate::env_file;
use crate::finding::{Finding, Report};
use crate::job::PipelineJob;
use crate::pipeline::{Pipeline, Secret};
use crate::secrets::{SecretError, SecretSource};

/// A job's environment, or that of commands around all jobs, and the secret part of it.
pub(super) struct Environment {
    pub(super) all: BTreeMap<String, String>,
    pub(super) secrets: BTreeMap<String, String>,
}

impl Environment {
    pub(super) fn of(
        pipeline: &Pipeline,
        job: Option<&PipelineJob>,
        context: &CompileContext<'_>,
    ) -> Result<Self, Report> {
        let levels = Levels::of(pipeline, job, context)?;
        let mut secrets = levels.values_that_are_secret(context);
        let mut all = levels.variables;
        let resolved = resolve(pipeline, &levels.declared, context)?;
        all.extend(resolved.clone());
        all.extend(context.environment.clone());
        secrets.extend(resolved);
        Ok(Self { all, secrets })
    }
}

/// The variables that are no secrets.
pub(super) fn visible(
    pipeline: &Pipeline,
    job: &PipelineJob,
    context: &CompileContext<'_>,
) -> Result<BTreeMap<String, String>, Report> {
    let levels = Levels::of(pipeline, Some(job), context)?;
    let is_secret = |name: &str| levels.masked.contains(name) || levels.declared.contains_key(name);
    let mut visible = levels.variables.clone();
    visible.extend(context.environment.clone());
    visible.retain(|name, _| !is_secret(name));
    Ok(visible)
}

/// All levels below the command line's.
#[derive(Default)]
struct Levels<'a> {
    variables: BTreeMap<String, String>,
    /// Names whose values have to be masked though no secret is declared for them.
    masked: BTreeSet<String>,
    /// Secrets that no higher level's variable stands before.
    declared: BTreeMap<&'a str, &'a Secret>,
}

impl<'a> Levels<'a> {
    fn of(
        pipeline: &'a Pipeline,
        job: Option<&'a PipelineJob>,
        context: &CompileContext<'_>,
    ) -> Result<Self, Report> {
        let mut levels = Self::default();
        for (name, remote) in &pipeline.remote_variables {
            levels.set(name, &remote.value);
            if remote.masked {
                levels.masked.insert(name.clone());
            }
        }
        levels.add(&pipeline.variables, &pipeline.secrets);
        if let Some(job) = job {
            levels.add_files(pipeline, job, context)?;
            levels.add(&job.variables, &job.secrets);
        }
        Ok(levels)
    }

    fn add(&mut self, variables: &BTreeMap<String, String>, secrets: &'a BTreeMap<String, Secret>) {
        variables.iter().for_each(|(name, value)| self.set(name, value));
        self.declared.extend(secrets.iter().map(|(name, secret)| (name.as_str(), secret)));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.declared.remove(name);
        self.masked.remove(name);
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// A file that gives a secret's name a value gives it a secret value.
    fn add_files(
        &mut self,
        pipeline: &Pipeline,
        job: &PipelineJob,
        context: &CompileContext<'_>,
    ) -> Result<(), Report> {
        let mut findings = Vec::new();
        for file in &job.env_files {
            let path = file.path.display();
            let read = context.secrets.env_file(&file.path).map_err(|error| error.to_string());
            let parsed = read.and_then(|text| {
                env_file::parse(&text).map_err(|error| format!("the file `{path}`, {error}"))
            });
            match parsed {
                Ok(variables) => {
                    for (name, value) in variables {
                        let is_secret =
                            self.declared.contains_key(name.as_str()) || self.masked.contains(&name);
                        self.set(&name, &value);
                        if is_secret {
                            self.masked.insert(name);
                        }
                    }
                }
                Err(message) => {
                    let finding = Finding::error(file.span, message);
                    findings.push(finding.help("a relative path counts from the project"));
                }
            }
        }
        if findings.is_empty() { Ok(()) } else { Err(pipeline.report(findings)) }
    }

    /// What is to be masked beside the declared secrets: also what the command line puts in its place.
    fn values_that_are_secret(&self, context: &CompileContext<'_>) -> BTreeMap<String, String> {
        let value = |name: &String| {
            let value = context.environment.get(name).or_else(|| self.variables.get(name))?;
            Some((name.clone(), value.clone()))
        };
        self.masked.iter().filter_map(value).collect()
    }
}

/// The values of the declared secrets; one that `--env` gives is not asked for elsewhere.
fn resolve(
    pipeline: &Pipeline,
    declared: &BTreeMap<&str, &Secret>,
    context: &CompileContext<'_>,
) -> Result<BTreeMap<String, String>, Report> {
    let mut values = BTreeMap::new();
    let mut findings = Vec::new();
    for (name, secret) in declared {
        let given = context.environment.get(*name).cloned().map(Ok);
        match given.unwrap_or_else(|| context.secrets.resolve(&secret.source)) {
            Ok(value) => {
                values.insert((*name).to_owned(), value);
            }
            Err(error) => findings.push(missing(name, secret, &error)),
        }
    }
    if findings.is_empty() { Ok(values) } else { Err(pipeline.report(findings)) }
}

/// The help does not speak of `--env`, although it would do: what is on a command line, everyone on the host can read.
fn missing(name: &str, secret: &Secret, error: &SecretError) -> Finding {
    let help = match &secret.source {
        SecretSource::Env(variable) => format!("set `{variable}` where jobwright is started"),
        SecretSource::File(_) => "put the file there; a relative path counts from the project".to_owned(),
    };
    Finding::error(secret.span, format!("no value for the secret `{name}`: {error}")).help(help)
}
