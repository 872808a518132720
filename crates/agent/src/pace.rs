//! Pauses between tries: a growing one when nobody answers, and never two agents in step.

use std::time::Duration;

/// Pauses that double from `first` to `longest`, each up to a quarter shorter or longer.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pace {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest: longest.max(first), next: first }
    }

    /// The pause before the next try after one in vain.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.longest);
        jittered(pause)
    }

    /// It went well: the next pause is the first again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

/// Up to a quarter more or less.
pub(crate) fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.75 + fastrand::f64() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_begin_again() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(second, second * 5);
        let within = |pause: Duration, expected: Duration| {
            assert!(
                pause >= expected.mul_f64(0.75) && pause <= expected.mul_f64(1.25),
                "{pause:?} for {expected:?}"
            );
        };
        for expected in [1, 2, 4, 5, 5] {
            within(pace.pause(), second * expected);
        }
        pace.reset();
        within(pace.pause(), second);
    }
}
