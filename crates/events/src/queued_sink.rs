//! A bounded queue and a thread before a sink that may be slow. The event log has its own queue, as it alone may push back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::{fmt, io};

use crate::bus::Sink;
use crate::event::Event;
use crate::queue::{CloseOnDrop, Item, Queue};

/// The sink to attach to the bus: it never waits. Events that find no room are counted, and the consumer is told by
/// [`Sink::lagged`] where they are missing; the order of the others is kept. When it is dropped (detached, or the bus is),
/// the consumer still gets what is queued.
pub struct QueuedSink {
    queue: Arc<Queue>,
    lagged: Arc<AtomicU64>,
}

/// The thread on which the consumer of a [`QueuedSink`] runs.
#[must_use = "close it, so that the consumer has everything"]
pub struct QueuedConsumer<S> {
    queue: Arc<Queue>,
    lagged: Arc<AtomicU64>,
    thread: JoinHandle<S>,
}

/// The consumer of a queued sink panicked; what it did not get is lost to it.
#[derive(Debug, thiserror::Error)]
#[error("the consumer behind the queue panicked")]
pub struct ConsumerPanicked;

impl QueuedSink {
    /// Starts a thread called `name` that hands events to `consumer`, with room for `limit` bytes of events (their payload
    /// and about 256 bytes each) before it; a single event that is larger is taken when nothing waits.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn spawn<S: Sink + 'static>(
        name: &str,
        limit: usize,
        consumer: S,
    ) -> io::Result<(Self, QueuedConsumer<S>)> {
        let queue = Arc::new(Queue::new(limit));
        let lagged = Arc::new(AtomicU64::new(0));
        let guard = CloseOnDrop(Arc::clone(&queue));
        let thread = Builder::new().name(name.to_owned()).spawn(move || consume(&guard.0, consumer))?;
        let handle = QueuedConsumer { queue: Arc::clone(&queue), lagged: Arc::clone(&lagged), thread };
        Ok((Self { queue, lagged }, handle))
    }
}

impl Sink for QueuedSink {
    fn emit(&mut self, event: &Arc<Event>) {
        if !self.queue.offer(Arc::clone(event)) {
            self.lagged.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for QueuedSink {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl<S> QueuedConsumer<S> {
    /// How many events the consumer did not get so far.
    #[must_use]
    pub fn lagged(&self) -> u64 {
        self.lagged.load(Ordering::Relaxed)
    }

    /// Takes nothing more, waits until the consumer has everything that is queued, and gives it back. Blocks.
    ///
    /// # Errors
    /// [`ConsumerPanicked`] when the consumer did not live that long.
    pub fn close(self) -> Result<S, ConsumerPanicked> {
        self.queue.close();
        self.thread.join().map_err(|_| ConsumerPanicked)
    }
}

fn consume<S: Sink>(queue: &Queue, mut consumer: S) -> S {
    while let Some(items) = queue.take() {
        for item in items {
            match item {
                Item::Event(event) => consumer.emit(&event),
                Item::Missed(count) => consumer.lagged(count),
                Item::Barrier(_) => {}
            }
        }
    }
    consumer
}

impl fmt::Debug for QueuedSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedSink").field("lagged", &self.lagged).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for QueuedConsumer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueuedConsumer").field("lagged", &self.lagged).finish_non_exhaustive()
    }
}
