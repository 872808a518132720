//! The automaton that reads text byte by byte and knows, after each byte, the longest pattern that ends there and the
//! longest beginning of a pattern that the text ends with.
//!
//! It is that of Aho and Corasick with two changes, which are why the crate of that name does not serve here: a state tells
//! its depth, without which what must be held back cannot be known exactly; and it knows only the longest of the patterns
//! that end in it, which is all that a union of matches needs, where a list of them grows with the square of nested patterns.
//!
//! Not for skipping over text that cannot match (`sieve.rs`), nor for what becomes of matches (`intervals.rs`).

use std::collections::VecDeque;

use crate::patterns::Pattern;

/// A state's number. Patterns together have at most `MAX_PATTERN_BYTES` bytes, and a state stands for one of them.
pub(crate) type StateId = u32;

/// The state of having read nothing that begins a pattern.
pub(crate) const ROOT: StateId = 0;

/// No state, no pattern. As a state it is unambiguous because the root is nobody's child or sibling.
const NONE: u32 = u32::MAX;

pub(crate) struct Automaton {
    /// Numbered so that a state's first child, if it has one, is the next state.
    states: Vec<State>,
    /// The root's children by byte, because most steps are asked of it.
    root: Box<[StateId; 256]>,
    patterns: Vec<Pattern>,
}

/// A beginning of at least one pattern.
struct State {
    /// The state of the longest end of this beginning that has children. Childless ones are passed over: from them no
    /// byte leads on, and their patterns are in `ending` already.
    fallback: StateId,
    /// The next child of the same parent, with a greater byte.
    sibling: StateId,
    /// The length of this beginning in bytes.
    depth: u32,
    /// The longest pattern that this beginning ends with.
    ending: u32,
    /// A pattern that has this beginning.
    pattern: u32,
    /// The last byte of this beginning.
    byte: u8,
    has_children: bool,
}

impl Automaton {
    /// Takes time and memory linear in the length of all patterns. No pattern is empty.
    pub(crate) fn new(patterns: Vec<Pattern>) -> Self {
        let mut automaton = Self::trie(sorted(patterns));
        automaton.link();
        automaton
    }

    pub(crate) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    /// The state after one more byte, and the longest pattern that ends with that byte.
    #[inline]
    pub(crate) fn step(&self, mut at: StateId, byte: u8) -> (StateId, Option<&Pattern>) {
        loop {
            let child = self.child(at, byte);
            if child != NONE {
                let state = &self.states[child as usize];
                let next = if state.has_children { child } else { state.fallback };
                return (next, self.patterns.get(state.ending as usize));
            }
            if at == ROOT {
                return (ROOT, None);
            }
            at = self.states[at as usize].fallback;
        }
    }

    /// What of the text read so far may still become a match: its longest end that begins a pattern and is not all of it.
    pub(crate) fn pending(&self, at: StateId) -> &[u8] {
        let state = &self.states[at as usize];
        match self.patterns.get(state.pattern as usize) {
            Some(pattern) => &pattern.bytes[..state.depth as usize],
            None => &[],
        }
    }

    /// The child of a state that has children.
    #[inline]
    fn child(&self, at: StateId, byte: u8) -> StateId {
        if at == ROOT {
            return self.root[usize::from(byte)];
        }
        let mut child = at + 1;
        while child != NONE {
            let state = &self.states[child as usize];
            if state.byte == byte {
                return child;
            }
            child = state.sibling;
        }
        NONE
    }

    /// The states and their children. Sorted patterns make it one pass: what a pattern does not share with the one before
    /// it are new states.
    fn trie(patterns: Vec<Pattern>) -> Self {
        let mut states = vec![State::new(0, 0, NONE)];
        let mut root = Box::new([NONE; 256]);
        let mut path = vec![ROOT]; // the states of the pattern before, by depth
        let mut before: &[u8] = &[];
        for (number, pattern) in (0u32..).zip(&patterns) {
            let shared = before.iter().zip(&pattern.bytes).take_while(|(a, b)| a == b).count();
            let elder = path.get(shared + 1).copied();
            path.truncate(shared + 1);
            for (depth, &byte) in (1u32..).zip(&pattern.bytes).skip(shared) {
                let (parent, new) = (path[path.len() - 1], states.len() as StateId);
                states[parent as usize].has_children = true;
                if parent == ROOT {
                    root[usize::from(byte)] = new;
                }
                states.push(State::new(byte, depth, number));
                path.push(new);
            }
            if let (Some(elder), Some(&new)) = (elder, path.get(shared + 1)) {
                states[elder as usize].sibling = new;
            }
            states[path[path.len() - 1] as usize].ending = number;
            before = &pattern.bytes;
        }
        Self { states, root, patterns }
    }

