//! A temporary project with a pipeline file, and the real program run in it. Not for the files' contents.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::repository;

/// The release build.
pub(crate) struct Jobwright {
    program: PathBuf,
    shim: PathBuf,
}

impl Jobwright {
    /// The programs in cargo's release folder.
    pub(crate) fn find() -> Result<Self> {
        let folder = std::path::absolute(repository::target().join("release"))?;
        let (program, shim) = (folder.join("jobwright"), folder.join("jobwright-shim"));
        for file in [&program, &shim] {
            if !file.is_file() {
                bail!("{} is not built", file.display());
            }
        }
        Ok(Self { program, shim })
    }
}

/// A project folder, with a state directory of its own beside it. Both are gone when it is dropped.
pub(crate) struct Project<'a> {
    jobwright: &'a Jobwright,
    place: TempDir,
}

impl<'a> Project<'a> {
    /// A project with this pipeline file, on the disk that cargo builds on (a temporary folder may be memory).
    pub(crate) fn new(jobwright: &'a Jobwright, pipeline: &str) -> Result<Self> {
        let parent = repository::target().join("xtask");
        fs::create_dir_all(&parent)?;
        let place = tempfile::Builder::new().prefix("bench-").tempdir_in(std::path::absolute(parent)?)?;
        fs::create_dir(place.path().join("project"))?;
        fs::write(place.path().join("project/.jobwright.yaml"), pipeline)?;
        Ok(Self { jobwright, place })
    }

    /// The project's folder.
    pub(crate) fn folder(&self) -> PathBuf {
        self.place.path().join("project")
    }

    /// The state directory.
    pub(crate) fn state(&self) -> PathBuf {
        self.place.path().join("state")
    }

    /// Starts `jobwright run` with more arguments and variables.
    pub(crate) fn start(&self, arguments: &[&str], variables: &[(String, String)]) -> Result<Child> {
        let mut command = Command::new(&self.jobwright.program);
        command.arg("run").args(arguments).current_dir(self.folder());
        command.env("JOBWRIGHT_STATE_DIR", self.state()).env("JOBWRIGHT_SHIM", &self.jobwright.shim);
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        // A file, not a pipe: nobody reads while the run goes on.
        let stderr = File::create(self.stderr())?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        command.spawn().context("failed to start jobwright")
    }

    fn stderr(&self) -> PathBuf {
        self.place.path().join("stderr")
    }

    /// Waits for the end of a run that was started.
    ///
    /// # Errors
    /// With what it said, when it does not pass.
    pub(crate) fn finish(&self, mut child: Child) -> Result<()> {
        let status = child.wait().context("failed to wait for jobwright")?;
        if status.success() {
            return Ok(());
        }
        let said = fs::read(self.stderr()).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last: Vec<&str> = said.lines().rev().take(3).collect();
        bail!("jobwright ended with {status}: {}", last.into_iter().rev().collect::<Vec<_>>().join(" / "))
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// As [`Project::finish`].
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        self.finish(self.start(arguments, &[])?)
    }

    /// The files of that name in the state directory.
    pub(crate) fn state_files(&self, name: &str) -> Vec<PathBuf> {
        let walk = ignore::WalkBuilder::new(self.state()).standard_filters(false).build();
        let paths = walk.filter_map(|entry| entry.ok().map(ignore::DirEntry::into_path));
        paths.filter(|path| path.file_name().is_some_and(|found| found == name)).collect()
    }
}

/// A pipeline file of equal jobs.
pub(crate) fn equal_jobs(stages: usize, jobs_per_stage: usize, lines: &[&str]) -> String {
    let names: Vec<String> = (0..stages).map(|stage| format!("s{stage}")).collect();
    let mut file = format!("stages: [{}]\n", names.join(", "));
    for stage in 0..stages {
        for job in 0..jobs_per_stage {
            file.push_str(&format!("job-{stage}-{job}:\n  stage: s{stage}\n"));
            lines.iter().for_each(|line| file.push_str(&format!("  {line}\n")));
        }
    }
    file
}

/// A file of that size, one line repeated.
pub(crate) fn write_lines(path: &Path, line: &str, bytes: usize) -> Result<()> {
    let line = format!("{line}\n");
    fs::write(path, line.repeat(bytes / line.len()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_jobs_are_spread_over_the_stages() {
        let file = equal_jobs(2, 2, &["script: [\"true\"]"]);
        assert!(
            file.starts_with("stages: [s0, s1]\njob-0-0:\n  stage: s0\n  script: [\"true\"]\n"),
            "{file}"
        );
        assert_eq!(file.matches("stage: s1").count(), 2);
    }
}
