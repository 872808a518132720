//! What one setting is and where that came from. Not for how it is shown.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches};
use serde_json::Value;

use super::{ConfigFile, key};

/// A setting that holds.
#[derive(Debug)]
pub(crate) struct Holding {
    /// Its key in `config.toml`, which is its flag too.
    pub(crate) key: String,
    /// Its value; `null` when nothing is set, and `(hidden)` for a secret.
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// Where a value came from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag,
    /// The variable's name.
    Environment(String),
    /// A line of `config.toml`, from 1.
    File(PathBuf, usize),
    Default,
}

impl Holding {
    /// What `matches` say of `setting`.
    pub(super) fn of(setting: &Arg, matches: &ArgMatches, file: Option<&ConfigFile>) -> Self {
        let id = setting.get_id().as_str();
        let raw = matches.get_raw(id).into_iter().flatten();
        let texts: Vec<_> = raw.map(|text| text.to_string_lossy().into_owned()).collect();
        let origin = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => Origin::Flag,
            Some(ValueSource::EnvVariable) => Origin::Environment(
                setting.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            ),
            // The file's values are given to clap as defaults.
            _ => file
                .and_then(|file| Some(Origin::File(file.path.clone(), file.entry(key(setting))?.line)))
                .unwrap_or(Origin::Default),
        };
        Self { key: key(setting).to_owned(), value: shown(setting, texts), origin }
    }
}

fn shown(setting: &Arg, texts: Vec<String>) -> Value {
    // What `--help` must not show of the environment is a secret here too.
    if setting.is_hide_env_values_set() && !texts.is_empty() {
        return "(hidden)".into();
    }
    if setting.get_value_delimiter().is_some() {
        return texts.into();
    }
    match texts.into_iter().next() {
        None => Value::Null,
        Some(text) if super::file::takes_any_text(setting) => text.into(),
        Some(text) => bare(&text).unwrap_or_else(|| text.into()),
    }
}

/// A number or truth value as what it is.
fn bare(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(|value: &Value| value.is_number() || value.is_boolean())
}

#[cfg(test)]
mod tests {
    use clap::{ArgAction, Command, value_parser};

    use super::*;

    fn holding(setting: Arg, given: &[&str]) -> Holding {
        let command = Command::new("x").no_binary_name(true).arg(setting.clone());
        Holding::of(&setting, &command.get_matches_from(given), None)
    }

    #[test]
    fn a_value_is_shown_as_what_it_is() {
        let setting = |name: &'static str| Arg::new(name).long(name);
        let number = holding(setting("n").value_parser(value_parser!(u32)), &["--n", "7"]);
        assert_eq!((number.value, number.origin), (7.into(), Origin::Flag));
        assert_eq!(holding(setting("t"), &["--t", "7"]).value, "7");
        let list = setting("l").value_delimiter(',').action(ArgAction::Append);
        assert_eq!(
            holding(list.clone(), &["--l", "a,b", "--l", "c"]).value,
            serde_json::json!(["a", "b", "c"])
        );
        assert_eq!(holding(list, &[]).value, Value::Array(vec![]));
        let unset = holding(setting("u"), &[]);
        assert_eq!((unset.value, unset.origin), (Value::Null, Origin::Default));
    }

    #[test]
    fn a_secret_is_not_shown() {
        let token = Arg::new("token").long("token").env("JOBWRIGHT_TEST_NO_SUCH_TOKEN").hide_env_values(true);
        assert_eq!(holding(token.clone(), &["--token", "hunter2"]).value, "(hidden)");
        assert_eq!(holding(token, &[]).value, Value::Null);
    }
}
