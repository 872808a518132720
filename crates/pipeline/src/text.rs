//! Texts of a file in messages. Anyone may have written the file, so nothing of it may act on the reader's terminal.

/// The most characters of a file's own text that a message quotes.
const LONGEST_QUOTE: usize = 60;

/// Whether a terminal shows `c` and does nothing else: no control character, no separator of lines, no mark that changes the
/// direction of what follows.
pub(crate) fn is_showable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'..='\u{200f}' | '\u{feff}')
}

/// A text as a message quotes it: cut when long.
pub(crate) fn shown(text: &str) -> String {
    let mut quote: String = text.chars().take(LONGEST_QUOTE).collect();
    if text.chars().nth(LONGEST_QUOTE).is_some() {
        quote.push('…');
    }
    quote
}

/// `text` with what acts on a terminal written as an escape.
pub(crate) fn printable(text: String) -> String {
    if text.chars().all(is_showable) {
        return text;
    }
    text.chars().flat_map(|c| if is_showable(c) { vec![c] } else { c.escape_default().collect() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_written_as_an_escape() {
        assert_eq!(printable("a\u{1b}[31m\u{202e}é".to_owned()), "a\\u{1b}[31m\\u{202e}é");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(shown(&"ü".repeat(60)), "ü".repeat(60));
        assert_eq!(shown(&"ü".repeat(61)), format!("{}…", "ü".repeat(60)));
    }
}
