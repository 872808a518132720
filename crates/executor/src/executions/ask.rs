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
        for id in shared.store.asked_to_cancel() {
            let live = shared.live().get(&id).cloned();
            if let Some(live) = live {
                live.scope.cancel(Cause::ByUser);
                shared.store.heard(&id);
            }
        }
    }
}
