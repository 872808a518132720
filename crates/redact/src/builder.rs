//! From secrets to a [`Masker`]: what is accepted, what is refused and why.
//!
//! Not for how a value is turned into patterns (`patterns.rs`).

use std::fmt;

use crate::masker::Masker;
use crate::patterns::{Pattern, Patterns, trim};

/// What a secret is replaced by unless its [`Secret`] says otherwise (Woodpecker, reference 3.5).
pub const DEFAULT_REPLACEMENT: &str = "********";

/// A shorter value, in bytes after trimming, is refused unless forced: it would mask half of what a job prints.
pub const MIN_SECRET_BYTES: usize = 4;

/// A longer value, in bytes after trimming, is refused. No Linux environment variable can hold more than an eighth of it.
pub const MAX_SECRET_BYTES: usize = 1 << 20;

/// A longer value, in bytes after trimming, is masked as it is and line by line, but not in its encoded forms.
pub const MAX_ENCODED_BYTES: usize = 32 << 10;

/// The most bytes that all patterns of one masker may have. A byte of pattern takes some 25 bytes of memory.
pub const MAX_PATTERN_BYTES: usize = 32 << 20;

/// A value that nobody may read, and what is shown in its place.
#[derive(Clone)]
pub struct Secret {
    name: String,
    value: Vec<u8>,
    replacement: String,
    even_if_short: bool,
}

impl Secret {
    /// A secret replaced by [`DEFAULT_REPLACEMENT`]. The name is what warnings call it; it is never looked for.
    pub fn new(name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.into(),
            value: trim(value.as_ref()).to_vec(),
            replacement: DEFAULT_REPLACEMENT.to_owned(),
            even_if_short: false,
        }
    }

    /// Shows this instead. An empty replacement is allowed; what stood on its two sides then stands together.
    #[must_use]
    pub fn replaced_by(mut self, replacement: impl Into<String>) -> Self {
        self.replacement = replacement.into();
        self
    }

    /// Masks the value even when it is shorter than [`MIN_SECRET_BYTES`], as a queue's `redactedValues` ask for.
    #[must_use]
    pub fn even_if_short(mut self) -> Self {
        self.even_if_short = true;
        self
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What a person should know about a secret that is not, or not fully, masked. Names the secret, never its value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The value is shorter than [`MIN_SECRET_BYTES`]; it is **not masked**.
    #[error("secret `{name}` is not masked: its value is shorter than {MIN_SECRET_BYTES} bytes")]
    TooShort {
        /// The secret's name.
        name: String,
    },
    /// The value is longer than [`MAX_SECRET_BYTES`]; it is **not masked**.
    #[error("secret `{name}` is not masked: its value is longer than {MAX_SECRET_BYTES} bytes")]
    TooLong {
        /// The secret's name.
        name: String,
    },
    /// With this value there would be more than [`MAX_PATTERN_BYTES`] of patterns; it is **not masked**.
    #[error("secret `{name}` is not masked: all secrets together are too long")]
    NoRoom {
        /// The secret's name.
        name: String,
    },
    /// The value is masked as it is and line by line, but not in base64, URL, JSON or shell form: it is longer than
    /// [`MAX_ENCODED_BYTES`], or with those forms there would be more than [`MAX_PATTERN_BYTES`] of patterns.
    #[error("secret `{name}` is masked as it is, but not in its encoded forms: they are too long")]
    NotEncoded {
        /// The secret's name.
        name: String,
    },
}

impl Warning {
    /// The name of the secret it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::TooShort { name }
            | Self::TooLong { name }
            | Self::NoRoom { name }
            | Self::NotEncoded { name } => name,
        }
    }

    /// Whether the secret is not masked at all.
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::NotEncoded { .. })
    }
}

/// What [`MaskerBuilder::build`] gives.
#[derive(Clone, Debug)]
pub struct Built {
    /// Masks every secret that was not refused.
    pub masker: Masker,
    /// In the order of the secrets.
    pub warnings: Vec<Warning>,
}

/// Collects secrets for a [`Masker`].
#[derive(Clone, Default)]
pub struct MaskerBuilder {
    secrets: Vec<Secret>,
}

impl MaskerBuilder {
    /// Adds a secret replaced by [`DEFAULT_REPLACEMENT`].
    #[must_use]
    pub fn secret(self, name: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        self.with(Secret::new(name, value))
    }

    /// Adds a secret with a replacement of its own.
    #[must_use]
    pub fn secret_with(
        self,
        name: impl Into<String>,
        value: impl AsRef<[u8]>,
        replacement: impl Into<String>,
    ) -> Self {
        self.with(Secret::new(name, value).replaced_by(replacement))
    }

