//! The names of jobs, stages, runs and executions that there are, with a word on each. Read when they are asked for; nothing is made, and what cannot be
//! read has no names.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::engine::CompletionCandidate;
use jobwright_engine::find_config;
use jobwright_executor::ExecutionFolder;
use jobwright_model::{ExecutionId, RunId};
use jobwright_pipeline::{Pipeline, PipelineJob};

use super::Kind;
use super::typed::Typed;

/// The most runs that are offered, the newest first.
const MOST_RUNS: usize = 50;

/// From where names come.
#[derive(Debug, Clone)]
pub(super) struct Lists {
    config: Option<PathBuf>,
    project: PathBuf,
    state_dir: Option<PathBuf>,
}

impl Lists {
    /// What was `typed` says where to look, else the environment, `config.toml` or the default, which `command` knows.
    pub(super) fn new(typed: &Typed, command: &Command) -> Self {
        let state_dir = typed.state_dir.clone().or_else(|| {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some("state-dir"))?;
            let set = arg.get_env().and_then(std::env::var_os).filter(|value| !value.is_empty());
            set.or_else(|| arg.get_default_values().first().map(|value| value.to_os_string()))
                .map(PathBuf::from)
        });
        let project = typed.project.clone().unwrap_or_else(|| PathBuf::from("."));
        Self { config: typed.config.clone(), project, state_dir }
    }

    /// What may stand where `current` is typed; nothing with the sign `cut` inside, which would end it.
    pub(super) fn starting_with(
        &self,
        kind: Kind,
        newest: bool,
        cut: Option<char>,
        current: &OsStr,
    ) -> Vec<CompletionCandidate> {
        let Some(current) = current.to_str() else { return Vec::new() };
        let names = match kind {
            Kind::Job => self.jobs(current),
            Kind::Stage => self.stages(),
            Kind::Run => self.runs(newest),
            Kind::Execution => self.executions(),
        };
        let fits = |name: &str| name.starts_with(current) && !cut.is_some_and(|cut| name.contains(cut));
        let fitting = names.into_iter().filter(|(name, _)| fits(name));
        fitting.map(|(name, help)| CompletionCandidate::new(name).help(Some(help.into()))).collect()
    }

    fn pipeline(&self) -> Option<Pipeline> {
        let config = match &self.config {
            Some(config) => config.clone(),
            None => find_config(&std::path::absolute(&self.project).ok()?).ok()?,
        };
        // A pipe would be waited for.
        if !config.metadata().ok()?.is_file() {
            return None;
        }
        Pipeline::load(config).ok()
    }

    /// Each job by its name in the file; the variants of one with a matrix when more than its name is typed.
    fn jobs(&self, current: &str) -> Vec<(String, String)> {
        let Some(pipeline) = self.pipeline() else { return Vec::new() };
        let mut names: Vec<(String, String)> = Vec::new();
        for job in &pipeline.jobs {
            let name = if is_beyond(current, job) { &job.name } else { job.base() };
            if names.last().is_none_or(|(last, _)| last != name) {
                names.push((name.to_owned(), format!("job of the stage {}", job.stage)));
            }
        }
        names
    }

    fn stages(&self) -> Vec<(String, String)> {
        let Some(pipeline) = self.pipeline() else { return Vec::new() };
        let count = |stage: &String| pipeline.jobs.iter().filter(|job| job.stage == *stage).count();
        pipeline
            .stages
            .iter()
            .map(|stage| (stage.clone(), format!("stage of {} job(s)", count(stage))))
            .collect()
    }

    fn executions(&self) -> Vec<(String, String)> {
        let Some(state_dir) = &self.state_dir else { return Vec::new() };
        let entries = std::fs::read_dir(state_dir.join("executions")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut ids: Vec<String> = names.filter(|name| name.parse::<ExecutionId>().is_ok()).collect();
        ids.sort_unstable();
        ids.into_iter().take(MOST_RUNS).map(|id| (id, "execution".to_owned())).collect()
    }

    fn runs(&self, newest: bool) -> Vec<(String, String)> {
        let ids = self.state_dir.as_deref().map(run_ids).unwrap_or_default();
        let last = (newest && !ids.is_empty()).then(|| ("last".to_owned(), "the newest run".to_owned()));
        let runs = ids.into_iter().take(MOST_RUNS).map(|id| {
            let help = begun(&id);
            (id, help)
        });
        last.into_iter().chain(runs).collect()
    }
}

