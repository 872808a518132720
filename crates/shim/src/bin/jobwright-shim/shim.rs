//! The shim itself: its parts and the loop that waits and deals out what happened.
//!
//! The rest of what it does is beside this file, each with its own `impl Shim`: [`crate::orders`] (what owners ask),
//! [`crate::children`] (output and ends of processes), [`crate::stopping`] (ending a tree).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobwright_shim::frame::{MAX_PAYLOAD, Stream};
use jobwright_shim::identity::boot_id;
use jobwright_shim::protocol::{Answer, Message, Notice, Refusal};
use jobwright_shim::record::{EndedBy, Instants};

use crate::connection::Connection;
use crate::execs::Execs;
use crate::family::Family;
use crate::poller::{Poller, Source};
use crate::spawn::Spawner;
use crate::step::Steps;
use crate::system;

/// Milliseconds that steps get when the shim is told to end by SIGTERM.
const TERM_GRACE_MS: u64 = 10_000;

/// Everything the shim has.
pub(crate) struct Shim {
    pub(crate) poller: Poller,
    pub(crate) signals: OwnedFd,
    pub(crate) listener: Option<UnixListener>,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) last_connection: u64,
    pub(crate) steps: Steps,
    pub(crate) family: Family,
    pub(crate) execs: Execs,
    pub(crate) spawner: Spawner,
    /// One for all pipes: what is read is written before the next read.
    pub(crate) buffer: Vec<u8>,
    /// The directory it serves, if it has a socket.
    pub(crate) dir: Option<PathBuf>,
    pub(crate) boot_id: String,
    /// The unguessable part of all tokens.
    pub(crate) token_base: String,
    /// Told to end: takes no steps and goes when the last one is gone.
    pub(crate) shutting_down: bool,
    linger_ns: u64,
    /// Since when nobody needs the shim, in nanoseconds since boot.
    idle_since: Option<u64>,
}

impl Shim {
    pub(crate) fn new(linger: Duration, served: Option<(&Path, UnixListener)>) -> io::Result<Self> {
        let (dir, listener) = served.map(|(dir, listener)| (dir.to_owned(), listener)).unzip();
        system::become_subreaper()?;
        let poller = Poller::new()?;
        let signals = system::signal_descriptor()?;
        poller.add(&signals, Source::Signals)?;
        if let Some(listener) = &listener {
            listener.set_nonblocking(true)?;
            poller.add(listener, Source::Listener)?;
        }
        Ok(Self {
            poller,
            signals,
            listener,
            connections: BTreeMap::new(),
            last_connection: 0,
            steps: Steps::default(),
            family: Family::new(),
            execs: Execs::default(),
            spawner: Spawner::new(),
            buffer: vec![0; MAX_PAYLOAD],
            dir,
            boot_id: boot_id(),
            token_base: system::random()?.iter().map(|byte| format!("{byte:02x}")).collect(),
            shutting_down: false,
            linger_ns: u64::try_from(linger.as_nanos()).unwrap_or(u64::MAX),
            idle_since: None,
        })
    }

