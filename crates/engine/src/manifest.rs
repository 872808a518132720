//! What a run is, in its folder (`run.json`): written once, before its first job, so that whoever takes the run over needs neither the
//! pipeline file, which may have changed meanwhile, nor the environment that it was started in.
//!
//! No secret is in it: each text that holds one is left out, and lies in the vault (`jobwright_journal::Vault`) under its place.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobwright_journal::Vault;
use jobwright_model::{Job, RunId};
use jobwright_runtime::{BootTime, secrets_of};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::around::JobsAround;
use crate::keep::JobFiles;
use crate::prepare::RunPlan;

/// The file's name in a run's folder.
pub(crate) const FILE: &str = "run.json";

/// The version of the file; another one is not read.
const FORMAT: u32 = 1;

/// What a run is.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Which jobs, and how to go through them.
    pub(crate) plan: RunPlan,
    /// The jobs that are to run, compiled.
    pub(crate) jobs: Vec<Job>,
    /// What runs before and after them.
    #[serde(default)]
    pub(crate) around: JobsAround,
    /// The time of phases that have one of their own, by job and place.
    pub(crate) phase_limits: PhaseLimits,
    /// Caches and artifacts, by job.
    pub(crate) kept: HashMap<String, JobFiles>,
    /// What the caches' keys are keys of; none for a run that brings no files.
    pub(crate) project: Option<String>,
    /// The project is a clone, which is removed with the run.
    pub(crate) is_clone: bool,
    /// How many jobs run at the same time.
    pub(crate) limit: usize,
    /// The environments of jobs that fail stay as they are.
    #[serde(default)]
    pub(crate) keep_failed: bool,
    /// When it was written: the run's beginning, as near as matters.
    #[serde(default)]
    pub(crate) begun: BootTime,
}

/// By the jobs' names and their phases' places.
pub(crate) type PhaseLimits = HashMap<String, Vec<(usize, Duration)>>;

/// A manifest that was read, and whether the values of the run's secrets were still there.
pub(crate) struct Found {
    pub(crate) manifest: Manifest,
    pub(crate) secrets_are_gone: bool,
}

/// Why a run cannot be written down, or not be read again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// It is no manifest.
    #[error("{} is damaged: {source}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// It is another version's.
    #[error(
        "{} was written by Jobwright {version} (format {found}); this one reads format {FORMAT}: resume the run with the program \
         that began it, or remove what it left with `jobwright clean`",
        .path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The program that wrote it.
        version: String,
    },
}

/// The file.
#[derive(Serialize, Deserialize)]
struct Document {
    format: u32,
    version: String,
    /// How many texts are left out.
    #[serde(default)]
    hidden: usize,
    manifest: Value,
}

impl Manifest {
    /// Writes it into the run's `folder`, whole or not at all, and its secrets into `vault`. Without a vault they are lost with this
    /// process.
    pub(crate) fn keep(
        &self,
        folder: &Path,
        run: &RunId,
        vault: Option<&Vault>,
    ) -> Result<(), ManifestError> {
        let path = folder.join(FILE);
        let damaged = |source| ManifestError::Damaged { path: path.clone(), source };
        let mut manifest = serde_json::to_value(self).map_err(damaged)?;
        let mut hidden = BTreeMap::new();
        let secrets = self.secrets();
        if !secrets.is_empty() {
            hide(&mut manifest, &secrets, &mut String::new(), &mut hidden);
        }
        if let Some(vault) = vault.filter(|_| !hidden.is_empty()) {
            let values = serde_json::to_vec(&hidden).map_err(damaged)?;
            let failed =
                |source| ManifestError::Io { path: vault.dir().to_owned(), action: "write into", source };
            vault.keep(run, &values).map_err(failed)?;
        }
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let document = Document { format: FORMAT, version, hidden: hidden.len(), manifest };
        let text = serde_json::to_vec(&document).map_err(damaged)?;
        write(&path, &text).map_err(|source| ManifestError::Io { path, action: "write", source })
    }

    /// Reads the one in the run's `folder`; none when the run never came so far.
    pub(crate) fn find(
        folder: &Path,
        run: &RunId,
        vault: Option<&Vault>,
    ) -> Result<Option<Found>, ManifestError> {
        let path = folder.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ManifestError::Io { path, action: "read", source }),
        };
        let damaged = |source| ManifestError::Damaged { path: path.clone(), source };
        let Document { format, version, hidden, mut manifest } =
            serde_json::from_slice(&text).map_err(damaged)?;
        if format != FORMAT {
            return Err(ManifestError::Version { path, found: format, version });
        }
        let values = if hidden == 0 { Some(BTreeMap::new()) } else { values(vault, run) };
        let secrets_are_gone = values.as_ref().is_none_or(|values| values.len() != hidden);
        for (place, value) in values.into_iter().flatten() {
            if let Some(hole) = manifest.pointer_mut(&place) {
                *hole = Value::String(value);
            }
        }
        let manifest = serde_json::from_value(manifest).map_err(damaged)?;
        Ok(Some(Found { manifest, secrets_are_gone }))
    }

    /// The values that no disk may hold.
    fn secrets(&self) -> Vec<String> {
        let jobs = self.jobs.iter().chain(self.around.jobs());
        let workflows = jobs.flat_map(|job| &job.phases).map(|phase| &phase.workflow);
        let values = workflows.flat_map(secrets_of).map(|(_, value)| value).filter(|value| !value.is_empty());
        let mut values: Vec<String> = values.map(str::to_owned).collect();
        values.sort();
        values.dedup();
        values
    }
}

