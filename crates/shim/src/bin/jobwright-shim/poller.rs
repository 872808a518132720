//! Waiting: one epoll over everything, one timer on the clock that counts suspended time.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

/// Who an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Somebody wants to connect.
    Listener,
    /// A child ended, or the shim shall.
    Signals,
    /// A deadline came.
    Timer,
    /// The owner's connection with this key.
    Connection(u64),
    /// A step's standard output, by the step's key.
    Stdout(u64),
    /// A step's standard error, by the step's key.
    Stderr(u64),
}

impl Source {
    fn to_data(self) -> EventData {
        let (kind, key) = match self {
            Self::Listener => (0, 0),
            Self::Signals => (1, 0),
            Self::Timer => (2, 0),
            Self::Connection(key) => (3, key),
            Self::Stdout(key) => (4, key),
            Self::Stderr(key) => (5, key),
        };
        EventData::new_u64(kind << 56 | key)
    }

    /// Keys count up from one and never reach the upper byte.
    fn from_data(data: EventData) -> Self {
        let key = data.u64() & !(0xff << 56);
        match data.u64() >> 56 {
            0 => Self::Listener,
            1 => Self::Signals,
            2 => Self::Timer,
            3 => Self::Connection(key),
            4 => Self::Stdout(key),
            _ => Self::Stderr(key),
        }
    }
}

/// The set of things waited for.
pub(crate) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// The moment the timer is set to, in nanoseconds since boot.
    armed: Option<u64>,
    events: Vec<epoll::Event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let poller = Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            timer: rustix::time::timerfd_create(TimerfdClockId::Boottime, flags)?,
            armed: None,
            events: Vec::with_capacity(64),
        };
        poller.add(&poller.timer, Source::Timer)?;
        Ok(poller)
    }

    /// Waits for input on `descriptor` until it is closed.
    pub(crate) fn add(&self, descriptor: impl AsFd, source: Source) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, source.to_data(), EventFlags::IN)?)
    }

    /// Waits for a descriptor that was not added for input to take output.
    pub(crate) fn add_output(&self, descriptor: impl AsFd, source: Source) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, source.to_data(), EventFlags::OUT)?)
    }

    /// No longer waits for a descriptor; one that was not added is no error.
    pub(crate) fn remove(&self, descriptor: impl AsFd) {
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Waits for input and, while `output`, until more can be written.
    pub(crate) fn set_output(&self, descriptor: impl AsFd, source: Source, output: bool) -> io::Result<()> {
        let flags = if output { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        Ok(epoll::modify(&self.epoll, descriptor, source.to_data(), flags)?)
    }

    /// Waits until something happens or the moment `until` (nanoseconds since boot) comes; fills `happened`.
    pub(crate) fn wait(&mut self, until: Option<u64>, happened: &mut Vec<Source>) -> io::Result<()> {
        self.arm(until)?;
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        happened.clear();
        happened.extend(self.events.iter().map(|event| Source::from_data(event.data)));
        Ok(())
    }

    fn arm(&mut self, until: Option<u64>) -> io::Result<()> {
        if until == self.armed {
            return Ok(());
        }
        // Zero would switch the timer off; one nanosecond after boot is as past as any moment.
        let moment = until.map_or(0, |until| until.max(1));
        let value =
            Timespec { tv_sec: (moment / 1_000_000_000) as i64, tv_nsec: (moment % 1_000_000_000) as i64 };
        let setting = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &setting)?;
        self.armed = until;
        Ok(())
    }

    /// Takes note that the timer fired.
    pub(crate) fn timer_fired(&mut self) {
        let _ = rustix::io::read(&self.timer, &mut [0; 8]);
        self.armed = None;
    }
}
