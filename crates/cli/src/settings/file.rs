//! `config.toml`: where it lies, what it says, and everything that is wrong with it. Not for what wins over it.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command};
use jobwright_pipeline::{Finding, Report, Source, Sources, Span, nearest};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key;
use crate::exit::Exit;
use crate::failure::Failure;

/// The variable that names another file than the usual ones.
const VARIABLE: &str = "JOBWRIGHT_CONFIG";
/// The largest file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The settings of one file, checked: each is one that there is, and its argument takes the value.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    pub(super) path: PathBuf,
    entries: BTreeMap<String, Entry>,
}

/// What the file says of one setting.
#[derive(Debug)]
pub(super) struct Entry {
    /// As on the command line; more than one, or none, for a list only.
    pub(super) values: Vec<String>,
    /// From 1.
    pub(super) line: usize,
}

/// The file that holds, if there is one: `$JOBWRIGHT_CONFIG`, else the first of the usual places that has one.
///
/// # Errors
/// When it is there and cannot be read, or was named and is not there.
pub(super) fn read() -> Result<Option<(PathBuf, Vec<u8>)>, Failure> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = variable(VARIABLE) {
        let bytes = bytes_of(&path).map_err(|error| unreadable(&path, &error))?;
        return Ok(Some((path, bytes)));
    }
    for path in usual_places(variable) {
        match bytes_of(&path) {
            Ok(bytes) => return Ok(Some((path, bytes))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(unreadable(&path, &error)),
        }
    }
    Ok(None)
}

/// The user's own file, then that of the machine.
fn usual_places(variable: impl Fn(&str) -> Option<PathBuf>) -> impl Iterator<Item = PathBuf> {
    // A relative path is to be ignored, says the XDG specification.
    let xdg = variable("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let of_user = xdg.or_else(|| Some(variable("HOME")?.join(".config")));
    of_user.into_iter().chain([PathBuf::from("/etc")]).map(|folder| folder.join("jobwright/config.toml"))
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::new(
        Exit::NotFound,
        format!("the settings {path} cannot be read: {error} ({VARIABLE} names another file)"),
    )
}

impl ConfigFile {
    /// Reads what the file at `path` says of `settings`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn parse(path: PathBuf, bytes: &[u8], settings: &[Arg]) -> Result<Self, Report> {
        let source = Source::new(path.display().to_string(), String::from_utf8_lossy(bytes));
        let mut wrong = Vec::new();
        let mut entries = BTreeMap::new();
        match table(bytes) {
            Ok(table) => {
                for (key, value) in table.get_ref() {
                    match values(key, value, settings) {
                        Ok(values) => {
                            let line = source.position(key.span().start).line;
                            entries.insert(key.get_ref().to_string(), Entry { values, line });
                        }
                        Err(why) => wrong.push(why),
                    }
                }
            }
            Err(why) => wrong.push(why),
        }
        if wrong.is_empty() {
            return Ok(Self { path, entries });
        }
        let findings = wrong.into_iter().map(|wrong| wrong.in_file(&source)).collect();
        Err(Report::new(Arc::new(Sources::new(source)), findings))
    }

    /// What it says of the setting `key`.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }
}

/// Something that is wrong: where, what, and what would be right.
struct Wrong {
    at: Range<usize>,
    what: String,
    help: Option<String>,
}

impl Wrong {
    fn new(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), help: None }
    }

    fn help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    fn in_file(self, source: &Source) -> Finding {
        let finding = Finding::error(Span::new(source.id(), self.at.start, self.at.end), self.what);
        match self.help {
            Some(help) => finding.help(help),
            None => finding,
        }
    }
}

fn table(bytes: &[u8]) -> Result<Spanned<DeTable<'_>>, Wrong> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        Wrong::new(at..at, "it is not UTF-8 text")
    })?;
    DeTable::parse(text).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        Wrong::new(at, format!("it is not TOML: {}", error.message()))
    })
}

type Value<'a> = Spanned<DeValue<'a>>;

