//! The suites of a test run, in their order: what is quick to fail comes first. Not for installing what they
//! need.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::cargo_output::Reader;
use super::summary::Tally;
use super::{Setting, fuzz, leftovers, processes};
use crate::{checklist, examples, interfaces, layers, readme, reference, repository};

/// A named part of the test run.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Setting) -> Tally,
}

/// All of them.
pub(crate) const ALL: [Suite; 14] = [
    Suite { name: "fmt", run: fmt },
    Suite { name: "layers", run: |_| layers::run().into() },
    Suite { name: "checklist", run: |_| checklist::check().into() },
    Suite { name: "interfaces", run: |_| interfaces::check().into() },
    Suite { name: "reference", run: |_| reference::check().into() },
    Suite { name: "deny", run: deny },
    Suite { name: "clippy", run: clippy },
    Suite { name: "rustdoc", run: rustdoc },
    Suite { name: "binaries", run: binaries },
    Suite { name: "cargo", run: cargo_test },
    Suite { name: "examples", run: examples::run },
    Suite { name: "readme", run: readme::run },
    Suite { name: "leftovers", run: leftovers::run },
    Suite { name: "fuzz", run: fuzz::run },
];

/// Longer than any step takes on two cores with nothing built; a step that hangs ends here.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
const TEST_LIMIT: Duration = Duration::from_secs(25 * 60);

/// `cargo` in the repository's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    // Not the variable CARGO: that names the inner binary and hides a toolchain chosen by rustup.
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(repository::root());
    command
}

/// A command that passes when it ends with success; its output is shown.
pub(crate) fn passes(command: &mut Command, limit: Duration) -> Tally {
    let arguments: Vec<_> =
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let line = format!("{} {}", command.get_program().display(), arguments.join(" "));
    match processes::run(command, limit, |line| println!("{line}")) {
        Ok(status) if status.success() => Tally::passed(),
        Ok(status) => Tally::failed(format!("`{line}` ended with {status}")),
        Err(error) => Tally::failed(format!("`{line}`: {error:#}")),
    }
}

fn fmt(_: &Setting) -> Tally {
    passes(&mut cargo(&["fmt", "--all", "--check"]), BUILD_LIMIT)
}

fn clippy(_: &Setting) -> Tally {
    passes(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]), BUILD_LIMIT)
}

