//! The backends of this program: the only place that names concrete ones (DESIGN section 2).

use std::sync::Arc;

use jobwright_backend::{Backend, BackendRegistry};
use jobwright_docker::Docker;
use jobwright_journal::StateDir;
use jobwright_process::ProcessBackend;

use crate::args::BackendArgs;

/// The names of [`registry`], in its order.
pub(crate) const NAMES: [&str; 2] = ["docker", "process"];

/// Every backend, in the order in which they are preferred.
pub(crate) fn registry(args: BackendArgs, state: &StateDir) -> BackendRegistry {
    let docker: Arc<dyn Backend> = Arc::new(Docker::new(Some(args.docker), state.owner().clone()));
    let process: Arc<dyn Backend> = Arc::new(ProcessBackend::new(state, args.process));
    BackendRegistry::new(vec![docker, process])
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn the_names_are_those_of_the_backends() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("state")).unwrap();
        let Command::Run(args) = Cli::parse_from(["jobwright", "run"]).command else { unreachable!() };
        let registry = registry(args.backends, &state);
        assert_eq!(registry.iter().map(|backend| backend.name()).collect::<Vec<_>>(), NAMES);
    }
}
