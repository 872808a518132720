//! Durations as GitLab's files have them: `1 hour 30 minutes`, `1h30m`, `90s`, `2 days`. Not for our own, which the model reads.

/// Units in seconds, by every name they go by.
const UNITS: [(&[&str], u64); 7] = [
    (&["s", "sec", "secs", "second", "seconds"], 1),
    (&["m", "min", "mins", "minute", "minutes"], 60),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600),
    (&["d", "day", "days"], 86_400),
    (&["w", "wk", "wks", "week", "weeks"], 604_800),
    (&["mo", "mos", "month", "months"], 2_592_000),
    (&["y", "yr", "yrs", "year", "years"], 31_536_000),
];

/// The longest, in seconds: a century.
const LONGEST: u64 = 100 * 31_536_000;

/// The seconds that `text` stands for: numbers, each with an optional fraction and a unit; a number alone is seconds.
pub(super) fn seconds(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 =
            rest[..end].parse().ok().filter(|_| rest.starts_with(|c: char| c.is_ascii_digit()))?;
        rest = rest[end..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        rest = rest.strip_prefix("and ").unwrap_or(rest);
        let factor = match unit.as_str() {
            "" => 1,
            unit => UNITS.iter().find(|(names, _)| names.contains(&unit))?.1,
        };
        total += number * factor as f64;
    }
    (total.is_finite() && total <= LONGEST as f64).then(|| total.round() as u64)
}

/// Seconds in our language: `1h30m`.
pub(super) fn write(seconds: u64) -> String {
    let parts = [(seconds / 3600, "h"), (seconds % 3600 / 60, "m"), (seconds % 60, "s")];
    let text: String =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: local-ci 93
    #[test]
    fn gitlabs_durations_have_words_letters_and_numbers_alone() {
        for (text, written) in [
            ("30 minutes", "30m"),
            ("1 hour 30 minutes", "1h30m"),
            ("1h30m", "1h30m"),
            ("1h 30m", "1h30m"),
            ("90s", "1m30s"),
            ("2 days", "48h"),
            ("3600", "1h"),
            ("1 hour, 5 mins and 2 secs", "1h5m2s"),
            ("1.5 hours", "1h30m"),
            ("1 week", "168h"),
        ] {
            assert_eq!(seconds(text).map(write).as_deref(), Some(written), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_none() {
        for text in ["", "soon", "1 fortnight", "-1h", ".5h", "1..5h", "h", "99999999999999 years", "é", "1é"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
