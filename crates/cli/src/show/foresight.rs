//! What a run would do, for people and for programs. Not for what a run does: that comes as events.

use std::fmt::Write;

use jobwright_engine::{ForeseenCache, ForeseenJob, Foresight, Order, Waits};
use jobwright_pipeline::{AllowFailure, Retry};
use serde_json::{Value, json};

use super::harmless::harmless;

/// The form for programs: one object.
pub(crate) fn document(foresight: &Foresight) -> Value {
    json!({
        "configPath": foresight.config_path.display().to_string(),
        "projectPath": foresight.project.display().to_string(),
        "commit": foresight.commit,
        "branch": foresight.branch,
        "order": order(foresight.order).0,
        "limit": foresight.limit,
        "notFetched": foresight.not_fetched,
        "bootstrap": foresight.bootstrap,
        "cleanup": foresight.cleanup,
        "jobs": foresight.jobs.iter().map(job).collect::<Vec<_>>(),
    })
}

fn job(job: &ForeseenJob) -> Value {
    let services = job.services.iter().map(|(alias, image)| json!({"alias": alias, "image": image}));
    json!({
        "name": job.name,
        "stage": job.stage,
        "variantOf": job.variant_of,
        "detached": job.detached,
        "backend": job.backend,
        "image": job.image,
        "services": services.collect::<Vec<_>>(),
        "waitsFor": waits(&job.waits),
        "maxParallel": job.max_parallel,
        "concurrency": job.concurrency.as_ref().map(|it| json!({"group": it.group, "limit": it.limit})),
        "retry": retry(&job.retry),
        "allowFailure": allow_failure(&job.allow_failure),
        "caches": job.caches.iter().map(cache).collect::<Vec<_>>(),
        "artifacts": job.artifacts.as_ref().map(|it| json!({"paths": it.paths, "when": it.when.as_str()})),
        "bootstrap": job.bootstrap,
        "cleanup": job.cleanup,
        "notSelected": job.not_selected,
        "variables": job.variables,
        "secrets": job.secrets,
        "if": job.condition,
        "skipped": job.skipped,
    })
}

fn waits(waits: &Waits) -> Value {
    match waits {
        Waits::Nothing => json!("nothing"),
        Waits::Previous => json!("previous"),
        Waits::EarlierStages => json!("earlier stages"),
        Waits::Jobs(jobs) => json!({ "jobs": jobs }),
    }
}

fn retry(retry: &Retry) -> Value {
    let on: Vec<&str> = retry.on.iter().map(|kind| kind.as_str()).collect();
    match retry.max {
        0 => Value::Null,
        max => json!({"max": max, "on": on, "exitCodes": retry.exit_codes}),
    }
}

fn allow_failure(allowed: &AllowFailure) -> Value {
    match allowed {
        AllowFailure::Never => json!(false),
        AllowFailure::Always => json!(true),
        AllowFailure::ExitCodes(codes) => json!({ "exitCodes": codes }),
    }
}

fn cache(cache: &ForeseenCache) -> Value {
    json!({"key": cache.key, "paths": cache.paths, "policy": cache.policy.as_str()})
}

/// For programs, and for people.
fn order(order: Order) -> (&'static str, &'static str) {
    match order {
        Order::Sequential => ("sequential", "one after the other"),
        Order::Parallel => ("parallel", "all at once"),
        Order::ParallelStages => ("parallel-stages", "stage after stage"),
        Order::Needs => ("needs", "as their needs allow"),
    }
}

/// The form for people.
pub(crate) fn text(foresight: &Foresight) -> String {
    let at = match foresight.commit.get(..7) {
        Some(commit) => format!(" ({commit} on {})", foresight.branch),
        None => String::new(),
    };
    let (jobs, order) = (foresight.jobs.len(), order(foresight.order).1);
    let together = match foresight.order {
        Order::Sequential => String::new(),
        _ => format!(", at most {} at a time", foresight.limit),
    };
    let mut out = format!("{}{at}\n{jobs} job(s), {order}{together}\n", foresight.config_path.display());
    if let Some(provider) = &foresight.not_fetched {
        let _ = writeln!(out, "the variables of {provider} would be fetched; nothing was asked for now");
    }
    around(&mut out, "before all jobs, on this host", &foresight.bootstrap);
    foresight.jobs.iter().for_each(|job| lines(&mut out, job));
    around(&mut out, "after all jobs, on this host", &foresight.cleanup);
    harmless(&out)
}

