//! Looks now and then whether an attempt has stalled: nothing was heard of it for as long as its queue's rules say.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::shared::Shared;

impl Shared {
    /// Goes on until the server is to end. That other servers of the same store do it too does no harm.
    pub(crate) async fn reset_stalled(self: Arc<Self>, closing: CancellationToken) {
        loop {
            let pass = async {
                sleep(self.stall_check).await;
                self.reset_once().await;
            };
            if closing.run_until_cancelled(pass).await.is_none() {
                return;
            }
        }
    }

    async fn reset_once(&self) {
        match self.store.reset_stalled(Timestamp::now()).await {
            Ok(resets) => {
                for reset in resets {
                    tracing::warn!(
                        job = %reset.job,
                        attempt = reset.attempt,
                        "nothing was heard of the attempt, and it is over; the job is {}",
                        reset.state
                    );
                }
            }
            Err(error) => tracing::warn!("whether attempts have stalled cannot be found out: {error}"),
        }
    }
}
