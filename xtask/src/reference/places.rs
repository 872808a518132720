//! Where each table's keys stand in a file: how the reference introduces them, and what must be around one of them for the check of files
//! to look at it. Not for the keys.

use anyhow::{Context, Result};
use jobwright_pipeline::Table;

/// Where the keys of one table stand.
pub(super) struct Place {
    table: &'static str,
    /// The chapter's heading.
    pub(super) title: &'static str,
    /// The chapter's first words.
    pub(super) about: &'static str,
    /// What stands before its keys in a job, or in the file.
    before: &'static str,
    /// What else must be there.
    siblings: &'static [&'static str],
    after: &'static str,
}

const STEP: &[&str] = &["stage: t", "script: ls"];

const PLACES: &[Place] = &[
    Place {
        table: "file",
        title: "The file",
        about: "Keys at the top of the file. Any other key there is a job's name, or with a `.` before it a template's.",
        before: "",
        siblings: &["stages: [t]", "j: {stage: t, script: ls}"],
        after: "",
    },
    Place {
        table: "job",
        title: "A job",
        about: "Keys of a job, and of a template.",
        before: "",
        siblings: STEP,
        after: "",
    },
    Place {
        table: "matrix",
        title: "`matrix`",
        about: "Keys of a job's `matrix` that is written as a mapping.",
        before: "matrix: {",
        siblings: &["values: {A: [1, 2]}"],
        after: "}",
    },
    Place {
        table: "service",
        title: "`services`",
        about: "Keys of one of a job's `services`.",
        before: "services: [{",
        siblings: &["image: x"],
        after: "}]",
    },
    Place {
        table: "ready",
        title: "`ready` of a service",
        about: "When a service counts as ready.",
        before: "services: [{image: x, ready: {",
        siblings: &[],
        after: "}}]",
    },
    Place {
        table: "cache",
        title: "`cache`",
        about: "Keys of a job's `cache`, or of each in a list of them. [Caches and artifacts](files.md) says the rest.",
        before: "cache: {",
        siblings: &["key: k", "paths: x"],
        after: "}",
    },
    Place {
        table: "artifacts",
        title: "`artifacts`",
        about: "Keys of a job's `artifacts`. [Caches and artifacts](files.md) says the rest.",
        before: "artifacts: {",
        siblings: &["paths: x"],
        after: "}",
    },
    Place {
        table: "retry",
        title: "`retry`",
        about: "Keys of a job's `retry` that is written as a mapping.",
        before: "retry: {",
        siblings: &["max: 1"],
        after: "}",
    },
    Place {
        table: "allow_failure",
        title: "`allow_failure`",
        about: "Keys of a job's `allow_failure` that is written as a mapping.",
        before: "allow_failure: {",
        siblings: &[],
        after: "}",
    },
    Place {
        table: "concurrency",
        title: "`concurrency`",
        about: "Keys of a job's `concurrency`.",
        before: "concurrency: {",
        siblings: &[],
        after: "}",
    },
    Place {
        table: "resources",
        title: "`resources`",
        about: "Keys of a job's `resources`.",
        before: "resources: {",
        siblings: &[],
        after: "}",
    },
    Place {
        table: "network",
        title: "`network`",
        about: "Keys of a job's `network`.",
        before: "network: {",
        siblings: &[],
        after: "}",
    },
    Place {
        table: "hook",
        title: "Commands on the host",
        about: "Keys of `job_bootstrap` and `job_cleanup` of a job, and of `bootstrap` and `cleanup` of the file.",
        before: "job_bootstrap: {",
        siblings: &["run: ls"],
        after: "}",
    },
    Place {
        table: "secret",
        title: "A secret",
        about: "Keys of each of `secrets`, of which there is one. [Secrets](secrets.md) says what is masked.",
        before: "secrets: {A: {",
        siblings: &[],
        after: "}}",
    },
    Place {
        table: "remote",
        title: "`remote_provider`",
        about: "Keys of the file's `remote_provider`.",
        before: "remote_provider: {",
        siblings: &["url: a", "project_id: 1", "access_token: $T"],
        after: "}",
    },
];

/// Where the keys of `table` stand.
///
/// # Errors
/// When nobody has said it yet.
pub(super) fn of(table: &Table) -> Result<&'static Place> {
    let found = PLACES.iter().find(|place| place.table == table.name);
    found.with_context(|| format!("the table `{}` has no place in {}", table.name, file!()))
}

impl Place {
    /// A whole file with `entry`, a key of this table with its value, and what must be around it; without one, only that.
    pub(super) fn file_with(&self, entry: Option<&str>) -> String {
        let key = entry.and_then(|entry| entry.split(':').next());
        let key_of = |line: &str| line.split(':').next().map(str::to_owned);
        let siblings = self.siblings.iter().filter(|line| key_of(line).as_deref() != key);
        let parts: Vec<&str> = siblings.copied().chain(entry).collect();
        match self.table {
            "file" => format!("{}\n", parts.join("\n")),
            "job" => format!("stages: [t]\na:\n  {}\n", parts.join("\n  ")),
            "remote" => {
                format!(
                    "stages: [t]\nj: {{stage: t, script: ls}}\n{}{}{}\n",
                    self.before,
                    parts.join(", "),
                    self.after
                )
            }
            _ => format!(
                "stages: [t]\na:\n  {}\n  {}{}{}\n",
                STEP.join("\n  "),
                self.before,
                parts.join(", "),
                self.after
            ),
        }
    }
}
