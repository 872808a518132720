//! How large a condition may be. The parser recurses, so that nesting is bounded before it sees the text. Not for syntax.

use crate::condition::InvalidCondition;

/// The most bytes.
const LONGEST: usize = 1000;
/// The most brackets inside of each other.
const DEEPEST: usize = 12;
/// The most characters that may be operators.
const MOST_OPERATORS: usize = 200;

pub(super) fn check(text: &str) -> Result<(), InvalidCondition> {
    if text.trim().is_empty() {
        let help = Some("write `true`, or take it out".to_owned());
        return Err(InvalidCondition {
            place: 0..text.len(),
            message: "the condition is empty".to_owned(),
            help,
        });
    }
    if text.len() > LONGEST {
        return Err(too_large(text, format!("a condition has at most {LONGEST} bytes")));
    }
    let (mut quote, mut escaped) = (None, false);
    let (mut depth, mut operators) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match (quote, byte) {
            _ if std::mem::take(&mut escaped) => {}
            (Some(_), b'\\') => escaped = true,
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            (None, byte) if byte.is_ascii_punctuation() && byte != b'_' => operators += 1,
            _ => {}
        }
        if depth > DEEPEST {
            return Err(too_large(
                text,
                format!("a condition has at most {DEEPEST} brackets inside of each other"),
            ));
        }
        if operators > MOST_OPERATORS {
            return Err(too_large(text, format!("a condition has at most {MOST_OPERATORS} operators")));
        }
    }
    Ok(())
}

fn too_large(text: &str, message: String) -> InvalidCondition {
    let help = Some("decide it in the script".to_owned());
    InvalidCondition { place: 0..text.len(), message, help }
}
