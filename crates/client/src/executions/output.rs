//! The output of an execution, as bytes and as events. A stream is pulled: who stops reading stops the server's sending, and dropping it
//! ends it.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{Stream, stream};
use jobwright_model::{
    EndEvent, ErrorAnswer, ExecutionStatus, LogStreamRequest, OutputData, OutputEvent, StreamKind,
};
use reqwest::header::{ACCEPT, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, Response};
use serde::de::DeserializeOwned;

use super::ExecutionsClient;
use super::asking::Asked;
use super::sse::{Decoder, Event, TooLong};
use crate::Error;
use crate::json;

/// How long a stream may say nothing at all: output that is there is on its way, and in an event stream the server says every 15 s that it
/// is there.
const SILENCE: Duration = Duration::from_secs(60);
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Output as bytes, both streams in the order in which they were written. An error is the last item.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// Output as events. [`LogEvent::End`] or an error is the last item.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<LogEvent, Error>> + Send>>;

/// An event of an execution's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// Something was written.
    Output {
        /// Where to.
        stream: StreamKind,
        /// How many bytes of the whole output lie before it.
        offset: u64,
        /// Where the output goes on after it; from there a stream that broke off can be asked for again.
        next: u64,
        /// What.
        bytes: Bytes,
    },
    /// There is no more.
    End {
        /// How the execution stands; terminal, when it was followed.
        status: ExecutionStatus,
    },
}

impl ExecutionsClient {
    /// Its output as bytes. With a range (first and last byte, both included) those of it that there are; a range goes with neither `follow`
    /// nor `tail`.
    ///
    /// # Errors
    /// Refused as `not_found`, `other_job`, `logs_expired`, `invalid_range`, `no_such_range`, or `too_many_waiting` when it is followed.
    pub async fn logs(
        &self,
        request: &LogStreamRequest,
        range: Option<RangeInclusive<u64>>,
    ) -> Result<ByteStream, Error> {
        let mut asked = self.output(request);
        if let Some(range) = range {
            let value = format!("bytes={}-{}", range.start(), range.end());
            let value = HeaderValue::try_from(value).map_err(|error| Error::Client(error.to_string()))?;
            asked = asked.header(RANGE, value);
        }
        let (answer, client) = (asked.head().await?, self.clone());
        // Output that is not followed lies there already; that which is may be silent as long as it likes.
        let silence = if request.follow { Duration::MAX } else { SILENCE };
        Ok(Box::pin(stream::unfold(Some(answer), move |answer| {
            let client = client.clone();
            async move {
                let mut answer = answer?;
                match client.piece(&mut answer, silence).await {
                    Ok(piece) => piece.map(|piece| (Ok(piece), Some(answer))),
                    Err(error) => Some((Err(error), None)),
                }
            }
        })))
    }

    /// The next piece of an answer, when it comes in time; none at its end.
    async fn piece(&self, answer: &mut Response, silence: Duration) -> Result<Option<Bytes>, Error> {
        let piece = async { answer.chunk().await.map_err(|error| self.unreachable(error)) };
        self.within(silence, piece).await
    }

    /// Its output as events; from `next` of the last event that was read on, when one is given.
    ///
    /// # Errors
    /// Refused as `not_found`, `other_job`, `logs_expired` or `too_many_waiting`; in the stream also as what the executor could not go on for.
    pub async fn events(&self, request: &LogStreamRequest, from: Option<u64>) -> Result<EventStream, Error> {
        let mut asked = self.output(request).header(ACCEPT, EVENTS);
        if let Some(from) = from {
            asked = asked.header(LAST_EVENT_ID, from);
        }
        let answer = asked.head().await?;
        let reader = Reader::new(self.clone(), answer);
        Ok(Box::pin(stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            let event = reader.next().await;
            let rest = matches!(event, Ok(LogEvent::Output { .. })).then_some(reader);
            Some((event, rest))
        })))
    }

    fn output(&self, request: &LogStreamRequest) -> Asked<'_> {
        let asked = self.of(Method::GET, &request.execution_id, "/logs").query("job", &request.job_id);
        asked.query("follow", u8::from(request.follow)).query("tail", u8::from(request.tail))
    }
}

/// Reads an event stream.
pub(super) struct Reader {
    client: ExecutionsClient,
    answer: Response,
    decoder: Decoder,
}

impl Reader {
    pub(super) fn new(client: ExecutionsClient, answer: Response) -> Self {
        Self { client, answer, decoder: Decoder::default() }
    }

    async fn next(&mut self) -> Result<LogEvent, Error> {
        loop {
            let event = self.event().await?;
            if let Some(event) = self.understood(&event)? {
                return Ok(event);
            }
        }
    }

    /// The next event, whatever it says.
    pub(super) async fn event(&mut self) -> Result<Event, Error> {
        loop {
            let long = |TooLong| self.client.wrong("events of bearable size", "one is too long");
            if let Some(event) = self.decoder.next().map_err(long)? {
                return Ok(event);
            }
            if self.decoder.has_more() {
                continue;
            }
            match self.client.piece(&mut self.answer, SILENCE).await? {
                Some(piece) => self.decoder.push(&piece),
                None => return Err(self.client.wrong("a whole event stream", "it broke off before its end")),
            }
        }
    }

    /// What an event says; nothing, when it is of a kind that a later server may have.
    fn understood(&self, event: &Event) -> Result<Option<LogEvent>, Error> {
        match event.name.as_str() {
            "output" => self.output(event).map(Some),
            "end" => self.parse::<EndEvent>(event).map(|end| Some(LogEvent::End { status: end.status })),
            "error" => Err(self.refused(self.parse::<ErrorAnswer>(event)?)),
            _ => Ok(None),
        }
    }

    fn output(&self, event: &Event) -> Result<LogEvent, Error> {
        let OutputEvent { stream, offset, data } = self.parse(event)?;
        let bytes = match data {
            OutputData::Text(text) => Bytes::from(text),
            OutputData::Base64(text) => {
                // The decoder's own words quote what it stumbled over.
                let not = |_| self.client.wrong("output in base64", "it is none");
                Bytes::from(STANDARD.decode(text).map_err(not)?)
            }
        };
        let next = offset.saturating_add(bytes.len() as u64);
        Ok(LogEvent::Output { stream, offset, next, bytes })
    }

    /// The error that the stream ended with.
    pub(super) fn refused(&self, answer: ErrorAnswer) -> Error {
        self.client.refused(self.answer.status().as_u16(), answer)
    }

    pub(super) fn parse<T: DeserializeOwned>(&self, event: &Event) -> Result<T, Error> {
        json::parse(event.data.as_bytes()).map_err(|reason| self.client.wrong("an event in JSON", reason))
    }
}
