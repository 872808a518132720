//! The union of matches: intervals of text that a replacement takes the place of.
//!
//! Not for finding matches (`automaton.rs`), nor for what is put out when (`stream.rs`).

use std::collections::VecDeque;

/// Bytes `start..end` of all input, of which nothing may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval {
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Index of the replacement of the match that starts first, of several the longest.
    pub(crate) replacement: u32,
}

/// Intervals in the order of the text, none of which shares a byte with another.
#[derive(Clone, Debug, Default)]
pub(crate) struct Intervals(VecDeque<Interval>);

impl Intervals {
    /// Adds a match that ends after all those before it, or grows the intervals that it shares bytes with into one.
    ///
    /// Of the matches that end at one byte only the longest need be given: it contains the others, and one that starts
    /// an interval is always the longest at its end.
    pub(crate) fn add(&mut self, found: Interval) {
        while let Some(last) = self.0.back_mut().filter(|last| last.end > found.start) {
            if last.start < found.start {
                last.end = found.end;
                return;
            }
            self.0.pop_back();
        }
        self.0.push_back(found);
    }

    pub(crate) fn first(&self) -> Option<Interval> {
        self.0.front().copied()
    }

    /// Takes the first interval if it ends at or before this byte.
    pub(crate) fn take_until(&mut self, settled: u64) -> Option<Interval> {
        self.0.pop_front_if(|first| first.end <= settled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn union(matches: &[(u64, u64)]) -> Vec<(u64, u64, u32)> {
        let mut intervals = Intervals::default();
        for (replacement, &(start, end)) in (0u32..).zip(matches) {
            intervals.add(Interval { start, end, replacement });
        }
        intervals.0.iter().map(|interval| (interval.start, interval.end, interval.replacement)).collect()
    }

    #[test]
    fn matches_that_share_a_byte_are_one_interval_with_the_replacement_of_the_first() {
        assert_eq!(union(&[(0, 4), (3, 7)]), [(0, 7, 0)]);
    }

    #[test]
    fn matches_that_only_touch_stay_two() {
        assert_eq!(union(&[(0, 4), (4, 8)]), [(0, 4, 0), (4, 8, 1)]);
    }

    #[test]
    fn of_matches_with_one_start_the_longest_gives_the_replacement() {
        assert_eq!(union(&[(0, 4), (0, 6)]), [(0, 6, 1)]);
        assert_eq!(union(&[(0, 4), (2, 5), (0, 6)]), [(0, 6, 2)]);
    }

    #[test]
    fn a_match_over_several_intervals_makes_them_one() {
        assert_eq!(union(&[(1, 3), (4, 6), (7, 9), (5, 11)]), [(1, 3, 0), (4, 11, 1)]);
        assert_eq!(union(&[(1, 3), (4, 6), (0, 9)]), [(0, 9, 2)]);
    }
}
