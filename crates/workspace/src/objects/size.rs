//! Sizes as people read and write them. Not for anything that a program reads.

use std::fmt;
use std::str::FromStr;

/// A number of bytes: `512 B`, `3.1 MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Units, each 1024 times the one before.
const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().enumerate().rev().find(|(power, _)| self.0 >> (10 * power) > 0);
        let (power, name) = unit.unwrap_or((0, &UNITS[0]));
        if power == 0 {
            return f.pad(&format!("{} {name}", self.0));
        }
        let tenths = (u128::from(self.0) * 10) >> (10 * power);
        f.pad(&format!("{}.{} {name}", tenths / 10, tenths % 10))
    }
}

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no size; write a number of bytes, or one with KiB, MiB, GiB or TiB")]
pub struct InvalidSize(String);

impl FromStr for Size {
    type Err = InvalidSize;

    /// A whole number with one of the units, or the unit's first letter; without one, bytes.
    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let invalid = || InvalidSize(text.to_owned());
        let trimmed = text.trim();
        let end = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
        let number: u64 = trimmed[..end].parse().map_err(|_| invalid())?;
        let unit = trimmed[end..].trim();
        let is = |name: &str| unit.eq_ignore_ascii_case(name) || unit.eq_ignore_ascii_case(&name[..1]);
        let power =
            UNITS.iter().position(|name| is(name)).or(unit.is_empty().then_some(0)).ok_or_else(invalid)?;
        number.checked_mul(1 << (10 * power)).map(Self).ok_or_else(invalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_shown_in_its_own_unit() {
        let shown =
            [0, 1023, 1024, 1536, 5 << 20, (1 << 30) - 1, u64::MAX].map(|bytes| Size(bytes).to_string());
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB", "1023.9 MiB", "16777215.9 TiB"]);
    }

    #[test]
    fn a_size_is_read_with_and_without_its_unit() {
        for (text, bytes) in [("7", 7), ("2k", 2048), ("3 MiB", 3 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "x", "1.5G", "-1", "1Q", "99999999999TiB", "MiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
