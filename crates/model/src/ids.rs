//! Identities. An id is checked once, when it is made, so that everywhere else it is safe as a file name, a label, a
//! part of a container's name and a line of a log. Not for names that a person chose (those are plain strings).

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?} is not usable: {rule}")]
pub struct InvalidId {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

/// What every id obeys: safe as a path component, an engine label and a name.
const RULE: &str = "1 to 128 characters out of A-Z a-z 0-9 _ . -, the first one a letter or digit";

/// The longest id in bytes; long enough for a UUID or ULID with a prefix, short enough for a file name with a suffix.
const LONGEST: usize = 128;

fn is_safe(text: &str) -> bool {
    text.len() <= LONGEST
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Lower-case hexadecimal digits of `N` random bytes from the operating system.
///
/// # Panics
/// When the operating system has no randomness to give, as then no id could be told from another.
fn random_hex<const N: usize>() -> String {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Takes `text` as an id.
            ///
            /// # Errors
            /// [`InvalidId`] when it is not 1 to 128 characters out of `A-Z a-z 0-9 _ . -` that begin with a letter
            /// or digit.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                if is_safe(&text) { Ok(Self(text)) } else { Err(InvalidId { kind: $kind, text, rule: RULE }) }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

id!(
    /// Names one task: one attempt to run one workflow on one backend (`taskUUID` of the Woodpecker interface document;
    /// its agent passes a decimal database id, so any safe text is taken).
    TaskUuid,
    "task uuid"
);
id!(
    /// Names one step within a task: the identity under which a backend knows it (`Step.uuid`).
    StepUuid,
    "step uuid"
);
id!(
    /// Names a state directory, and so whose things on an engine are whose (DESIGN rule 5).
    OwnerId,
    "owner id"
);

id!(
    /// The id that a caller gave to an execution.
    ExecutionId,
    "execution id"
);
id!(
    /// What an execution belongs to, in its caller's words.
    JobId,
    "job id"
);

id!(
    /// Names a queue (Sourcegraph's own are `batches`, `codeintel`, `batches-hooks`).
    QueueName,
    "queue name"
);

impl TaskUuid {
    /// A new random task uuid: 32 hexadecimal digits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_hex::<16>())
    }
}

impl StepUuid {
    /// A new random step uuid: 32 hexadecimal digits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_hex::<16>())
    }
}

impl OwnerId {
    /// A new random owner id: 16 hexadecimal digits.
    #[must_use]
    pub fn random() -> Self {
        Self(random_hex::<8>())
    }
}

/// Names a run: `YYYYMMDDTHHMMSSZ-xxxxxx`, UTC to the second and six random hexadecimal digits, so that ids sort by time
/// (`NewRunID` of the local-ci interface document). The caller makes the id before the run begins, so that it can track
/// the run from its first event on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

impl RunId {
    /// A new id for a run that begins now.
    #[must_use]
    pub fn generate() -> Self {
        let now = Timestamp::now().to_zoned(TimeZone::UTC);
        Self(format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), random_hex::<3>()))
    }

    /// Takes `text` as a run id.
    ///
    /// # Errors
    /// [`InvalidId`] when it does not have the shape `YYYYMMDDTHHMMSSZ-xxxxxx`.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        let fits = text.len() == RUN_ID_SHAPE.len()
            && text.bytes().zip(RUN_ID_SHAPE).all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                b'x' => byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'),
                literal => byte == *literal,
            });
        if fits {
            Ok(Self(text))
        } else {
            Err(InvalidId { kind: "run id", text, rule: "a run id looks like 20261120T132503Z-567825" })
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `0` stands for a digit, `x` for a lower-case hexadecimal digit, anything else for itself.
const RUN_ID_SHAPE: &[u8] = b"00000000T000000Z-xxxxxx";

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: local-ci 1
    #[test]
    fn a_run_id_is_a_utc_second_and_six_hex_digits_and_sorts_by_time() {
        let earlier = RunId::new("20261120T132503Z-ffffff").unwrap();
        let id = RunId::generate();
        assert!(RunId::new(id.as_str()).is_ok(), "{id}");
        assert_ne!(id, RunId::generate());
        assert!(earlier < RunId::new("20261120T132504Z-000000").unwrap());
    }

    #[test]
    fn what_is_not_a_run_id_is_refused_with_an_example() {
        for text in ["", "20261120T132503Z", "20261120T132503Z-56782G", "20261120T132503Z-567825/", "x"] {
            let error = RunId::new(text).unwrap_err();
            assert!(error.to_string().contains("20261120T132503Z-567825"), "{error}");
        }
    }

    #[test]
    fn ids_are_safe_as_file_names_and_labels() {
        for text in ["11301", "01J8Z6T5", "a_b.c-d"] {
            assert_eq!(TaskUuid::new(text).unwrap().as_str(), text);
        }
        for text in ["", ".", "..", "../x", "a/b", "a\0b", "-x", "ä", "a b", &"x".repeat(129)] {
            assert!(TaskUuid::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_bad_id_in_json_is_an_error() {
        assert!(serde_json::from_str::<StepUuid>("\"../etc\"").is_err());
        assert_eq!(serde_json::to_string(&StepUuid::new("s1").unwrap()).unwrap(), "\"s1\"");
    }
}
