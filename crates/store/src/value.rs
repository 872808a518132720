//! What goes into a statement and comes out of it, as both databases have it. Not for what it means: that is `rows`.

use jiff::Timestamp;
use jobwright_model::QueueName;

use crate::error::{Error, Result};

/// A value of a column or a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    /// Text that cannot hold a NUL: names, words, JSON.
    Text(String),
    /// Anything else. Texts of whoever uses a queue are kept so, as neither database holds a NUL well in a text.
    Bytes(Vec<u8>),
}

impl Value {
    /// Text of which nothing is known.
    pub(crate) fn free(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Integer(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Integer(number.into())
    }
}

/// What counts bytes or rows. Past what the databases know, which nothing reaches, it stays there.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::from(number as u64)
    }
}

impl From<bool> for Value {
    fn from(holds: bool) -> Self {
        Self::Integer(holds.into())
    }
}

/// In microseconds since 1970.
impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Integer(time.as_microsecond())
    }
}

impl From<&QueueName> for Value {
    fn from(queue: &QueueName) -> Self {
        Self::Text(queue.as_str().to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The parameters of a statement, in the order of their numbers.
macro_rules! values {
    ($($value:expr),* $(,)?) => { vec![$($crate::value::Value::from($value)),*] };
}
pub(crate) use values;

/// A row that is read from its first column to its last.
#[derive(Debug)]
pub(crate) struct Row(std::vec::IntoIter<Value>);

impl Row {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    pub(crate) fn integer(&mut self) -> Result<i64> {
        self.optional_integer()?.ok_or_else(|| unexpected("a number", &Value::Null))
    }

    pub(crate) fn optional_integer(&mut self) -> Result<Option<i64>> {
        match self.0.next() {
            Some(Value::Integer(number)) => Ok(Some(number)),
            Some(Value::Null) => Ok(None),
            other => Err(unexpected("a number", &other.unwrap_or(Value::Null))),
        }
    }

    /// A number of a kind that may be narrower than the database's.
    pub(crate) fn number<T: TryFrom<i64>>(&mut self) -> Result<T> {
        let number = self.integer()?;
        T::try_from(number).map_err(|_| makes_no_sense(format!("the number {number} is out of its range")))
    }

    pub(crate) fn flag(&mut self) -> Result<bool> {
        Ok(self.integer()? != 0)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp> {
        time_of(self.integer()?)
    }

    pub(crate) fn optional_time(&mut self) -> Result<Option<Timestamp>> {
        self.optional_integer()?.map(time_of).transpose()
    }

    pub(crate) fn text(&mut self) -> Result<String> {
        self.optional_text()?.ok_or_else(|| unexpected("a text", &Value::Null))
    }

    /// A text, whether it is kept as one or as bytes.
    pub(crate) fn optional_text(&mut self) -> Result<Option<String>> {
        match self.0.next() {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Bytes(bytes)) => match String::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(error) => Err(makes_no_sense(format!("a text is no UTF-8: {error}"))),
            },
            Some(Value::Null) => Ok(None),
            other => Err(unexpected("a text", &other.unwrap_or(Value::Null))),
        }
    }

    pub(crate) fn queue(&mut self) -> Result<QueueName> {
        QueueName::new(self.text()?).map_err(|error| makes_no_sense(error.to_string()))
    }
}

fn time_of(microseconds: i64) -> Result<Timestamp> {
    Timestamp::from_microsecond(microseconds).map_err(|error| makes_no_sense(error.to_string()))
}

fn unexpected(wanted: &str, found: &Value) -> Error {
    let kind = match found {
        Value::Null => "nothing",
        Value::Integer(_) => "a number",
        Value::Text(_) => "a text",
        Value::Bytes(_) => "bytes",
    };
    makes_no_sense(format!("there is {kind} where {wanted} should be"))
}

/// What is kept is not what this program wrote.
pub(crate) fn makes_no_sense(reason: String) -> Error {
    Error::Failed { operation: "reading what is kept".to_owned(), reason }
}