/// What is said of one setting, as on the command line.
fn values(key: &Spanned<impl AsRef<str>>, value: &Value<'_>, settings: &[Arg]) -> Result<Vec<String>, Wrong> {
    let name = key.get_ref().as_ref();
    let Some(setting) = settings.iter().find(|setting| super::key(setting) == name) else {
        return Err(Wrong::new(key.span(), format!("there is no setting `{name}`"))
            .help(instead_of(name, value, settings)));
    };
    match (value.get_ref(), setting.get_value_delimiter()) {
        (DeValue::Array(items), Some(delimiter)) => {
            items.iter().map(|item| checked(setting, item, Some(delimiter))).collect()
        }
        (_, Some(_)) => Err(wrong(setting, value, "must be a list of texts")),
        (_, None) => Ok(vec![checked(setting, value, None)?]),
    }
}

fn instead_of(name: &str, value: &Value<'_>, settings: &[Arg]) -> String {
    let keys = settings.iter().map(key);
    if value.get_ref().is_table()
        && let Some(example) =
            keys.clone().find(|key| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('-')))
    {
        return format!("there are no tables; write `{example} = …`");
    }
    match nearest(name, keys) {
        Some(key) => format!("did you mean `{key}`?"),
        None => "`jobwright config show` prints all that there are".to_owned(),
    }
}

/// One value as a text that the setting's own value parser takes. With a `delimiter` it is one item of a list.
fn checked(setting: &Arg, value: &Value<'_>, delimiter: Option<char>) -> Result<String, Wrong> {
    let wrong = |what: &str| wrong(setting, value, what);
    let is_flag = !setting.get_action().takes_values();
    let text = match value.get_ref() {
        DeValue::Boolean(said) if is_flag => return Ok(said.to_string()),
        _ if is_flag => return Err(wrong("must be true or false")),
        DeValue::String(text) => text.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => return Err(wrong("must be a single value")),
        _ if takes_any_text(setting) => return Err(wrong("must be a text, in quotes")),
        DeValue::Integer(digits) => i128::from_str_radix(digits.as_str(), digits.radix())
            .map_or_else(|_| digits.to_string(), |number| number.to_string()),
        DeValue::Float(digits) => digits.to_string(),
        DeValue::Boolean(said) => said.to_string(),
        DeValue::Datetime(time) => time.to_string(),
    };
    if delimiter.is_some_and(|delimiter| text.contains(delimiter)) {
        return Err(wrong("takes no comma within an item"));
    }
    match refusal(setting, &text) {
        None => Ok(text),
        Some(why) => Err(wrong(&format!("cannot be {text:?}: {why}"))),
    }
}

/// A value that is wrong; what the setting is for tells what would be right.
fn wrong(setting: &Arg, value: &Value<'_>, what: &str) -> Wrong {
    let wrong = Wrong::new(value.span(), format!("`{}` {what}", key(setting)));
    Wrong { help: setting.get_help().map(ToString::to_string), ..wrong }
}

/// Whether the setting is a text or a path, to which a number would be a mistake.
pub(super) fn takes_any_text(setting: &Arg) -> bool {
    let texts = [TypeId::of::<String>(), TypeId::of::<PathBuf>(), TypeId::of::<OsString>()];
    let parsed = setting.get_value_parser().type_id();
    texts.iter().any(|text| parsed == *text)
}

