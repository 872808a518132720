//! A queue behind HTTP as the source of jobs: which endpoint is asked, and what a refusal means. One queue is asked on its own path, as servers of
//! every age know it; several are asked at once.

use std::time::Duration;

use async_trait::async_trait;
use jobwright_client::{Error as ClientError, GitProxy, Mark, OfJob, QueueClient};
use jobwright_model::{AttemptEnd, JobRef, LogEntry, QueueName};
use jobwright_queue::wire::{
    AddExecutionLogEntryRequest, DequeueRequest, HeartbeatRequest, Job, QueueJobs,
    UpdateExecutionLogEntryRequest,
};

use crate::source::{Beat, Held, JobSource, SourceError};

/// What an agent says of itself when it asks for a job.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// The version by which the form of jobs is chosen.
    pub version: String,
    /// How many processors a job has.
    pub num_cpus: Option<i64>,
    /// How much memory, such as `12G`.
    pub memory: String,
    /// How much disk, such as `20G`.
    pub disk_space: String,
}

/// Queues behind HTTP.
pub struct Remote {
    client: QueueClient,
    queues: Vec<QueueName>,
    offer: Offer,
    about: Vec<(String, String)>,
    /// How long the server may wait for a job before it answers.
    long_poll: Duration,
}

impl Remote {
    /// The `queues` behind `client`. `about` is what a sign of life tells of this machine, by the names on the wire.
    #[must_use]
    pub fn new(
        client: QueueClient,
        queues: Vec<QueueName>,
        offer: Offer,
        about: Vec<(String, String)>,
    ) -> Self {
        Self { client, queues, offer, about, long_poll: Duration::ZERO }
    }

    /// Letting the server wait that long for a job; a Sourcegraph does not, and answers at once.
    #[must_use]
    pub fn long_poll(mut self, within: Duration) -> Self {
        self.long_poll = within;
        self
    }

    /// The queue that is asked on its own path.
    fn only(&self) -> Option<&QueueName> {
        match self.queues.as_slice() {
            [queue] => Some(queue),
            _ => None,
        }
    }

    fn of<'a>(held: &'a Held) -> OfJob<'a> {
        OfJob { queue: &held.job.queue, id: held.job.id, token: &held.token }
    }

    /// The job of an id in an answer: plain on the path of a queue, `NUMBER-QUEUE` where several were asked.
    fn job_of(&self, id: &str) -> Option<JobRef> {
        match self.only() {
            Some(queue) => {
                let number = id.split('-').next()?;
                Some(JobRef::new(queue.clone(), number.parse().ok()?))
            }
            None => JobRef::parse(id).ok().flatten(),
        }
    }
}

/// What a failure means for a question that is asked again anyway.
fn of_asking(error: ClientError) -> SourceError {
    match error {
        ClientError::Status { status: 400..=499, .. } => SourceError::Refused(error.to_string()),
        error => SourceError::Unreachable(error.to_string()),
    }
}

/// What it means for what is said of a job. A server in trouble says 500, and so does one that does not know the job as ours; only a sign of life tells
/// which, so it is tried again until then. A token that opens nothing is that of an attempt that is over; the secret of all agents may come right again.
fn of_telling(held: &Held, error: ClientError) -> SourceError {
    match error {
        ClientError::Status { status: 404, .. } => SourceError::Stale,
        ClientError::Status { status: 401, .. } if !held.token.is_empty() => SourceError::Stale,
        ClientError::Status { status: 401, .. } => SourceError::Unreachable(error.to_string()),
        ClientError::Status { status: 400..=499, .. } => SourceError::Refused(error.to_string()),
        error => SourceError::Unreachable(error.to_string()),
    }
}

