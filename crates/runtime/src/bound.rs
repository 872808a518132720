//! Until when a step may run, as its backend is told before it starts: should nobody be there then, the backend ends it by itself.
//! While this process lives, `running` and the scope do.

use std::time::Duration;

use jobwright_journal::since_boot;
use jobwright_model::Step;
use tokio::time::Instant;

use crate::shared::Shared;

impl Shared {
    /// The end of the job's time or of the step's own, whichever comes first, on the clock that counts from boot; none when neither is
    /// limited. A detached step has no time of its own.
    pub(crate) fn until(&self, step: &Step) -> Option<Duration> {
        let of_job = self.deadline.map(|deadline| deadline.at().saturating_duration_since(Instant::now()));
        let own = self.timeouts.step.filter(|_| !step.detached);
        let left = of_job.into_iter().chain(own).min()?;
        Some(since_boot().saturating_add(left))
    }
}
