//! What a case's step does, written once: as a POSIX shell script for a real backend (dash, bash and busybox understand it) and
//! as the acts that the dummy backend performs.

use std::fmt::Write as _;
use std::time::Duration;

use jobwright_model::Step;

use crate::StreamKind;
use crate::dummy::{Act, give_script};

/// Acts in order. A script that has none exits 0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Script {
    acts: Vec<Act>,
}

/// The line that [`Script::say_ready`] prints.
pub const READY: &str = "ready\n";

impl Script {
    /// A script without acts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes `bytes` to standard output.
    #[must_use]
    pub fn print(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Act::Print { to: StreamKind::Stdout, bytes: bytes.as_ref().to_vec() })
    }

    /// Writes `bytes` to standard error.
    #[must_use]
    pub fn complain(self, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Act::Print { to: StreamKind::Stderr, bytes: bytes.as_ref().to_vec() })
    }

    /// Writes [`READY`], the signal for which a case waits before it goes on.
    #[must_use]
    pub fn say_ready(self) -> Self {
        self.print(READY)
    }

    /// Writes `count` times `byte` to standard output, without the end of a line.
    #[must_use]
    pub fn fill(self, byte: u8, count: u64) -> Self {
        self.then(Act::Fill { to: StreamKind::Stdout, byte, count })
    }

    /// Writes the value of the variable `name`.
    #[must_use]
    pub fn print_variable(self, name: &str) -> Self {
        self.then(Act::PrintVariable(name.to_owned()))
    }

    /// Writes the file `path` of the working directory; the script exits 1 when there is none.
    #[must_use]
    pub fn print_file(self, path: &str) -> Self {
        self.then(Act::PrintFile(path.to_owned()))
    }

    /// Makes the file `path` in the working directory.
    #[must_use]
    pub fn write_file(self, path: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.then(Act::WriteFile { path: path.to_owned(), bytes: bytes.as_ref().to_vec() })
    }

    /// Waits until the file `path` exists in the working directory.
    #[must_use]
    pub fn await_file(self, path: &str) -> Self {
        self.then(Act::AwaitFile(path.to_owned()))
    }

    /// Does nothing for this many seconds.
    #[must_use]
    pub fn sleep(self, seconds: u64) -> Self {
        self.then(Act::Sleep(Duration::from_secs(seconds)))
    }

    /// Runs until something ends it.
    #[must_use]
    pub fn forever(self) -> Self {
        self.then(Act::Forever)
    }

    /// Writes `line` each second until something ends it.
    #[must_use]
    pub fn repeat(self, line: &str) -> Self {
        self.then(Act::Repeat { line: line.into(), every: Duration::from_secs(1) })
    }

    /// Has SIGTERM ignored from here on, by what the script starts too.
    #[must_use]
    pub fn ignore_term(self) -> Self {
        self.then(Act::IgnoreTerm)
    }

    /// On SIGTERM, makes the empty file `path` and exits with `code`.
    #[must_use]
    pub fn on_term(self, path: &str, code: u8) -> Self {
        self.then(Act::OnTerm { path: path.to_owned(), code })
    }

    /// Leaves a child behind that holds both streams open.
    #[must_use]
    pub fn leave_behind(self) -> Self {
        self.then(Act::LeaveBehind)
    }

    /// Leaves a child behind that writes `line` each second.
    #[must_use]
    pub fn leave_behind_writing(self, line: &str) -> Self {
        self.then(Act::LeaveBehindWriting { line: line.into(), every: Duration::from_secs(1) })
    }

    /// Takes memory until the limit ends it.
    #[must_use]
    pub fn fill_memory(self) -> Self {
        self.then(Act::FillMemory)
    }

    /// Exits with `code`.
    #[must_use]
    pub fn exit(self, code: u8) -> Self {
        self.then(Act::Exit(code))
    }

    /// Ends by `signal`.
    #[must_use]
    pub fn die(self, signal: i32) -> Self {
        self.then(Act::Die(signal))
    }

    fn then(mut self, act: Act) -> Self {
        self.acts.push(act);
        self
    }

    /// Makes `step` run this script: as its entrypoint, so that nothing is echoed, and as the dummy's script.
    pub fn put_into(&self, step: &mut Step) {
        step.entrypoint = vec!["/bin/sh".to_owned(), "-c".to_owned(), self.to_shell()];
        give_script(step, &self.acts);
    }

    /// The script as text for a POSIX shell.
    #[must_use]
    pub fn to_shell(&self) -> String {
        self.acts.iter().map(|act| shell(act) + "\n").collect()
    }
}

fn shell(act: &Act) -> String {
    match act {
        Act::Print { to, bytes } => format!("{}{}", printf(bytes), redirect(*to)),
        Act::Fill { to, byte, count } => {
            format!("head -c {count} /dev/zero | tr '\\000' '{}'{}", char::from(*byte), redirect(*to))
        }
        Act::FillLines { count } => format!("yes {} | head -c {count}", "y".repeat(79)),
        Act::PrintVariable(name) => format!("printf '%s' \"${{{name}-}}\""),
        Act::PrintFile(path) => format!("cat {} || exit 1", quoted(path)),
        Act::WriteFile { path, bytes } => format!("{} > {}", printf(bytes), quoted(path)),
        Act::AwaitFile(path) => format!("while [ ! -e {} ]; do sleep 0.05; done", quoted(path)),
        Act::Sleep(time) => format!("sleep {}", time.as_secs()),
        // In the background and waited for, as a shell runs its traps only between commands.
        Act::Forever => "sleep 1000000 & wait \"$!\"; wait".to_owned(),
        Act::Repeat { line, every } => repeat(line, *every),
        Act::IgnoreTerm => "trap '' TERM".to_owned(),
        Act::OnTerm { path, code } => {
            format!("on_term() {{ : > {}; exit {code}; }}; trap on_term TERM", quoted(path))
        }
        Act::LeaveBehind => "sleep 1000000 &".to_owned(),
        Act::LeaveBehindWriting { line, every } => format!("( {} ) &", repeat(line, *every)),
        // The shell itself, so that it is the step's own process that the limit ends.
        Act::FillMemory => "x=xxxxxxxxxxxxxxxx; while :; do x=$x$x; done".to_owned(),
        Act::Exit(code) => format!("exit {code}"),
        Act::Die(signal) => format!("kill -{signal} $$; sleep 1000000"),
    }
}

fn repeat(line: &[u8], every: Duration) -> String {
    format!("while :; do {}; sleep {}; done", printf(line), every.as_secs())
}

fn redirect(to: StreamKind) -> &'static str {
    match to {
        StreamKind::Stdout => "",
        StreamKind::Stderr => " >&2",
    }
}

/// `%b` with octal escapes is the one way to any byte, NUL included, on which dash, bash and busybox agree.
fn printf(bytes: &[u8]) -> String {
    let mut text = String::from("printf '%b' '");
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b" _.,:;/=+-".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "\\0{byte:03o}").expect("writing to a string does not fail");
        }
    }
    text.push('\'');
    text
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
