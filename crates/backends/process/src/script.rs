//! The shell script that a step's `commands` become (woodpecker.md 2.0).
//!
//! Each command stands on lines of its own, so a trailing comment, an `&` or a here-document of one does not touch the next.
//! The shell reads the script from a file: what is on a command line is seen by every user of the host. The shim holds that file in
//! memory, unless it is long: making and removing a file costs about as much as a tenth of a spawn.

use std::path::Path;

use jobwright_shim::protocol::SCRIPT_DESCRIPTOR;

/// A script with more bytes than this lies in a file; an order to a shim is one line, of which both keep a copy.
pub(crate) const LONG: usize = 256 << 10;

/// A script that its shell finds on a descriptor: what it starts shall not have it.
pub(crate) fn on_descriptor(script: &str) -> String {
    format!("exec {SCRIPT_DESCRIPTOR}<&-\n{script}")
}

/// The script's text; `directory` is where the commands run, when that is not where the shell starts.
pub(crate) fn text(commands: &[String], directory: Option<&Path>) -> String {
    let mut script = format!("set -e\n{NETRC}");
    if let Some(directory) = directory {
        let directory = quoted(&directory.to_string_lossy());
        script.push_str(&format!("[ -d {directory} ] || mkdir -p {directory}\ncd {directory}\n"));
    }
    for command in commands {
        // The built-in `echo` of some shells would change backslashes.
        script.push_str(&format!("\nprintf '%s\\n' {}\n{command}\n", quoted(&format!("+ {command}"))));
    }
    script
}

/// Credentials for git and curl, in the file that they look for and not in the environment of every command.
const NETRC: &str = r#"if [ -n "${CI_NETRC_MACHINE-}" ]; then
  (umask 077; printf 'machine %s\nlogin %s\npassword %s\n' "$CI_NETRC_MACHINE" "${CI_NETRC_USERNAME-}" "${CI_NETRC_PASSWORD-}" > "$HOME/.netrc")
fi
unset CI_NETRC_USERNAME CI_NETRC_PASSWORD
"#;

/// The variable whose presence makes a step write that file.
pub(crate) const NETRC_VARIABLE: &str = "CI_NETRC_MACHINE";

/// `text` as one word of a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn run(commands: &[&str]) -> (i32, String) {
        let dir = tempfile::tempdir().unwrap();
        let commands: Vec<String> = commands.iter().map(|&command| command.to_owned()).collect();
        let script = dir.path().join("script");
        std::fs::write(&script, text(&commands, Some(&dir.path().join("it's here")))).unwrap();
        let output = Command::new("/bin/sh").arg(script).env("HOME", dir.path()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    // covers: woodpecker 63
    #[test]
    fn each_command_is_shown_as_it_was_written_and_run() {
        let (code, output) = run(&[r"printf '%s\n' 'a\tb' $HOME >/dev/null", "basename \"$PWD\""]);
        assert_eq!(
            (code, output.as_str()),
            (0, "+ printf '%s\\n' 'a\\tb' $HOME >/dev/null\n+ basename \"$PWD\"\nit's here\n")
        );
    }

    #[test]
    fn the_first_failure_ends_the_script_with_its_code() {
        let (code, output) = run(&["(exit 7)", "echo never"]);
        assert_eq!((code, output.as_str()), (7, "+ (exit 7)\n"));
    }

    #[test]
    fn a_test_that_does_not_hold_is_no_failure() {
        let (code, output) = run(&["false && echo never", "echo after"]);
        assert_eq!((code, output.as_str()), (0, "+ false && echo never\n+ echo after\nafter\n"));
    }

    // covers: local-ci 125
    #[test]
    fn comments_background_and_here_documents_stay_within_their_command() {
        let (code, output) =
            run(&["echo one # a comment", "true &", "cat <<EOF\ntext\nEOF", "X=1", "echo $X"]);
        let expected =
            "+ echo one # a comment\none\n+ true &\n+ cat <<EOF\ntext\nEOF\ntext\n+ X=1\n+ echo $X\n1\n";
        assert_eq!((code, output.as_str()), (0, expected));
    }

    #[test]
    fn credentials_go_into_the_file_and_out_of_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let commands = ["cat \"$HOME/.netrc\"; stat -c %a \"$HOME/.netrc\"; env".to_owned()];
        let script = dir.path().join("script");
        std::fs::write(&script, text(&commands, Some(dir.path()))).unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.arg(script).env_clear().env("HOME", dir.path()).env("PATH", "/usr/bin:/bin");
        shell.env("CI_NETRC_MACHINE", "forge").env("CI_NETRC_USERNAME", "me").env("CI_NETRC_PASSWORD", "pw");
        let output = String::from_utf8(shell.output().unwrap().stdout).unwrap();
        assert!(output.contains("machine forge\nlogin me\npassword pw\n600\n"), "{output}");
        assert!(!output.contains("CI_NETRC_PASSWORD="), "{output}");
    }
}
