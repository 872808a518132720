//! Runs the commands that `README.md` shows, so that they work when a stranger types them. Not for prose.
//!
//! Lines of `sh` blocks count, and lines of `console` blocks that begin with `$ `. A block under the comment
//! `<!-- not run: WHY -->` is left out, and the reason shown.

use std::time::Duration;

use anyhow::Result;
use clap::Parser;

use crate::repository;
use crate::test::Setting;
use crate::test::processes;
use crate::test::suites::{command_environment, find_program};
use crate::test::summary::Tally;

const LIMIT: Duration = Duration::from_secs(15 * 60);

/// A command of the page, or the reason why it is not run.
#[derive(Debug, PartialEq)]
enum Shown {
    Command(String),
    NotRun(String),
}

/// Runs each command of the README in the repository's root.
pub(crate) fn run(setting: &Setting) -> Tally {
    let path = repository::root().join("README.md");
    if !path.is_file() {
        return Tally::failed("there is no README.md");
    }
    let page = match repository::read(&path) {
        Ok(page) => page,
        Err(error) => return Tally::failed(format!("{error:#}")),
    };
    let mut tally = Tally::default();
    for shown in commands(&page) {
        match shown {
            Shown::NotRun(why) => tally.skipped.push(why),
            Shown::Command(command) => match try_command(setting, &command) {
                Ok(Some(why)) => tally.skipped.push(format!("`{command}`: {why}")),
                Ok(None) => tally.passed += 1,
                Err(error) => tally.failed.push(format!("`{command}`: {error:#}")),
            },
        }
    }
    if tally == Tally::default() {
        return Tally::failed("README.md shows no command");
    }
    tally
}

/// Runs one; answers with the reason when it is only read.
fn try_command(setting: &Setting, command: &str) -> Result<Option<String>> {
    let words = shell_words::split(command)?;
    if let [cargo, xtask, arguments @ ..] = words.as_slice()
        && (cargo.as_str(), xtask.as_str()) == ("cargo", "xtask")
    {
        // This is what runs now; it must not run itself again, but it must be a command that exists.
        crate::Command::try_parse_from(["xtask"].into_iter().chain(arguments.iter().map(String::as_str)))?;
        println!("`{command}` is read, not run: it is what runs now");
        return Ok(None);
    }
    if words.iter().any(|word| word == "clone" || word == "cd") {
        return Ok(Some("this is a clone already".to_owned()));
    }
    let shell = find_program("bash").unwrap_or_else(|| "/bin/sh".into());
    let state = tempfile::tempdir()?;
    let mut run = std::process::Command::new(shell);
    run.args(["-c", command]).current_dir(repository::root()).envs(command_environment(setting));
    // A stranger has no such variable: the program must find its shim by itself. Only its state is kept apart.
    run.env_remove("JOBWRIGHT_SHIM").env("JOBWRIGHT_STATE_DIR", state.path());
    let status = processes::run(&mut run, LIMIT, |line| println!("{line}"))?;
    if status.success() { Ok(None) } else { anyhow::bail!("ended with {status}") }
}

fn commands(page: &str) -> Vec<Shown> {
    let mut shown = Vec::new();
    let mut block = None;
    let mut not_run: Option<String> = None;
    let mut continued = String::new();
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            block = match block {
                None => Some(language.trim().to_owned()),
                Some(_) => {
                    not_run = None;
                    None
                }
            };
            continue;
        }
        let Some(language) = &block else {
            if let Some(why) = line.trim().strip_prefix("<!-- not run: ") {
                not_run = Some(why.trim_end_matches("-->").trim().to_owned());
            } else if !line.trim().is_empty() {
                not_run = None;
            }
            continue;
        };
        let command = match language.as_str() {
            "console" => line.strip_prefix("$ "),
            "sh" | "bash" | "shell" => Some(line),
            _ => None,
        };
        let Some(command) = command.or((!continued.is_empty()).then_some(line)) else { continue };
        if let Some(begun) = command.strip_suffix('\\') {
            continued.push_str(begun);
            continue;
        }
        let command = without_comment(&format!("{continued}{command}"));
        continued.clear();
        if !command.is_empty() {
            shown.push(match &not_run {
                Some(why) => Shown::NotRun(format!("`{command}`: {why}")),
                None => Shown::Command(command),
            });
        }
    }
    shown
}

fn without_comment(line: &str) -> String {
    let end = if line.starts_with('#') { 0 } else { line.find(" #").unwrap_or(line.len()) };
    line[..end].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lines_of_shell_blocks_and_what_follows_a_prompt() {
        let page = "```sh\n# first\ncargo xtask test --provision  # all\na \\\n  b\n```\n```console\n$ ls\nfile\n```\n```yaml\nx: 1\n```\n";
        let expected = ["cargo xtask test --provision", "a   b", "ls"].map(|c| Shown::Command(c.to_owned()));
        assert_eq!(commands(page), expected);
    }

    #[test]
    fn a_block_that_is_not_run_says_why_and_the_next_one_is_run_again() {
        let page = "<!-- not run: it installs -->\n```sh\ncargo install x\n```\n\n```sh\nls\n```\n";
        let expected =
            [Shown::NotRun("`cargo install x`: it installs".to_owned()), Shown::Command("ls".to_owned())];
        assert_eq!(commands(page), expected);
    }
}
