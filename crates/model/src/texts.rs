//! Reading maps of texts whose values may be secret: nothing of a value is in an error, and no key is there twice. Not for what the
//! values mean.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// Reads a map of texts.
///
/// # Errors
/// Anything else, without a word of what it is; a key that is there twice.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    deserializer.deserialize_map(Texts)
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut texts = BTreeMap::new();
        while let Some(name) = entries.next_key::<String>()? {
            let Text(value) = entries.next_value()?;
            if texts.contains_key(&name) {
                return Err(Error::custom(format!("{name:?} is there twice")));
            }
            texts.insert(name, value);
        }
        Ok(texts)
    }
}

/// A text whose reading shows nothing of what is there in its place.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneText)
    }
}

struct OneText;

impl OneText {
    fn no_text<T, E: Error>(what: &str) -> Result<T, E> {
        Err(E::custom(format!("{what} where a text is expected; a text stands in quotation marks")))
    }
}

impl Visitor<'_> for OneText {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
        Ok(Text(text))
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Text, E> {
        Self::no_text("a truth value")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Text, E> {
        Self::no_text("a number")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Text, E> {
        Self::no_text("a number")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Text, E> {
        Self::no_text("a number")
    }
}
