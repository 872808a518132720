//! `jobwright run --dry-run`: what a run would do. Leaves nothing behind: what backends and `--remote` need a place for gets one in a
//! temporary directory.

use jobwright_engine::{Foresight, foresee, prepare};
use jobwright_journal::StateDir;
use jobwright_runtime::Scope;

use crate::args::RunArgs;
use crate::commands::run::spec;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::{foresight, sink};
use crate::{backends, signals};

pub(crate) async fn run(args: RunArgs) -> Result<Exit, Failure> {
    let spec = spec(&args)?;
    let scratch = tempfile::tempdir().map_err(|error| {
        Failure::new(Exit::Unavailable, format!("no temporary directory can be made: {error}"))
    })?;
    let scope = Scope::new();
    signals::watch(&scope)?;
    let prepared = prepare(&spec, &scratch.path().join("clone"), &scope).await?;
    let state = StateDir::open(&scratch.path().join("state"))?;
    let registry = backends::registry(args.backends, &state);
    let wanted = args.backend.as_deref().filter(|name| !name.is_empty());
    let foreseen: Foresight = foresee(prepared, &spec, &registry, wanted, args.limit).await?;
    if args.json {
        sink::json(&foresight::document(&foreseen));
    } else {
        sink::say(foresight::text(&foreseen).trim_end());
    }
    Ok(Exit::Success)
}
