//! Whose turn it is when an agent asks several queues at once (sourcegraph.md 1.4). Pure: the time and the randomness are the caller's.
//!
//! The original first drops the queues that are empty, then those that had their share, and draws one of the rest by weight; when the one that was
//! drawn has become empty meanwhile, it gives nothing. Here all queues are put into an order, by drawing one after the other, and the store
//! gives from the first that has something due. Which queue gives is distributed in the same way (of those that have something, each is before
//! the others as often as its weight says, whatever the empty ones are), it costs no look at the queues before, and nothing comes between.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use jobwright_model::QueueName;

/// How long a job that was given counts against its queue's limit.
const WINDOW: Duration = Duration::from_secs(300);

/// What a queue gets beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How often it is drawn beside one of weight 1. One of weight 0 gives only when no other has anything.
    pub weight: u32,
    /// So many jobs of it are given in a window before it comes behind the others; none for no limit.
    pub limit: Option<u32>,
}

impl Default for Share {
    /// Weight 1, no limit.
    fn default() -> Self {
        Self { weight: 1, limit: None }
    }
}

/// What was given of which queue, and what each is to get.
#[derive(Debug, Clone)]
pub struct Turns {
    window: Duration,
    shares: BTreeMap<QueueName, Share>,
    /// When the latest jobs of a queue were given, as many as its limit; the oldest first.
    given: BTreeMap<QueueName, VecDeque<Instant>>,
}

impl Default for Turns {
    /// Windows of five minutes; `batches` has the limit 50 and the weight 4, `codeintel` 250 and 1, any other queue weight 1 and no limit.
    fn default() -> Self {
        let mut turns = Self { window: WINDOW, shares: BTreeMap::new(), given: BTreeMap::new() };
        for (name, weight, limit) in [("batches", 4, 50), ("codeintel", 1, 250)] {
            if let Ok(queue) = QueueName::new(name) {
                turns = turns.share(queue, Share { weight, limit: Some(limit) });
            }
        }
        turns
    }
}

impl Turns {
    /// What that queue gets from now on.
    #[must_use]
    pub fn share(mut self, queue: QueueName, share: Share) -> Self {
        self.given.remove(&queue);
        self.shares.insert(queue, share);
        self
    }

    /// The queues in the order in which they are to be asked, each once. `random` gives numbers from 0 up to but not including 1.
    pub fn order(
        &self,
        queues: &[QueueName],
        now: Instant,
        mut random: impl FnMut() -> f64,
    ) -> Vec<QueueName> {
        let mut drawn: Vec<(bool, f64, QueueName)> = queues
            .iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|queue| (self.had_its_share(queue, now), self.draw(queue, random()), queue.clone()))
            .collect();
        drawn.sort_by(|(full, draw, _), (other_full, other, _)| {
            full.cmp(other_full).then(draw.total_cmp(other))
        });
        drawn.into_iter().map(|(_, _, queue)| queue).collect()
    }

    /// A job of that queue was given.
    pub fn gave(&mut self, queue: &QueueName, now: Instant) {
        let Some(limit) = self.of(queue).limit.and_then(|limit| usize::try_from(limit).ok()) else { return };
        let given = self.given.entry(queue.clone()).or_default();
        given.push_back(now);
        while given.len() > limit || given.front().is_some_and(|at| self.window <= now.duration_since(*at)) {
            given.pop_front();
        }
    }

    /// The moment at which the queue comes, if each comes at random moments, as many in a time as its weight says. The first to come is a draw by
    /// weight, the first of the others again, and so on.
    fn draw(&self, queue: &QueueName, random: f64) -> f64 {
        match self.of(queue).weight {
            0 => f64::INFINITY,
            weight => -(1.0 - random.clamp(0.0, 1.0)).ln() / f64::from(weight),
        }
    }

    fn had_its_share(&self, queue: &QueueName, now: Instant) -> bool {
        let Some(limit) = self.of(queue).limit else { return false };
        let given = self
            .given
            .get(queue)
            .map_or(0, |given| given.iter().filter(|at| now.duration_since(**at) < self.window).count());
        u32::try_from(given).unwrap_or(u32::MAX) >= limit
    }

    fn of(&self, queue: &QueueName) -> Share {
        self.shares.get(queue).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(names: &[&str]) -> Vec<QueueName> {
        names.iter().map(|name| QueueName::new(*name).unwrap()).collect()
    }

    /// How often each queue is before the other one.
    fn firsts(turns: &Turns, asked: &[QueueName], now: Instant) -> BTreeMap<String, u32> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut firsts = BTreeMap::new();
        for _ in 0..10_000 {
            let order = turns.order(asked, now, || random.f64());
            assert_eq!(order.len(), asked.len());
            *firsts.entry(order[0].to_string()).or_default() += 1;
        }
        firsts
    }

    // covers: sourcegraph 30 (the weights)
    #[test]
    fn a_queue_is_asked_first_as_often_as_its_weight_says() {
        let firsts = firsts(&Turns::default(), &queues(&["batches", "codeintel"]), Instant::now());
        assert!((7_800..8_200).contains(&firsts["batches"]), "{firsts:?}");
        assert_eq!(firsts["batches"] + firsts["codeintel"], 10_000);
    }

    #[test]
    fn among_those_that_have_something_the_weights_hold_whatever_is_empty() {
        let asked = queues(&["batches", "codeintel", "empty"]);
        let (turns, mut random, mut batches) = (Turns::default(), fastrand::Rng::with_seed(9), 0);
        for _ in 0..10_000 {
            let order = turns.order(&asked, Instant::now(), || random.f64());
            batches += u32::from(order.iter().find(|queue| queue.as_str() != "empty") == Some(&asked[0]));
        }
        assert!((7_800..8_200).contains(&batches), "{batches}");
    }

    // covers: sourcegraph 30 (the limits)
    #[test]
    fn one_that_had_its_share_comes_behind_until_the_window_is_over() {
        let (mut turns, asked) = (Turns::default(), queues(&["batches", "codeintel"]));
        let begin = Instant::now();
        for _ in 0..50 {
            turns.gave(&asked[0], begin);
        }
        assert_eq!(firsts(&turns, &asked, begin)["codeintel"], 10_000);
        let later = begin + WINDOW;
        assert!(firsts(&turns, &asked, later)["batches"] > 7_000);
        for _ in 0..250 {
            turns.gave(&asked[1], begin);
        }
        assert!(firsts(&turns, &asked, begin)["batches"] > 7_000, "all had it, so nobody comes behind");
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let (mut turns, asked) = (Turns::default(), queues(&["batches", "other"]));
        for _ in 0..10_000 {
            turns.gave(&asked[0], Instant::now());
            turns.gave(&asked[1], Instant::now());
        }
        assert_eq!(turns.given.values().map(VecDeque::len).sum::<usize>(), 50);
    }

    #[test]
    fn no_queues_no_order_and_one_twice_comes_once() {
        let turns = Turns::default().share(queues(&["zero"])[0].clone(), Share { weight: 0, limit: None });
        assert!(turns.order(&[], Instant::now(), || 0.5).is_empty());
        assert_eq!(turns.order(&queues(&["a", "a"]), Instant::now(), || 0.5), queues(&["a"]));
        for random in [0.0, 0.5, 1.0, f64::NAN, -1.0] {
            let order = turns.order(&queues(&["zero", "a"]), Instant::now(), || random);
            assert_eq!(order.len(), 2);
        }
        assert_eq!(turns.order(&queues(&["zero", "a"]), Instant::now(), || 0.5), queues(&["a", "zero"]));
    }
}
