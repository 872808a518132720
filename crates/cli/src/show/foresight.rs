//! What a run would do, for people and for programs. Not for what a run does: that comes as events.

use std::fmt::Write;

use jobwright_engine::{ForeseenJob, Foresight, Order, Waits};
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
    foresight.jobs.iter().for_each(|job| lines(&mut out, job));
    harmless(&out)
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
        ("beside the other variants of ", job.variant_of.clone().unwrap_or_default()),
        ("not selected and not waited for: ", job.not_selected.join(", ")),
        ("if ", job.condition.clone().unwrap_or_default()),
        ("services: ", services.join(", ")),
        ("variables: ", job.variables.join(", ")),
        ("secrets: ", job.secrets.join(", ")),
    ];
    for (what, it) in told.iter().filter(|(_, it)| !it.is_empty()) {
        let _ = writeln!(out, "  {what}{}", it.replace('\n', " "));
    }
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
