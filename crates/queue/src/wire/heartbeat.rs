//! That an agent lives, and what it runs; and the four answers that there have been (sourcegraph.md 1.2 to 1.4).

use serde::Serialize;
use serde_json::{Value, json};

use super::version::release_at_least;
use super::{Fields, Malformed, written};

/// What the original tells of its machine and its tools, in the order in which it is written.
const ABOUT: [&str; 7] = [
    "os",
    "architecture",
    "dockerVersion",
    "executorVersion",
    "gitVersion",
    "igniteVersion",
    "srcCliVersion",
];
/// From that day on, builds between releases read ids as texts.
const TEXT_IDS: &str = "2023-06-01";

/// What of one queue an agent runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueJobs {
    /// The queue.
    pub queue_name: String,
    /// The numbers of its jobs; written as texts.
    #[serde(serialize_with = "as_texts")]
    pub job_ids: Vec<i64>,
}

fn as_texts<S: serde::Serializer>(ids: &[i64], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ids.iter().map(ToString::to_string))
}

/// An agent's sign of life (`HeartbeatRequest`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeartbeatRequest {
    /// `V2` when the answer is to be an object.
    pub version: String,
    /// Who lives.
    pub executor_name: String,
    /// What it runs, of the queue that the path names; `None` when the key is not there at all.
    pub job_ids: Option<Vec<i64>>,
    /// One of these was written as a text.
    pub text_ids: bool,
    /// What it runs, by queue, where the path names none.
    pub job_ids_by_queue: Vec<QueueJobs>,
    /// The queues that it asks, where the path names none.
    pub queue_names: Vec<String>,
    /// What it tells of its machine and its tools, by the names on the wire: `os`, `architecture`, `dockerVersion`, `executorVersion`,
    /// `gitVersion`, `igniteVersion`, `srcCliVersion`. What it does not tell is left out.
    pub about: Vec<(String, String)>,
    /// Its metrics in Prometheus' text format.
    pub prometheus_metrics: String,
}

impl HeartbeatRequest {
    /// Reads a body.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let value: Value = serde_json::from_slice(body).map_err(Malformed::Syntax)?;
        let text_ids =
            value.get("jobIds").and_then(Value::as_array).is_some_and(|ids| ids.iter().any(Value::is_string));
        let mut fields = Fields::of(value)?;
        let named = fields.has("jobIds");
        let job_ids = fields.integers("jobIds")?;
        let mut about = Vec::new();
        for key in ABOUT {
            let value = fields.text(key)?;
            if !value.is_empty() {
                about.push((key.to_owned(), value));
            }
        }
        Ok(Self {
            version: fields.text("version")?,
            executor_name: fields.text("executorName")?,
            job_ids: named.then_some(job_ids),
            text_ids,
            job_ids_by_queue: fields.objects("jobIdsByQueue", |fields| {
                Ok(QueueJobs { queue_name: fields.text("queueName")?, job_ids: fields.integers("jobIds")? })
            })?,
            queue_names: fields.texts("queueNames")?,
            about,
            prometheus_metrics: fields.text("prometheusMetrics")?,
        })
    }

    /// The body. Without [`queue_names`](Self::queue_names) it is that of an agent of one queue, with ids as numbers, as servers of every age
    /// read it; with them, that of an agent of several.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = json!({"executorName": self.executor_name});
        if !self.version.is_empty() {
            body["version"] = json!(self.version);
        }
        if self.queue_names.is_empty() {
            // An idle executor of the original writes null; everybody reads an empty list too.
            body["jobIds"] = json!(self.job_ids.clone().unwrap_or_default());
        } else {
            body["queueNames"] = json!(self.queue_names);
            body["jobIdsByQueue"] = json!(self.job_ids_by_queue);
        }
        for (key, value) in &self.about {
            body[key] = json!(value);
        }
        if !self.prometheus_metrics.is_empty() {
            body["prometheusMetrics"] = json!(self.prometheus_metrics);
        }
        written(&body)
    }

    /// Whether it is of an executor that knows queues by the path alone, though the path names none: the form of before July 2021, which wants
    /// to hear what is *not* known.
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.job_ids.is_some()
            && self.version.is_empty()
            && self.queue_names.is_empty()
            && self.job_ids_by_queue.is_empty()
    }

    /// Whether who says this reads ids as texts in an answer: since 5.1, and whoever writes them so. Earlier ones read numbers alone.
    #[must_use]
    pub fn reads_text_ids(&self) -> bool {
        let version =
            self.about.iter().find(|(key, _)| key == "executorVersion").map_or("", |(_, value)| value);
        self.text_ids || release_at_least(version, 5, 1, TEXT_IDS).unwrap_or(false)
    }
}

