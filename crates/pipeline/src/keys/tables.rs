//! All keys. A key that is part of the language but that nothing honours yet would stand as [`Support::Later`]; now there is none.

use crate::keys::{Form, Key, Support};

const fn now(name: &'static str, form: Form, holds: &'static str, about: &'static str) -> Key {
    Key { name, support: Support::Now, holds, about, form }
}

const TEXTS: Form = Form::OneOrMore(&Form::Text);
const NAMES: Form = Form::OneOrMore(&Form::Name);
const CODES: Form = Form::OneOrMore(&Form::Whole(1, 255));
const SECRETS_FORM: Form = Form::Map(&Form::Fields(SECRET_KEYS));
/// Variables of a matrix, each with its values.
const VALUES: Form = Form::OneOrMore(&Form::Map(&TEXTS));

const VARIABLES: &str = "a mapping of names to texts, such as `LEVEL: debug`";
const SECRETS: &str = "a mapping of names to sources, such as `TOKEN: {env: CI_TOKEN}`";
const HOOK: &str = "a mapping with `run`";
const DURATION: &str = "a duration such as `90s`, `10m`, `1h30m`, or whole seconds";
const EXIT_CODES: &str = "an exit code from 1 to 255 or a list of them";
const FLAG: &str = "`true` or `false`";
const PATHS: &str = "a path or a list of paths";

/// Keys of the whole file; any other top-level key is a job's name.
pub const PIPELINE_KEYS: &[Key] = &[
    now(
        "stages",
        Form::List(&Form::Name),
        "a list of names, such as `[build, test]`",
        "The stages, in the order in which they run. In the file that is run, `.name` stands for the stages of the included file of that \
         name.",
    ),
    now("variables", Form::Variables, VARIABLES, "Variables of every job."),
    now(
        "secrets",
        SECRETS_FORM,
        SECRETS,
        "Masked variables of every job, with where their values come from.",
    ),
    now(
        "include",
        TEXTS,
        "a list of file paths",
        "Other files whose jobs and settings belong to this pipeline; this file wins, then the last of them. A path counts from the file \
         that it is written in.",
    ),
    now(
        "bootstrap",
        Form::Fields(HOOK_KEYS),
        HOOK,
        "Commands on the host before the first job. When one fails, no job runs.",
    ),
    now(
        "cleanup",
        Form::Fields(HOOK_KEYS),
        HOOK,
        "Commands on the host after the last job, whatever became of the jobs; only beside `bootstrap`.",
    ),
    now(
        "remote_provider",
        Form::Fields(REMOTE_KEYS),
        "a mapping with `url`, `project_id` and `access_token`",
        "A GitLab project whose CI variables are variables of every job; those of the file win.",
    ),
];

