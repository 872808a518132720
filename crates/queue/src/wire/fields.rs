//! The members of a JSON object, taken one by one. Not for what they mean.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::ZERO_TIME;
use super::malformed::Malformed;

/// An object's members that were not taken yet, and where the object stands.
pub(crate) struct Fields {
    members: Map<String, Value>,
    place: String,
    /// Keys that are not asked for are an error.
    strict: bool,
    asked: Vec<&'static str>,
}

impl Fields {
    /// The object that a body is; `null` is an empty one.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Malformed> {
        Self::of(serde_json::from_slice(body).map_err(Malformed::Syntax)?)
    }

    /// The object that a value is.
    pub(crate) fn of(value: Value) -> Result<Self, Malformed> {
        Self::at(value, String::new(), false)
    }

    /// The same, of which every key has to be asked for before [`done`](Self::done).
    pub(crate) fn strict(value: Value) -> Result<Self, Malformed> {
        Self::at(value, String::new(), true)
    }

    fn at(value: Value, place: String, strict: bool) -> Result<Self, Malformed> {
        let members = match value {
            Value::Null => Map::new(),
            Value::Object(members) => members,
            other => return Err(wrong(place, "an object", &other)),
        };
        Ok(Self { members, place, strict, asked: Vec::new() })
    }

    /// That nothing is left, where that is asked for.
    pub(crate) fn done(self) -> Result<(), Malformed> {
        match self.members.keys().next() {
            Some(key) if self.strict => {
                Err(Malformed::UnknownKey { place: self.place(key), known: self.asked.join(", ") })
            }
            _ => Ok(()),
        }
    }

    /// A member that is there and not null, with the place where it stands.
    fn take(&mut self, key: &'static str) -> Option<(Value, String)> {
        self.asked.push(key);
        let value = match self.members.remove(key) {
            Some(value) => value,
            None => {
                let name = self.members.keys().find(|name| name.eq_ignore_ascii_case(key))?.clone();
                self.members.remove(&name)?
            }
        };
        if value.is_null() { None } else { Some((value, self.place(key))) }
    }

    /// Whether a member is there, `null` or not.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.members.keys().any(|name| name.eq_ignore_ascii_case(key))
    }

    fn place(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
    }

    pub(crate) fn text(&mut self, key: &'static str) -> Result<String, Malformed> {
        self.take(key).map_or(Ok(String::new()), |(value, place)| text(value, place))
    }

    pub(crate) fn flag(&mut self, key: &'static str) -> Result<bool, Malformed> {
        match self.take(key) {
            None => Ok(false),
            Some((Value::Bool(flag), _)) => Ok(flag),
            Some((other, place)) => Err(wrong(place, "true or false", &other)),
        }
    }

    /// A whole number, as a number or as text.
    pub(crate) fn integer(&mut self, key: &'static str) -> Result<Option<i64>, Malformed> {
        self.take(key).map(|(value, place)| integer(&value, place)).transpose()
    }

    pub(crate) fn texts(&mut self, key: &'static str) -> Result<Vec<String>, Malformed> {
        Ok(self.optional_texts(key)?.unwrap_or_default())
    }

    pub(crate) fn optional_texts(&mut self, key: &'static str) -> Result<Option<Vec<String>>, Malformed> {
        let Some((value, place)) = self.take(key) else { return Ok(None) };
        let items = list(value, place)?;
        items
            .map(|(item, place)| if item.is_null() { Ok(String::new()) } else { text(item, place) })
            .collect::<Result<_, _>>()
            .map(Some)
    }

    pub(crate) fn integers(&mut self, key: &'static str) -> Result<Vec<i64>, Malformed> {
        let Some((value, place)) = self.take(key) else { return Ok(Vec::new()) };
        list(value, place)?.map(|(item, place)| integer(&item, place)).collect()
    }

    /// Each object of a list, read.
    pub(crate) fn objects<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let Some((value, place)) = self.take(key) else { return Ok(Vec::new()) };
        let strict = self.strict;
        list(value, place)?
            .map(|(item, place)| {
                let mut fields = Self::at(item, place, strict)?;
                let read = read(&mut fields)?;
                fields.done().map(|()| read)
            })
            .collect()
    }

    /// Each member of an object whose keys are data, read by its value and its place.
    pub(crate) fn map<T>(
        &mut self,
        key: &'static str,
        mut read: impl FnMut(Value, String) -> Result<T, Malformed>,
    ) -> Result<BTreeMap<String, T>, Malformed> {
        let Some((value, place)) = self.take(key) else { return Ok(BTreeMap::new()) };
        let Value::Object(members) = value else { return Err(wrong(place, "an object", &value)) };
        members
            .into_iter()
            .map(|(name, value)| {
                let value = read(value, format!("{place}[{name:?}]"))?;
                Ok((name, value))
            })
            .collect()
    }

    /// The object that is a member, with no members when it is missing.
    pub(crate) fn object(&mut self, key: &'static str) -> Result<Self, Malformed> {
        let (value, place) = self.take(key).unwrap_or((Value::Null, self.place(key)));
        Self::at(value, place, self.strict)
    }

    /// The object that a value of a map is.
    pub(crate) fn within(value: Value, place: String, strict: bool) -> Result<Self, Malformed> {
        Self::at(value, place, strict)
    }

    /// A moment; none when it is the zero time.
    pub(crate) fn moment(&mut self, key: &'static str) -> Result<Option<Timestamp>, Malformed> {
        let Some((value, place)) = self.take(key) else { return Ok(None) };
        let found = value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let moment = found.ok_or_else(|| wrong(place, "a time such as 2026-11-30T07:30:00Z", &value))?;
        let zero = ZERO_TIME.parse::<Timestamp>();
        Ok(if zero.is_ok_and(|zero| zero == moment) { None } else { Some(moment) })
    }

    /// Bytes: as text itself, or as text in base64.
    pub(crate) fn bytes(&mut self, key: &'static str, is_base64: bool) -> Result<Vec<u8>, Malformed> {
        let Some((value, place)) = self.take(key) else { return Ok(Vec::new()) };
        let Value::String(text) = value else { return Err(wrong(place, "a text", &value)) };
        if !is_base64 {
            return Ok(text.into_bytes());
        }
        // The original's decoder reads over line feeds.
        let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
        STANDARD.decode(text).map_err(|_| Malformed::Kind {
            place,
            wanted: "standard base64 with padding",
            found: "another text",
        })
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.strict
    }
}

pub(crate) fn text(value: Value, place: String) -> Result<String, Malformed> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong(place, "a text", &other)),
    }
}

fn integer(value: &Value, place: String) -> Result<i64, Malformed> {
    let number = match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| wrong(place, "a whole number", value))
}

/// A float that is a whole number, as long as floats tell one from the next.
fn whole(float: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and below 2^53")]
    let whole = (float.fract() == 0.0 && float.abs() < EXACT).then_some(float as i64);
    whole
}

fn list(value: Value, place: String) -> Result<impl Iterator<Item = (Value, String)>, Malformed> {
    let Value::Array(items) = value else { return Err(wrong(place, "a list", &value)) };
    Ok(items.into_iter().enumerate().map(move |(index, item)| (item, format!("{place}[{index}]"))))
}

fn wrong(place: String, wanted: &'static str, found: &Value) -> Malformed {
    let found = match found {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let place = if place.is_empty() { "the body".to_owned() } else { place };
    Malformed::Kind { place, wanted, found: if found == wanted { "another one" } else { found } }
}
