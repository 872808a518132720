//! What URL encoders make of a secret.

/// Which bytes besides letters and digits an encoder leaves alone, and whether it writes a space as `+`.
struct Style {
    kept: &'static [u8],
    plus_for_space: bool,
}

const fn style(kept: &'static str, plus_for_space: bool) -> Style {
    Style { kept: kept.as_bytes(), plus_for_space }
}

/// Encoders agree on letters and digits and on little else, so every habit has its row.
const STYLES: [Style; 10] = [
    style("", false),                     // all that is not a letter or digit
    style("-_.~", false),                 // RFC 3986: curl, jq's @uri
    style("-_.~", true),                  // Go's QueryEscape, Python's quote_plus
    style("-_.", true),                   // PHP's urlencode
    style("*-._", true),                  // application/x-www-form-urlencoded of browsers, Java's URLEncoder
    style("-_.~/", false),                // Python's quote
    style("-_.!~*'()", false),            // encodeURIComponent
    style("-_.!~*'();/?:@&=+$,#", false), // encodeURI
    style("-_.~$&+,;=", false),           // Go's userinfo, as in https://user:password@host
    style("-_.~$&+:=@", false),           // Go's PathEscape
];

pub(super) fn forms(text: &[u8]) -> Vec<Vec<u8>> {
    let both_cases = |style| [form(style, b"0123456789ABCDEF", text), form(style, b"0123456789abcdef", text)];
    STYLES.iter().flat_map(both_cases).collect()
}

fn form(style: &Style, digits: &[u8; 16], text: &[u8]) -> Vec<u8> {
    let mut form = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            byte if byte.is_ascii_alphanumeric() || style.kept.contains(&byte) => form.push(byte),
            b' ' if style.plus_for_space => form.push(b'+'),
            _ => form.extend([b'%', digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]]),
        }
    }
    form
}

#[cfg(test)]
mod tests {
    use crate::Masker;

    #[test]
    fn every_habit_of_encoding_a_url_is_masked() {
        let masker = Masker::builder().secret("S", "p@ss w/ö*r~d").build().masker;
        for encoded in [
            "p%40ss%20w%2F%C3%B6%2Ar~d", // RFC 3986
            "p%40ss%20w%2f%c3%b6%2ar~d", // and in small letters
            "p%40ss+w%2F%C3%B6%2Ar~d",   // Go's QueryEscape
            "p%40ss+w%2F%C3%B6*r%7Ed",   // a form
            "p%40ss%20w%2F%C3%B6*r~d",   // encodeURIComponent
            "p@ss%20w/%C3%B6*r~d",       // encodeURI
            "p%40ss%20w/%C3%B6%2Ar~d",   // Python's quote
            "p%40ss%20w%2F%C3%B6%2Ar%7Ed",
            "p@ss%20w%2F%C3%B6%2Ar~d", // Go's PathEscape
        ] {
            assert_eq!(masker.mask_str(&format!("?k={encoded}&")), "?k=********&", "{encoded}");
        }
    }
}
