//! From a secret's value to the byte strings that are looked for.
//!
//! Not for the rules about which secrets are accepted (`builder.rs`), nor for what one encoding looks like (`encodings/`).

use crate::builder::MIN_SECRET_BYTES;
use crate::encodings;

/// How near a pattern is to what the user gave; decides between equal patterns of different secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Encoded,
    Line,
    Value,
}

/// One byte string to look for. Has no `Debug`, so that it cannot be printed.
#[derive(Clone)]
pub(crate) struct Pattern {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) rank: Rank,
    /// Index of the replacement, which grows in the order of the secrets.
    pub(crate) replacement: u32,
}

/// All patterns of one secret; some may be equal.
pub(crate) struct Patterns(Vec<Pattern>);

impl Patterns {
    /// The value and its lines, as they are and in every encoding.
    pub(crate) fn encoded(value: &[u8], replacement: usize) -> Self {
        let mut patterns = Self::plain(value, replacement);
        let texts: Vec<Box<[u8]>> = patterns.0.iter().map(|pattern| pattern.bytes.clone()).collect();
        for text in texts {
            for form in encodings::of(&text) {
                patterns.add(&form, Rank::Encoded, replacement);
            }
        }
        patterns
    }

    /// The value and its lines as they are. `value` is trimmed and not empty.
    pub(crate) fn plain(value: &[u8], replacement: usize) -> Self {
        let mut patterns = Self(Vec::new());
        patterns.add(value, Rank::Value, replacement);
        if value.contains(&b'\n') {
            for other in [with_line_ends(value, b"\n"), with_line_ends(value, b"\r\n")] {
                if other != value {
                    patterns.add(&other, Rank::Value, replacement);
                }
            }
            for line in
                value.split(|&byte| byte == b'\n').map(trim).filter(|line| line.len() >= MIN_SECRET_BYTES)
            {
                patterns.add(line, Rank::Line, replacement);
            }
        }
        patterns
    }

    /// The length of all of them, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|pattern| pattern.bytes.len()).sum()
    }

    fn add(&mut self, bytes: &[u8], rank: Rank, replacement: usize) {
        // A builder holds far fewer than 2^32 secrets: each has a pattern, and all patterns together fit in 32 MiB.
        let replacement = u32::try_from(replacement).unwrap_or(u32::MAX);
        self.0.push(Pattern { bytes: bytes.into(), rank, replacement });
    }
}

impl IntoIterator for Patterns {
    type Item = Pattern;
    type IntoIter = std::vec::IntoIter<Pattern>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Cuts white space off both ends, that of Unicode when the value is text.
pub(crate) fn trim(value: &[u8]) -> &[u8] {
    match std::str::from_utf8(value) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => value.trim_ascii(),
    }
}

/// The value with every LF or CRLF written as `end`.
fn with_line_ends(value: &[u8], end: &[u8]) -> Vec<u8> {
    let lines = value.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.collect::<Vec<_>>().join(end)
}

#[cfg(test)]
mod tests {
    use crate::Masker;

    fn mask(value: &str, text: &str) -> String {
        Masker::builder().secret("S", value).build().masker.mask_str(text).into_owned()
    }

    // covers: woodpecker 57
    #[test]
    fn white_space_around_a_value_does_not_belong_to_it() {
        assert_eq!(mask("\u{a0} pass word \r\n", "[pass word]"), "[********]");
    }

    // covers: woodpecker 57
    #[test]
    fn every_line_of_a_value_is_masked_alone() {
        assert_eq!(mask("first line\nsecond\n", "| second\n| first line"), "| ********\n| ********");
    }

    #[test]
    fn white_space_around_a_line_does_not_belong_to_it() {
        assert_eq!(mask("{\r\n  key: value\r\n}", "key: value;"), "********;");
    }

    // covers: woodpecker 58
    #[test]
    fn short_lines_of_a_value_are_not_masked_alone() {
        assert_eq!(mask("{\n\"key\": 1\n}", "{}{ \"key\": 1 }"), "{}{ ******** }");
    }

    #[test]
    fn a_value_of_several_lines_is_masked_as_one_with_either_line_end() {
        for given in ["ab\ncdefg\nhi", "ab\r\ncdefg\r\nhi"] {
            assert_eq!(mask(given, "<ab\ncdefg\nhi>"), "<********>");
            assert_eq!(mask(given, "<ab\r\ncdefg\r\nhi>"), "<********>");
        }
    }

    #[test]
    fn a_value_of_several_lines_is_masked_in_json() {
        assert_eq!(mask("ab\ncd \"ef\"\ngh", r#"{"k":"ab\ncd \"ef\"\ngh"}"#), r#"{"k":"********"}"#);
        assert_eq!(mask("ab\ncd \"ef\"\ngh", r#"{"line":"cd \"ef\""}"#), r#"{"line":"********"}"#);
    }

    #[test]
    fn a_value_that_is_no_text_is_masked() {
        let masker = Masker::builder().secret("S", [0xff, 0x00, 0xfe, 0x80]).build().masker;
        assert_eq!(*masker.mask_bytes(&[b'<', 0xff, 0x00, 0xfe, 0x80, b'>']), *b"<********>");
    }
}
