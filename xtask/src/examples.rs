//! Runs every example of `examples/` with the real program (those of single keys: `reference`), and this repository's own pipeline file
//! through the check of files. Not for what the examples show.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::reference;
use crate::repository;
use crate::test::Setting;
use crate::test::processes;
use crate::test::suites::{command_environment, find_program};
use crate::test::summary::Tally;

/// What an example needs to run.
struct Example {
    /// Its folder below `examples/`.
    folder: &'static str,
    /// Its file in that folder.
    file: &'static str,
    backend: &'static str,
    /// Variables that its secrets come from.
    environment: &'static [(&'static str, &'static str)],
    /// Programs without which it is skipped.
    programs: &'static [&'static str],
}

const EXAMPLES: [Example; 3] = [
    Example {
        folder: "linkcheck",
        file: ".jobwright.yaml",
        backend: "process",
        environment: &[("SIGNING_KEY", "an-example-key-and-no-secret")],
        programs: &["python3"],
    },
    Example {
        folder: "containers",
        file: "pipeline.yaml",
        backend: "docker",
        environment: &[("REGISTRY_TOKEN", "an-example-token-and-no-secret")],
        programs: &[],
    },
    Example {
        folder: "containers",
        file: "services.yaml",
        backend: "docker",
        environment: &[],
        programs: &[],
    },
];

const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Runs them, each in a copy of its folder with a state directory of its own.
pub(crate) fn run(setting: &Setting) -> Tally {
    let mut tally = Tally::default();
    for file in unlisted() {
        tally
            .failed
            .push(format!("{} is an example that xtask/src/examples.rs does not run", file.display()));
    }
    for example in &EXAMPLES {
        let name = format!("{}/{}", example.folder, example.file);
        if let Some(lacking) = lacking(example, setting) {
            tally.skipped.push(format!("{name}: {lacking}"));
            continue;
        }
        match try_example(example, setting) {
            Ok(()) => tally.passed += 1,
            Err(error) => tally.failed.push(format!("{name}: {error:#}")),
        }
    }
    tally.add(reference::run_examples(setting));
    match own_file(setting) {
        Ok(()) => tally.passed += 1,
        Err(error) => tally.failed.push(format!(".jobwright.yaml of this repository: {error:#}")),
    }
    tally
}

fn lacking(example: &Example, setting: &Setting) -> Option<String> {
    if let Some(program) = example.programs.iter().find(|program| find_program(program).is_none()) {
        return Some(format!("{program} is not installed"));
    }
    lacks_docker(example.backend == "docker", setting)
}

/// What an example lacks here that has images or none.
pub(crate) fn lacks_docker(needs_image: bool, setting: &Setting) -> Option<String> {
    let has = |name: &str| setting.environment.iter().any(|(known, _)| known == name);
    (needs_image && !(has("JOBWRIGHT_TEST_DOCKER_HOST") && has("JOBWRIGHT_TEST_IMAGE")))
        .then(|| "no Docker engine with the base image (--provision brings both)".to_owned())
}

fn try_example(example: &Example, setting: &Setting) -> Result<()> {
    let place = tempfile::tempdir()?;
    let project = place.path().join("project");
    copy(&repository::root().join("examples").join(example.folder), &project)?;
    let mut command = jobwright(setting, place.path())?;
    command.args(["run", "--backend", example.backend, "-c", example.file]);
    command.current_dir(&project).envs(example.environment.iter().copied());
    let mut shown = Vec::new();
    let status = processes::run(&mut command, LIMIT, |line| {
        println!("{line}");
        shown.push(line.to_owned());
    })?;
    for (name, value) in example.environment {
        if shown.iter().any(|line| line.contains(value)) {
            bail!("the secret {name} is in its output");
        }
    }
    if status.success() { Ok(()) } else { bail!("ended with {status}") }
}

/// The repository's own file is only checked: it runs the tests that run this.
fn own_file(setting: &Setting) -> Result<()> {
    let place = tempfile::tempdir()?;
    let mut command = jobwright(setting, place.path())?;
    command.arg("validate").current_dir(repository::root());
    let status = processes::run(&mut command, LIMIT, |line| println!("{line}"))?;
    if status.success() { Ok(()) } else { bail!("`jobwright validate` ended with {status}") }
}

/// The program that was built, with the state directory in `place`.
pub(crate) fn jobwright(setting: &Setting, place: &Path) -> Result<Command> {
    let program = repository::target().join("debug/jobwright");
    if !program.is_file() {
        bail!("{} is not built", program.display());
    }
    let mut command = Command::new(std::path::absolute(program)?);
    command.envs(command_environment(setting)).env("JOBWRIGHT_STATE_DIR", place.join("state"));
    Ok(command)
}

/// Pipeline files below `examples/` that nobody runs.
fn unlisted() -> Vec<PathBuf> {
    let sources = repository::sources("examples", &["yaml", "yml"]).unwrap_or_default();
    let listed =
        |path: &Path| EXAMPLES.iter().any(|e| path == Path::new("examples").join(e.folder).join(e.file));
    let known = |path: &Path| listed(path) || reference::is_of_a_key(path);
    sources.into_iter().map(|source| source.path).filter(|path| !known(path)).collect()
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.arg("-a").arg(from).arg(to);
    processes::output(&mut command, LIMIT).with_context(|| format!("failed to copy {}", from.display()))?;
    Ok(())
}
