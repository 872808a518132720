//! The backends of this program: the only place that names concrete ones (DESIGN section 2).

use std::sync::Arc;

use jobwright_backend::{Backend, BackendRegistry};
use jobwright_docker::Docker;
use jobwright_journal::StateDir;
use jobwright_process::ProcessBackend;

use crate::args::BackendArgs;

/// Every backend, in the order in which they are preferred.
pub(crate) fn registry(args: BackendArgs, state: &StateDir) -> BackendRegistry {
    let docker: Arc<dyn Backend> = Arc::new(Docker::new(Some(args.docker), state.owner().clone()));
    let process: Arc<dyn Backend> = Arc::new(ProcessBackend::new(state, args.process));
    BackendRegistry::new(vec![docker, process])
}
