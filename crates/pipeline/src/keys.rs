//! The keys of a pipeline file as data: the checker looks keys up here, and so will the documentation and the schema. Not for the
//! rules about their values.

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
    /// What it is for, a sentence.
    pub about: &'static str,
}

const fn now(name: &'static str, holds: &'static str, about: &'static str) -> Key {
    Key { name, support: Support::Now, holds, about }
}

const fn later(name: &'static str, holds: &'static str, about: &'static str) -> Key {
    Key { name, support: Support::Later, holds, about }
}

const VARIABLES: &str = "a mapping of names to texts, such as `LEVEL: debug`";
const SECRETS: &str = "a mapping of names to sources, such as `TOKEN: {env: CI_TOKEN}`";

/// Keys of the whole file; any other top-level key is a job's name.
pub const PIPELINE_KEYS: &[Key] = &[
    now("stages", "a list of names, such as `[build, test]`", "The stages, in the order in which they run."),
    now("variables", VARIABLES, "Variables of every job."),
    now("secrets", SECRETS, "Masked variables of every job, with where their values come from."),
    now(
        "include",
        "a list of file paths",
        "Other files whose jobs and settings belong to this pipeline; this file wins, then the last of them.",
    ),
    later("bootstrap", "a mapping with `run`", "Commands on the host before the first job."),
    later("cleanup", "a mapping with `run`", "Commands on the host after the last job."),
    later("remote_provider", "a mapping with `url`", "Where variables come from over the network."),
];

/// Keys of a job.
pub const JOB_KEYS: &[Key] = &[
    now("stage", "the name of a stage", "The stage that the job belongs to."),
    now("image", "the name of an image, such as `alpine:3.20`", "The image that the script runs in."),
    now("script", "a list of commands", "The commands, in order; the first one that fails ends the job."),
    now("workdir", "an absolute path, such as `/app`", "Where the project's files lie and the commands run."),
    now("variables", VARIABLES, "Variables of this job; they win over the file's."),
    now("secrets", SECRETS, "Masked variables of this job, with where their values come from."),
    now(
        "timeout",
        "a duration such as `90s`, `10m`, `1h30m`, or whole seconds",
        "How long the job may take in all.",
    ),
    now(
        "needs",
        "the name of a job or a list of names",
        "Jobs that must have passed before this one begins.",
    ),
    now("services", "a list of images or of mappings with `image`", "What runs beside the script."),
    now(
        "extends",
        "the name of a template or a list of names",
        "Templates or jobs whose keys the job takes over, the last one first; its own keys win, and variables and secrets are merged name \
         by name. A key that is `null` takes back what was inherited, and `0` or `[]` count as they stand; but in a file called \
         `local-ci.yaml` in one of its forms what is empty or zero is inherited, as in local-ci.",
    ),
    later("matrix", "a list of mappings", "Variables whose combinations each make a job of their own."),
    later("cache", "a mapping with `key` and `paths`", "Files that later runs find again."),
    later("artifacts", "a mapping with `paths`", "Files that later jobs get."),
    later("retry", "a number of tries", "How often the job is tried again."),
    later("parallel", "`true` or `false`", "Whether the job runs beside all others."),
    later("network", "a mapping", "How the job reaches the host's network."),
    later("job_bootstrap", "a mapping with `run`", "Commands on the host before the job."),
    later("job_cleanup", "a mapping with `run`", "Commands on the host after the job."),
    later("if", "a condition", "When the job runs at all."),
    later("allow_failure", "`true` or `false`", "Whether the job's failure fails the run."),
    later("after_script", "a list of commands", "Commands that run whatever became of the script."),
    later("silence_timeout", "a duration", "How long the job may print nothing."),
    later("resources", "a mapping with `cpu` and `memory`", "Limits on what the job may use."),
    later("concurrency", "a mapping", "How many such jobs may run at a time."),
    later("backend", "the name of a backend", "Where the job runs."),
    later("env_file", "a path or a list of paths", "Files with variables."),
];

/// Keys of a service.
pub const SERVICE_KEYS: &[Key] = &[
    now("image", "the name of an image, such as `postgres:16`", "The service's image."),
    now(
        "alias",
        "a name out of letters, digits, `_`, `.` and `-`",
        "The name under which the job reaches it.",
    ),
    now("variables", VARIABLES, "The service's variables; it does not get the job's."),
    later("ready", "a mapping with `command`", "When the service counts as ready."),
];

/// Keys of a secret, of which there must be one.
pub const SECRET_KEYS: &[Key] = &[
    now("env", "the name of an environment variable of the host", "The variable that holds the value."),
    now("file", "the path of a file", "The file that holds the value."),
];

/// The key `name` of `table`.
pub(crate) fn find<'a>(table: &'a [Key], name: &str) -> Option<&'a Key> {
    table.iter().find(|key| key.name == name)
}

/// The longest word in bytes that a suggestion is looked for; comparing costs the product of two lengths.
const LONGEST_WORD: usize = 100;

/// Of `candidates` the one that `word` was probably meant to be: at most a quarter of its letters differ, whatever their case.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
        for table in [PIPELINE_KEYS, JOB_KEYS, SERVICE_KEYS, SECRET_KEYS] {
            for (at, key) in table.iter().enumerate() {
                assert!(table[..at].iter().all(|other| other.name != key.name), "{}", key.name);
            }
        }
    }
}
