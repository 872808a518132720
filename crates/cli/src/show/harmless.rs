//! Texts of a person's file on a terminal. Not for output of jobs, which is shown as it is.

/// `text` with what acts on a terminal written as an escape; line breaks stay.
pub(crate) fn harmless(text: &str) -> String {
    let acts = |c: char| {
        c != '\n'
            && (c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'))
    };
    text.chars().flat_map(|c| if acts(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_acts_on_a_terminal_is_written_as_an_escape() {
        assert_eq!(super::harmless("a\u{1b}[31m\u{202e}é\n"), "a\\u{1b}[31m\\u{202e}é\n");
    }
}
