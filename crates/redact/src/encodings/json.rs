//! What JSON writers make of a secret inside a string.

/// The liberties that writers take with characters which need no escape.
#[derive(Clone, Copy)]
struct Style {
    /// `/` as `\/`.
    slash: bool,
    /// `<`, `>` and `&` as `\u00XX`.
    html: bool,
    /// `"`, `'`, `+` and the grave accent as `\u00XX` as well.
    quotes: bool,
    /// All that is not ASCII as `\uXXXX`.
    ascii: bool,
    /// Hexadecimal digits in capitals.
    capitals: bool,
    /// Backspace and form feed as `\u0008` and `\u000c`.
    long_controls: bool,
}

const PLAIN: Style =
    Style { slash: false, html: false, quotes: false, ascii: false, capitals: false, long_controls: false };

const STYLES: [Style; 8] = [
    PLAIN,                                                                    // serde_json, JSON.stringify
    Style { ascii: true, ..PLAIN },                                           // Python
    Style { slash: true, ..PLAIN },                                           // Swift, C writers
    Style { slash: true, ascii: true, ..PLAIN },                              // PHP
    Style { html: true, ..PLAIN },                                            // Go
    Style { html: true, long_controls: true, ..PLAIN },                       // Go before 1.22
    Style { ascii: true, capitals: true, ..PLAIN },                           // Jackson with ESCAPE_NON_ASCII
    Style { html: true, quotes: true, ascii: true, capitals: true, ..PLAIN }, // .NET
];

/// None for a value that is not UTF-8: JSON cannot hold it.
pub(super) fn forms(text: &[u8]) -> Vec<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(text) else { return Vec::new() };
    STYLES.iter().map(|&style| form(style, text).into_bytes()).collect()
}

fn form(style: Style, text: &str) -> String {
    let mut form = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            character if needs_unicode(style, character) => push_unicode(style, character, &mut form),
            '"' => form.push_str(r#"\""#),
            '\\' => form.push_str(r"\\"),
            '/' if style.slash => form.push_str(r"\/"),
            '\u{8}' => form.push_str(r"\b"),
            '\u{c}' => form.push_str(r"\f"),
            '\n' => form.push_str(r"\n"),
            '\r' => form.push_str(r"\r"),
            '\t' => form.push_str(r"\t"),
            _ => form.push(character),
        }
    }
    form
}

fn needs_unicode(style: Style, character: char) -> bool {
    match character {
        '\n' | '\r' | '\t' => false,
        '\u{8}' | '\u{c}' => style.long_controls,
        '\0'..='\u{1f}' => true,
        '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if style.html => true,
        '"' | '\'' | '+' | '`' => style.quotes,
        _ => style.ascii && !character.is_ascii(),
    }
}

/// `\uXXXX`, twice for a character beyond the basic plane.
fn push_unicode(style: Style, character: char, form: &mut String) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        let digits = if style.capitals { format!("{unit:04X}") } else { format!("{unit:04x}") };
        form.push_str(r"\u");
        form.push_str(&digits);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::Masker;

    #[test]
    fn every_habit_of_escaping_a_string_is_masked() {
        let masker = Masker::builder().secret("S", "a\"b\\c/d\n<é>\u{1}😀").build().masker;
        for escaped in [
            r#"a\"b\\c/d\n<é>\u0001😀"#,
            r#"a\"b\\c/d\n<\u00e9>\u0001\ud83d\ude00"#,
            r#"a\"b\\c/d\n<\u00E9>\u0001\uD83D\uDE00"#,
            r#"a\"b\\c\/d\n<é>\u0001😀"#,
            r#"a\"b\\c\/d\n<\u00e9>\u0001\ud83d\ude00"#,
            r#"a\"b\\c/d\n\u003cé\u003e\u0001😀"#,
            r#"a\u0022b\\c/d\n\u003C\u00E9\u003E\u0001\uD83D\uDE00"#,
        ] {
            assert_eq!(
                masker.mask_str(&format!("{{\"k\":\"{escaped}\"}}")),
                "{\"k\":\"********\"}",
                "{escaped}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_serde_json_writes_is_masked(value in "[a-z]{2}[a-z\"\\\\/\u{0}-\u{20}<é😀]{0,10}[a-z]{2}") {
            let masker = Masker::builder().secret("S", &value).build().masker;
            let written = serde_json::json!({ "KEY": value }).to_string();
            let masked = masker.mask_str(&written);
            // The quotes around the value may belong to matches of lines of it that have quotes themselves.
            prop_assert_eq!(masked.replace('"', ""), "{KEY:********}");
        }
    }
}
