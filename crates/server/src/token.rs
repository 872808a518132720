//! The word that opens a server over TCP.

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;

/// The fewest characters of a token; 128 bits as hexadecimal digits are twice as many.
const SHORTEST: usize = 16;
/// The most: the headers of a request have bounds.
const LONGEST: usize = 1024;
/// How many random bytes a token of ours has.
const BYTES: usize = 32;

/// An access token. Nothing shows it but [`as_str`](Self::as_str).
#[derive(Clone)]
pub struct Token(String);

/// Why a text is not a token. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access token is not usable: 16 to 1024 visible characters of ASCII, without blanks, are needed")]
pub struct InvalidToken;

impl Token {
    /// Takes a text as a token.
    ///
    /// # Errors
    /// [`InvalidToken`] when it is not 16 to 1024 visible characters of ASCII.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidToken> {
        let text = text.into();
        let fits = (SHORTEST..=LONGEST).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(InvalidToken) }
    }

    /// A new one: 64 hexadecimal digits from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system has none to give.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Its text, for the file that it is kept in.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a request carries it as `Authorization: Bearer`, exactly once. How long the comparison takes tells how long a token is,
    /// and nothing of what is in it.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        match value.as_bytes().split_at_checked(7) {
            Some((scheme, given)) if scheme.eq_ignore_ascii_case(b"bearer ") => {
                self.0.as_bytes().ct_eq(given).into()
            }
            _ => false,
        }
    }
}

/// Without the token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_a_length_and_shows_itself_to_nobody() {
        for text in ["", "short", "with blank in its middle", "ümlaut-ümlaut-ümlaut", &"x".repeat(2000)] {
            assert_eq!(Token::new(text).unwrap_err(), InvalidToken);
        }
        let token = Token::new("0123456789abcdef").unwrap();
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn two_random_tokens_differ() {
        let [one, other] = [Token::random().unwrap(), Token::random().unwrap()];
        assert!(one.as_str() != other.as_str() && Token::new(one.as_str()).is_ok());
    }
}
