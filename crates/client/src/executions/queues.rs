//! The queues of a server of ours (`docs/book/queues.md`), asked as its executions are. Not for what agents ask of a queue, which is
//! [`QueueClient`](crate::QueueClient).

use std::pin::Pin;

use futures_util::{Stream, stream};
use jobwright_model::{
    ErrorAnswer, JobRef, LogEndEvent, LogEndedEvent, LogEntryEvent, LogOutputEvent, LogRewrittenEvent,
    PushRequest, PushedJobs, QueueInfo, QueueList, QueueMade, QueueName, QueueRules, QueuedJobDetails,
    QueuedJobList, QueuedState, QueuedStateAnswer,
};
use reqwest::Method;

use super::ExecutionsClient;
use super::asking::Asked;
use super::output::Reader;
use super::sse::Event;
use crate::Error;

/// Which jobs of a queue are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobsFilter {
    /// In one of these states; in any when there are none.
    pub states: Vec<QueuedState>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// So many at most, from 1 to 1,000; 100 when nobody says.
    pub limit: Option<u32>,
    /// Where the page before ended: its `next`.
    pub after: Option<i64>,
}

/// An event of a job's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobLogEvent {
    /// A command began.
    Entry(LogEntryEvent),
    /// It printed something.
    Output(LogOutputEvent),
    /// What was told of its output holds no more, and is told anew from its beginning.
    Rewritten(LogRewrittenEvent),
    /// It ended.
    Ended(LogEndedEvent),
    /// There is no more.
    End(LogEndEvent),
}

/// The log of an attempt as events. [`JobLogEvent::End`] or an error is the last item.
pub type JobLogStream = Pin<Box<dyn Stream<Item = Result<JobLogEvent, Error>> + Send>>;

/// Asks a server about its queues. Cheap to clone. Every call may be refused as `no_queues`, when the server has none.
#[derive(Debug, Clone)]
pub struct QueuesClient(ExecutionsClient);

impl ExecutionsClient {
    /// The queues of the same server.
    #[must_use]
    pub fn queues(&self) -> QueuesClient {
        QueuesClient(self.clone())
    }
}

