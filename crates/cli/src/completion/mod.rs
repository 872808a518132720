//! Completions in a shell: the script of each asks this program what could stand at the cursor, so that they know the jobs and stages of
//! the file that is meant and the runs of the state directory. Flags and commands come from `args`, as clap's engine for completions reads
//! them.
//!
//! Whatever is wrong, nothing is offered and nothing is said: a shell is no place for an error.

mod bash;
mod lists;
mod scripts;
mod typed;

use std::ffi::{OsStr, OsString};
use std::panic::catch_unwind;
use std::path::Path;

use clap::{Arg, Command};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};

use crate::settings;
use crate::show::sink::Out;
use lists::Lists;
use typed::Typed;

/// The first argument by which a shell's script asks; what follows is that shell's own.
pub(crate) const ASK: &str = "__complete";

/// The script that is to be read by `shell`; none for a shell whose script knows only flags and commands.
pub(crate) fn script(shell: Shell) -> Option<&'static str> {
    match shell {
        Shell::Bash => Some(scripts::BASH),
        Shell::Zsh => Some(scripts::ZSH),
        Shell::Fish => Some(scripts::FISH),
        _ => None,
    }
}

/// Answers a shell's script on standard output: one candidate a line, in the form that the script takes.
pub(crate) fn answer(arguments: Vec<OsString>) {
    // A panic would be a line in the middle of what somebody types.
    std::panic::set_hook(Box::new(|_| {}));
    if let Ok(Some(answer)) = catch_unwind(|| answer_of(&arguments)) {
        Out::new().write(&[answer.as_bytes()]);
    }
}

fn answer_of(arguments: &[OsString]) -> Option<String> {
    let (shell, rest) = arguments.split_first()?;
    let text = |argument: &OsString| argument.to_string_lossy().into_owned();
    let line = |line: String| line + "\n";
    match shell.to_str()? {
        "bash" => {
            let [typed, point, breaks] = rest else { return None };
            let (typed, point) = (text(typed), text(point).parse().ok()?);
            let line_of_bash = bash::Line::read(&typed, point);
            let found = candidates(line_of_bash.words.clone())?;
            let values =
                found.iter().filter_map(|found| line_of_bash.insertion(&value(found), &text(breaks)));
            Some(values.map(line).collect())
        }
        "zsh" => {
            let found = candidates(rest.to_vec())?;
            Some(found.iter().map(|found| line(for_zsh(&value(found), &help(found)))).collect())
        }
        "fish" => {
            let found = candidates(rest.to_vec())?;
            Some(found.iter().map(|found| line(for_fish(&value(found), &help(found)))).collect())
        }
        _ => None,
    }
}

fn value(candidate: &CompletionCandidate) -> String {
    candidate.get_value().to_string_lossy().into_owned()
}

fn help(candidate: &CompletionCandidate) -> String {
    let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
    help.lines().next().unwrap_or_default().replace('\t', " ")
}

/// A colon ends the value.
fn for_zsh(value: &str, help: &str) -> String {
    let value = value.replace('\\', "\\\\").replace(':', "\\:");
    if help.is_empty() { value } else { format!("{value}:{}", help.replace('\\', "\\\\")) }
}

fn for_fish(value: &str, help: &str) -> String {
    if help.is_empty() { value.to_owned() } else { format!("{value}\t{help}") }
}

/// What could stand in place of the last of `words`, the first of which is the program.
fn candidates(words: Vec<OsString>) -> Option<Vec<CompletionCandidate>> {
    let index = words.len().checked_sub(1)?;
    let mut command = settings::command_with_file();
    let lists = Lists::new(&Typed::read(&words), &command);
    command = with_lists(command, &lists, false);
    let directory = std::env::current_dir().ok();
    let is_begun = !words[index].is_empty();
    let mut found = complete(&mut command, words, index, directory.as_deref().map(Path::new)).ok()?;
    let is_flag = |found: &CompletionCandidate| found.get_value().as_encoded_bytes().starts_with(b"-");
    // Who has typed nothing yet is asked for a value where there is one; flags come with a `-`.
    let values_only = !is_begun && found.iter().any(|found| !is_flag(found));
    found.retain(|found| !(found.is_hide_set() || values_only && is_flag(found)));
    Some(found)
}

/// `command` with lists for the arguments that are names of jobs, stages and runs, in whatever command they stand.
fn with_lists(command: Command, lists: &Lists, newest: bool) -> Command {
    let command = command.mut_args(|arg| match Kind::of(&arg) {
        Some(kind) => {
            let lists = lists.clone();
            let cut = arg.get_value_delimiter();
            arg.add(ArgValueCompleter::new(move |current: &OsStr| {
                lists.starting_with(kind, newest, cut, current)
            }))
        }
        None => arg,
    });
    // Only these commands know the word `last`.
    command.mut_subcommands(|inner| {
        let newest = newest || inner.get_name() == "artifacts";
        with_lists(inner, lists, newest)
    })
}

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Job,
    Stage,
    Run,
    Execution,
}

impl Kind {
    /// By the name of its value, or its own.
    fn of(arg: &Arg) -> Option<Self> {
        let named = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
        match (named, arg.get_id().as_str()) {
            (Some("JOB"), _) | (Some("NAME"), "job" | "jobs") => Some(Self::Job),
            (Some("STAGE"), _) | (Some("NAME"), "stage" | "stages") => Some(Self::Stage),
            (Some("RUN"), _) => Some(Self::Run),
            (Some("EXECUTION"), _) => Some(Self::Execution),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments of `path`, a command's names, that are completed from lists.
    fn listed(path: &[&str]) -> Vec<(String, Kind)> {
        let mut command = settings::command();
        for name in path {
            command = command.find_subcommand(name).unwrap().clone();
        }
        let of = |arg: &Arg| Some((arg.get_id().to_string(), Kind::of(arg)?));
        command.get_arguments().filter_map(of).collect()
    }

    #[test]
    fn what_takes_a_job_a_stage_or_a_run_is_known_by_its_value() {
        let run = listed(&["run"]);
        assert!(run.contains(&("jobs".to_owned(), Kind::Job)), "{run:?}");
        assert!(run.contains(&("stages".to_owned(), Kind::Stage)), "{run:?}");
        let get = listed(&["artifacts", "get"]);
        assert!(get.contains(&("run".to_owned(), Kind::Run)), "{get:?}");
        let wait = listed(&["executions", "wait"]);
        assert!(wait.contains(&("id".to_owned(), Kind::Execution)), "{wait:?}");
    }

    #[test]
    fn a_shell_takes_values_as_they_are() {
        assert_eq!(for_zsh("a:b\\c", "x: y"), "a\\:b\\\\c:x: y");
        assert_eq!(for_zsh("a b", ""), "a b");
        assert_eq!(for_fish("a b", "stage t"), "a b\tstage t");
    }

    #[test]
    fn what_no_script_asks_has_no_answer() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        for asked in
            [&[][..], &["tcsh", "jobwright"], &["bash", "jobwright "], &["bash", "x", "-1", ""], &["zsh"]]
        {
            assert_eq!(answer_of(&words(asked)), None, "{asked:?}");
        }
    }
}