/// Why the setting's argument does not take `text`.
fn refusal(setting: &Arg, text: &str) -> Option<String> {
    let command = Command::new("config.toml").no_binary_name(true).arg(setting.clone());
    let error = command.try_get_matches_from([format!("--{}={text}", key(setting))]).err()?;
    Some(match (error.get(ContextKind::ValidValue), error.source()) {
        (Some(ContextValue::Strings(valid)), _) if !valid.is_empty() => {
            format!("it must be one of {}", valid.join(", "))
        }
        (_, Some(why)) => why.to_string(),
        _ => error.kind().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{command, settings_of};
    use super::*;

    fn parsed(text: &[u8]) -> Result<ConfigFile, String> {
        ConfigFile::parse("config.toml".into(), text, &settings_of(&command()))
            .map_err(|report| report.summary())
    }

    #[track_caller]
    fn check_wrong(text: &str, expected: &str) {
        let said = parsed(text.as_bytes()).unwrap_err();
        assert!(said.starts_with(&format!("config.toml:{expected}")), "{text}: {said}");
    }

    #[test]
    fn the_users_own_file_comes_before_the_machines() {
        let places = |variables: &[(&str, &str)]| {
            let variable =
                |name: &str| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into());
            usual_places(variable).map(|path| path.display().to_string()).collect::<Vec<_>>()
        };
        let machine = "/etc/jobwright/config.toml";
        assert_eq!(places(&[]), [machine]);
        let home = ("HOME", "/home/u");
        assert_eq!(places(&[home]), ["/home/u/.config/jobwright/config.toml", machine]);
        assert_eq!(places(&[home, ("XDG_CONFIG_HOME", "/x")]), ["/x/jobwright/config.toml", machine]);
        let relative = ("XDG_CONFIG_HOME", "x");
        assert_eq!(places(&[home, relative]), ["/home/u/.config/jobwright/config.toml", machine]);
    }

    #[test]
    fn every_form_of_value_is_read() {
        let text = "# mine\n\ndocker-stop-timeout = 0x10\nlimit = '2'\nprocess-run-as = 1_000\ndocker-ipv6 = false\n\
                    docker-tls-verify = true\ndocker-volumes = []\nprocess-env = [\n 'A',\n 'B',\n]\n";
        let file = parsed(text.as_bytes()).unwrap();
        let values = |key| file.entry(key).unwrap().values.join("|");
        assert_eq!(["docker-stop-timeout", "limit", "process-run-as"].map(values), ["16", "2", "1000"]);
        assert_eq!(["docker-ipv6", "docker-tls-verify", "docker-volumes"].map(values), ["false", "true", ""]);
        assert_eq!((values("process-env"), file.entry("process-env").unwrap().line), ("A|B".to_owned(), 9));
        assert!(file.entry("backend").is_none());
        for nothing in ["", "\u{feff}# nothing\n"] {
            assert!(parsed(nothing.as_bytes()).unwrap().entries.is_empty());
        }
    }

    #[test]
    fn a_key_that_is_not_known_is_an_error_that_names_the_nearest() {
        check_wrong(
            "docker_host = 'x'",
            "1:1: error: there is no setting `docker_host` (did you mean `docker-host`?)",
        );
        check_wrong(
            "limit = 1\n [docker]\nhost = 'x'",
            "2:3: error: there is no setting `docker` (there are no tables; write `docker-host = …`)",
        );
        check_wrong(
            "colour-of-my-hat = 1",
            "1:1: error: there is no setting `colour-of-my-hat` (`jobwright config show` prints all that there are)",
        );
        // A flag of a command is no setting.
        assert!(parsed(b"in-place = true").is_err());
    }

    #[test]
    fn a_value_that_its_argument_does_not_take_is_an_error_that_says_what_it_takes() {
        check_wrong(
            "docker-pull = 'often'",
            "1:15: error: `docker-pull` cannot be \"often\": it must be one of missing, always, never (When images are pulled)",
        );
        check_wrong(
            "limit = 0",
            "1:9: error: `limit` cannot be \"0\": number would be zero for non-zero type (How many jobs may run",
        );
        check_wrong(
            "docker-stop-timeout = 1.5",
            "1:23: error: `docker-stop-timeout` cannot be \"1.5\": invalid digit found in string (Seconds between",
        );
        check_wrong("state-dir = 7", "1:13: error: `state-dir` must be a text, in quotes");
        check_wrong("docker-ipv6 = 'yes'", "1:15: error: `docker-ipv6` must be true or false");
        check_wrong("limit = [1]", "1:9: error: `limit` must be a single value");
        check_wrong("process-env = 'A,B'", "1:15: error: `process-env` must be a list of texts");
        check_wrong("process-env = ['A', 7]", "1:21: error: `process-env` must be a text, in quotes");
        check_wrong("process-env = ['A,B']", "1:16: error: `process-env` takes no comma within an item");
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_but_not_after_what_is_no_toml() {
        let said = parsed(b"limit = 0\nlogs = 'x'\n").unwrap_err();
        assert_eq!(said.lines().count(), 2, "{said}");
        for (text, place) in
            [("limit = \n", "1:9"), ("a = 1\na = 2", "2:1"), ("limit", "1:6"), ("= 1", "1:1")]
        {
            let said = parsed(text.as_bytes()).unwrap_err();
            assert!(said.starts_with(&format!("config.toml:{place}: error: it is not TOML: ")), "{said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        let binary = parsed(b"log = '\xff'").unwrap_err();
        assert_eq!(binary, "config.toml:1:8: error: it is not UTF-8 text");
    }
}
