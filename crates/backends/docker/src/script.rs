//! The shell script that a step's `commands` become, in the manner of Woodpecker (woodpecker.md 2.0), and the small program
//! that runs it as the container's first process. Not for what a step's secrets are (`environment`).
//!
//! A step gets the script as base64 in `CI_SCRIPT`, so an `entrypoint` of its own may run it with another shell. The image
//! needs `/bin/sh` and `base64`; without them the step fails with code 127 (upstream's pipe would report success).
//!
//! What [`FIRST_PROCESS`] does differently from upstream's `echo $CI_SCRIPT | base64 -d | /bin/sh -e`, and why:
//! - The script is not the shell's standard input. A command that reads its input would eat the commands after it, and the
//!   step would pass without having run them.
//! - The first process of a container ignores signals that it does not handle, so a plain shell would sit through the whole
//!   grace of a cancelled step. This one hands SIGTERM on to every process of the step and waits until they are gone.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::environment::{SCRIPT_FILE, SECRETS_FILE};

/// The longest `CI_SCRIPT`: Linux takes no single variable of 128 KiB or more.
const LONGEST_VARIABLE: usize = 120 * 1024;

/// Runs the script, hands signals on, and exits as the script did. `kill -1` is used by process 1 alone, which a shell can
/// only be in a process namespace of its own; there it reaches the container's other processes and nothing else.
const FIRST_PROCESS: &str = r#"if [ -f @SCRIPT_FILE@ ]; then script=@SCRIPT_FILE@; else script=-c; fi
if [ "$script" = -c ]; then text=$(echo "$CI_SCRIPT" | base64 -d) || exit; set -- -c "$text"; else set -- "$script"; fi
pass() { told=yes; if [ $$ -eq 1 ]; then kill -TERM -1; else kill -TERM "$main"; fi; } 2>/dev/null
trap pass TERM INT HUP
/bin/sh -e "$@" &
main=$!
while :; do wait "$main"; code=$?; kill -0 "$main" 2>/dev/null || break; done
if [ "$told" ] && [ $$ -eq 1 ]; then while kill -0 -1 2>/dev/null; do sleep 0.1 || sleep 1; (:); done 2>/dev/null; fi
exit "$code""#;

/// A step's script.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Script {
    text: String,
}

impl Script {
    /// The script for `commands`, to be run in `working_dir` (where it is not empty).
    pub(crate) fn new(commands: &[String], working_dir: &str) -> Self {
        let mut text = PREPARATION.replace("@SECRETS_FILE@", SECRETS_FILE);
        if !working_dir.is_empty() {
            let folder = quoted(working_dir);
            let _ = write!(text, "mkdir -p -- {folder}\ncd -- {folder}\n");
        }
        for command in commands {
            let _ = write!(text, "\nprintf '+ %s\\n' {}\n{command}\n", quoted(command));
        }
        Self { text }
    }

    /// The entrypoint that runs it.
    pub(crate) fn entrypoint() -> Vec<String> {
        vec!["/bin/sh".to_owned(), "-c".to_owned(), FIRST_PROCESS.replace("@SCRIPT_FILE@", SCRIPT_FILE)]
    }

    /// The value of `CI_SCRIPT`; none when the script is too long for a variable and has to go in as a file.
    pub(crate) fn variable(&self) -> Option<String> {
        let encoded = BASE64_STANDARD.encode(&self.text);
        Some(encoded).filter(|encoded| encoded.len() <= LONGEST_VARIABLE)
    }

    /// The script itself.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// What comes before the commands: secrets from their file, netrc, a clean environment.
const PREPARATION: &str = r#"if [ -f @SECRETS_FILE@ ]; then
. @SECRETS_FILE@
: > @SECRETS_FILE@
rm -f @SECRETS_FILE@
fi
if [ -n "$CI_NETRC_MACHINE" ]; then
(umask 077
printf 'machine %s\nlogin %s\npassword %s\n' "$CI_NETRC_MACHINE" "$CI_NETRC_USERNAME" "$CI_NETRC_PASSWORD" > "$HOME/.netrc"
chmod 0600 "$HOME/.netrc")
fi
unset CI_NETRC_USERNAME
unset CI_NETRC_PASSWORD
unset CI_SCRIPT
"#;

/// `text` as one word of a POSIX shell.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(commands: &[&str], working_dir: &str) -> Script {
        let commands: Vec<String> = commands.iter().map(|&command| command.to_owned()).collect();
        Script::new(&commands, working_dir)
    }

    // covers: woodpecker 63
    #[test]
    fn each_command_is_echoed_and_then_stands_as_it_was_written() {
        let text = script(&["go test ./...", "echo it's"], "/w/x y").text;
        let expected = "mkdir -p -- '/w/x y'\ncd -- '/w/x y'\n\nprintf '+ %s\\n' 'go test ./...'\ngo test ./...\n\nprintf '+ %s\\n' 'echo it'\\''s'\necho it's\n";
        assert!(text.ends_with(expected), "{text}");
    }

    #[test]
    fn the_variable_holds_the_whole_script() {
        let script = script(&["true"], "");
        let decoded = BASE64_STANDARD.decode(script.variable().unwrap()).unwrap();
        assert_eq!(decoded, script.text.as_bytes());
        assert!(!script.text.contains("mkdir"));
    }

    #[test]
    fn a_script_too_long_for_a_variable_has_none() {
        assert_eq!(script(&[&"x".repeat(LONGEST_VARIABLE)], "").variable(), None);
    }
}