    /// Gives every state its fallback and its ending, the shallow ones first because the deep ones lean on them.
    fn link(&mut self) {
        let mut queue: VecDeque<StateId> = self.root.iter().copied().filter(|&child| child != NONE).collect();
        while let Some(at) = queue.pop_front() {
            if !self.states[at as usize].has_children {
                continue;
            }
            let fallback = self.states[at as usize].fallback;
            let mut child = at + 1;
            while child != NONE {
                let (target, ending) = self.suffix(fallback, self.states[child as usize].byte);
                let state = &mut self.states[child as usize];
                state.fallback = target;
                if state.ending == NONE {
                    state.ending = ending;
                }
                queue.push_back(child);
                child = state.sibling;
            }
        }
    }

    /// Where a byte leads from a fallback, and the ending there.
    fn suffix(&self, mut at: StateId, byte: u8) -> (StateId, u32) {
        loop {
            let child = self.child(at, byte);
            if child != NONE {
                let state = &self.states[child as usize];
                return (if state.has_children { child } else { state.fallback }, state.ending);
            }
            if at == ROOT {
                return (ROOT, NONE);
            }
            at = self.states[at as usize].fallback;
        }
    }
}

impl State {
    fn new(byte: u8, depth: u32, pattern: u32) -> Self {
        Self { fallback: ROOT, sibling: NONE, depth, ending: NONE, pattern, byte, has_children: false }
    }
}

/// In the order of their bytes; of equal ones only the one that wins.
fn sorted(mut patterns: Vec<Pattern>) -> Vec<Pattern> {
    patterns.sort_unstable_by(|a, b| {
        let winner_first = (b.rank, b.replacement).cmp(&(a.rank, a.replacement));
        a.bytes.cmp(&b.bytes).then(winner_first)
    });
    patterns.dedup_by(|later, kept| later.bytes == kept.bytes);
    patterns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::Rank;

    fn automaton(texts: &[Vec<u8>]) -> Automaton {
        let pattern =
            |text: &Vec<u8>| Pattern { bytes: text.as_slice().into(), rank: Rank::Value, replacement: 0 };
        Automaton::new(texts.iter().map(pattern).collect())
    }

    fn texts() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(b'a'..=b'c', 1..8), 1..12)
    }

    proptest! {
        #[test]
        fn the_longest_pattern_that_ends_at_a_byte_is_the_one_that_aho_corasick_finds(
            patterns in texts(), text in prop::collection::vec(b'a'..=b'd', 0..80),
        ) {
            let automaton = automaton(&patterns);
            let oracle = aho_corasick::AhoCorasick::new(&patterns).unwrap();
            let mut longest = vec![0; text.len() + 1];
            for found in oracle.find_overlapping_iter(&text) {
                longest[found.end()] = found.len().max(longest[found.end()]);
            }
            let mut at = ROOT;
            for (end, &byte) in (1..).zip(&text) {
                let (next, ending) = automaton.step(at, byte);
                prop_assert_eq!(ending.map_or(0, |pattern| pattern.bytes.len()), longest[end]);
                at = next;
            }
        }

        #[test]
        fn pending_is_the_longest_end_that_begins_a_pattern_and_is_not_all_of_it(
            patterns in texts(), text in prop::collection::vec(b'a'..=b'd', 0..40),
        ) {
            let automaton = automaton(&patterns);
            let at = text.iter().fold(ROOT, |at, &byte| automaton.step(at, byte).0);
            let begins = |end: &&[u8]| patterns.iter().any(|p| p.len() > end.len() && p.starts_with(end));
            let longest = (0..=text.len()).map(|from| &text[from..]).find(begins);
            prop_assert_eq!(Some(automaton.pending(at)), longest);
        }
    }
}
