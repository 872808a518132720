//! Runs the list of scenarios on one site: several at a time, each in a world and under a deadline of its own, and tells of each
//! what came of it.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

use crate::scenarios;
use crate::world::{Site, World};

/// The variable that selects scenarios by words in their names, separated by commas.
const FILTER: &str = "JOBWRIGHT_SCENARIOS";
/// Most of a scenario's time is waiting for an engine.
const AT_A_TIME: usize = 4;
/// How long one may take before it counts as hanging.
const DEADLINE: Duration = Duration::from_secs(120);

/// One behaviour.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// The behaviour, as an identifier.
    pub(crate) name: &'static str,
    /// What is missing for it, if anything is.
    pub(crate) needs: fn(&World) -> Option<&'static str>,
    /// Shows it, or panics.
    pub(crate) show: fn(World) -> BoxFuture<'static, ()>,
}

/// What came of a scenario.
enum Verdict {
    Passed,
    Lacks(&'static str),
    Failed(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Lacks(what) => write!(f, "skipped: it has no {what}"),
            Self::Failed(why) => write!(f, "FAILED: {why}"),
        }
    }
}

/// Runs all scenarios that the environment selects on `site`, if there is one, and fails when one of them does.
pub(crate) async fn run(site: Option<Site>) {
    let Some(site) = site else { return };
    let filter = std::env::var(FILTER).unwrap_or_default();
    let words: Vec<&str> = filter.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    let mut chosen = scenarios::all();
    chosen.retain(|scenario| words.is_empty() || words.iter().any(|word| scenario.name.contains(word)));
    let told = stream::iter(chosen).map(|scenario| tell(&site, scenario)).buffer_unordered(AT_A_TIME);
    let failed: Vec<_> = told.filter_map(async |failed| failed).collect().await;
    assert!(failed.is_empty(), "{} failed on {}:\n{}", failed.len(), site.name(), failed.join("\n"));
}

/// Prints what came of it; gives it back when it failed.
async fn tell(site: &Site, scenario: Scenario) -> Option<String> {
    let begun = Instant::now();
    let verdict = judge(site, scenario).await;
    let took = begun.elapsed().as_secs_f64();
    println!("{:8} {took:6.2} s  {}: {verdict}", site.name(), scenario.name);
    matches!(verdict, Verdict::Failed(_)).then(|| format!("{}: {verdict}", scenario.name))
}

async fn judge(site: &Site, scenario: Scenario) -> Verdict {
    let world = World::open(site).await;
    if let Some(what) = (scenario.needs)(&world) {
        return Verdict::Lacks(what);
    }
    let showing = tokio::spawn((scenario.show)(world.clone()));
    let stop = showing.abort_handle();
    let mut reasons = Vec::new();
    match timeout(DEADLINE, showing).await {
        Ok(Ok(())) => {}
        Ok(Err(panic)) => reasons.push(said(panic)),
        Err(_) => {
            stop.abort();
            reasons.push(format!("not done after {DEADLINE:?}; what was seen: {}", world.seen.text()));
        }
    }
    reasons.extend(world.leftovers().await.into_iter().map(|what| format!("left behind: {what}")));
    if reasons.is_empty() {
        return Verdict::Passed;
    }
    world.clear().await;
    Verdict::Failed(reasons.join("; "))
}

/// A panic's own words.
fn said(panic: tokio::task::JoinError) -> String {
    let Ok(words) = panic.try_into_panic() else { return "it was aborted".to_owned() };
    let text = words.downcast_ref::<String>().cloned();
    text.or_else(|| words.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}
