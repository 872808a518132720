//! `jobwright queue`: looking after queues and their jobs, beside whatever server has them.

use std::io::{Read, Write};
use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use jobwright_journal::StateDir;
use jobwright_model::{AttemptToken, JobRef, NewJob, QueueRules, QueuedJob, QueuedState};
use jobwright_queue::Payload;
use jobwright_store::{Error as StoreError, Filter, KeptAttempt, QueueStore, QueueSummary};
use serde_json::{Deserializer, Value, json};
use tokio::time::{Duration, timeout};

use super::cache::table;
use crate::args::{
    QueueArgs, QueueCommand, QueueCreateArgs, QueueJobsArgs, QueueLogsArgs, QueueLsArgs, QueuePushArgs,
    QueueShowArgs,
};
use crate::database;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::sink;

pub(crate) async fn run(args: QueueArgs, state: &StateDir) -> Result<Exit, Failure> {
    let store = database::open(&args.database, state).await?;
    let store = &*store;
    match args.command {
        QueueCommand::Create(args) => create(args, store).await,
        QueueCommand::Ls(args) if args.queue.is_some() => jobs(args, store).await,
        QueueCommand::Ls(args) => queues(args.json, store).await,
        QueueCommand::Stats(args) => queues(args.json, store).await,
        QueueCommand::Push(args) => push(args, store).await,
        QueueCommand::Show(args) => show(args, store).await,
        QueueCommand::Cancel(args) => cancel(args, store).await,
        QueueCommand::Retry(args) => retry(args, store).await,
        QueueCommand::Pause(args) => pause(&args.queue, true, store).await,
        QueueCommand::Resume(args) => pause(&args.queue, false, store).await,
        QueueCommand::Logs(args) => logs(args, store).await,
    }
}

async fn create(args: QueueCreateArgs, store: &dyn QueueStore) -> Result<Exit, Failure> {
    let rules = QueueRules {
        stalled_after: args.stalled_after,
        max_resets: args.resets,
        max_retries: args.retries,
        retry_after: args.retry_after,
        retry_at_most: args.retry_at_most,
    };
    match store.create_queue(&args.queue, &rules).await? {
        true => sink::say(format_args!("made the queue {}", args.queue)),
        false => sink::say(format_args!("the queue {} was there, and has these rules now", args.queue)),
    }
    Ok(Exit::Success)
}

async fn queues(as_json: bool, store: &dyn QueueStore) -> Result<Exit, Failure> {
    let queues = store.queues(Timestamp::now()).await?;
    if as_json {
        sink::json(&queues.iter().map(summary_as_json).collect::<Vec<_>>());
    } else if queues.is_empty() {
        sink::say("there are no queues; `jobwright queue create NAME` makes one");
    } else {
        let rows: Vec<[String; 9]> = queues.iter().map(summary_cells).collect();
        let heads = [
            "QUEUE",
            "QUEUED",
            "PROCESSING",
            "COMPLETED",
            "ERRORED",
            "FAILED",
            "CANCELED",
            "OLDEST DUE",
            "STATE",
        ];
        table(heads, &rows);
    }
    Ok(Exit::Success)
}

fn count(summary: &QueueSummary, wanted: QueuedState) -> u64 {
    summary.counts.iter().find(|(state, _)| *state == wanted).map_or(0, |(_, count)| *count)
}

fn summary_cells(summary: &QueueSummary) -> [String; 9] {
    let of = |state| count(summary, state).to_string();
    [
        summary.queue.to_string(),
        of(QueuedState::Queued),
        of(QueuedState::Processing),
        of(QueuedState::Completed),
        of(QueuedState::Errored),
        of(QueuedState::Failed),
        of(QueuedState::Canceled),
        summary.oldest_due.map(moment).unwrap_or_default(),
        if summary.paused { "paused" } else { "open" }.to_owned(),
    ]
}

fn summary_as_json(summary: &QueueSummary) -> Value {
    let counts: serde_json::Map<String, Value> =
        summary.counts.iter().map(|(state, count)| (state.to_string(), json!(count))).collect();
    json!({
        "queue": summary.queue,
        "paused": summary.paused,
        "counts": counts,
        "oldest_due": summary.oldest_due,
        "stale_writes": summary.stale_writes,
        "rules": summary.rules,
    })
}

