//! What Ctrl-C and its relatives do: the first asks for the end of the run and lets it clean up, the second leaves at once
//! (DESIGN rule 9).

use jobwright_model::Cause;
use jobwright_runtime::Scope;
use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;
use crate::failure::Failure;

/// Ends `scope` at the first SIGINT, SIGTERM or SIGHUP, and the program at the second. Watches for as long as the program lives.
///
/// # Errors
/// When the operating system does not let us listen.
pub(crate) fn watch(scope: &Scope) -> Result<(), Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::new(Exit::Unavailable, format!("signals: {error}")));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    let scope = scope.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => Cause::ByUser,
                _ = terminate.recv() => Cause::ByShutdown,
                _ = hang_up.recv() => Cause::ByShutdown,
            }
        };
        scope.cancel(next().await);
        anstream::eprintln!("ending the run and cleaning up; once more leaves at once");
        let cause = next().await;
        anstream::eprintln!("left at once; `jobwright clean` removes what is left");
        let exit = if cause == Cause::ByUser { Exit::Interrupted } else { Exit::Cancelled };
        std::process::exit(exit.code().into());
    });
    Ok(())
}