#[async_trait]
impl JobSource for Remote {
    async fn dequeue(&self) -> Result<Option<(JobRef, Job)>, SourceError> {
        let several = self.only().is_none();
        let request = DequeueRequest {
            queues: if several { self.queues.iter().map(ToString::to_string).collect() } else { Vec::new() },
            executor_name: self.client.name().to_owned(),
            version: self.offer.version.clone(),
            num_cpus: self.offer.num_cpus,
            memory: self.offer.memory.clone(),
            disk_space: self.offer.disk_space.clone(),
        };
        let taken = self.client.dequeue(self.only(), &request, self.long_poll).await.map_err(of_asking)?;
        let Some(job) = taken else { return Ok(None) };
        let asked = self.only().or(self.queues.first());
        let asked = asked.ok_or_else(|| SourceError::Refused("there is no queue to be asked".to_owned()))?;
        let place = match self.only() {
            // Whatever it says of itself: it came on that path.
            Some(queue) => JobRef::new(queue.clone(), job.id),
            None => job.job_ref(asked).map_err(|error| SourceError::Refused(error.to_string()))?,
        };
        Ok(Some((place, job)))
    }

    async fn heartbeat(&self, held: &[JobRef], metrics: String) -> Result<Beat, SourceError> {
        let mut request = HeartbeatRequest {
            executor_name: self.client.name().to_owned(),
            about: self.about.clone(),
            prometheus_metrics: metrics,
            ..HeartbeatRequest::default()
        };
        match self.only() {
            Some(_) => {
                "V2".clone_into(&mut request.version);
                request.job_ids = Some(held.iter().map(|job| job.id).collect());
            }
            None => {
                request.queue_names = self.queues.iter().map(ToString::to_string).collect();
                request.job_ids_by_queue = by_queue(held);
            }
        }
        let (known, cancel) = self.client.heartbeat(self.only(), &request).await.map_err(of_asking)?;
        let jobs = |ids: Vec<String>| ids.iter().filter_map(|id| self.job_of(id)).collect();
        Ok(Beat { known: jobs(known), cancel: jobs(cancel) })
    }

    async fn add_log(&self, held: &Held, entry: &LogEntry) -> Result<Option<i64>, SourceError> {
        let request = AddExecutionLogEntryRequest {
            executor_name: self.client.name().to_owned(),
            job_id: held.job.id,
            entry: entry.clone().into(),
        };
        self.client.add_log(Self::of(held), &request).await.map_err(|error| of_telling(held, error))
    }

    async fn update_log(&self, held: &Held, number: i64, entry: &LogEntry) -> Result<(), SourceError> {
        let request = UpdateExecutionLogEntryRequest {
            executor_name: self.client.name().to_owned(),
            job_id: held.job.id,
            entry_id: number,
            entry: entry.clone().into(),
        };
        self.client.update_log(Self::of(held), &request).await.map_err(|error| of_telling(held, error))
    }

    async fn finish(&self, held: &Held, end: &AttemptEnd) -> Result<(), SourceError> {
        let mark = match end {
            AttemptEnd::Completed => Mark::Complete,
            AttemptEnd::Errored(why) => Mark::Errored(why),
            AttemptEnd::Failed(why) => Mark::Failed(why),
        };
        self.client.mark(Self::of(held), mark).await.map_err(|error| of_telling(held, error))
    }

    async fn file(&self, held: &Held, bucket: &str, key: &str) -> Result<Vec<u8>, SourceError> {
        self.client.file(Self::of(held), bucket, key).await.map_err(|error| match error {
            ClientError::Status { status: 400..=499, .. } => SourceError::Refused(error.to_string()),
            error => SourceError::Unreachable(error.to_string()),
        })
    }

    async fn git(&self, held: &Held, repository: &str) -> Result<GitProxy, SourceError> {
        let opened = GitProxy::open(&self.client, Self::of(held), repository).await;
        opened.map_err(|error| SourceError::Refused(error.to_string()))
    }
}

fn by_queue(held: &[JobRef]) -> Vec<QueueJobs> {
    let mut queues: Vec<QueueJobs> = Vec::new();
    for job in held {
        match queues.iter_mut().find(|jobs| jobs.queue_name == job.queue.as_str()) {
            Some(jobs) => jobs.job_ids.push(job.id),
            None => queues.push(QueueJobs { queue_name: job.queue.to_string(), job_ids: vec![job.id] }),
        }
    }
    queues
}