fn rustdoc(_: &Setting) -> Tally {
    passes(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"), BUILD_LIMIT)
}

/// Tests and examples start the real programs.
fn binaries(_: &Setting) -> Tally {
    passes(&mut cargo(&["build", "--workspace", "--bins"]), BUILD_LIMIT)
}

fn deny(_: &Setting) -> Tally {
    if find_program("cargo-deny").is_none() {
        return Tally::skipped("cargo-deny is not installed (`cargo install cargo-deny --locked`)");
    }
    let mut tally = passes(&mut cargo(&["deny", "check", "licenses", "bans", "sources"]), BUILD_LIMIT);
    tally.add(advisories());
    tally
}

/// The advisories come over the network; a machine that cannot reach them says so and fails nothing.
fn advisories() -> Tally {
    let mut unreachable = false;
    let outcome = processes::run(&mut cargo(&["deny", "check", "advisories"]), BUILD_LIMIT, |line| {
        unreachable |= line.contains("failed to fetch advisory database");
        println!("{line}");
    });
    match outcome {
        Ok(status) if status.success() => Tally::passed(),
        _ if unreachable => Tally::skipped("advisories: their database cannot be fetched from here"),
        Ok(status) => Tally::failed(format!("`cargo deny check advisories` ended with {status}")),
        Err(error) => Tally::failed(format!("`cargo deny check advisories`: {error:#}")),
    }
}

fn cargo_test(setting: &Setting) -> Tally {
    let tally = cargo_test_of(setting, "cargo-test.log", &[]);
    let failed: Vec<String> = tally.failed.iter().filter_map(|failure| test_name(failure)).collect();
    if failed.len() != tally.failed.len() || !(1..=MOST_AGAIN).contains(&failed.len()) {
        return tally;
    }
    println!("\nonce more, by themselves: {}", failed.join(", "));
    let again = cargo_test_of(setting, "cargo-test-again.log", &failed);
    sort_out_flaky(tally, again)
}

/// When more tests than this fail, it is not the machine's mood.
const MOST_AGAIN: usize = 5;

/// The workspace's tests, or only those of the given names.
fn cargo_test_of(setting: &Setting, log: &str, only: &[String]) -> Tally {
    let mut command = cargo(&["test", "--workspace", "--no-fail-fast", "--", "--show-output"]);
    if !only.is_empty() {
        command.args(["--exact", "--test-threads", "1"]).args(only);
    }
    command.envs(command_environment(setting));
    match count(&mut command, &setting.logs.join(log)) {
        Ok(tally) => tally,
        Err(error) => Tally::failed(format!("`cargo test --workspace`: {error:#}")),
    }
}

/// The name in `name (binary)`; none for a failure that is no test's.
fn test_name(failure: &str) -> Option<String> {
    let (name, _) = failure.strip_suffix(')')?.split_once(" (")?;
    (!name.contains([' ', '`'])).then(|| name.to_owned())
}

/// A test that passed the second time is flaky, and one that did not, or did not run, has failed.
fn sort_out_flaky(first: Tally, again: Tally) -> Tally {
    let ran_all = again.passed as usize + again.failed.len() >= first.failed.len();
    let passed_now = |failure: &String| ran_all && !again.failed.contains(failure);
    let (flaky, failed): (Vec<_>, Vec<_>) = first.failed.into_iter().partition(passed_now);
    Tally { passed: first.passed + flaky.len() as u64, failed, flaky, ..first }
}

fn count(command: &mut Command, log: &Path) -> anyhow::Result<Tally> {
    let mut kept = File::create(log)?;
    let mut reader = Reader::default();
    let mut unwritten = None;
    let outcome = processes::run(command, TEST_LIMIT, |line| {
        if let Err(error) = writeln!(kept, "{line}") {
            unwritten = Some(error);
        }
        if reader.read(line) {
            println!("{line}");
        }
    });
    println!("the whole output is in {}", log.display());
    if let Some(error) = unwritten {
        println!("warning: {} is not complete: {error}", log.display());
    }
    let mut tally = reader.finish();
    match outcome {
        Ok(status) if status.success() => {}
        // A crash or a build failure shows no failed test; it is a failure all the same.
        Ok(status) if tally.failed.is_empty() => {
            tally.failed.push(format!("`cargo test` ended with {status}"))
        }
        Ok(_) => {}
        Err(error) => tally.failed.push(format!("`cargo test`: {error:#}")),
    }
    Ok(tally)
}

/// What tests, examples and README commands find in their environment: the `JOBWRIGHT_TEST_*` variables, the
/// shim that was built, and the Docker engine that was found or started.
pub(crate) fn command_environment(setting: &Setting) -> Vec<(String, String)> {
    let mut environment = setting.environment.clone();
    let shim = repository::target().join("debug/jobwright-shim");
    let shim = std::path::absolute(&shim).unwrap_or(shim);
    environment.push(("JOBWRIGHT_SHIM".to_owned(), shim.to_string_lossy().into_owned()));
    let docker = setting.environment.iter().find(|(name, _)| name == "JOBWRIGHT_TEST_DOCKER_HOST");
    environment.extend(docker.map(|(_, host)| ("DOCKER_HOST".to_owned(), host.clone())));
    environment
}

/// A program's path, also from where only root usually looks.
pub(crate) fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_the_second_time_is_flaky() {
        let first = Tally { passed: 5, failed: vec!["a::x (t)".into(), "b (t)".into()], ..Tally::default() };
        let again = Tally { passed: 1, failed: vec!["b (t)".into()], ..Tally::default() };
        let sorted = sort_out_flaky(first.clone(), again);
        assert_eq!(
            (sorted.passed, &sorted.flaky[..], &sorted.failed[..]),
            (6, &["a::x (t)".into()][..], &["b (t)".into()][..])
        );
        let nothing_ran = sort_out_flaky(first.clone(), Tally::default());
        assert_eq!(nothing_ran, first);
    }

    #[test]
    fn a_failure_of_the_build_is_no_tests_name() {
        assert_eq!(test_name("a::x (unittests src/lib.rs)").as_deref(), Some("a::x"));
        assert_eq!(test_name("`cargo test` ended with exit status: 101"), None);
    }
}