/// Commands that run around all jobs.
fn around(out: &mut String, when: &str, commands: &[String]) {
    if !commands.is_empty() {
        let _ = writeln!(out, "\n{when}");
    }
    for command in commands {
        let _ = writeln!(out, "  {}", command.replace('\n', " "));
    }
}

fn lines(out: &mut String, job: &ForeseenJob) {
    let image = job.image.as_ref().map(|image| format!(", image {image}")).unwrap_or_default();
    let backend = job.backend.as_ref().map(|backend| format!(", {backend} backend")).unwrap_or_default();
    // Writing to a string does not fail, here and below.
    let _ = writeln!(out, "\n{}  (stage {}{backend}{image})", job.name, job.stage);
    let services: Vec<String> =
        job.services.iter().map(|(alias, image)| format!("{alias} ({image})")).collect();
    let told = [
        ("would be skipped: ", job.skipped.clone().unwrap_or_default()),
        ("", begins(job)),
        ("", beside(job)),
        ("", group(job)),
        ("not selected and not waited for: ", job.not_selected.join(", ")),
        ("if ", job.condition.clone().unwrap_or_default()),
        ("tried again ", tried_again(&job.retry)),
        ("may fail", may_fail(&job.allow_failure)),
        ("services: ", services.join(", ")),
        ("caches: ", job.caches.iter().map(cache_in_words).collect::<Vec<_>>().join("; ")),
        ("artifacts: ", artifacts(job)),
        ("on the host before: ", job.bootstrap.join("; ")),
        ("on the host after: ", job.cleanup.join("; ")),
        ("variables: ", job.variables.join(", ")),
        ("secrets: ", job.secrets.join(", ")),
    ];
    for (what, it) in told.iter().filter(|(_, it)| !it.is_empty()) {
        let _ = writeln!(out, "  {}", format!("{what}{it}").trim_end().replace('\n', " "));
    }
}

fn beside(job: &ForeseenJob) -> String {
    let Some(matrix) = &job.variant_of else { return String::new() };
    let most = job.max_parallel.map(|most| format!(", at most {most} at a time")).unwrap_or_default();
    format!("beside the other variants of {matrix}{most}")
}

fn group(job: &ForeseenJob) -> String {
    let Some(concurrency) = &job.concurrency else { return String::new() };
    format!("at most {} of the group {} at a time, in all runs", concurrency.limit, concurrency.group)
}

/// `up to 2 times (infrastructure, exit code 3)`.
fn tried_again(retry: &Retry) -> String {
    let times = match retry.max {
        0 => return String::new(),
        1 => "once".to_owned(),
        max => format!("up to {max} times"),
    };
    let kinds = retry.on.iter().map(|kind| kind.as_str().replace('_', " "));
    let codes = retry.exit_codes.iter().map(|code| format!("exit code {code}"));
    let what: Vec<String> = kinds.chain(codes).collect();
    if what.is_empty() { times } else { format!("{times} ({})", what.join(", ")) }
}

/// What stands behind "may fail"; nothing when it may not.
fn may_fail(allowed: &AllowFailure) -> String {
    match allowed {
        AllowFailure::Never => String::new(),
        AllowFailure::Always => " ".to_owned(),
        AllowFailure::ExitCodes(codes) => {
            let codes: Vec<String> = codes.iter().map(i32::to_string).collect();
            format!(" with exit code {}", codes.join(", "))
        }
    }
}

fn cache_in_words(cache: &ForeseenCache) -> String {
    format!("{} ({}): {}", cache.key, cache.policy.as_str(), cache.paths.join(", "))
}

fn artifacts(job: &ForeseenJob) -> String {
    let Some(artifacts) = &job.artifacts else { return String::new() };
    format!("{} ({})", artifacts.paths.join(", "), artifacts.when.as_str().replace('_', " "))
}

fn begins(job: &ForeseenJob) -> String {
    match &job.waits {
        _ if job.skipped.is_some() => String::new(),
        Waits::Nothing if job.detached => "at once, and nobody waits for it".to_owned(),
        Waits::Nothing => "at once".to_owned(),
        Waits::Previous => "after the one before".to_owned(),
        Waits::EarlierStages => "after all earlier stages".to_owned(),
        Waits::Jobs(jobs) => format!("after {}", jobs.join(", ")),
    }
}
