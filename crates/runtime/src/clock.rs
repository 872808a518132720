//! Times that are kept on disk and compared by another process: nanoseconds since this machine was started, which count on while it
//! sleeps (DESIGN rule 12).

use std::time::Duration;

use jobwright_journal::since_boot;
use serde::{Deserialize, Serialize};

/// A moment since the machine was started; it means nothing after the next start. Zero is a moment that was not written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootTime(u64);

impl BootTime {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(u64::try_from(since_boot().as_nanos()).unwrap_or(u64::MAX))
    }

    /// How long ago it was; nothing for one that was not written down, or of another start of the machine that lies ahead.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        if self.0 == 0 { Duration::ZERO } else { Duration::from_nanos(Self::now().0.saturating_sub(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_only_since_a_moment_that_is_known() {
        assert_eq!(BootTime::default().elapsed(), Duration::ZERO);
        assert_eq!(BootTime(u64::MAX).elapsed(), Duration::ZERO);
        let before = BootTime::now();
        assert!(before.0 > 0 && before <= BootTime::now());
    }
}
