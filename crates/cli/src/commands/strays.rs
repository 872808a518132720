//! `jobwright clean --strays`: what carries this state directory's mark and that no run's journal has open, such as what is left when
//! somebody removed a run's folder. Things of other owners are never touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use jobwright_backend::{Availability, Backend, BackendRegistry, Holding};
use jobwright_journal::{StateDir, StateDirError};
use jobwright_model::TaskUuid;
use jobwright_runtime::Claims;

/// The strays of one backend.
pub(super) struct Strays {
    pub(super) backend: Arc<dyn Backend>,
    /// By task, which is how a backend removes things.
    pub(super) by_task: BTreeMap<TaskUuid, Vec<Holding>>,
    /// What tells no task.
    pub(super) nameless: Vec<Holding>,
}

/// Why strays cannot be told from what is somebody's.
#[derive(Debug, thiserror::Error)]
pub(super) enum StraysError {
    #[error("the {0} backend does not say what it has: {1}")]
    Backend(&'static str, jobwright_backend::Error),
    #[error(transparent)]
    State(#[from] StateDirError),
    #[error("a journal cannot be read, so nobody knows which things are strays: run {0}: {1}")]
    Journal(String, String),
}

/// Finds them: what the engines show first, what the journals say afterwards, as a task is in its journal before it is in an engine.
pub(super) async fn find(registry: &BackendRegistry, state: &StateDir) -> Result<Vec<Strays>, StraysError> {
    let mut stock = Vec::new();
    for backend in registry.iter() {
        let Some(inventory) = backend.inventory() else { continue };
        if backend.is_available().await == Availability::Available {
            let holdings = inventory.holdings().await;
            stock.push((backend, holdings.map_err(|error| StraysError::Backend(backend.name(), error))?));
        }
    }
    let claims = Claims::read(state)?;
    // One of an unreadable journal may be somebody's (DESIGN rule 6).
    if let Some((run, error)) = claims.unreadable().first() {
        return Err(StraysError::Journal(run.to_string(), error.to_string()));
    }
    Ok(stock.into_iter().map(|(backend, holdings)| sorted(backend, holdings, state, &claims)).collect())
}

fn sorted(backend: &Arc<dyn Backend>, holdings: Vec<Holding>, state: &StateDir, claims: &Claims) -> Strays {
    let mut strays = Strays { backend: Arc::clone(backend), by_task: BTreeMap::new(), nameless: Vec::new() };
    for holding in holdings.into_iter().filter(|holding| holding.owner.as_ref() == Some(state.owner())) {
        let Some(task) = holding.task.clone() else {
            strays.nameless.push(holding);
            continue;
        };
        let is_somebodys = claims.of(&task).is_some_and(|claim| claim.owner_lives || claim.place.is_some());
        if !is_somebodys {
            strays.by_task.entry(task).or_default().push(holding);
        }
    }
    strays
}
