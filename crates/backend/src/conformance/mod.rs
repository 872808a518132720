//! The conformance suite: named cases that every backend passes against its real engine.
//!
//! A backend's tests provide a [`Fixture`] and call [`run`]; the cases are what the port's doc comments promise and what the
//! Woodpecker checklist says of a backend. A case that needs what a backend lacks is reported as skipped, not dropped.
//! Not for what a backend is free to do its own way (names, file formats, engine options): those are its own tests.
//!
//! `JOBWRIGHT_CONFORMANCE=exit,tail` runs only the cases whose name contains one of the words.

mod cases;
mod check;
mod report;
mod script;
mod trial;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use jobwright_model::Step;
use tokio::time::{Instant, timeout};

use crate::{Backend, Capabilities};

pub use check::{CaseResult, Failure};
pub use report::{Line, Report, Verdict};
pub use script::{READY, Script};
pub use trial::{Output, Tail, Task, Trial};

/// The variable that selects cases by words in their names, separated by commas.
pub const FILTER: &str = "JOBWRIGHT_CONFORMANCE";

/// What a backend's tests provide.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// A new instance over the same engine and the same owner, as after a restart; already loaded. Instances made before
    /// it may still be used.
    async fn fresh(&self) -> Arc<dyn Backend>;

    /// A new instance over the same engine for another owner; `None` where that cannot be made.
    async fn stranger(&self) -> Option<Arc<dyn Backend>> {
        None
    }

    /// What a step's `image` must be so that `/bin/sh` and the usual small programs of busybox are there.
    fn image(&self) -> String;

    /// Everything of this fixture's owners that is left in the engine, on disk or as a process, each in words. Waits for
    /// nothing; a list of what stays for the fixture's own life (a shim, a state directory) is the fixture's to leave out.
    async fn leftovers(&self) -> Vec<String>;

    /// Whether `commands` and entrypoints are run by a real shell. Only the dummy says no.
    fn runs_shells(&self) -> bool {
        true
    }

    /// Bounds the memory of `step`; asked for only when the backend's capabilities say `oom` and `limits`.
    fn limit_memory(&self, _step: &mut Step, _bytes: u64) {}

    /// How many steps run at the same time where many are asked for; fewer where an engine takes long to start one.
    fn many(&self) -> u8 {
        50
    }

    /// How long one case may take before it counts as hanging.
    fn deadline(&self) -> Duration {
        Duration::from_secs(90)
    }
}

/// What is there for cases to use.
#[derive(Debug, Clone, Copy)]
pub struct Facilities {
    /// What the backend says of itself.
    pub capabilities: Capabilities,
    /// [`Fixture::runs_shells`].
    pub shell: bool,
    /// [`Fixture::stranger`] gives one.
    pub stranger: bool,
    /// [`Backend::control`] gives one.
    pub control: bool,
    /// [`Backend::discoverer`] gives one.
    pub discovery: bool,
    /// [`Backend::resumer`] gives one.
    pub resume: bool,
}

impl Facilities {
    async fn of(fixture: &dyn Fixture) -> Self {
        let backend = fixture.fresh().await;
        Self {
            capabilities: backend.capabilities(),
            shell: fixture.runs_shells(),
            stranger: fixture.stranger().await.is_some(),
            control: backend.control().is_some(),
            discovery: backend.discoverer().is_some(),
            resume: backend.resumer().is_some(),
        }
    }
}

/// One promise, and how it is checked.
#[derive(Clone, Copy)]
pub struct Case {
    /// The promise, as an identifier.
    pub name: &'static str,
    /// Items of the reference's checklists: `woodpecker 20, 25`. Empty for what only the port promises.
    pub covers: &'static str,
    /// What is missing for it, if anything is.
    pub needs: fn(&Facilities) -> Option<&'static str>,
    /// Checks it.
    pub run: for<'t, 'f> fn(&'t Trial<'f>) -> BoxFuture<'t, CaseResult>,
}

/// All cases, in the order in which they run.
#[must_use]
pub fn cases() -> Vec<Case> {
    cases::all()
}

