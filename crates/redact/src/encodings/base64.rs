//! What base64 makes of a secret that stands anywhere in the encoded bytes.

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Fewer characters are not looked for: in random base64, five appear by chance once per gibibyte, six once in sixty.
const MIN_CHARACTERS: usize = 6;

/// The widths at which encoders break lines: openssl and PEM; coreutils, Python and MIME.
const WIDTHS: [usize; 2] = [64, 76];

/// What follows a secret when it ends the encoded bytes: nothing (`printf`), or a line end (`echo`).
const TAILS: [&[u8]; 2] = [b"", b"\n"];

pub(super) fn forms(text: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    for alphabet in [&STANDARD, &URL_SAFE] {
        for before in 0..3 {
            forms.extend(inside(alphabet, before, text));
            for tail in TAILS {
                forms.extend(at_the_end(alphabet, before, text, tail));
            }
        }
    }
    for width in WIDTHS {
        for tail in TAILS {
            forms.extend(wrapped(width, text, tail));
        }
    }
    forms
}

/// The characters that the secret alone determines when `before` bytes (modulo 3) stand before it and any after it.
fn inside(alphabet: &Alphabet, before: usize, text: &[u8]) -> Option<Vec<u8>> {
    let determined = 8 * (before + text.len()) / 6;
    let mut encoded = encode(alphabet, before, text);
    encoded.truncate(determined);
    long_enough(encoded.split_off(undetermined(before)))
}

/// The characters of a secret which, with `tail`, ends the encoded bytes, without and with padding.
fn at_the_end(alphabet: &Alphabet, before: usize, text: &[u8], tail: &[u8]) -> Vec<Vec<u8>> {
    let encoded = encode(alphabet, before, &[text, tail].concat());
    let padding = encoded.len().next_multiple_of(4) - encoded.len();
    let Some(bare) = long_enough(encoded[undetermined(before)..].to_vec()) else {
        return Vec::new();
    };
    let padded = [&bare, &b"=="[..padding]].concat();
    vec![bare, padded]
}

/// What an encoder that breaks lines makes of a secret that is all of its input: the lines one by one, for when something
/// is put before each of them, and all together, for the last one, which may be too short to be looked for alone.
fn wrapped(width: usize, text: &[u8], tail: &[u8]) -> Vec<Vec<u8>> {
    let mut encoded = encode(&STANDARD, 0, &[text, tail].concat());
    if encoded.len() <= width {
        return Vec::new();
    }
    encoded.resize(encoded.len().next_multiple_of(4), b'=');
    let lines: Vec<&[u8]> = encoded.chunks(width).collect();
    let together = [lines.join(&b"\n"[..]), lines.join(&b"\r\n"[..])];
    lines.iter().filter_map(|line| long_enough(line.to_vec())).chain(together).collect()
}

/// Encodes `before` zero bytes and the text, without padding.
fn encode(alphabet: &Alphabet, before: usize, text: &[u8]) -> Vec<u8> {
    let engine = GeneralPurpose::new(alphabet, NO_PAD);
    engine.encode([&[0; 2][..before], text].concat()).into_bytes()
}

/// How many characters at the beginning have bits of the bytes before the secret.
fn undetermined(before: usize) -> usize {
    (8 * before).div_ceil(6)
}

fn long_enough(characters: Vec<u8>) -> Option<Vec<u8>> {
    (characters.len() >= MIN_CHARACTERS).then_some(characters)
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};

    use crate::Masker;

    fn mask(value: &str, text: &str) -> String {
        Masker::builder().secret("S", value).build().masker.mask_str(text).into_owned()
    }

    #[test]
    fn a_secret_that_ends_the_encoded_bytes_is_masked_but_for_a_first_mixed_character() {
        let value = "s3cr3t>>?\u{fe}~~~";
        for before in 0..9 {
            for end in ["", "\n"] {
                let plain = format!("{}{value}{end}", &"user-name:"[..before]);
                for engine in
                    [BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD]
                {
                    let encoded = engine.encode(&plain);
                    let clear = (8 * before).div_ceil(6);
                    assert_eq!(mask(value, &encoded), format!("{}********", &encoded[..clear]), "{plain:?}");
                }
            }
        }
    }

    #[test]
    fn a_secret_in_the_middle_is_masked_but_for_one_mixed_character_on_each_side() {
        let value = "correct horse";
        for before in 0..3 {
            for after in 1..4 {
                let encoded =
                    BASE64_STANDARD.encode([&b"{{{"[..before], value.as_bytes(), &b"}}}"[..after]].concat());
                let masked = mask(value, &encoded);
                let (left, right) = masked.split_once("********").unwrap();
                assert_eq!(left, &encoded[..(8 * before).div_ceil(6)]);
                assert_eq!(right, &encoded[8 * (before + value.len()) / 6..]);
            }
        }
    }

    /// Encodes as `base64` does: with a line end behind the value and lines of `width` characters.
    fn wrap(value: &str, width: usize) -> Vec<String> {
        let encoded = BASE64_STANDARD.encode(format!("{value}\n")).into_bytes();
        encoded.chunks(width).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect()
    }

    #[test]
    fn wrapped_base64_is_masked_whatever_the_length_of_its_last_line() {
        for length in 60..180u32 {
            let value: String = (0..length).map(|n| char::from(b'!' + (n * n % 90) as u8)).collect();
            for (width, end) in [(64, "\n"), (64, "\r\n"), (76, "\n"), (76, "\r\n")] {
                assert_eq!(mask(&value, &wrap(&value, width).join(end)), "********", "{length} {width}");
            }
        }
    }

    #[test]
    fn each_line_of_wrapped_base64_is_masked() {
        let value: String = (0..300u32).map(|n| char::from(b'!' + (n * n % 90) as u8)).collect();
        for width in [64, 76] {
            let lines = wrap(&value, width);
            assert_eq!(mask(&value, &lines.join("\n| ")), vec!["********"; lines.len()].join("\n| "));
        }
    }

    #[test]
    fn a_form_short_enough_to_appear_by_chance_is_not_looked_for() {
        // `abcd` after one byte is four determined characters, `FiY2`: too common.
        assert_eq!(mask("abcd", "FiY2 YWJjZA== YWJjZA"), "FiY2 ******** ********");
    }
}
