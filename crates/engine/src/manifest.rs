//! What a run is, in its folder (`run.json`): written once, before its first job, so that whoever takes the run over needs neither the
//! pipeline file, which may have changed meanwhile, nor the environment that it was started in.
//! No secret is in it (`jobwright_runtime::Sealed`).

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use jobwright_journal::Vault;
use jobwright_model::{Job, RunId};
use jobwright_runtime::{BootTime, DocumentError, Sealed, Unsealed, secret_values};
use serde::{Deserialize, Serialize};

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

impl Manifest {
    /// Writes it into the run's `folder`, and its secrets into `vault`. Without a vault they are lost with this process.
    pub(crate) fn keep(
        &self,
        folder: &Path,
        run: &RunId,
        vault: Option<&Vault>,
    ) -> Result<(), DocumentError> {
        let secrets = secret_values(self.jobs.iter().chain(self.around.jobs()));
        let path = folder.join(FILE);
        Sealed { path: &path, run, vault, format: FORMAT }.write(self, &secrets)
    }

    /// Reads the one in the run's `folder`; none when the run never came so far.
    pub(crate) fn find(
        folder: &Path,
        run: &RunId,
        vault: Option<&Vault>,
    ) -> Result<Option<Unsealed<Self>>, DocumentError> {
        let path = folder.join(FILE);
        Sealed { path: &path, run, vault, format: FORMAT }.read()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        assert_eq!(found.content.jobs, written.jobs);
        assert_eq!(found.content.phase_limits, written.phase_limits);
        world.vault.forget(&world.run).unwrap();
        let found = Manifest::find(world.folder.path(), &world.run, Some(&world.vault)).unwrap().unwrap();
        assert!(found.secrets_are_gone);
        assert_eq!(found.content.jobs[0].phases[0].workflow.secrets[0].value, "");
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