impl QueuesClient {
    fn of_queue(&self, method: Method, queue: &QueueName, what: &str) -> Asked<'_> {
        self.0.ask(method, &format!("queues/{queue}{what}"))
    }

    fn of_job(&self, method: Method, job: &JobRef, what: &str) -> Asked<'_> {
        self.of_queue(method, &job.queue, &format!("/jobs/{}{what}", job.id))
    }

    /// All queues, by name.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn list(&self) -> Result<Vec<QueueInfo>, Error> {
        let list: QueueList = self.0.ask(Method::GET, "queues").json().await?;
        Ok(list.queues)
    }

    /// Makes a queue, or gives one that is there these rules.
    ///
    /// # Errors
    /// Those of every call.
    pub async fn put(&self, queue: &QueueName, rules: &QueueRules) -> Result<QueueMade, Error> {
        self.of_queue(Method::PUT, queue, "").body(rules)?.json().await
    }

    /// Keeps a queue from giving anything out; what runs goes on.
    ///
    /// # Errors
    /// Refused as `no_queue`.
    pub async fn pause(&self, queue: &QueueName) -> Result<(), Error> {
        self.of_queue(Method::POST, queue, "/pause").nothing().await
    }

    /// Lets a queue that is paused go on.
    ///
    /// # Errors
    /// Refused as `no_queue`.
    pub async fn resume(&self, queue: &QueueName) -> Result<(), Error> {
        self.of_queue(Method::POST, queue, "/resume").nothing().await
    }

    /// Takes all of these in, at most 1,000, or none; as `NUMBER-QUEUE` in their order.
    ///
    /// # Errors
    /// Refused as `no_queue`, or as `invalid` with the place of what is wrong.
    pub async fn push(&self, queue: &QueueName, jobs: &[PushRequest]) -> Result<Vec<String>, Error> {
        let pushed: PushedJobs = self.of_queue(Method::POST, queue, "/jobs").body(&jobs)?.json().await?;
        Ok(pushed.jobs)
    }

    /// A page of a queue's jobs, the latest first.
    ///
    /// # Errors
    /// Refused as `no_queue` or `invalid_query`.
    pub async fn jobs(&self, queue: &QueueName, filter: &JobsFilter) -> Result<QueuedJobList, Error> {
        let mut asked = self.of_queue(Method::GET, queue, "/jobs");
        for state in &filter.states {
            asked = asked.query("state", state);
        }
        if let Some(tenant) = &filter.tenant {
            asked = asked.query("tenant", tenant);
        }
        if let Some(limit) = filter.limit {
            asked = asked.query("limit", limit);
        }
        if let Some(after) = filter.after {
            asked = asked.query("after", after);
        }
        asked.json().await
    }

    /// A job and the attempts at it.
    ///
    /// # Errors
    /// Refused as `no_queue` or `no_job`.
    pub async fn job(&self, job: &JobRef) -> Result<QueuedJobDetails, Error> {
        self.of_job(Method::GET, job, "").json().await
    }

    /// Wants its end: `canceled`, or `processing` until its agent has ended it.
    ///
    /// # Errors
    /// Refused as `no_queue`, `no_job` or `has_ended`.
    pub async fn cancel(&self, job: &JobRef) -> Result<QueuedState, Error> {
        let answer: QueuedStateAnswer = self.of_job(Method::POST, job, "/cancel").json().await?;
        Ok(answer.state)
    }

    /// Queues it again, when it failed or was canceled.
    ///
    /// # Errors
    /// Refused as `no_queue`, `no_job` or `wrong_state`.
    pub async fn retry(&self, job: &JobRef) -> Result<QueuedState, Error> {
        let answer: QueuedStateAnswer = self.of_job(Method::POST, job, "/retry").json().await?;
        Ok(answer.state)
    }

    /// The log of an attempt, of the latest when none is named; to the attempt's end when it is followed, else to the end of what there is.
    ///
    /// # Errors
    /// Refused as `no_queue`, `no_job`, `no_attempt` or `too_many_waiting`; in the stream also as what the server could not go on for.
    pub async fn logs(
        &self,
        job: &JobRef,
        attempt: Option<u32>,
        follow: bool,
    ) -> Result<JobLogStream, Error> {
        let mut asked = self.of_job(Method::GET, job, "/logs").query("follow", u8::from(follow));
        if let Some(attempt) = attempt {
            asked = asked.query("attempt", attempt);
        }
        let reader = Reader::new(self.0.clone(), asked.head().await?);
        Ok(Box::pin(stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            let event = next(&mut reader).await;
            let goes_on = event.as_ref().is_ok_and(|event| !matches!(event, JobLogEvent::End(_)));
            Some((event, goes_on.then_some(reader)))
        })))
    }
}

async fn next(reader: &mut Reader) -> Result<JobLogEvent, Error> {
    loop {
        let event = reader.event().await?;
        if let Some(understood) = understood(reader, &event)? {
            return Ok(understood);
        }
    }
}

/// What an event says; nothing, when it is of a kind that a later server may have.
fn understood(reader: &Reader, event: &Event) -> Result<Option<JobLogEvent>, Error> {
    Ok(Some(match event.name.as_str() {
        "entry" => JobLogEvent::Entry(reader.parse(event)?),
        "output" => JobLogEvent::Output(reader.parse(event)?),
        "rewritten" => JobLogEvent::Rewritten(reader.parse(event)?),
        "ended" => JobLogEvent::Ended(reader.parse(event)?),
        "end" => JobLogEvent::End(reader.parse(event)?),
        "error" => return Err(reader.refused(reader.parse::<ErrorAnswer>(event)?)),
        _ => return Ok(None),
    }))
}