    /// Serves until nobody needs the shim.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut happened = Vec::new();
        // An owner that died before it connected never wakes the shim.
        self.note_idleness(Instants::now().boottime_ns);
        while !self.is_done() {
            self.poller.wait(self.next_moment(), &mut happened)?;
            // Orders and ends first: they are short, and copying must not delay them.
            for source in &happened {
                match *source {
                    Source::Timer => self.poller.timer_fired(),
                    Source::Signals => self.on_signals(),
                    Source::Listener => self.accept(),
                    Source::Connection(key) => self.serve(key),
                    Source::Stdout(_) | Source::Stderr(_) => {}
                }
            }
            for source in &happened {
                match *source {
                    Source::Stdout(key) => self.copy(key, Stream::Stdout),
                    Source::Stderr(key) => self.copy(key, Stream::Stderr),
                    _ => {}
                }
            }
            self.on_time();
            self.flush();
        }
        Ok(())
    }

    /// Takes no more connections; those who come now find no socket and start another shim.
    pub(crate) fn close_listener(&mut self) {
        self.listener = None;
    }

    /// Tells one owner, if it is still there.
    pub(crate) fn tell(&mut self, connection: u64, notice: Notice) {
        self.send(connection, &Message::Notice(notice));
    }

    /// Tells all owners that want to hear of steps.
    pub(crate) fn notify(&mut self, notice: Notice) {
        let message = Message::Notice(notice);
        let greeted =
            self.connections.iter().filter(|(_, connection)| connection.greeted && connection.hears_of_steps);
        for key in greeted.map(|(key, _)| *key).collect::<Vec<_>>() {
            self.send(key, &message);
        }
    }

    /// Answers an owner, if it is still there.
    pub(crate) fn answer(&mut self, connection: u64, id: u64, result: Result<Answer, Refusal>) {
        self.send(connection, &Message::Answer { id, result });
    }

    fn send(&mut self, key: u64, message: &Message) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        if connection.queue(message).is_err() {
            self.drop_connection(key);
        }
    }

    /// Sends what was said in this turn.
    fn flush(&mut self) {
        let unsent = self.connections.iter().filter(|(_, connection)| connection.has_unsent());
        for key in unsent.map(|(key, _)| *key).collect::<Vec<_>>() {
            let Some(connection) = self.connections.get_mut(&key) else { continue };
            match connection.flush() {
                Ok(()) => self.watch_output(key),
                Err(_) => self.drop_connection(key),
            }
        }
    }

    fn on_signals(&mut self) {
        let mut bytes = [0; 1024];
        while let Ok(length @ 1..) = rustix::io::read(&self.signals, &mut bytes) {
            if system::tells_of_term(&bytes[..length]) {
                self.shut_down(TERM_GRACE_MS);
            }
        }
        self.wait_for_children();
    }

    /// Stops everything and goes when nothing is left.
    pub(crate) fn shut_down(&mut self, grace_ms: u64) {
        self.shutting_down = true;
        for key in self.steps.keys() {
            self.begin_stop(key, grace_ms, EndedBy::Shutdown, None);
        }
    }

    fn on_time(&mut self) {
        let now = Instants::now();
        let owned = self.is_owned();
        for key in self.steps.keys() {
            let due = self.steps.get(key).and_then(|step| step.next_moment(owned));
            if due.is_some_and(|due| due <= now.boottime_ns) {
                self.on_step_time(key, now, owned);
            }
        }
        self.note_idleness(now.boottime_ns);
    }

    fn on_step_time(&mut self, key: u64, now: Instants, owned: bool) {
        self.settle_files(key, now);
        let Some(step) = self.steps.get_mut(key) else { return };
        if step.stopping.is_some() {
            self.advance_stop(key);
        } else if !owned && step.deadline.is_some_and(|deadline| deadline <= now.boottime_ns) {
            step.deadline = None;
            let grace_ms = step.grace_ms;
            self.begin_stop(key, grace_ms, EndedBy::Deadline, None);
        }
    }

    /// Whether somebody is connected who can decide about steps.
    fn is_owned(&self) -> bool {
        self.connections.values().any(|connection| connection.greeted && !connection.input_ended)
    }

    fn note_idleness(&mut self, now: u64) {
        let connected = self.connections.values().any(|connection| !connection.input_ended);
        let needed = connected || self.steps.iter().any(|(_, step)| step.needs_the_shim());
        self.idle_since = if needed { None } else { self.idle_since.or(Some(now)) };
    }

    fn next_moment(&self) -> Option<u64> {
        let owned = self.is_owned();
        let steps = self.steps.iter().filter_map(|(_, step)| step.next_moment(owned));
        steps.chain(self.idle_since.map(|since| since.saturating_add(self.linger()))).min()
    }

    /// How long to stay when nobody needs the shim: for its first owner it waits, for another one there is nothing that the
    /// steps' files do not tell.
    fn linger(&self) -> u64 {
        if self.last_connection > 0 { 0 } else { self.linger_ns }
    }

    fn is_done(&self) -> bool {
        if self.shutting_down {
            return !self.steps.iter().any(|(_, step)| step.is_running() || step.stopping.is_some());
        }
        let now = Instants::now().boottime_ns;
        self.idle_since.is_some_and(|since| now >= since.saturating_add(self.linger()))
    }
}
