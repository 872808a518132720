//! What was typed before the cursor, as far as a list needs it: which file, project and state directory are meant. Not for wrong usage:
//! what is not understood is passed over.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// Values of flags, the last one of each.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) config: Option<PathBuf>,
    pub(super) project: Option<PathBuf>,
    pub(super) state_dir: Option<PathBuf>,
}

impl Typed {
    /// Reads all words but the last, which is being typed.
    pub(super) fn read(words: &[OsString]) -> Self {
        let words = words.split_last().map(|(_, before)| before).unwrap_or_default();
        Self {
            config: value_of(words, Some("-c"), "--config"),
            project: value_of(words, Some("-C"), "--project"),
            state_dir: value_of(words, None, "--state-dir"),
        }
    }
}

/// `--flag value`, `--flag=value`, `-f value` or `-fvalue`.
fn value_of(words: &[OsString], short: Option<&str>, long: &str) -> Option<PathBuf> {
    let mut value = None;
    for (at, word) in words.iter().enumerate() {
        if word == "--" {
            break;
        }
        let bytes = word.as_bytes();
        if word == long || short.is_some_and(|short| word == short) {
            value = words.get(at + 1).cloned();
        } else if let Some(rest) =
            bytes.strip_prefix(long.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        {
            value = Some(OsStr::from_bytes(rest).to_owned());
        } else if let Some(rest) = short.and_then(|short| bytes.strip_prefix(short.as_bytes())) {
            value = Some(OsStr::from_bytes(rest.strip_prefix(b"=").unwrap_or(rest)).to_owned());
        }
    }
    value.map(|value| at_home(&value))
}

/// A shell has not yet put the home directory into what is typed.
fn at_home(path: &OsStr) -> PathBuf {
    match (path.as_bytes().strip_prefix(b"~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(OsString::from_vec(rest.to_vec())),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Typed {
        Typed::read(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_values_of_flags_are_found_in_every_form() {
        let expected = Typed {
            config: Some("f.yaml".into()),
            project: Some("dir".into()),
            state_dir: Some("/state".into()),
        };
        assert_eq!(typed("jobwright --state-dir /state run -c f.yaml -C dir -j "), expected);
        assert_eq!(typed("jobwright --state-dir=/state run --config=f.yaml --project dir -j "), expected);
        assert_eq!(typed("jobwright run --state-dir /state -cf.yaml -Cdir -j x"), expected);
    }

    #[test]
    fn what_is_being_typed_and_what_is_no_flag_count_for_nothing() {
        assert_eq!(typed("jobwright run -c f.yaml"), Typed::default());
        assert_eq!(typed("jobwright run -- -c f.yaml x"), Typed::default());
        assert_eq!(typed(""), Typed::default());
    }
}
