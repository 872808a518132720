//! Executes the examples of keys with the real program, and looks for what they say of their output. Not for what they show.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::examples::{copy, jobwright, lacks_docker};
use crate::reference::example::{Called, Example, Run};
use crate::reference::gitlab::{self, GitLab};
use crate::reference::{Entry, FOLDER, checked, file_of};
use crate::repository;
use crate::test::Setting;
use crate::test::processes;
use crate::test::summary::Tally;

const LIMIT: Duration = Duration::from_secs(2 * 60);

/// Runs those of all keys that do something, each in a copy of the folder and with a state directory of its own.
pub(crate) fn run_examples(setting: &Setting) -> Tally {
    let entries = match checked() {
        Ok(entries) => entries,
        Err(error) => return Tally::failed(format!("{error:#}")),
    };
    let mut tally = Tally::default();
    for Entry { table, key, example } in &entries {
        let Some(example) = example.as_ref().filter(|_| table.honours(key)) else { continue };
        let file = file_of(table, key);
        let name = Path::new(FOLDER).join(&file).display().to_string();
        if let Some(lacking) = lacks_docker(example.has_images(), setting) {
            tally.skipped.push(format!("{name}: {lacking}"));
            continue;
        }
        match try_example(example, &file, setting) {
            Ok(()) => tally.passed += 1,
            Err(error) => tally.failed.push(format!("{name}: {error:#}")),
        }
    }
    tally
}

fn try_example(example: &Example, file: &Path, setting: &Setting) -> Result<()> {
    let place = tempfile::tempdir()?;
    let project = place.path().join("project");
    copy(&repository::root().join(FOLDER), &project)?;
    let gitlab = example.text.contains(gitlab::CALLED).then(GitLab::start).transpose()?;
    if let Some(gitlab) = &gitlab {
        std::fs::write(project.join(file), gitlab.put_into(&example.text))?;
    }
    for run in &example.runs {
        let mut command = jobwright(setting, place.path())?;
        match &run.command {
            Called::Example(flags) => {
                command.args(["run", "-c"]).arg(file).args(shell_words::split(flags)?);
            }
            Called::Program(arguments) => {
                command.args(shell_words::split(arguments)?);
            }
        }
        command.current_dir(&project).envs(example.environment.iter().map(|(name, value)| (name, value)));
        try_run(run, &mut command)?;
    }
    Ok(())
}

fn try_run(run: &Run, command: &mut Command) -> Result<()> {
    let mut shown = Vec::new();
    let status = processes::run(command, LIMIT, |line| shown.push(line.to_owned()))?;
    let complain = |what: String| Err(anyhow::anyhow!("{what}; its output:\n{}", shown.join("\n")));
    if status.code() != Some(run.ends) {
        return complain(format!("it ended with {status}, not with {}", run.ends));
    }
    let mut lines = shown.iter();
    for text in &run.prints {
        if !lines.any(|line| line.contains(text)) {
            return complain(format!("`{text}` is not in its output, or not in that order"));
        }
    }
    for text in &run.hides {
        if shown.iter().any(|line| line.contains(text)) {
            bail!("`{text}` is in its output:\n{}", shown.join("\n"));
        }
    }
    Ok(())
}