    /// Adds a secret. A value that is empty after trimming is ignored: there is nothing to hide.
    #[must_use]
    pub fn with(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// Makes the masker. Takes time and memory linear in the length of all patterns; meant to be done once for a task.
    pub fn build(self) -> Built {
        let mut warnings = Vec::new();
        let mut replacements = Vec::with_capacity(self.secrets.len());
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut room = MAX_PATTERN_BYTES;
        for secret in self.secrets.into_iter().filter(|secret| !secret.value.is_empty()) {
            match patterns_of(&secret, replacements.len(), room) {
                Ok((found, warning)) => {
                    room -= found.bytes();
                    patterns.extend(found);
                    replacements.push(secret.replacement);
                    warnings.extend(warning);
                }
                Err(refusal) => warnings.push(refusal),
            }
        }
        Built { masker: Masker::new(patterns, replacements), warnings }
    }
}

/// The patterns of one secret within `room` bytes: all of them, or with a warning the plain ones, or a refusal.
fn patterns_of(
    secret: &Secret,
    replacement: usize,
    room: usize,
) -> Result<(Patterns, Option<Warning>), Warning> {
    let name = || secret.name.clone();
    if secret.value.len() < MIN_SECRET_BYTES && !secret.even_if_short {
        return Err(Warning::TooShort { name: name() });
    }
    if secret.value.len() > MAX_SECRET_BYTES {
        return Err(Warning::TooLong { name: name() });
    }
    if secret.value.len() <= MAX_ENCODED_BYTES {
        let all = Patterns::encoded(&secret.value, replacement);
        if all.bytes() <= room {
            return Ok((all, None));
        }
    }
    let plain = Patterns::plain(&secret.value, replacement);
    if plain.bytes() > room {
        return Err(Warning::NoRoom { name: name() });
    }
    Ok((plain, Some(Warning::NotEncoded { name: name() })))
}

impl fmt::Debug for MaskerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MaskerBuilder").field("secrets", &self.secrets).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: woodpecker 57
    #[test]
    fn a_value_of_three_bytes_is_refused_by_name_and_one_of_four_is_masked() {
        let built = Masker::builder().secret("SHORT", " abc\n").secret("LONG", "abcd").build();
        assert_eq!(built.warnings, [Warning::TooShort { name: "SHORT".into() }]);
        assert!(built.warnings[0].is_refusal());
        assert_eq!(built.masker.mask_str("abc abcd"), "abc ********");
    }

    // covers: sourcegraph 45
    #[test]
    fn an_empty_value_is_ignored_without_a_word() {
        let built = Masker::builder().secret("EMPTY", "").secret("BLANK", " \r\n\t").build();
        assert!(built.warnings.is_empty());
        assert!(built.masker.is_empty());
        assert_eq!(built.masker.mask_str("a b\n"), "a b\n");
    }

    // covers: sourcegraph 43
    #[test]
    fn a_forced_short_value_is_masked_with_its_own_replacement() {
        let pin = Secret::new("PIN", "7").replaced_by("${{ secrets.PIN }}").even_if_short();
        let built = Masker::builder().with(pin).build();
        assert!(built.warnings.is_empty());
        assert_eq!(
            built.masker.mask_str("it is 7, 77"),
            "it is ${{ secrets.PIN }}, ${{ secrets.PIN }}${{ secrets.PIN }}"
        );
    }

    #[test]
    fn the_last_of_two_equal_values_gives_the_replacement() {
        let masker = Masker::builder()
            .secret_with("WORKER", "token-1", "A")
            .secret_with("JOB", "token-1", "B")
            .build()
            .masker;
        assert_eq!(masker.mask_str("token-1"), "B");
    }

    #[test]
    fn a_plain_value_outranks_the_encoded_form_of_another() {
        let masker = Masker::builder()
            .secret_with("PLAIN", "a%20bc", "P")
            .secret_with("SPACED", "a bc", "S")
            .build()
            .masker;
        assert_eq!(masker.mask_str("a%20bc a bc"), "P S");
    }

    #[test]
    fn a_very_long_value_is_masked_but_not_in_its_encoded_forms_and_says_so() {
        let value = "x y".repeat(MAX_ENCODED_BYTES);
        let built = Masker::builder().secret("BIG", &value).build();
        assert_eq!(built.warnings, [Warning::NotEncoded { name: "BIG".into() }]);
        assert!(!built.warnings[0].is_refusal());
        assert_eq!(built.masker.mask_str(&format!("<{value}>")), "<********>");
    }

    #[test]
    fn a_value_over_the_limit_and_one_that_finds_no_room_are_refused_by_name() {
        let over = vec![b'x'; MAX_SECRET_BYTES + 1];
        let built = Masker::builder().secret("OVER", over).build();
        assert_eq!(built.warnings, [Warning::TooLong { name: "OVER".into() }]);

        let full = Secret::new("FULL", vec![b'x'; MIN_SECRET_BYTES]);
        assert_eq!(patterns_of(&full, 0, 3).err(), Some(Warning::NoRoom { name: "FULL".into() }));
        assert_eq!(patterns_of(&full, 0, 4).unwrap().1, Some(Warning::NotEncoded { name: "FULL".into() }));
    }

    #[test]
    fn no_debug_or_display_shows_a_value() {
        let value = "sesame-öffne-dich";
        let builder = Masker::builder().secret("DOOR", value).secret("SHORT", "abc");
        let shown = format!("{builder:?} {:?}", Secret::new("DOOR", value));
        let built = builder.build();
        let mut stream = crate::MaskStream::new(&built.masker);
        stream.push(b"sesame-", &mut Vec::new());
        let shown = format!("{shown} {built:?} {:?} {stream:?} {}", built.masker, built.warnings[0]);
        // Bytes may also be shown as a list of numbers.
        for part in ["sesame", "dich", "abc", "115, 101", "[97, 98"] {
            assert!(!shown.contains(part), "{part} in {shown}");
        }
    }
}
