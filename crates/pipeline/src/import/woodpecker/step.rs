//! One step as a job. Not for when it runs (`when`) or after which others (`workflow`).

use super::environment::Environment;
use super::matrix::Variant;
use super::workflow::Container;
use crate::import::Notes;
use crate::import::document::{Job, Out};
use crate::import::node::{commands, flag, get, names_in, note_others, scalar, text, text_of};
use crate::text::shown;
use crate::yaml::Entry;

pub(in crate::import) const KNOWN: [&str; 15] = [
    "name",
    "image",
    "commands",
    "environment",
    "settings",
    "secrets",
    "directory",
    "depends_on",
    "when",
    "failure",
    "detach",
    "pull",
    "network_mode",
    "backend_options",
    "group",
];

/// The job `called` that does what `step` does.
pub(super) fn write(
    called: &str,
    step: &Container,
    variant: &Variant,
    services: &[Out],
    notes: &mut Notes,
) -> Job {
    let Container { name, keys, span } = step;
    let mut job = Job::new(called);
    if called.chars().count() > 200 {
        notes.wrong(*span, format!("the name `{}` is longer than 200 characters", shown(called)));
    }
    note_others(keys, &KNOWN, &format!("`{}`", shown(name)), notes);
    job.maybe("image", image(step, notes).map(Out::Text));
    let mut environment = Environment::read(keys, notes);
    for (name, value) in variant {
        if crate::check::check_variable_name(name).is_ok() && !environment.secrets.contains_key(name) {
            environment.variables.entry(name.clone()).or_insert_with(|| value.clone());
        }
    }
    environment.write(&mut job);
    let mut script = get(keys, "commands").map(|entry| commands(entry, notes)).unwrap_or_default();
    for (command, span) in &script {
        for read in names_in(command).filter(|name| *name == "CI" || name.starts_with("CI_")) {
            if !environment.variables.contains_key(read) {
                notes.reads_foreign(read, *span);
            }
        }
    }
    if script.is_empty() {
        plugin(&mut job, step, notes);
    } else {
        if let Some(directory) = get(keys, "directory").and_then(|entry| text_of(entry, notes)) {
            script.insert(0, (format!("cd '{}'", directory.replace('\'', "'\\''")), *span));
        }
        job.set("script", Out::texts(script.into_iter().map(|(command, _)| command)));
    }
    how_it_runs(&mut job, step, services, notes);
    job
}

fn image(step: &Container, notes: &mut Notes) -> Option<String> {
    let Some(entry) = get(&step.keys, "image") else {
        notes.wrong(step.span, format!("the step `{}` has no `image`", shown(&step.name)));
        return None;
    };
    let image = text_of(entry, notes)?;
    if image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        notes.wrong(entry.value.span, format!("`{}` is no name of an image", shown(image)));
        return None;
    }
    if image.contains('$') {
        notes.note_help(
            entry.value.span,
            format!("nothing is put into the image `{}`", shown(image)),
            "write the value",
        );
    }
    Some(image.to_owned())
}

/// A step without commands runs what its image starts with, which a job here has no word for. It stays as a job that does not run, with
/// its settings, so that somebody can say what it has to do.
fn plugin(job: &mut Job, step: &Container, notes: &mut Notes) {
    let image = get(&step.keys, "image").and_then(|entry| text(&entry.value)).unwrap_or_default();
    let name = shown(&step.name);
    let message = format!(
        "`{name}` runs the plugin `{}`, which is not carried over: the job does not run",
        shown(image)
    );
    notes.note_help(step.span, message, "write the commands, and take `if: false` out");
    job.comments.push("A plugin: say in `script` what it has to do, and take `if: false` out.".to_owned());
    job.set("script", Out::texts(["echo 'this was a plugin' >&2", "exit 1"]));
    job.leave_out();
}

/// Whether a step runs beside the others.
pub(super) fn is_detached(step: &Container) -> bool {
    get(&step.keys, "detach").and_then(|entry| flag(&entry.value)) == Some(true)
}