/// Whether more than the name of a job's matrix is typed.
fn is_beyond(current: &str, job: &PipelineJob) -> bool {
    job.variant.is_some() && current.len() > job.base().len() && current.starts_with(job.base())
}

/// The runs of a state directory, the newest first. It is not opened: that would make it.
fn run_ids(state_dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(state_dir.join("runs")).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| !ExecutionFolder::is_at(&entry.path()));
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut ids: Vec<String> = names.filter(|name| name.parse::<RunId>().is_ok()).collect();
    ids.sort_unstable_by(|one, other| other.cmp(one));
    ids
}

/// `20261129T210000Z-abcdef` begun: `run of 2026-11-29 21:00:00 UTC`.
fn begun(id: &str) -> String {
    let time: Option<Vec<&str>> =
        [0..4, 4..6, 6..8, 9..11, 11..13, 13..15].into_iter().map(|part| id.get(part)).collect();
    match time.as_deref() {
        Some([year, month, day, hour, minute, second]) => {
            format!("run of {year}-{month}-{day} {hour}:{minute}:{second} UTC")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(project: &Path) -> Lists {
        Lists { config: None, project: project.to_owned(), state_dir: Some(project.join("state")) }
    }

    fn names(lists: &Lists, kind: Kind, current: &str) -> Vec<String> {
        let found = lists.starting_with(kind, true, Some(','), current.as_ref());
        found.iter().map(|found| found.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn jobs_and_stages_are_those_of_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let text = "stages: [build, ship it]\nbuild it: {stage: build, script: x}\n'a,b': {stage: build, script: x}\n\
                    test: {stage: build, script: x, matrix: [{V: ['1', '2']}]}\n.template: {script: x}\n";
        std::fs::write(dir.path().join(".jobwright.yaml"), text).unwrap();
        let lists = lists(dir.path());
        assert_eq!(names(&lists, Kind::Job, ""), ["build it", "test"]);
        assert_eq!(names(&lists, Kind::Job, "test_"), ["test_V.1", "test_V.2"]);
        assert_eq!(names(&lists, Kind::Stage, "s"), ["ship it"]);
    }

    #[test]
    fn runs_are_those_of_the_state_directory_the_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["20261129T210000Z-aaaaaa", "20261130T000000Z-bbbbbb", "not-a-run"] {
            std::fs::create_dir_all(dir.path().join("state/runs").join(name)).unwrap();
        }
        let lists = lists(dir.path());
        assert_eq!(
            names(&lists, Kind::Run, ""),
            ["last", "20261130T000000Z-bbbbbb", "20261129T210000Z-aaaaaa"]
        );
        assert_eq!(begun("20261129T210509Z-aaaaaa"), "run of 2026-11-29 21:05:09 UTC");
    }

    #[test]
    fn executions_are_known_by_their_ids_and_are_no_runs() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("state/runs/20261129T210000Z-aaaaaa");
        std::fs::create_dir_all(&run).unwrap();
        std::fs::write(run.join("execution.json"), "{}").unwrap();
        std::fs::create_dir_all(dir.path().join("state/executions/.cancels")).unwrap();
        std::os::unix::fs::symlink(
            "../runs/20261129T210000Z-aaaaaa",
            dir.path().join("state/executions/nightly"),
        )
        .unwrap();
        let lists = lists(dir.path());
        assert_eq!(names(&lists, Kind::Execution, ""), ["nightly"]);
        assert!(names(&lists, Kind::Run, "").is_empty());
    }

    #[test]
    fn what_cannot_be_read_has_no_names() {
        let dir = tempfile::tempdir().unwrap();
        for kind in [Kind::Job, Kind::Stage, Kind::Run, Kind::Execution] {
            assert!(names(&lists(dir.path()), kind, "").is_empty());
        }
        std::fs::write(dir.path().join(".jobwright.yaml"), "stages: [").unwrap();
        assert!(names(&lists(dir.path()), Kind::Job, "").is_empty());
        assert!(!dir.path().join("state").exists());
    }
}
