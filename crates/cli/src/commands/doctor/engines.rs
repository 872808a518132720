//! What the backends have of ours and of others, and whether this machine has what they need.

use std::collections::BTreeMap;

use jobwright_backend::{Availability, BackendRegistry, Holding};
use jobwright_journal::StateDir;
use jobwright_model::TaskUuid;
use jobwright_runtime::Claims;

use super::finding::{Finding, Level};
use super::{attention, count, told};

/// So many names are shown of a kind.
const SHOWN: usize = 5;

/// What each backend that could be asked holds.
#[derive(Default)]
pub(super) struct Stock(Vec<(&'static str, Vec<Holding>)>);

impl Stock {
    /// Whether something of `task` runs.
    pub(super) fn runs(&self, task: &TaskUuid) -> bool {
        let mut all = self.0.iter().flat_map(|(_, holdings)| holdings);
        all.any(|holding| holding.runs && holding.task.as_ref() == Some(task))
    }
}

/// Asks every backend that can be used here. One that cannot is no defect: it may never have been wanted.
pub(super) async fn take_stock(registry: &BackendRegistry, found: &mut Vec<Finding>) -> Stock {
    let mut stock = Stock::default();
    for backend in registry.iter() {
        let name = backend.name();
        if let Availability::Unavailable(reason) = backend.is_available().await {
            found.push(told(Level::Note, name, format!("cannot be used here: {reason}")));
            continue;
        }
        let Some(inventory) = backend.inventory() else { continue };
        match inventory.holdings().await {
            Ok(holdings) => stock.0.push((name, holdings)),
            Err(error) => {
                found.push(attention(name, format!("does not say what it has: {error}"), &[]));
                continue;
            }
        }
        let mut what = "can be used".to_owned();
        if !backend.capabilities().limits {
            what.push_str(", without limits of processors and memory (no control group can be made here)");
        }
        found.push(told(Level::Sound, name, what));
    }
    stock
}

/// Holds what the backends have against what the journals say.
pub(super) fn compare(state: &StateDir, claims: &Claims, stock: &Stock, found: &mut Vec<Finding>) {
    for (backend, holdings) in &stock.0 {
        let mut strays = Vec::new();
        let mut left_over = Vec::new();
        let mut foreign: BTreeMap<String, Vec<&Holding>> = BTreeMap::new();
        for holding in holdings {
            if holding.owner.as_ref() != Some(state.owner()) {
                let owner = holding.owner.as_ref().map_or("nobody's id", |owner| owner.as_str());
                foreign.entry(owner.to_owned()).or_default().push(holding);
                continue;
            }
            match holding.task.as_ref().and_then(|task| claims.of(task)) {
                None => strays.push(holding),
                // A run that lives may be about to remove it.
                Some(claim) if claim.place.is_none() && !claim.owner_lives => left_over.push(holding),
                Some(_) => {}
            }
        }
        tell_strays(backend, claims, &strays, found);
        if !left_over.is_empty() {
            let what =
                format!("{} left of tasks whose journals say that they were removed", names(&left_over));
            found.push(attention(*backend, what, &[CLEAN_STRAYS.to_owned()]));
        }
        for (owner, things) in foreign {
            let what = format!("{} of another state directory (owner {owner})", names(&things));
            found.push(told(Level::Foreign, *backend, what));
        }
    }
}

const CLEAN_STRAYS: &str = "jobwright clean --strays";

fn tell_strays(backend: &str, claims: &Claims, strays: &[&Holding], found: &mut Vec<Finding>) {
    if strays.is_empty() {
        return;
    }
    let what = format!("{} that no run's journal knows", names(strays));
    // They may be of a run whose journal cannot be read (DESIGN rule 6).
    let right = if claims.unreadable().is_empty() { vec![CLEAN_STRAYS.to_owned()] } else { Vec::new() };
    found.push(attention(backend, what, &right));
}

fn names(things: &[&Holding]) -> String {
    let mut text: Vec<String> = things.iter().take(SHOWN).map(ToString::to_string).collect();
    if things.len() > SHOWN {
        text.push(format!("{} more", things.len() - SHOWN));
    }
    format!("{}: {};", count(things.len(), "thing", "things"), text.join(", "))
        .trim_end_matches(';')
        .to_owned()
}