/// Runs all cases that the environment's [`FILTER`] selects, one after the other.
pub async fn run(fixture: &dyn Fixture) -> Report {
    run_cases(fixture, &selected(&std::env::var(FILTER).unwrap_or_default())).await
}

/// The same with as many cases at a time as there are `fixtures`, which must not see each other's things (owners of their own
/// on one engine): for engines that take their time.
pub async fn run_side_by_side(fixtures: &[&dyn Fixture]) -> Report {
    run_cases_side_by_side(fixtures, &selected(&std::env::var(FILTER).unwrap_or_default())).await
}

/// The cases whose name contains one of the words of `filter`; all of them when it has none.
fn selected(filter: &str) -> Vec<Case> {
    let words: Vec<&str> = filter.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let mut cases = cases();
    cases.retain(|case| words.is_empty() || words.iter().any(|word| case.name.contains(word)));
    cases
}

/// Runs `cases`, one after the other, cleans up after each, and looks for what was left behind.
pub async fn run_cases(fixture: &dyn Fixture, cases: &[Case]) -> Report {
    run_cases_side_by_side(&[fixture], cases).await
}

/// [`run_cases`], each fixture taking the next case when it is done with one. The report is in the order of `cases`.
pub async fn run_cases_side_by_side(fixtures: &[&dyn Fixture], cases: &[Case]) -> Report {
    let next = AtomicUsize::new(0);
    let mut done = join_all(fixtures.iter().map(|fixture| take_cases(*fixture, cases, &next))).await.concat();
    done.sort_by_key(|(number, _)| *number);
    let mut report =
        Report { lines: done.into_iter().map(|(_, line)| line).collect(), leftovers: Vec::new() };
    for fixture in fixtures {
        report.leftovers.extend(fixture.leftovers().await);
    }
    report
}

/// Runs the next of `cases` until there is none. Answers their lines with their places.
async fn take_cases(fixture: &dyn Fixture, cases: &[Case], next: &AtomicUsize) -> Vec<(usize, Line)> {
    let facilities = Facilities::of(fixture).await;
    let mut lines = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let Some(case) = cases.get(number) else { return lines };
        let begun = Instant::now();
        let verdict = match (case.needs)(&facilities) {
            Some(needs) => Verdict::Skipped(needs),
            None => run_case(fixture, case).await,
        };
        lines.push((number, Line { name: case.name, verdict, took: begun.elapsed() }));
    }
}

async fn run_case(fixture: &dyn Fixture, case: &Case) -> Verdict {
    let trial = Trial::new(fixture).await;
    let checked = AssertUnwindSafe(timeout(fixture.deadline(), (case.run)(&trial))).catch_unwind().await;
    let mut reasons = Vec::new();
    let mut lacks = None;
    match checked {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(Failure::Lacking(what)))) => lacks = Some(what),
        Ok(Ok(Err(failure))) => reasons.push(failure.to_string()),
        Ok(Err(_)) => reasons.push(format!("not done after {:?}", fixture.deadline())),
        Err(_) => reasons.push("it panicked".to_owned()),
    }
    match timeout(fixture.deadline(), trial.clean_up()).await {
        Ok(problems) => reasons.extend(problems),
        Err(_) => reasons.push(format!("the clean-up was not done after {:?}", fixture.deadline())),
    }
    reasons.extend(fixture.leftovers().await.into_iter().map(|what| format!("left behind: {what}")));
    match lacks {
        _ if !reasons.is_empty() => Verdict::Failed(reasons.join("; ")),
        Some(what) => Verdict::Skipped(what),
        None => Verdict::Passed,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let names: HashSet<_> = cases().iter().map(|case| case.name).collect();
        assert_eq!(names.len(), cases().len());
    }

    #[test]
    fn a_filter_selects_by_words_in_names() {
        assert_eq!(selected("").len(), cases().len());
        assert_eq!(selected(" , ").len(), cases().len());
        let names: Vec<_> = selected("exit_codes, hostile").iter().map(|case| case.name).collect();
        assert_eq!(names, ["exit_codes_are_exact", "a_hostile_archive_is_refused"]);
        assert!(selected("no such case").is_empty());
    }
}
