//! The header `Range` of a request for bytes (RFC 9110, section 14). One range at a time.

use axum::http::HeaderMap;
use axum::http::header::{IF_RANGE, RANGE};

use crate::refusal::Refusal;

/// Which bytes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Range {
    /// From this one on.
    From(u64),
    /// From this one to that one, both included.
    Between(u64, u64),
    /// So many at the end.
    Last(u64),
}

impl Range {
    /// What the headers ask for; none when they want everything. A unit that is not known is ignored, as the RFC wants it, and so is a range
    /// that is to hold for a version of the bytes only: there are no versions.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Option<Self>, Refusal> {
        let mut values = headers.get_all(RANGE).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().unwrap_or_default().trim();
        let (unit, wanted) = text.split_once('=').unwrap_or((text, ""));
        if !unit.trim().eq_ignore_ascii_case("bytes") || headers.contains_key(IF_RANGE) {
            return Ok(None);
        }
        let parsed = if values.next().is_some() { None } else { parse(wanted.trim()) };
        parsed.map(Some).ok_or_else(|| {
            let message = format!(
                "the range {text:?} is not usable; one of bytes=FIRST-LAST, bytes=FIRST-, bytes=-COUNT is"
            );
            Refusal::bad("invalid_range", message)
        })
    }

    /// The first byte, and the one after the last, of so many bytes; none when not one of them is wanted.
    pub(crate) fn within(self, length: u64) -> Option<(u64, u64)> {
        let (from, to) = match self {
            Self::From(first) => (first, length),
            Self::Between(first, last) => (first, last.saturating_add(1).min(length)),
            Self::Last(count) => (length.saturating_sub(count), length),
        };
        (from < to).then_some((from, to))
    }
}

fn parse(text: &str) -> Option<Range> {
    match text.split_once('-')? {
        ("", count) => Some(Range::Last(number(count)?)),
        (first, "") => Some(Range::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Range::Between(first, last))
        }
    }
}

/// A number of any length; there are not so many bytes as the largest.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Result<Option<Range>, Refusal> {
        Range::of(&HeaderMap::from_iter([(RANGE, text.parse().unwrap())]))
    }

    #[test]
    fn a_range_is_read_and_cut_to_what_there_is() {
        for (text, expected) in [
            ("bytes=0-", Some((0, 10))),
            ("bytes=3-5", Some((3, 6))),
            ("bytes=3-500", Some((3, 10))),
            ("bytes=9-9", Some((9, 10))),
            ("bytes=-4", Some((6, 10))),
            ("bytes=-40", Some((0, 10))),
            ("bytes=0-99999999999999999999999", Some((0, 10))),
            ("bytes=10-", None),
            ("bytes=-0", None),
        ] {
            assert_eq!(range(text).unwrap().unwrap().within(10), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_range_of_bytes_is_refused_and_other_units_are_ignored() {
        for text in
            ["bytes=", "bytes", "bytes=-", "bytes=5-3", "bytes=a-b", "bytes=0-1,4-5", "bytes=+1-2", "bytes=1"]
        {
            assert!(range(text).is_err(), "{text}");
        }
        assert_eq!(range("lines=1-2").unwrap(), None);
    }
}
