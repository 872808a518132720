//! The keys of a pipeline file as data: the checker looks keys up here, and so do the documentation and the schema. Not for the
//! rules about their values. Each key that does something has an example that is executed, `examples/keys/<table>/<key>.yaml`, from which
//! with the key's own words the reference is made (`cargo xtask reference`).

mod tables;

pub use tables::{
    ALLOW_FAILURE_KEYS, ARTIFACTS_KEYS, CACHE_KEYS, CONCURRENCY_KEYS, HOOK_KEYS, JOB_KEYS, MATRIX_KEYS,
    NETWORK_KEYS, PIPELINE_KEYS, READY_KEYS, REMOTE_KEYS, RESOURCES_KEYS, RETRY_KEYS, SECRET_KEYS,
    SERVICE_KEYS,
};

/// Whether a key does anything yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Now,
    /// It is part of the language, but this version cannot honour it: a file that uses it is refused rather than run without it.
    Later,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// How it is written.
    pub name: &'static str,
    /// Whether it does anything yet.
    pub support: Support,
    /// What it holds, a noun phrase that fits after "must be".
    pub holds: &'static str,
    /// What it is for, a sentence or more.
    pub about: &'static str,
    /// What it holds, for machines.
    pub form: Form,
}

/// The form of a value, as far as a schema can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text; a number or truth value counts as the text that is written.
    Text,
    /// A text that YAML takes for one.
    Name,
    /// `true` or `false`.
    Flag,
    /// A whole number from the first to the second.
    Whole(u32, u32),
    /// A duration such as `1h30m`, or whole seconds.
    Duration,
    /// A duration such as `1h30m`, or whole minutes.
    Minutes,
    /// A number of processors.
    Cores,
    /// A number of bytes.
    Size,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of values.
    List(&'static Form),
    /// A value or a list of values.
    OneOrMore(&'static Form),
    /// A mapping of any names to values.
    Map(&'static Form),
    /// A mapping of names to texts of any kind, nothing included.
    Variables,
    /// A mapping with these keys.
    Fields(&'static [Key]),
    /// Any of these.
    Either(&'static [Form]),
}

/// The keys that one kind of mapping may have.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// What the mapping is, one word: the folder of its keys' examples below `examples/keys/`.
    pub name: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// All tables: the file, the job, then what lies in them.
pub const TABLES: &[Table] = &[
    Table { name: "file", keys: PIPELINE_KEYS },
    Table { name: "job", keys: JOB_KEYS },
    Table { name: "matrix", keys: MATRIX_KEYS },
    Table { name: "service", keys: SERVICE_KEYS },
    Table { name: "ready", keys: READY_KEYS },
    Table { name: "cache", keys: CACHE_KEYS },
    Table { name: "artifacts", keys: ARTIFACTS_KEYS },
    Table { name: "retry", keys: RETRY_KEYS },
    Table { name: "allow_failure", keys: ALLOW_FAILURE_KEYS },
    Table { name: "concurrency", keys: CONCURRENCY_KEYS },
    Table { name: "resources", keys: RESOURCES_KEYS },
    Table { name: "network", keys: NETWORK_KEYS },
    Table { name: "hook", keys: HOOK_KEYS },
    Table { name: "secret", keys: SECRET_KEYS },
    Table { name: "remote", keys: REMOTE_KEYS },
];

impl Table {
    /// Whether a file may use `key` of this table: something honours it, and a key that leads to this table.
    #[must_use]
    pub fn honours(&self, key: &Key) -> bool {
        let tops = [PIPELINE_KEYS, JOB_KEYS];
        let reached =
            || tops.into_iter().any(|top| top == self.keys || tables_below(top, true).contains(&self.keys));
        key.support == Support::Now && reached()
    }
}

/// The tables that the keys of `table` lead to, or only those that `honoured` ones do.
fn tables_below(table: &'static [Key], honoured: bool) -> Vec<&'static [Key]> {
    let keys = table.iter().filter(|key| !honoured || key.support == Support::Now);
    keys.flat_map(|key| tables_in(key.form, honoured)).collect()
}

fn tables_in(form: Form, honoured: bool) -> Vec<&'static [Key]> {
    match form {
        Form::Fields(keys) => std::iter::once(keys).chain(tables_below(keys, honoured)).collect(),
        Form::List(form) | Form::OneOrMore(form) | Form::Map(form) => tables_in(*form, honoured),
        Form::Either(forms) => forms.iter().flat_map(|form| tables_in(*form, honoured)).collect(),
        _ => Vec::new(),
    }
}

/// The key `name` of `table`.
pub(crate) fn find<'a>(table: &'a [Key], name: &str) -> Option<&'a Key> {
    table.iter().find(|key| key.name == name)
}

/// The longest word in bytes that a suggestion is looked for; comparing costs the product of two lengths.
const LONGEST_WORD: usize = 100;

/// Of `candidates` the one that `word` was probably meant to be: at most a quarter of its letters differ, whatever their case.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let word = word.to_lowercase();
    let most = (word.chars().count() / 4).max(1);
    let length = word.chars().count();
    let measured = candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= most * 4)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate));
    let near = measured.filter(|(distance, _)| *distance <= most && *distance < length);
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_suggested_only_when_it_is_near() {
        let keys = || JOB_KEYS.iter().map(|key| key.name);
        assert_eq!(nearest("scripts", keys()), Some("script"));
        assert_eq!(nearest("Varaibles", keys()), Some("variables"));
        assert_eq!(nearest("sevices", keys()), Some("services"));
        assert_eq!(nearest("only", keys()), None);
        assert_eq!(nearest("before_script", keys()), None);
        assert_eq!(nearest("", keys()), None);
        assert_eq!(nearest("a", ["b"]), None);
    }

    #[test]
    fn no_table_has_a_key_twice() {
        for Table { keys: table, .. } in TABLES {
            for (at, key) in table.iter().enumerate() {
                assert!(table[..at].iter().all(|other| other.name != key.name), "{}", key.name);
            }
        }
    }

    #[test]
    fn every_table_that_a_key_leads_to_is_listed_with_a_name_of_its_own() {
        for below in [PIPELINE_KEYS, JOB_KEYS].into_iter().flat_map(|top| tables_below(top, false)) {
            let first = below[0].name;
            assert!(
                TABLES.iter().any(|table| table.keys == below),
                "the table of `{first}` is not in TABLES"
            );
        }
        for (at, table) in TABLES.iter().enumerate() {
            assert!(TABLES[..at].iter().all(|other| other.name != table.name), "{}", table.name);
        }
    }

    #[test]
    fn every_key_has_an_example_that_is_executed() {
        let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/keys");
        for table in TABLES {
            for key in table.keys.iter().filter(|key| table.honours(key)) {
                let file = examples.join(format!("{}/{}.yaml", table.name, key.name));
                assert!(
                    file.is_file(),
                    "the key `{}` of the table `{}` has no example: write examples/keys/{}/{}.yaml (examples/keys/README.md says how)",
                    key.name,
                    table.name,
                    table.name,
                    key.name
                );
            }
        }
    }
}