/// Keys of a job.
pub const JOB_KEYS: &[Key] = &[
    now("stage", Form::Name, "the name of a stage", "The stage that the job belongs to."),
    now(
        "image",
        Form::Text,
        "the name of an image, such as `alpine:3.20`",
        "The image that the script runs in; a job that runs on the host needs none.",
    ),
    now(
        "script",
        TEXTS,
        "a list of commands",
        "The commands, in order; the first one that fails ends the job.",
    ),
    now(
        "workdir",
        Form::Text,
        "an absolute path, such as `/app`",
        "Where the project's files lie and the commands run; `/workspace` when not given.",
    ),
    now("variables", Form::Variables, VARIABLES, "Variables of this job; they win over the file's."),
    now("secrets", SECRETS_FORM, SECRETS, "Masked variables of this job, with where their values come from."),
    now(
        "timeout",
        Form::Duration,
        DURATION,
        "How long an attempt of the job may take, images, services and files included and commands on the host not; `0` is no limit.",
    ),
    now(
        "needs",
        NAMES,
        "the name of a job or a list of names",
        "Jobs that must have passed before this one begins; the name of a job with a matrix means all its variants.",
    ),
    now(
        "services",
        Form::List(&Form::Either(&[Form::Text, Form::Fields(SERVICE_KEYS)])),
        "a list of images or of mappings with `image`",
        "What runs beside the script, reached by its alias.",
    ),
    now(
        "extends",
        NAMES,
        "the name of a template or a list of names",
        "Templates or jobs whose keys the job takes over, the last one first; its own keys win, and variables and secrets are merged name \
         by name. A key that is `null` takes back what was inherited, and `0` or `[]` count as they stand; but in a file called \
         `local-ci.yaml` in one of its forms what is empty or zero is inherited, as in local-ci.",
    ),
    now(
        "matrix",
        Form::Either(&[VALUES, Form::Fields(MATRIX_KEYS)]),
        "a list of mappings of variables to values, or a mapping with `values`",
        "Variables whose combinations each make a job of their own, `JOB_VARIABLE.VALUE`. Each mapping is combined for itself.",
    ),
    now(
        "cache",
        Form::OneOrMore(&Form::Fields(CACHE_KEYS)),
        "a mapping with `key` and `paths`, or a list of them",
        "Files that later runs find again, kept under a key.",
    ),
    now(
        "artifacts",
        Form::Fields(ARTIFACTS_KEYS),
        "a mapping with `paths`",
        "Files that the run keeps and later jobs get.",
    ),
    now(
        "retry",
        Form::Either(&[Form::Whole(0, 10), Form::Fields(RETRY_KEYS)]),
        "a number from 0 to 10, or a mapping with `max`",
        "How often the job is tried again when it fails.",
    ),
    now(
        "parallel",
        Form::Flag,
        FLAG,
        "Whether the job runs beside all others from the start, holding none up; its failure still fails the run.",
    ),
    now(
        "network",
        Form::Fields(NETWORK_KEYS),
        "a mapping with `host_access` or `host_mode`",
        "How the job reaches the host's network.",
    ),
    now(
        "job_bootstrap",
        Form::Fields(HOOK_KEYS),
        HOOK,
        "Commands on the host before each attempt of the job. When one fails, the script does not run.",
    ),
    now(
        "job_cleanup",
        Form::Fields(HOOK_KEYS),
        HOOK,
        "Commands on the host after each attempt of the job, whatever became of it; only beside `job_bootstrap`.",
    ),
    now(
        "if",
        Form::Either(&[Form::Name, Form::Flag]),
        "a condition, such as `branch == \"main\"`",
        "When the job runs at all; otherwise it is skipped. Known are `vars.NAME`, `branch`, `commit`, `tag`, `event` and \
         `changed(\"src/**\")`; a variable that is not set is the empty text.",
    ),
    now(
        "allow_failure",
        Form::Either(&[Form::Flag, Form::Fields(ALLOW_FAILURE_KEYS)]),
        "`true`, `false`, or a mapping with `exit_codes`",
        "Whether the run passes, and later jobs run, although this job fails.",
    ),
    now(
        "after_script",
        TEXTS,
        "a list of commands",
        "Commands that run in the same image and workspace whatever became of the script, its cancellation included; their failure changes \
         nothing.",
    ),
    now("silence_timeout", Form::Duration, DURATION, "How long the job may print nothing; `0` is no limit."),
    now(
        "resources",
        Form::Fields(RESOURCES_KEYS),
        "a mapping with `cpu` or `memory`",
        "Limits on what the script may use.",
    ),
    now(
        "concurrency",
        Form::Fields(CONCURRENCY_KEYS),
        "a mapping with `limit` or `group`",
        "How many jobs of a group may run at a time.",
    ),
    now("backend", Form::Name, "the name of a backend, such as `docker`", "Where the job runs."),
    now(
        "env_file",
        TEXTS,
        PATHS,
        "Files with variables, one `NAME=VALUE` a line, the last file first; they win over the file's variables, the job's own win over \
         them. A relative path counts from the project.",
    ),
];

/// Keys of a service.
pub const SERVICE_KEYS: &[Key] = &[
    now("image", Form::Text, "the name of an image, such as `postgres:16`", "The service's image."),
    now(
        "alias",
        Form::Text,
        "a name out of letters, digits, `_`, `.` and `-`",
        "The name under which the job reaches it; the last part of the image's name when not given.",
    ),
    now("variables", Form::Variables, VARIABLES, "The service's variables; it does not get the job's."),
    now(
        "ready",
        Form::Fields(READY_KEYS),
        "a mapping with `command` or `timeout`",
        "When the service counts as ready, which the script waits for: when the command succeeds, else when the image's own health check \
         does, else when it runs.",
    ),
];

/// Keys of a service's readiness.
pub const READY_KEYS: &[Key] = &[
    now("command", Form::Text, "a command", "Run in the service with `/bin/sh` until it exits with 0."),
    now(
        "timeout",
        Form::Duration,
        DURATION,
        "How long the job waits for it before it fails; a minute when not given or `0`.",
    ),
];

/// Keys of a secret, of which there must be one.
pub const SECRET_KEYS: &[Key] = &[
    now(
        "env",
        Form::Text,
        "the name of an environment variable of the host",
        "The variable that holds the value.",
    ),
    now("file", Form::Text, "the path of a file", "The file that holds the value."),
];

/// Keys of commands on the host.
pub const HOOK_KEYS: &[Key] = &[
    now(
        "run",
        TEXTS,
        "a list of commands",
        "The commands, each in a shell of its own; the first one that fails stops the rest.",
    ),
    now(
        "timeout",
        Form::Minutes,
        "whole minutes, or a duration such as `90s` or `10m`",
        "How long they may take in all; five minutes when not given or `0`.",
    ),
];