/// What is answered to a sign of life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeartbeatAnswer {
    /// Before July 2021: the ids that are *not* known.
    Unknown(Vec<i64>),
    /// Until December 2022: the ids that are known.
    Known(Vec<i64>),
    /// `V2`: the ids that are known, and those whose end is wanted.
    V2 {
        /// What the agent holds.
        known: Vec<i64>,
        /// Which of it is to end.
        cancel: Vec<i64>,
    },
    /// Since 5.1: the same as texts, with `-QUEUE` behind each where the agent asks several queues.
    Texts {
        /// What the agent holds.
        known: Vec<String>,
        /// Which of it is to end.
        cancel: Vec<String>,
    },
}

impl HeartbeatAnswer {
    /// The body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        written(&match self {
            Self::Unknown(ids) | Self::Known(ids) => json!(ids),
            Self::V2 { known, cancel } => json!({"knownIds": known, "cancelIds": cancel}),
            Self::Texts { known, cancel } => json!({"knownIds": known, "cancelIds": cancel}),
        })
    }

    /// Reads the answer to a sign of life that asked for an object: what is known, and whose end is wanted. Ids come out as texts, whatever they
    /// were. A server of before December 2022 answers with what is known alone; one of before July 2021 with what is *not*, which nothing in the
    /// answer tells: who speaks to such a server reads [`known_ids`] and takes them for that.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(body: &[u8]) -> Result<(Vec<String>, Vec<String>), Malformed> {
        let value: Value = serde_json::from_slice(body).map_err(Malformed::Syntax)?;
        if value.is_array() {
            return Ok((texts(value, "knownIds")?, Vec::new()));
        }
        let object = match value {
            Value::Null => return Ok((Vec::new(), Vec::new())),
            Value::Object(object) => object,
            other => return Fields::of(other).map(|_| (Vec::new(), Vec::new())),
        };
        let mut ids = (Vec::new(), Vec::new());
        for (key, value) in object {
            if key.eq_ignore_ascii_case("knownIds") {
                ids.0 = texts(value, "knownIds")?;
            } else if key.eq_ignore_ascii_case("cancelIds") {
                ids.1 = texts(value, "cancelIds")?;
            }
        }
        Ok(ids)
    }
}

/// A bare list of ids: numbers, or texts of numbers, or `null`.
///
/// # Errors
/// [`Malformed`].
pub fn known_ids(body: &[u8]) -> Result<Vec<i64>, Malformed> {
    let value: Value = serde_json::from_slice(body).map_err(Malformed::Syntax)?;
    Fields::of(json!({"ids": value}))?.integers("ids")
}

/// A list of ids, each as a text or a number.
fn texts(value: Value, place: &'static str) -> Result<Vec<String>, Malformed> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items,
        other => return Fields::of(json!({place: other}))?.texts(place),
    };
    items
        .into_iter()
        .map(|item| match item {
            Value::String(id) => Ok(id),
            number => {
                Fields::of(json!({"id": number}))?.integer("id")?.map(|id| id.to_string()).ok_or_else(|| {
                    Malformed::Kind {
                        place: place.to_owned(),
                        wanted: "an id, as a number or a text",
                        found: "null",
                    }
                })
            }
        })
        .collect()
}
