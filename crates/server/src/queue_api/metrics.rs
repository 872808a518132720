//! The metrics that executors send with their signs of life, kept for a short time and passed on to whoever collects them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long they are kept.
const KEPT: Duration = Duration::from_secs(30);
/// The most bytes of one agent's.
const LARGEST: usize = 1 << 20;
/// The most bytes of all.
const MOST: usize = 64 << 20;

/// What agents told of themselves in Prometheus' text format in the last 30 seconds. A cheap handle.
#[derive(Clone, Default)]
pub struct AgentMetrics(Arc<Mutex<Texts>>);

/// By the agent's name, and when they came.
type Texts = HashMap<String, (Instant, Arc<str>)>;

impl AgentMetrics {
    /// The texts that are not too old, each with its agent's name, by name.
    #[must_use]
    pub fn current(&self) -> Vec<(String, Arc<str>)> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Vec<(String, Arc<str>)> {
        let mut kept = self.kept(now);
        let mut texts: Vec<_> =
            kept.iter_mut().map(|(name, (_, text))| (name.clone(), Arc::clone(text))).collect();
        drop(kept);
        texts.sort_by(|one, other| one.0.cmp(&other.0));
        texts
    }

    /// What is not too old; the rest is forgotten.
    fn kept(&self, now: Instant) -> MutexGuard<'_, Texts> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (at, _)| now.duration_since(*at) < KEPT);
        kept
    }

    /// Keeps what an agent told, in place of what it told before. What is too much is not kept, and costs nobody anything else.
    pub(crate) fn keep(&self, name: &str, text: &str, now: Instant) {
        if text.is_empty() {
            return;
        }
        let mut kept = self.kept(now);
        kept.remove(name);
        let bytes: usize = kept.iter().map(|(name, (_, text))| name.len() + text.len()).sum();
        if text.len() > LARGEST || bytes + name.len() + text.len() > MOST {
            tracing::warn!(agent = name, bytes = text.len(), "the agent's metrics are too large to be kept");
            return;
        }
        kept.insert(name.to_owned(), (now, text.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_kept_for_half_a_minute_and_within_bounds() {
        let (metrics, begin) = (AgentMetrics::default(), Instant::now());
        let names = |at| metrics.at(at).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        metrics.keep("b", "x 1\n", begin);
        metrics.keep("a", "x 1\n", begin + KEPT / 2);
        metrics.keep("c", "", begin);
        metrics.keep("d", &"x".repeat(LARGEST + 1), begin);
        assert_eq!(names(begin + KEPT / 2), ["a", "b"]);
        assert_eq!(names(begin + KEPT), ["a"]);
        assert!(names(begin + KEPT * 2).is_empty());
        for agent in 0..100 {
            metrics.keep(&agent.to_string(), &"x".repeat(LARGEST), begin + KEPT * 2);
        }
        let bytes: usize = metrics.at(begin + KEPT * 2).iter().map(|(_, text)| text.len()).sum();
        assert!(bytes > 60 << 20 && bytes <= MOST, "{bytes}");
    }
}
