//! The [`Masker`]: the rules by which text is masked, made once and shared.
//!
//! Not for text that comes in pieces: that is [`MaskStream`].

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::automaton::Automaton;
use crate::builder::MaskerBuilder;
use crate::patterns::Pattern;
use crate::sieve::Sieve;
use crate::stream::MaskStream;

/// Masks secrets in whole values, and through [`MaskStream`] in streams. Cheap to clone; without secrets it costs nothing.
#[derive(Clone, Default)]
pub struct Masker {
    rules: Option<Arc<Rules>>,
}

/// What a masker knows when it has anything to look for.
pub(crate) struct Rules {
    pub(crate) automaton: Automaton,
    pub(crate) sieve: Sieve,
    replacements: Vec<String>,
}

impl Masker {
    /// Begins to collect secrets.
    pub fn builder() -> MaskerBuilder {
        MaskerBuilder::default()
    }

    pub(crate) fn new(patterns: Vec<Pattern>, replacements: Vec<String>) -> Self {
        if patterns.is_empty() {
            return Self::default();
        }
        let automaton = Automaton::new(patterns);
        let sieve = Sieve::new(automaton.patterns());
        Self { rules: Some(Arc::new(Rules { automaton, sieve, replacements })) }
    }

    /// Whether there is nothing to mask, so that all text passes unchanged.
    pub fn is_empty(&self) -> bool {
        self.rules.is_none()
    }

    /// The text with every secret replaced; the text itself when there is none in it.
    ///
    /// Where a secret that is not UTF-8 was cut out of the middle of a character, the rest of it becomes U+FFFD.
    pub fn mask_str<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.mask_bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(masked) => Cow::Owned(into_text(masked)),
        }
    }

    /// The bytes with every secret replaced; the bytes themselves when there is none in them.
    pub fn mask_bytes<'t>(&self, bytes: &'t [u8]) -> Cow<'t, [u8]> {
        if self.is_empty() {
            return Cow::Borrowed(bytes);
        }
        let mut stream = MaskStream::new(self);
        let mut masked = Vec::new();
        stream.push(bytes, &mut masked);
        stream.finish(&mut masked);
        if stream.has_replaced() { Cow::Owned(masked) } else { Cow::Borrowed(bytes) }
    }

    pub(crate) fn rules(&self) -> Option<&Rules> {
        self.rules.as_deref()
    }
}

impl Rules {
    pub(crate) fn replacement(&self, index: u32) -> &[u8] {
        self.replacements[index as usize].as_bytes()
    }
}

fn into_text(masked: Vec<u8>) -> String {
    String::from_utf8(masked).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.rules().map_or(0, |rules| rules.automaton.patterns().len());
        f.debug_struct("Masker").field("patterns", &patterns).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_secrets_a_value_is_given_back_as_it_is() {
        let masker = Masker::default();
        assert!(masker.is_empty());
        assert!(matches!(masker.mask_str("anything"), Cow::Borrowed("anything")));
        assert!(matches!(masker.mask_bytes(b"\xff"), Cow::Borrowed(b"\xff")));
    }

    #[test]
    fn a_value_without_a_secret_in_it_is_not_copied() {
        let masker = Masker::builder().secret("S", "hidden").build().masker;
        assert!(matches!(masker.mask_str("nothing hidde"), Cow::Borrowed("nothing hidde")));
    }

    // Rule 3.
    #[test]
    fn of_overlapping_secrets_nothing_stays() {
        let masker = Masker::builder().secret("A", "abcd").secret("B", "cdef").build().masker;
        assert_eq!(
            masker.mask_str("abcdef abcd cdef abcdcdef"),
            "******** ******** ******** ****************"
        );
    }

    // covers: sourcegraph 43, sourcegraph 45
    #[test]
    fn of_overlapping_secrets_the_leftmost_and_then_the_longest_gives_the_replacement() {
        let masker = Masker::builder()
            .secret_with("A", "token-executor tok1", "token-executor REDACTED")
            .secret_with("B", "tok1", "PASSWORD")
            .secret_with("C", "tok1-and-more", "MORE")
            .build()
            .masker;
        assert_eq!(masker.mask_str("tok1 tok1-and-more"), "PASSWORD MORE");
        assert_eq!(masker.mask_str("token-executor tok1-and-more"), "token-executor REDACTED");
    }

    #[test]
    fn a_secret_in_its_own_replacement_is_replaced_once() {
        let masker =
            Masker::builder().secret_with("S", "pass", "<pass>").secret("STARS", "****").build().masker;
        assert_eq!(masker.mask_str("pass ****"), "<pass> ********");
    }

    #[test]
    fn an_empty_replacement_leaves_nothing() {
        let masker = Masker::builder().secret_with("S", "gone", "").build().masker;
        assert_eq!(masker.mask_str("<gone>"), "<>");
    }

    #[test]
    fn a_secret_that_cuts_a_character_leaves_valid_text() {
        let masker = Masker::builder().secret("S", [0xa9, b'a', b'b', 0xc3]).build().masker;
        assert_eq!(masker.mask_str("éabé"), "\u{fffd}********\u{fffd}");
    }
}
