//! The settings: flags over environment over `config.toml` over defaults (DESIGN section 8). A setting is an argument that has an
//! environment variable; its long flag is its key in the file. So each is said once, where its argument is, in `args` or in a
//! backend's own crate. Not for what a setting means.

mod file;
mod holding;

use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::args::{self, Cli};
use crate::failure::Failure;
use file::ConfigFile;
pub(crate) use holding::{Holding, Origin};

/// What was said on the command line, in the environment and in `config.toml`.
#[derive(Debug)]
pub(crate) struct Settings {
    matches: ArgMatches,
    file: Option<ConfigFile>,
}

impl Settings {
    /// Reads all three. Help, the version and wrong usage end the program here, whatever is in the file.
    ///
    /// # Errors
    /// When `config.toml` cannot be read or is wrong.
    pub(crate) fn parse() -> Result<(Cli, Self), Failure> {
        let settings = Self { matches: command().get_matches(), file: None };
        let cli = settings.cli();
        // An error in the file is to be shown as was asked for.
        cli.global.color.apply();
        if matches!(cli.command, args::Command::Completions { .. }) {
            return Ok((cli, settings));
        }
        let Some((path, bytes)) = file::read()? else { return Ok((cli, settings)) };
        let command = command();
        let file = ConfigFile::parse(path, &bytes, &settings_of(&command)).map_err(Failure::findings)?;
        let settings = Self { matches: with_defaults(command, &file).get_matches(), file: Some(file) };
        let cli = settings.cli();
        cli.global.color.apply();
        Ok((cli, settings))
    }

    fn cli(&self) -> Cli {
        Cli::from_arg_matches(&self.matches).unwrap_or_else(|error| error.format(&mut command()).exit())
    }

    /// Every setting, what it is and why. Complete only for `config show`, which alone takes all of them.
    pub(crate) fn holdings(&self) -> Vec<Holding> {
        let mut matches = &self.matches;
        while let Some((_, of_subcommand)) = matches.subcommand() {
            matches = of_subcommand;
        }
        let holding = |arg| Holding::of(arg, matches, self.file.as_ref());
        settings_of(&command()).iter().map(holding).collect()
    }
}

/// The whole command line. `config show` takes every setting's flag, so that it can say what a flag changes.
pub(crate) fn command() -> Command {
    let command = Cli::command();
    let settings: Vec<Arg> =
        settings_of(&command).into_iter().filter(|setting| !setting.is_global_set()).collect();
    command.mut_subcommand("config", |config| config.mut_subcommand("show", |show| show.args(settings)))
}

/// The same with what `config.toml` says in place of the defaults, as far as that can be read.
pub(crate) fn command_with_file() -> Command {
    let command = command();
    let Ok(Some((path, bytes))) = file::read() else { return command };
    match ConfigFile::parse(path, &bytes, &settings_of(&command)) {
        Ok(file) => with_defaults(command, &file),
        Err(_) => command,
    }
}

/// The settings of a command and its subcommands; those that several of them take, once.
fn settings_of(command: &Command) -> Vec<Arg> {
    fn collect(command: &Command, settings: &mut Vec<Arg>) {
        for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
            if !settings.iter().any(|known| key(known) == key(arg)) {
                settings.push(arg.clone());
            }
        }
        command.get_subcommands().for_each(|subcommand| collect(subcommand, settings));
    }
    let mut settings = Vec::new();
    collect(command, &mut settings);
    settings
}

fn is_setting(arg: &Arg) -> bool {
    arg.get_env().is_some() && arg.get_long().is_some()
}

/// How a setting is called in `config.toml`.
fn key(setting: &Arg) -> &str {
    setting.get_long().unwrap_or_default()
}

/// `command` with what the file says in place of its own defaults.
fn with_defaults(command: Command, file: &ConfigFile) -> Command {
    let command = command.mut_args(|arg| match file.entry(key(&arg)) {
        Some(entry) if is_setting(&arg) => arg.default_values(entry.values.clone()),
        _ => arg,
    });
    command.mut_subcommands(|subcommand| with_defaults(subcommand, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_fit_together() {
        command().debug_assert();
    }

    #[test]
    fn the_variable_of_a_setting_can_be_told_from_its_key() {
        for setting in settings_of(&command()) {
            let variable = setting.get_env().unwrap().to_str().unwrap();
            let expected = format!("JOBWRIGHT_{}", key(&setting).replace('-', "_").to_uppercase());
            // The one that is older than the rule: whoever builds the shim knows it by this name.
            assert!(variable == expected || variable == "JOBWRIGHT_SHIM", "--{}: {variable}", key(&setting));
        }
    }

    #[test]
    fn a_key_means_the_same_in_every_command() {
        fn check(command: &Command, settings: &[Arg]) {
            for arg in command.get_arguments().filter(|arg| is_setting(arg)) {
                let first = settings.iter().find(|known| key(known) == key(arg)).unwrap();
                assert_eq!(arg.get_env(), first.get_env(), "--{}", key(arg));
                assert_eq!(arg.get_default_values(), first.get_default_values(), "--{}", key(arg));
            }
            command.get_subcommands().for_each(|subcommand| check(subcommand, settings));
        }
        check(&command(), &settings_of(&command()));
    }

    #[test]
    fn what_the_file_says_is_the_default_of_every_command_that_takes_it() {
        let text =
            b"limit = 3\nbackend = 'process'\ncolor = 'never'\ndocker-ipv6 = true\nprocess-env = ['A', 'B']";
        let file = ConfigFile::parse("config.toml".into(), text, &settings_of(&command())).unwrap();
        let matches =
            with_defaults(command(), &file).get_matches_from(["jobwright", "run", "--backend", "docker"]);
        let cli = Cli::from_arg_matches(&matches).unwrap();
        assert!(matches!(cli.global.color, args::Color::Never));
        let args::Command::Run(run) = cli.command else { unreachable!() };
        assert_eq!((run.limit.unwrap().get(), run.backend.as_deref()), (3, Some("docker")));
        assert!(run.backends.docker.ipv6);
        assert_eq!(run.backends.process.host_environment, ["A", "B"]);
    }
}