fn how_it_runs(job: &mut Job, step: &Container, services: &[Out], notes: &mut Notes) {
    let keys = &step.keys;
    let whose = shown(&step.name);
    if let Some(entry) = get(keys, "failure") {
        match text(&entry.value) {
            Some("ignore") => job.set("allow_failure", Out::flag(true)),
            Some("fail") => {}
            Some("cancel") => {
                notes.note(entry.key_span, format!("`failure: cancel` of `{whose}` is not carried over"))
            }
            _ => notes.wrong(entry.key_span, "`failure` must be `fail`, `ignore` or `cancel`"),
        }
    }
    if is_detached(step) {
        notes.note_help(
            step.span,
            format!("`{whose}` is detached: other jobs do not reach it by its name"),
            "make it a service of those that do",
        );
        job.detach();
        job.set("parallel", Out::flag(true));
    }
    for (key, why) in [("group", "use `depends_on`"), ("pull", "images are pulled when they are not there")] {
        if let Some(entry) = get(keys, key) {
            notes.note(entry.key_span, format!("`{key}` of `{whose}` is not carried over: {why}"));
        }
    }
    let mut host = false;
    if let Some(entry) = get(keys, "network_mode") {
        host = text(&entry.value) == Some("host") && services.is_empty();
        if host {
            job.set("network", Out::map([("host_mode", Out::flag(true))]));
        } else {
            notes.note(entry.key_span, format!("`network_mode` of `{whose}` is not carried over"));
        }
    }
    if !services.is_empty() && !host {
        job.set("services", Out::List(services.to_vec()));
    }
    if let Some(entry) = get(keys, "backend_options") {
        job.maybe("resources", resources(entry));
        notes.note(
            entry.key_span,
            format!("of `backend_options` of `{whose}` only limits of Kubernetes are carried over"),
        );
    }
}

/// The limits that a step has on Kubernetes.
fn resources(entry: &Entry) -> Option<Out> {
    let inner =
        |entry: &'_ Entry, key: &str| entry.value.entries().and_then(|entries| get(entries, key).cloned());
    let limits = inner(&inner(&inner(entry, "kubernetes")?, "resources")?, "limits")?;
    let part =
        |key| inner(&limits, key).and_then(|entry| scalar(&entry.value).map(|scalar| scalar.text.clone()));
    let is_cpu = |text: &String| {
        let digits = text.strip_suffix('m').unwrap_or(text);
        !digits.is_empty()
            && digits.len() <= 4
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.bytes().any(|byte| byte != b'0')
    };
    let is_memory = |text: &String| {
        let digits = text.strip_suffix("Mi").or_else(|| text.strip_suffix("Gi")).unwrap_or(text);
        (1..=6).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && digits.bytes().any(|byte| byte != b'0')
    };
    let mut parts = Vec::new();
    parts.extend(part("cpu").filter(is_cpu).map(|cpu| ("cpu", Out::text(cpu))));
    parts.extend(part("memory").filter(is_memory).map(|memory| ("memory", Out::text(memory))));
    (!parts.is_empty()).then(|| Out::map(parts))
}

/// The services of a workflow, each reached by its name.
pub(super) fn services(all: &[Container], notes: &mut Notes) -> Vec<Out> {
    let mut services = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for service in all {
        let Container { name, keys, span } = service;
        note_others(
            keys,
            &["name", "image", "environment", "ports", "settings", "secrets"],
            &format!("the service `{}`", shown(name)),
            notes,
        );
        let Some(image) = image(service, notes) else { continue };
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
            || !seen.insert(name)
        {
            notes.wrong(*span, format!("`{}` cannot be the name of a service, or two have it", shown(name)));
            continue;
        }
        let environment = Environment::read(keys, notes);
        for secret in environment.secrets.keys() {
            notes.note(
                *span,
                format!(
                    "the secret `{}` of the service `{}` is not carried over",
                    shown(secret),
                    shown(name)
                ),
            );
        }
        let mut service = vec![("image", Out::text(image)), ("alias", Out::text(name))];
        if !environment.variables.is_empty() {
            service.push(("variables", Out::variables(&environment.variables)));
        }
        services.push(Out::map(service));
    }
    if let Some(first) = all.first() {
        notes.note(
            first.span,
            "every job has services of its own: what one step leaves in them the next does not find",
        );
    }
    services
}