async fn jobs(args: QueueLsArgs, store: &dyn QueueStore) -> Result<Exit, Failure> {
    let filter = Filter {
        queue: args.queue.clone(),
        states: args.states,
        tenant: args.tenant,
        after: None,
        limit: args.limit,
    };
    let jobs = store.jobs(&filter).await?;
    if jobs.is_empty()
        && let Some(queue) = args.queue
        && !store.queues(Timestamp::now()).await?.iter().any(|summary| summary.queue == queue)
    {
        return Err(StoreError::NoQueue(queue).into());
    }
    if args.json {
        sink::json(&jobs.iter().map(job_as_json).collect::<Vec<_>>());
    } else if jobs.is_empty() {
        sink::say("there are no such jobs");
    } else {
        let rows: Vec<[String; 7]> = jobs.iter().map(job_cells).collect();
        table(["JOB", "STATE", "TENANT", "PRIORITY", "ATTEMPT", "QUEUED", "AGENT"], &rows);
    }
    Ok(Exit::Success)
}

fn job_cells(job: &QueuedJob) -> [String; 7] {
    [
        job.job.to_string(),
        job.state.to_string(),
        job.tenant.clone(),
        job.priority.to_string(),
        job.attempt.to_string(),
        moment(job.queued_at),
        job.holder.clone().unwrap_or_default(),
    ]
}

/// Without what is to be run: that may hold secrets.
fn job_as_json(job: &QueuedJob) -> Value {
    json!({
        "job": job.job.to_string(), "queue": job.job.queue, "id": job.job.id, "state": job.state, "tenant": job.tenant,
        "priority": job.priority, "queued_at": job.queued_at, "process_after": job.process_after,
        "started_at": job.started_at, "heartbeat_at": job.heartbeat_at, "finished_at": job.finished_at,
        "failure_message": job.failure_message, "resets": job.resets, "failures": job.failures,
        "attempt": job.attempt, "holder": job.holder, "cancel": job.cancel,
    })
}

async fn push(args: QueuePushArgs, store: &dyn QueueStore) -> Result<Exit, Failure> {
    let text = read(args.file.as_deref())?;
    let now = Timestamp::now();
    let process_after = args.after.map(|after| now.checked_add(after)).transpose();
    let process_after =
        process_after.map_err(|_| Failure::new(Exit::Invalid, "--after: that is too long"))?;
    let mut new = Vec::new();
    for (place, value) in Deserializer::from_slice(&text).into_iter::<Value>().enumerate() {
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::new(Exit::Invalid, format!("job {}: {error}", place + 1))
        };
        let payload =
            Payload::from_pushed(value.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
        new.push(NewJob {
            queue: args.queue.clone(),
            tenant: args.tenant.clone(),
            priority: args.priority,
            process_after,
            payload: payload.to_stored(),
        });
    }
    if new.is_empty() {
        return Err(Failure::new(
            Exit::Invalid,
            "there is no job to push; each is a JSON object (docs/book/queues.md)",
        ));
    }
    for job in store.push(new, now).await? {
        sink::say(job);
    }
    Ok(Exit::Success)
}

fn read(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    match file.filter(|file| *file != Path::new("-")) {
        None => std::io::stdin().read_to_end(&mut text).map(drop),
        Some(file) => std::fs::read(file).map(|read| text = read),
    }
    .map_err(|error| {
        let name = file.unwrap_or(Path::new("standard input"));
        Failure::new(Exit::NotFound, format!("{}: {error}", name.display()))
    })?;
    Ok(text)
}

fn no_job(job: &JobRef) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no job {job}"))
}

async fn show(args: QueueShowArgs, store: &dyn QueueStore) -> Result<Exit, Failure> {
    let job = store.job(&args.job).await?.ok_or_else(|| no_job(&args.job))?;
    let attempts = store.attempts(&args.job).await?;
    if args.json {
        let mut shown = job_as_json(&job);
        shown["attempts"] = attempts.iter().map(attempt_as_json).collect();
        sink::json(&shown);
        return Ok(Exit::Success);
    }
    sink::say(format_args!("job       {}", job.job));
    sink::say(format_args!("state     {}{}", job.state, if job.cancel { ", its end is wanted" } else { "" }));
    if !job.tenant.is_empty() {
        sink::say(format_args!("tenant    {}", job.tenant));
    }
    sink::say(format_args!("priority  {}", job.priority));
    sink::say(format_args!("queued    {}", moment(job.queued_at)));
    if let Some(after) = job.process_after {
        sink::say(format_args!("not before {}", moment(after)));
    }
    if let Some(why) = &job.failure_message {
        sink::say(format_args!("failure   {why}"));
    }
    for attempt in &attempts {
        let ended = attempt.finished_at.map(|end| format!(" to {}", moment(end))).unwrap_or_default();
        let why = attempt.failure_message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let KeptAttempt { attempt: number, holder, started_at, state, .. } = attempt;
        sink::say(format_args!("attempt {number} {state} by {holder}, {}{ended}{why}", moment(*started_at)));
    }
    Ok(Exit::Success)
}

