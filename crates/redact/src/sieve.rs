//! The sieve that runs ahead of the automaton: it looks at a few bytes in every stride and says where no pattern begins.
//!
//! Every pattern has at least as many bytes as the shortest one. Within that many bytes, one **sample** of up to four bytes
//! taken every stride of text falls wholly, if the stride is chosen right. So text none of whose samples occurs near the
//! beginning of a pattern has no match, and all but one byte in a stride need not be looked at. It works for any number of
//! patterns, where a vectorised search for many literals ends at 64.
//!
//! Not for deciding what matches: it may say "look here" for nothing, never the opposite.

use crate::patterns::Pattern;

/// How many of a pattern's first bytes the samples are taken from, at most: each of their places has a bit in a `u16`.
const WINDOW: usize = 19;

/// Table entries for each sample of a pattern: fewer make more false alarms, more make a table that leaves the cache.
const ENTRIES_PER_SAMPLE: usize = 16;

/// The number of table entries, as powers of two: from 8 KiB, which any first-level cache holds, to 512 KiB.
const ENTRIES_LOG2: std::ops::RangeInclusive<u32> = 12..=18;

/// Where in a pattern a sample occurs: bit n for the n-th byte.
type Places = u16;

pub(crate) struct Sieve {
    /// By hash of a sample, the places that it has in patterns.
    table: Vec<Places>,
    /// How far the hash is shifted to the right to leave as many bits as the table has numbers for.
    shift: u32,
    /// Cuts four bytes of text down to a sample.
    mask: u32,
    /// How many bytes lie between the beginnings of two samples.
    stride: usize,
}

impl Sieve {
    /// No pattern is empty.
    pub(crate) fn new(patterns: &[Pattern]) -> Self {
        let window = patterns.iter().map(|pattern| pattern.bytes.len()).min().unwrap_or(1).min(WINDOW);
        let length = sample_bytes(window);
        let stride = window - length + 1;
        let wanted = (patterns.len() * stride * ENTRIES_PER_SAMPLE).next_power_of_two().trailing_zeros();
        let log2 = wanted.clamp(*ENTRIES_LOG2.start(), *ENTRIES_LOG2.end());
        let mask = u32::MAX >> (32 - 8 * length);
        let mut sieve = Self { table: vec![0; 1 << log2], shift: 32 - log2, mask, stride };
        for pattern in patterns {
            for (place, sample) in pattern.bytes[..window].windows(length).enumerate() {
                let mut four = [0; 4];
                four[..length].copy_from_slice(sample);
                let entry = sieve.entry(four);
                sieve.table[entry] |= 1 << place;
            }
        }
        sieve
    }

    /// The first position, from `from` on, at which a pattern may begin; of the last three bytes, any may.
    #[inline]
    pub(crate) fn next(&self, text: &[u8], from: usize) -> usize {
        let mut at = from + self.stride - 1;
        while let Some(places) = self.places(text, at) {
            if places != 0
                && let Some(start) = self.beginning(text, at, places)
            {
                return start;
            }
            at += self.stride;
        }
        // Too near to the end for a sample in every stride.
        let mut start = at + 1 - self.stride;
        while self.places(text, start).is_some_and(|places| places & 1 == 0) {
            start += 1;
        }
        start
    }

    /// The first of the positions at which a pattern may begin that has a sample of the text at one of these places.
    #[cold]
    fn beginning(&self, text: &[u8], sample: usize, places: Places) -> Option<usize> {
        let starts =
            (0..self.stride).rev().filter(|place| places >> place & 1 != 0).map(|place| sample - place);
        // Two more samples of the same pattern; beyond the end of the text, they may be anything.
        let other = 4.min(self.stride - 1);
        let agrees =
            |start, place| self.places(text, start + place).is_none_or(|places| places >> place & 1 != 0);
        starts.into_iter().find(|&start| agrees(start, 0) && agrees(start, other))
    }

    /// The places in patterns of the sample of the text at this position; none within the text's last three bytes.
    #[inline]
    fn places(&self, text: &[u8], at: usize) -> Option<Places> {
        let four = text.get(at..)?.first_chunk()?;
        Some(self.table[self.entry(*four)])
    }

    #[inline]
    fn entry(&self, four: [u8; 4]) -> usize {
        // Multiplying by 2^32 over the golden ratio spreads neighbours over the table.
        ((u32::from_le_bytes(four) & self.mask).wrapping_mul(0x9e37_79b1) >> self.shift) as usize
    }
}

/// Longer samples give fewer false alarms, shorter ones a longer stride.
fn sample_bytes(window: usize) -> usize {
    match window {
        0..=2 => window.max(1),
        3..=5 => 3.min(window - 1),
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::Rank;

    fn sieve(texts: &[Vec<u8>]) -> Sieve {
        let pattern =
            |text: &Vec<u8>| Pattern { bytes: text.as_slice().into(), rank: Rank::Value, replacement: 0 };
        Sieve::new(&texts.iter().map(pattern).collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn no_pattern_begins_in_what_is_skipped(
            patterns in prop::collection::vec(prop::collection::vec(b'a'..=b'e', 1..30), 1..5),
            length in 1usize..30,
            mut text in prop::collection::vec(b'a'..=b'z', 0..200),
            at in any::<prop::sample::Index>(),
            from in 0usize..50,
        ) {
            // All patterns at least `length` long, so that every window is tried; one of them in the text.
            let patterns: Vec<Vec<u8>> =
                patterns.into_iter().map(|p| p.iter().copied().cycle().take(length.max(p.len())).collect()).collect();
            let place = at.index(text.len() + 1);
            text.splice(place..place, patterns[0].iter().copied());
            let from = from.min(text.len());
            let next = sieve(&patterns).next(&text, from);
            let first = (from..text.len()).find(|&at| patterns.iter().any(|p| text[at..].starts_with(p)));
            prop_assert!(from <= next && next <= text.len());
            prop_assert!(first.is_none_or(|first| next <= first), "{next} after {first:?}");
        }
    }

    #[test]
    fn text_unlike_any_pattern_is_skipped_but_for_its_last_three_bytes() {
        let sieve = sieve(&[b"0123456789abcdef".to_vec()]);
        assert_eq!(sieve.next(&[b'~'; 1000], 0), 997);
        assert_eq!(sieve.next(&[b'~'; 1000], 998), 998);
    }
}