/// What the vault has of the run; none when it is gone or cannot be read, which is told and no reason to show anything.
fn values(vault: Option<&Vault>, run: &RunId) -> Option<BTreeMap<String, String>> {
    let kept = vault?.fetch(run).unwrap_or_else(|error| {
        tracing::warn!(%run, %error, "the values of the run's secrets cannot be read");
        None
    })?;
    serde_json::from_slice(&kept).ok()
}

/// Takes the texts out that hold a secret, and notes them under their places (JSON pointers).
fn hide(value: &mut Value, secrets: &[String], place: &mut String, hidden: &mut BTreeMap<String, String>) {
    let length = place.len();
    match value {
        Value::String(text) if secrets.iter().any(|secret| text.contains(secret)) => {
            hidden.insert(place.clone(), std::mem::take(text));
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                place.push_str(&format!("/{index}"));
                hide(item, secrets, place, hidden);
                place.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                place.push_str(&format!("/{}", name.replace('~', "~0").replace('/', "~1")));
                hide(item, secrets, place, hidden);
                place.truncate(length);
            }
        }
        _ => {}
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text)?;
    fs::rename(draft, path)
}

#[cfg(test)]
mod tests {
    use jobwright_journal::StateDir;
    use jobwright_model::{Phase, Secret, Stage, Step, StepUuid, Workflow};

    use super::*;

    fn manifest(secret: &str) -> Manifest {
        let mut step = Step::new("build", StepUuid::new("s1").unwrap());
        step.environment.insert("a/b~c".into(), format!("x{secret}y"));
        step.environment.insert("PLAIN".into(), "seen".into());
        let secrets = vec![Secret { name: "TOKEN".into(), value: secret.into() }];
        let stages = vec![Stage { steps: vec![step] }];
        let workflow = Workflow { stages, secrets, ..Workflow::default() };
        let phase = Phase { backend: "process".into(), workflow, ..Phase::default() };
        let job = Job { name: "job".into(), phases: vec![phase], ..Job::default() };
        Manifest {
            plan: RunPlan::default(),
            jobs: vec![job],
            around: JobsAround::default(),
            phase_limits: HashMap::from([("job".into(), vec![(0, Duration::from_secs(3))])]),
            kept: HashMap::new(),
            project: None,
            is_clone: false,
            limit: 2,
            keep_failed: false,
            begun: BootTime::default(),
        }
    }

    struct World {
        folder: tempfile::TempDir,
        run: RunId,
        vault: Vault,
    }

    impl World {
        /// None where there is no file system in memory.
        fn new() -> Option<Self> {
            let folder = tempfile::tempdir().unwrap();
            let state = StateDir::open(&folder.path().join("state")).unwrap();
            let vault = Vault::of(&state)?;
            Some(Self { folder, run: RunId::generate(), vault })
        }

        fn text(&self) -> String {
            fs::read_to_string(self.folder.path().join(FILE)).unwrap()
        }
    }

    #[test]
    fn a_run_is_read_as_it_was_written_and_no_secret_is_on_the_disk() {
        let Some(world) = World::new() else { return println!("skipped secrets: no tmpfs here") };
        let written = manifest("hunter2");
        written.keep(world.folder.path(), &world.run, Some(&world.vault)).unwrap();
        assert!(world.text().contains("seen") && !world.text().contains("hunter2"), "{}", world.text());
        let found = Manifest::find(world.folder.path(), &world.run, Some(&world.vault)).unwrap().unwrap();
        assert!(!found.secrets_are_gone);
        assert_eq!(found.manifest.jobs, written.jobs);
        assert_eq!(found.manifest.phase_limits, written.phase_limits);
        world.vault.forget(&world.run).unwrap();
        let found = Manifest::find(world.folder.path(), &world.run, Some(&world.vault)).unwrap().unwrap();
        assert!(found.secrets_are_gone);
        assert_eq!(found.manifest.jobs[0].phases[0].workflow.secrets[0].value, "");
    }

    #[test]
    fn a_run_without_secrets_needs_no_vault() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        assert!(Manifest::find(folder.path(), &run, None).unwrap().is_none());
        manifest("").keep(folder.path(), &run, None).unwrap();
        assert!(!Manifest::find(folder.path(), &run, None).unwrap().unwrap().secrets_are_gone);
    }

    #[test]
    fn another_versions_run_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunId::generate();
        let later = r#"{"format":2,"version":"9.0.0","manifest":{"anything":1}}"#;
        fs::write(folder.path().join(FILE), later).unwrap();
        let error = Manifest::find(folder.path(), &run, None).err().unwrap().to_string();
        assert!(error.contains("Jobwright 9.0.0 (format 2)") && error.contains("jobwright clean"), "{error}");
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert!(Manifest::find(folder.path(), &run, None).err().unwrap().to_string().contains("is damaged"));
    }
}
