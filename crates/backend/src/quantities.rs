//! Amounts as they are written in a step's `backend_options`, the same for every backend.

use serde_json::Value;

/// A number of processors, as a number or a text (`0.5`, `"2"`), in billionths; none when it is not between 0.001 and 4096.
#[must_use]
pub fn processors(value: &Value) -> Option<i64> {
    let number = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    (0.001..=4096.0).contains(&number).then(|| (number * 1e9).round() as i64)
}

/// A number of bytes above 0, or a text with one of the units `b k m g` (powers of 1024): `536870912`, `"512m"`, `"512MiB"`.
#[must_use]
pub fn bytes(value: &Value) -> Option<i64> {
    let bytes = match value.as_str() {
        Some(text) => {
            let text = text.trim().to_ascii_lowercase();
            let text = text.strip_suffix("ib").or_else(|| text.strip_suffix('b')).unwrap_or(&text);
            let (number, unit) = match text.as_bytes().last()? {
                b'k' => (&text[..text.len() - 1], 1 << 10),
                b'm' => (&text[..text.len() - 1], 1 << 20),
                b'g' => (&text[..text.len() - 1], 1 << 30),
                _ => (text, 1),
            };
            number.parse::<i64>().ok()?.checked_mul(unit)?
        }
        None => value.as_i64()?,
    };
    Some(bytes).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        for (given, expected) in [
            (json!(4096), Some(4096)),
            (json!("512m"), Some(512 << 20)),
            (json!("512MiB"), Some(512 << 20)),
            (json!("1G"), Some(1 << 30)),
            (json!("7b"), Some(7)),
            (json!("lots"), None),
            (json!("99999999999g"), None),
            (json!(-1), None),
            (json!(0), None),
            (json!(""), None),
        ] {
            assert_eq!(bytes(&given), expected, "{given}");
        }
    }

    #[test]
    fn processors_are_parts_of_one_or_many() {
        assert_eq!(processors(&json!("1.5")), Some(1_500_000_000));
        assert_eq!(processors(&json!(2)), Some(2_000_000_000));
        assert_eq!(processors(&json!(0)), None);
        assert_eq!(processors(&json!("two")), None);
    }
}
