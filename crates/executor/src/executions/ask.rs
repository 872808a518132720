//! Hearing what other processes ask of those that own executions: that one be ended.

use std::sync::Weak;
use std::time::Duration;

use jobwright_model::Cause;
use tokio::time::sleep;

use super::Shared;

/// How often is listened; a look costs one listing of an empty folder.
const EVERY: Duration = Duration::from_millis(100);

/// Until nobody needs the executor any more.
pub(super) async fn listen(shared: Weak<Shared>) {
    loop {
        sleep(EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        let asked = shared.store.asked_to_cancel();
        if asked.is_empty() {
            continue;
        }
        for live in shared.live().values().filter(|live| asked.contains(&live.run)) {
            live.scope.cancel(Cause::ByUser);
            shared.store.heard(&live.run);
        }
    }
}