/// Keys of a cache.
pub const CACHE_KEYS: &[Key] = &[
    now(
        "key",
        Form::Text,
        "a text such as `deps` or `deps-${VERSION}`",
        "What the files are kept under; jobs with one key share them. `${NAME}` is replaced by a variable of the job, `$$` by a `$`.",
    ),
    now(
        "paths",
        TEXTS,
        PATHS,
        "The directories to keep; a relative path counts from the working directory. An absolute one outside of it is kept where the job runs \
         in a container.",
    ),
    now(
        "policy",
        Form::Word(&["pull", "push", "pull-push"]),
        "`pull`, `push` or `pull-push`",
        "Whether the job takes the files, leaves them, or both, which is what it does when nothing is said.",
    ),
];

/// Keys of artifacts.
pub const ARTIFACTS_KEYS: &[Key] = &[
    now(
        "paths",
        TEXTS,
        PATHS,
        "What to keep, from the working directory on; `*`, `?`, `**`, `[a-z]` and `{a,b}` select many.",
    ),
    now(
        "when",
        Form::Word(&["on_success", "on_failure", "always"]),
        "`on_success`, `on_failure` or `always`",
        "After which ending of the job they are kept; `on_success` when not given.",
    ),
];

/// Keys of a job's network.
pub const NETWORK_KEYS: &[Key] = &[
    now(
        "host_access",
        Form::Flag,
        FLAG,
        "Whether the job reaches the host under the name `host.docker.internal`.",
    ),
    now(
        "host_mode",
        Form::Flag,
        FLAG,
        "Whether the job is on the host's own network; it can have no services then.",
    ),
];

/// Keys of a retry rule.
pub const RETRY_KEYS: &[Key] = &[
    now("max", Form::Whole(0, 10), "a number from 0 to 10", "How often the job is tried again at most."),
    now(
        "on",
        Form::OneOrMore(&Form::Word(&["infrastructure", "timeout", "out_of_memory"])),
        "`infrastructure`, `timeout`, `out_of_memory` or a list of them",
        "What it is tried again for; with neither this nor `exit_codes` for every failure.",
    ),
    now("exit_codes", CODES, EXIT_CODES, "Exit codes that it is tried again for."),
];

/// Keys of an allowed failure.
pub const ALLOW_FAILURE_KEYS: &[Key] =
    &[now("exit_codes", CODES, EXIT_CODES, "The exit codes that are allowed; any other failure is not.")];

/// Keys of a job's limits.
pub const RESOURCES_KEYS: &[Key] = &[
    now(
        "cpu",
        Form::Cores,
        "a number of processors such as `2`, `0.5` or `500m`",
        "How much processor time the script gets.",
    ),
    now(
        "memory",
        Form::Size,
        "a size such as `512Mi` or `2G`, or whole bytes",
        "How much memory it gets; a job that needs more is ended.",
    ),
];

/// Keys of a concurrency limit.
pub const CONCURRENCY_KEYS: &[Key] = &[
    now(
        "limit",
        Form::Whole(1, 10_000),
        "a number from 1 to 10000",
        "How many of them may run at a time; one when not given.",
    ),
    now(
        "group",
        Form::Text,
        "the name of a group",
        "The jobs that count together; all jobs that name it. The job's own name, with all variants of its matrix, when not given.",
    ),
];

/// Keys of a matrix that is written as a mapping.
pub const MATRIX_KEYS: &[Key] = &[
    now(
        "values",
        VALUES,
        "a mapping of variables to values, or a list of them",
        "The variables with their values.",
    ),
    now(
        "exclude",
        VALUES,
        "a mapping of variables to values, or a list of them",
        "Combinations to leave out: those that have all of an entry's values.",
    ),
    now(
        "max_parallel",
        Form::Whole(1, 1000),
        "a number from 1 to 1000",
        "How many of the combinations may run at a time.",
    ),
];

/// Keys of a remote provider.
pub const REMOTE_KEYS: &[Key] = &[
    now(
        "url",
        Form::Text,
        "the address of a GitLab server, such as `https://gitlab.example.org`",
        "The server; `https` when it names no scheme.",
    ),
    now(
        "project_id",
        Form::Whole(1, u32::MAX),
        "the number of a project",
        "The project whose variables are read.",
    ),
    now(
        "access_token",
        Form::Either(&[Form::Text, Form::Fields(SECRET_KEYS)]),
        "`$NAME`, or where it comes from, such as `{env: NAME}`",
        "The token to ask with; `$NAME` is an environment variable of the host.",
    ),
];
