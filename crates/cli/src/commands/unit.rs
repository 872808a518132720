//! `jobwright unit`: a systemd unit for a command that runs long, which leaves its steps alone when it is stopped. Writes a text; installs
//! and starts nothing.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::args::UnitArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::sink;

pub(crate) fn run(args: &UnitArgs, state_dir: &Path) -> Result<Exit, Failure> {
    let failed = |what: &str, error| Failure::new(Exit::Unavailable, format!("{what}: {error}"));
    let unit = Unit {
        program: std::env::current_exe().map_err(|error| failed("this program's path", error))?,
        directory: std::env::current_dir().map_err(|error| failed("the current directory", error))?,
        state_dir: std::path::absolute(state_dir).map_err(|error| failed("the state directory", error))?,
        command: args.command.clone(),
        user: (!args.user && !rustix::process::geteuid().is_root())
            .then(|| rustix::process::geteuid().as_raw()),
        of_user: args.user,
    };
    let text = unit.text().map_err(|why| Failure::new(Exit::Invalid, why))?;
    let Some(output) = &args.output else {
        sink::say(text.trim_end());
        return Ok(Exit::Success);
    };
    let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(output);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::new(Exit::Invalid, format!("{}: {error}", output.display())))?;
    Ok(Exit::Success)
}

struct Unit {
    program: PathBuf,
    directory: PathBuf,
    state_dir: PathBuf,
    command: Vec<String>,
    /// As whom, when it is not whoever the service manager is.
    user: Option<u32>,
    /// For the service manager of a user.
    of_user: bool,
}

impl Unit {
    /// The unit's text, or why there can be none.
    fn text(&self) -> Result<String, String> {
        let words = [path(&self.program)?].into_iter().chain(self.command.iter().map(String::as_str));
        let command = words.map(quoted).collect::<Result<Vec<_>, _>>()?.join(" ");
        let description = unspecified(&self.command.join(" "));
        let environment = |name: &str, value: &str| quoted(&format!("{name}={value}"));
        let state_dir = environment("JOBWRIGHT_STATE_DIR", path(&self.state_dir)?)?;
        let user = self.user.map(|user| format!("User={user}\n")).unwrap_or_default();
        let target = if self.of_user { "default.target" } else { "multi-user.target" };
        let directory = unspecified(path(&self.directory)?);
        Ok(format!(
            "\
[Unit]
Description=Jobwright: {description}
Wants=network-online.target
After=network-online.target docker.service podman.socket

[Service]
Type=exec
ExecStart={command}
WorkingDirectory={directory}
Environment={state_dir}
{user}# Stopping ends this process only, which leaves its steps alone: those on the host are their shim's, containers their
# engine's. They go on, and whoever takes the run up again finds them with their output and exit status.
KillMode=process
Environment=JOBWRIGHT_ON_TERM=leave
SuccessExitStatus=143
# A step that its memory limit ends must not end the unit.
OOMPolicy=continue
# Limits of host steps are control groups beside this process's own.
Delegate=cpu memory pids
DelegateSubgroup=main

[Install]
WantedBy={target}
"
        ))
    }
}

fn path(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8, which a unit must be", path.display()))
}

/// A word of a command line (`systemd.service(5)`), whatever is in it.
fn quoted(word: &str) -> Result<String, String> {
    if word.contains(|c: char| c.is_control()) {
        return Err(format!("{word:?} has a character that a unit cannot carry"));
    }
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "$$");
    Ok(format!("\"{}\"", unspecified(&escaped)))
}

/// Without what systemd would put something else in place of.
fn unspecified(text: &str) -> String {
    text.replace('%', "%%").replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(command: &[&str]) -> Unit {
        Unit {
            program: "/usr/bin/jobwright".into(),
            directory: "/srv/my project".into(),
            state_dir: "/var/lib/jobwright".into(),
            command: command.iter().map(|&word| word.to_owned()).collect(),
            user: None,
            of_user: false,
        }
    }

    #[test]
    fn words_are_what_they_were_whatever_is_in_them() {
        let text = unit(&["run", "-e", "A=5 % of \"$X\" \\"]).text().unwrap();
        let line = "ExecStart=\"/usr/bin/jobwright\" \"run\" \"-e\" \"A=5 %% of \\\"$$X\\\" \\\\\"\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains("WorkingDirectory=/srv/my project\n"), "{text}");
        assert!(unit(&["run", "a\nExecStartPre=/bin/evil"]).text().is_err());
    }

    #[test]
    fn steps_outlive_the_unit() {
        let text = unit(&["run"]).text().unwrap();
        for line in ["KillMode=process", "Environment=JOBWRIGHT_ON_TERM=leave", "OOMPolicy=continue"] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn a_user_s_own_manager_has_its_own_target_and_no_user() {
        let own = Unit { of_user: true, ..unit(&["run"]) }.text().unwrap();
        assert!(own.contains("WantedBy=default.target") && !own.contains("User="), "{own}");
        let for_one = Unit { user: Some(1000), ..unit(&["run"]) }.text().unwrap();
        assert!(for_one.contains("\nUser=1000\n"), "{for_one}");
    }
}
