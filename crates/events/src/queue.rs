//! A queue between one bus and one thread, bounded by the bytes that it holds, in the order of arrival. Not for many
//! consumers.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::event::{Event, EventKind};

/// What an event costs beside its payload: the allocation, the names, the queue's slot. An estimate.
const OVERHEAD: usize = 256;

fn cost(event: &Event) -> usize {
    OVERHEAD + event.kind.weight()
}

/// What a consumer finds in its queue.
#[derive(Debug, PartialEq)]
pub(crate) enum Item {
    Event(Arc<Event>),
    /// That many events had no room here.
    Missed(u64),
    /// Somebody waits for everything before this to be done.
    Barrier(u64),
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    bytes: usize,
    closed: bool,
    /// The consumer lets events gather, and is woken only for what is urgent.
    gathers: bool,
    /// Somebody waits for what is in the queue.
    urgent: bool,
}

/// See the module. An event that is larger than the whole bound is taken when the queue is empty.
pub(crate) struct Queue {
    limit: usize,
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    room: Notify,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        let (filled, emptied) = (Condvar::new(), Condvar::new());
        Self { limit, state: Mutex::default(), filled, emptied, room: Notify::new() }
    }

    /// Adds the event, waiting for room; false when the queue is closed.
    pub(crate) fn push(&self, event: Arc<Event>) -> bool {
        let cost = cost(&event);
        let mut state = self.lock();
        while !state.closed && !self.fits(&state, cost) {
            if !mem::replace(&mut state.urgent, true) {
                self.filled.notify_one();
            }
            state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.add(state, Item::Event(event), cost)
    }

    /// Adds the event if there is room, else counts it as missed in its place; never waits. True when it was added.
    pub(crate) fn offer(&self, event: Arc<Event>) -> bool {
        let cost = cost(&event);
        let mut state = self.lock();
        if self.fits(&state, cost) {
            return self.add(state, Item::Event(event), cost);
        }
        if let Some(Item::Missed(count)) = state.items.back_mut() {
            *count += 1;
        } else {
            self.add(state, Item::Missed(1), 0);
        }
        false
    }

    /// Adds a barrier, whatever the room; false when the queue is closed.
    pub(crate) fn push_barrier(&self, number: u64) -> bool {
        self.add(self.lock(), Item::Barrier(number), 0)
    }

    /// All that is there, waiting for something; none when the queue is closed and empty.
    pub(crate) fn take(&self) -> Option<VecDeque<Item>> {
        let mut state = self.lock();
        while state.items.is_empty() {
            if state.closed {
                return None;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes = 0;
        state.urgent = false;
        let items = mem::take(&mut state.items);
        drop(state);
        self.emptied.notify_all();
        self.room.notify_waiters();
        Some(items)
    }

    /// Lets events gather for `longest` at most, so that many small ones wake the consumer once. Less when somebody waits for them: for
    /// a barrier, for room, or for the end of the run.
    pub(crate) fn gather(&self, longest: Duration) {
        let mut state = self.lock();
        state.gathers = true;
        let unhurried = |state: &mut State| !state.urgent && !state.closed;
        let waited = self.filled.wait_timeout_while(state, longest, unhurried);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.gathers = false;
    }

    /// Takes nothing more; what is there can still be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
        self.room.notify_waiters();
    }

    /// Waits until less than the bound is in the queue, or it is closed.
    pub(crate) async fn room(&self) {
        loop {
            let freed = self.room.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if self.has_room() {
                return;
            }
            freed.await;
        }
    }

    fn has_room(&self) -> bool {
        let state = self.lock();
        state.closed || self.fits(&state, OVERHEAD)
    }

    fn fits(&self, state: &State, cost: usize) -> bool {
        state.bytes == 0 || state.bytes + cost <= self.limit
    }

    fn add(&self, mut state: MutexGuard<'_, State>, item: Item, cost: usize) -> bool {
        if state.closed {
            return false;
        }
        state.bytes += cost;
        state.urgent |= is_urgent(&item) || state.bytes >= self.limit / 2;
        state.items.push_back(item);
        let wakes = !state.gathers || state.urgent;
        drop(state);
        if wakes {
            self.filled.notify_one();
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody waits for the consumer to come to this.
fn is_urgent(item: &Item) -> bool {
    match item {
        Item::Event(event) => matches!(event.kind, EventKind::RunFinished { .. }),
        Item::Barrier(_) => true,
        Item::Missed(_) => false,
    }
}

/// Closes the queue when its consumer ends, by a panic too, so that nobody waits for room for ever.
pub(crate) struct CloseOnDrop(pub(crate) Arc<Queue>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use jiff::Timestamp;
    use jobwright_model::RunId;

    use super::*;
    use crate::event::EventKind;

    const LIMIT: usize = 8 * (OVERHEAD + 1000);

    fn event(seq: u64) -> Arc<Event> {
        let kind = EventKind::Diagnostic { data: "x".repeat(1000) };
        Arc::new(Event { seq, time: Timestamp::UNIX_EPOCH, run_id: RunId::generate(), kind })
    }

    fn seqs(items: &VecDeque<Item>) -> Vec<u64> {
        let seq = |item: &Item| if let Item::Event(event) = item { event.seq } else { 0 };
        items.iter().map(seq).collect()
    }

    // 200 jobs that print more than the disk takes: what waits in memory stays within the bound.
    #[test]
    fn a_push_waits_for_room_so_that_memory_is_bounded_by_bytes_and_nothing_is_lost() {
        let queue = Queue::new(LIMIT);
        thread::scope(|scope| {
            scope.spawn(|| {
                (1..=1000).for_each(|seq| assert!(queue.push(event(seq))));
                queue.close();
            });
            let mut all = Vec::new();
            while let Some(items) = queue.take() {
                assert!(items.len() <= 8, "{} events of 1256 bytes are more than the bound", items.len());
                all.extend(seqs(&items));
            }
            assert_eq!(all, (1..=1000).collect::<Vec<_>>());
        });
    }

    #[test]
    fn events_gather_until_somebody_waits() {
        const LONG: Duration = Duration::from_secs(3600);
        type Urgent = fn(&Queue);
        let urgent: [(&str, Urgent); 3] = [
            ("a barrier", |queue| assert!(queue.push_barrier(1))),
            ("much that waits", |queue| (2..=5).for_each(|seq| assert!(queue.push(event(seq))))),
            ("the end", Queue::close),
        ];
        for (what, make) in urgent {
            let queue = Queue::new(LIMIT);
            assert!(queue.push(event(1)));
            thread::scope(|scope| {
                let gathering = scope.spawn(|| queue.gather(LONG));
                while !queue.lock().gathers {
                    thread::yield_now();
                }
                assert!(!gathering.is_finished(), "one event wakes nobody");
                make(&queue);
                gathering.join().unwrap();
            });
            assert_eq!(seqs(&queue.take().unwrap())[0], 1, "{what}");
        }
    }

    #[test]
    fn an_offer_without_room_is_counted_in_its_place() {
        let queue = Queue::new(LIMIT);
        let taken: Vec<_> = (1..=11).map(|seq| queue.offer(event(seq))).collect();
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 8);
        let items = queue.take().unwrap();
        assert_eq!(items.back(), Some(&Item::Missed(3)));
        assert!(queue.offer(event(12)));
    }

    #[test]
    fn whoever_waits_for_room_is_freed_when_the_queue_is_closed() {
        let queue = Queue::new(1);
        assert!(queue.push(event(1)));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.push(event(2)));
            queue.close();
            assert!(!waiting.join().unwrap(), "it was refused");
        });
        assert_eq!(seqs(&queue.take().unwrap()), [1]);
        assert_eq!(queue.take(), None);
    }

    #[tokio::test]
    async fn room_is_told_as_soon_as_the_consumer_has_taken() {
        let queue = Arc::new(Queue::new(1));
        queue.room().await;
        assert!(queue.push(event(1)));
        let waiting = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        queue.take().unwrap();
        waiting.await.unwrap();
    }
}
