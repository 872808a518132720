//! Durations as people write them: `90s`, `10m`, `1h30m`, `250ms`, or a bare whole number of seconds (the Go form that
//! local-ci's files use).

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid duration {0:?} (use \"90s\", \"10m\", \"1h30m\" or integer seconds)")]
pub struct InvalidDuration(pub String);

/// Units, largest first, as nanoseconds.
const UNITS: [(&str, u64); 7] = [
    ("h", 3_600_000_000_000),
    ("ms", 1_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

/// Reads a duration: numbers with the units `h m s ms us ns`, each number with an optional fraction, or a bare whole number
/// of seconds.
///
/// # Errors
/// [`InvalidDuration`] for anything else: empty, negative, an unknown unit, more than 584 years.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    if let Ok(seconds) = text.parse::<u32>() {
        return Ok(Duration::from_secs(seconds.into()));
    }
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
        let (number, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        total = total.checked_add(part(number, *nanoseconds).ok_or_else(invalid)?).ok_or_else(invalid)?;
        rest = tail;
    }
    Ok(total)
}

/// `number` times a unit, exactly: whole and fractional digits are scaled as integers.
fn part(number: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let scale = 10_u64.pow(fraction.len() as u32);
    let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let nanoseconds = whole
        .checked_mul(unit)?
        .checked_add(u64::try_from(u128::from(fraction) * u128::from(unit) / u128::from(scale)).ok()?)?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Writes a duration for people: `850ms`, `3.2s`, `2m05s`, `1h02m`.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..=59 => format!("{}.{}s", seconds, duration.subsec_millis() / 100),
        60..=3599 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Durations in documents, as people write them.
pub(crate) mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        // Exact, which what is written for people is not.
        serializer.serialize_str(&format!("{}ms", duration.as_millis()))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        super::parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: local-ci 81
    #[test]
    fn durations_are_read_as_go_writes_them_or_as_whole_seconds() {
        for (text, milliseconds) in [
            ("90s", 90_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("45", 45_000),
            ("0", 0),
            (".5s", 500),
        ] {
            assert_eq!(parse_duration(text).unwrap(), Duration::from_millis(milliseconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_by_name() {
        for text in
            ["", "soon", "-5s", "5 s", "5x", "s", ".s", "1.2.3s", "99999999999999999999h", "9999999999h"]
        {
            assert_eq!(parse_duration(text), Err(InvalidDuration(text.to_owned())));
        }
    }

    #[test]
    fn durations_are_shown_with_two_units_at_most() {
        let shown: Vec<_> =
            [850, 3_210, 125_000, 3_725_000].map(|ms| format_duration(Duration::from_millis(ms))).into();
        assert_eq!(shown, ["850ms", "3.2s", "2m05s", "1h02m"]);
    }
}
