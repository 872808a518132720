//! The clock for durations that are kept on disk: it counts suspended time and nobody sets it (DESIGN rule 12). Its readings hold within one
//! boot, which [`crate::ProcessIdentity`] tells.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Time since boot, suspended time counted (`CLOCK_BOOTTIME`).
#[must_use]
pub fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    // It starts at zero, so neither field is ever negative.
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_forward() {
        let earlier = since_boot();
        assert!(!earlier.is_zero() && since_boot() >= earlier);
    }
}
