//! What an agent tells of itself with each sign of life, under the names that an executor of Sourcegraph has for it (sourcegraph.md 6). Measuring it
//! never fails anything.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jobwright_client::GitProxy;
use jobwright_model::{AttemptEnd, JobRef, LogEntry};
use jobwright_queue::wire::Job;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

use crate::source::{Beat, Held, JobSource, SourceError};

/// Of how long jobs take, in seconds, as the original counts them.
const OF_JOBS: [f64; 11] = [30.0, 60.0, 150.0, 300.0, 450.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0];
/// Of how long a queue takes to answer.
const OF_ANSWERS: [f64; 9] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfJob {
    queue: String,
    op: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQuestion {
    op: &'static str,
}

/// Rate, errors and duration of one kind of thing.
#[derive(Clone)]
struct Red<L: Clone + std::hash::Hash + Eq> {
    total: Family<L, Counter>,
    errors: Family<L, Counter>,
    seconds: Family<L, Histogram, fn() -> Histogram>,
}

impl<L> Red<L>
where
    L: Clone + std::hash::Hash + Eq + EncodeLabelSet + Send + Sync + std::fmt::Debug + 'static,
{
    fn new(registry: &mut Registry, name: &str, what: &str, buckets: fn() -> Histogram) -> Self {
        let red = Self {
            total: Family::default(),
            errors: Family::default(),
            seconds: Family::new_with_constructor(buckets),
        };
        registry.register(name, format!("Count of {what}"), red.total.clone());
        registry.register(
            format!("{name}_errors"),
            format!("Count of {what} that failed"),
            red.errors.clone(),
        );
        registry.register(format!("{name}_duration_seconds"), format!("Time of {what}"), red.seconds.clone());
        red
    }

    fn observe(&self, labels: &L, took: Duration, failed: bool) {
        self.total.get_or_create(labels).inc();
        self.seconds.get_or_create(labels).observe(took.as_secs_f64());
        if failed {
            self.errors.get_or_create(labels).inc();
        }
    }
}

/// An agent's measurements. Cheap to clone; all clones are one.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    jobs: Red<OfJob>,
    questions: Red<OfQuestion>,
    handlers: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let jobs = Red::new(&mut registry, "src_executor_processor", "jobs", || Histogram::new(OF_JOBS));
        let questions =
            Red::new(&mut registry, "src_apiworker_apiclient_queue", "questions to the queue", || {
                Histogram::new(OF_ANSWERS)
            });
        let handlers = Gauge::default();
        registry.register("src_executor_processor_handlers", "Jobs that run now", handlers.clone());
        Self { registry: Arc::new(registry), jobs, questions, handlers }
    }

    /// A job that runs until the answer is told how it ended.
    pub(crate) fn begin(&self, job: &JobRef) -> impl FnOnce(bool) + Send + use<> {
        self.handlers.inc();
        let (metrics, begun) = (self.clone(), Instant::now());
        let labels = OfJob { queue: job.queue.to_string(), op: "Handle" };
        move |completed: bool| {
            metrics.handlers.dec();
            metrics.jobs.observe(&labels, begun.elapsed(), !completed);
        }
    }

    /// All of it, in Prometheus' text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::warn!(%error, "what was measured cannot be written");
            return String::new();
        }
        // That end is another format's.
        text.trim_end_matches("# EOF\n").to_owned()
    }
}

/// A source whose answers are measured.
pub(crate) struct Measured {
    source: Arc<dyn JobSource>,
    metrics: Metrics,
}

impl Measured {
    pub(crate) fn new(source: Arc<dyn JobSource>, metrics: Metrics) -> Self {
        Self { source, metrics }
    }

    async fn measure<T>(
        &self,
        op: &'static str,
        question: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        let begun = Instant::now();
        let answer = question.await;
        self.metrics.questions.observe(&OfQuestion { op }, begun.elapsed(), answer.is_err());
        answer
    }
}

#[async_trait]
impl JobSource for Measured {
    async fn dequeue(&self) -> Result<Option<(JobRef, Job)>, SourceError> {
        self.measure("Dequeue", self.source.dequeue()).await
    }

    async fn heartbeat(&self, held: &[JobRef], metrics: String) -> Result<Beat, SourceError> {
        self.measure("Heartbeat", self.source.heartbeat(held, metrics)).await
    }

    async fn add_log(&self, held: &Held, entry: &LogEntry) -> Result<Option<i64>, SourceError> {
        self.measure("AddExecutionLogEntry", self.source.add_log(held, entry)).await
    }

    async fn update_log(&self, held: &Held, number: i64, entry: &LogEntry) -> Result<(), SourceError> {
        self.measure("UpdateExecutionLogEntry", self.source.update_log(held, number, entry)).await
    }

    async fn finish(&self, held: &Held, end: &AttemptEnd) -> Result<(), SourceError> {
        let op = match end {
            AttemptEnd::Completed => "MarkComplete",
            AttemptEnd::Errored(_) => "MarkErrored",
            AttemptEnd::Failed(_) => "MarkFailed",
        };
        self.measure(op, self.source.finish(held, end)).await
    }

    async fn file(&self, held: &Held, bucket: &str, key: &str) -> Result<Vec<u8>, SourceError> {
        self.measure("Get", self.source.file(held, bucket, key)).await
    }

    async fn git(&self, held: &Held, repository: &str) -> Result<GitProxy, SourceError> {
        self.source.git(held, repository).await
    }
}

#[cfg(test)]
mod tests {
    use jobwright_model::QueueName;

    use super::*;

    #[test]
    fn what_is_told_has_the_names_of_the_original() {
        let metrics = Metrics::new();
        let job = JobRef::new(QueueName::new("builds").unwrap(), 1);
        let ends = metrics.begin(&job);
        assert!(metrics.text().contains("src_executor_processor_handlers 1\n"), "{}", metrics.text());
        ends(false);
        let text = metrics.text();
        for line in [
            "src_executor_processor_total{queue=\"builds\",op=\"Handle\"} 1\n",
            "src_executor_processor_errors_total{queue=\"builds\",op=\"Handle\"} 1\n",
            "src_executor_processor_duration_seconds_bucket{le=\"30.0\",queue=\"builds\",op=\"Handle\"} 1\n",
            "src_executor_processor_handlers 0\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("EOF"));
    }
}