fn attempt_as_json(attempt: &KeptAttempt) -> Value {
    json!({
        "attempt": attempt.attempt, "holder": attempt.holder, "state": attempt.state, "started_at": attempt.started_at,
        "finished_at": attempt.finished_at, "failure_message": attempt.failure_message,
    })
}

async fn cancel(args: QueueJobsArgs, store: &dyn QueueStore) -> Result<Exit, Failure> {
    each(args, |job| async move {
        Ok(match store.cancel(&job, Timestamp::now()).await?.ok_or_else(|| no_job(&job))? {
            QueuedState::Processing => Ok(format!("{job}: its agent is told")),
            QueuedState::Canceled => Ok(format!("{job}: canceled")),
            state => Err(format!("{job} has ended: {state}")),
        })
    })
    .await
}

async fn retry(args: QueueJobsArgs, store: &dyn QueueStore) -> Result<Exit, Failure> {
    each(args, |job| async move {
        Ok(match store.retry(&job, Timestamp::now()).await?.ok_or_else(|| no_job(&job))? {
            QueuedState::Failed | QueuedState::Canceled => Ok(format!("{job}: queued again")),
            state => Err(format!("{job} is {state}; only what failed or was canceled is queued again")),
        })
    })
    .await
}

/// Does it for each; one that cannot be done does not keep the others from it.
async fn each<F>(args: QueueJobsArgs, act: impl Fn(JobRef) -> F) -> Result<Exit, Failure>
where
    F: Future<Output = Result<Result<String, String>, Failure>>,
{
    let mut exit = Exit::Success;
    for job in args.jobs {
        match act(job).await {
            Ok(Ok(done)) => sink::say(done),
            Ok(Err(refused)) => exit = Failure::new(Exit::Failed, refused).tell(),
            Err(failure) => exit = failure.tell(),
        }
    }
    Ok(exit)
}

async fn pause(
    queue: &jobwright_model::QueueName,
    paused: bool,
    store: &dyn QueueStore,
) -> Result<Exit, Failure> {
    match store.pause_queue(queue, paused).await? {
        true => Ok(Exit::Success),
        false => Err(StoreError::NoQueue(queue.clone()).into()),
    }
}

async fn logs(args: QueueLogsArgs, store: &dyn QueueStore) -> Result<Exit, Failure> {
    let job = store.job(&args.job).await?.ok_or_else(|| no_job(&args.job))?;
    let token = AttemptToken { job: args.job.clone(), attempt: args.attempt.unwrap_or(job.attempt) };
    let (mut entry, mut at, mut revision) = (1, 0, 0);
    let mut stdout = std::io::stdout().lock();
    loop {
        let mut changes = store.changes();
        changes.mark_unchanged();
        let attempts = store.attempts(&args.job).await?;
        let attempt = attempts.iter().find(|kept| kept.attempt == token.attempt);
        let is_over = attempt.is_none_or(|kept| kept.finished_at.is_some());
        let mut read_on = true;
        while read_on {
            let entries = store.logs(&token, entry, at).await?;
            read_on = false;
            for kept in entries {
                let is_new = kept.entry != entry || at == 0;
                if kept.entry == entry && at > 0 && kept.revision != revision {
                    // What was written before it has changed: from the beginning, as nothing printed can be taken back.
                    at = 0;
                    read_on = true;
                    break;
                }
                if is_new {
                    let command = kept.log.command.as_ref().map(|words| format!(" $ {}", words.join(" ")));
                    writeln!(stdout, "=== {}{}", kept.log.key, command.unwrap_or_default())
                        .map_err(broken)?;
                }
                stdout.write_all(kept.log.out.as_bytes()).map_err(broken)?;
                let begun = if kept.entry == entry { at } else { 0 };
                (entry, at, revision) = (kept.entry, begun + kept.log.out.len() as u64, kept.revision);
                read_on |= at < kept.length;
            }
        }
        stdout.flush().map_err(broken)?;
        if !args.follow || is_over {
            return Ok(Exit::Success);
        }
        // Changes of other processes are noticed late; a look now and then costs little.
        let _ = timeout(Duration::from_secs(1), changes.changed()).await;
    }
}

fn broken(error: std::io::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("the log cannot be written: {error}"))
}

fn moment(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
