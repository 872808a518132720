//! Values that are numbers of something: counts, durations, sizes. Each reader reports what it cannot read, and never panics.

use std::ops::RangeInclusive;
use std::time::Duration;

use jobwright_model::parse_duration;

use crate::check::fields::Field;
use crate::check::values::{scalar, text};
use crate::findings::Findings;
use crate::text::shown;
use crate::yaml::{Node, Scalar};

/// `true` or `false`, written without quotes.
pub(super) fn flag(field: &Field<'_>, findings: &mut Findings) -> Option<bool> {
    match scalar(field.value).filter(|scalar| scalar.is_bool()) {
        Some(scalar) => Some(scalar.text.eq_ignore_ascii_case("true")),
        None => {
            findings.push(unquoted(field));
            None
        }
    }
}

/// A whole number in `range`, written without quotes.
pub(super) fn whole(field: &Field<'_>, range: RangeInclusive<u32>, findings: &mut Findings) -> Option<u32> {
    let number = number_of(field.value).filter(|number| range.contains(number));
    if number.is_none() {
        findings.push(unquoted(field));
    }
    number
}

/// The whole number that `node` is.
pub(super) fn number_of(node: &Node) -> Option<u32> {
    let Scalar { text, plain: true, .. } = scalar(node)? else { return None };
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The finding that a value is of the wrong kind; for one that only its quotes make wrong it says so.
fn unquoted(field: &Field<'_>) -> crate::finding::Finding {
    let quoted = scalar(field.value).filter(|scalar| {
        let plain = Scalar { plain: true, ..(*scalar).clone() };
        !scalar.plain && (plain.is_bool() || plain.is_number())
    });
    let help = quoted.map(|scalar| format!("write it without quotes: `{}`", shown(&scalar.text)));
    field.wrong().maybe_help(help)
}

/// A duration; `0` is none.
pub(super) fn duration(field: &Field<'_>, findings: &mut Findings) -> Option<Duration> {
    read(field, findings, |text| parse_duration(text).ok()).filter(|duration| !duration.is_zero())
}

/// A duration of which a bare number means minutes; `0` is none.
pub(super) fn minutes(field: &Field<'_>, findings: &mut Findings) -> Option<Duration> {
    let parse = |text: &str| match text.parse::<u32>() {
        Ok(minutes) => Some(Duration::from_secs(u64::from(minutes) * 60)),
        Err(_) => parse_duration(text).ok(),
    };
    read(field, findings, parse).filter(|duration| !duration.is_zero())
}

/// Processors in thousandths.
pub(super) fn millicores(field: &Field<'_>, findings: &mut Findings) -> Option<u32> {
    read(field, findings, parse_millicores)
}

/// Bytes.
pub(super) fn bytes(field: &Field<'_>, findings: &mut Findings) -> Option<u64> {
    let read = read(field, findings, |text| Some(parse_bytes(text)))?;
    if read.is_none() {
        let lower = text(field, findings).and_then(lower_case_size);
        let help = lower.map(|size| format!("write `{size}`"));
        findings.push(field.wrong().maybe_help(help));
    }
    read
}

fn read<T>(field: &Field<'_>, findings: &mut Findings, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    let value = scalar(field.value).and_then(|scalar| parse(&scalar.text));
    if value.is_none() {
        findings.push(field.wrong());
    }
    value
}

/// The most processors.
const MOST_CORES: u32 = 10_000;

fn parse_millicores(text: &str) -> Option<u32> {
    let millis = match text.strip_suffix('m') {
        Some(millis) => digits(millis)?,
        None => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            if fraction.is_empty() || fraction.len() > 3 {
                return None;
            }
            let scale = 10_u64.pow(3 - fraction.len() as u32);
            digits(whole)?.checked_mul(1000)? + digits(fraction)? * scale
        }
    };
    (1..=u64::from(MOST_CORES) * 1000).contains(&millis).then(|| u32::try_from(millis).ok()).flatten()
}

/// Units of sizes: those that end in `i` are powers of 1024.
const UNITS: [(&str, u64); 9] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("k", 1_000),
    ("K", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
];

fn parse_bytes(text: &str) -> Option<u64> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[number.len()..].trim_end_matches('B');
    let factor = if unit.is_empty() { 1 } else { UNITS.iter().find(|(name, _)| *name == unit)?.1 };
    digits(number.trim_end())?.checked_mul(factor).filter(|bytes| (1..=i64::MAX as u64).contains(bytes))
}

/// What `512m` or `2g`, as Docker has it, was meant to be.
fn lower_case_size(text: &str) -> Option<String> {
    let text = text.strip_suffix('b').unwrap_or(text);
    let number = digits(text.get(..text.len().checked_sub(1)?)?)?;
    match text.as_bytes().last()? {
        unit @ (b'm' | b'g' | b't') => Some(format!("{number}{}i", unit.to_ascii_uppercase() as char)),
        _ => None,
    }
}

fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_whole_fractions_or_thousandths() {
        for (text, millis) in [("2", 2000), ("0.5", 500), ("1.25", 1250), ("500m", 500), ("0.001", 1)] {
            assert_eq!(parse_millicores(text), Some(millis), "{text}");
        }
        for text in ["0", "-1", "1.", ".5", "1.2345", "0.000", "99999999999999999999", "1e3", "", "m", "ten"]
        {
            assert_eq!(parse_millicores(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        let cases =
            [("1", 1), ("512Mi", 512 << 20), ("2G", 2_000_000_000), ("1 GiB", 1 << 30), ("3kB", 3000)];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["0", "-1", "512m", "1.5G", "Mi", "", "99999999Ti", "1Pi", "é"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
        assert_eq!(lower_case_size("512m").as_deref(), Some("512Mi"));
        assert_eq!(lower_case_size("2gb").as_deref(), Some("2Gi"));
        assert_eq!(lower_case_size("é"), None);
    }
}
