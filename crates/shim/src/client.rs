//! A blocking owner of a shim: one connection, one order at a time.
//!
//! Asynchronous owners use [`crate::codec`] on their own socket. A dropped client changes nothing for the steps.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::codec::{self, Decoder};
use crate::descriptors;
use crate::error::ShimError;
use crate::exec::{ExecEnd, ExecOrder};
use crate::launch::{ShimDir, find_shim};
use crate::protocol::{
    Answer, Message, Notice, Order, PROTOCOL, PROTOCOL_MIN, Refusal, Request, StartOrder, StepId, StepStatus,
};
use crate::record::ExitRecord;
use crate::socket;

/// How often a shim that just ended is replaced before the caller is told.
const ATTEMPTS: usize = 3;

/// A connection to a running shim.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    decoder: Decoder,
    notices: VecDeque<Notice>,
    last_id: u64,
    shim_pid: u32,
}

impl Client {
    /// Connects to the shim that serves `dir` and agrees on a protocol.
    ///
    /// # Errors
    /// [`ShimError::Unreachable`] when none serves it, [`Refusal::Protocol`] when it is of a foreign version.
    pub fn connect(dir: &Path) -> Result<Self, ShimError> {
        let stream =
            socket::connect(dir).map_err(|source| ShimError::Unreachable { dir: dir.to_owned(), source })?;
        let (decoder, notices) = (Decoder::default(), VecDeque::new());
        let mut client = Self { stream, decoder, notices, last_id: 0, shim_pid: 0 };
        match client.call(Order::Hello { min: PROTOCOL_MIN, max: PROTOCOL })? {
            Answer::Hello { pid, .. } => client.shim_pid = pid,
            other => return Err(unexpected(&other)),
        }
        Ok(client)
    }

    /// Connects, starting a shim for `dir` if none serves it.
    ///
    /// # Errors
    /// As [`Client::connect`], [`find_shim`] and [`ShimDir::launch`].
    pub fn ensure(dir: &Path) -> Result<Self, ShimError> {
        let mut last = ShimError::Gone;
        for _ in 0..ATTEMPTS {
            match Self::connect(dir) {
                // The one that was found may have been on its way out.
                Err(ShimError::Unreachable { .. } | ShimError::Gone | ShimError::Connection(_)) => {}
                other => return other,
            }
            ShimDir::new(dir).launch(&find_shim()?)?;
            match Self::connect(dir) {
                Err(error @ (ShimError::Unreachable { .. } | ShimError::Gone | ShimError::Connection(_))) => {
                    last = error;
                }
                other => return other,
            }
        }
        Err(last)
    }

    /// The shim's process number.
    pub fn shim_pid(&self) -> u32 {
        self.shim_pid
    }

    /// Gives an order and waits for its answer; notices that come meanwhile are kept.
    ///
    /// # Errors
    /// [`ShimError::Refused`] with the shim's reason, or that of the connection.
    pub fn call(&mut self, order: Order) -> Result<Answer, ShimError> {
        self.call_with(order, &[])
    }

    fn call_with(&mut self, order: Order, with: &[BorrowedFd<'_>]) -> Result<Answer, ShimError> {
        self.last_id += 1;
        let request = Request { id: self.last_id, order };
        let line = codec::encode(&request).map_err(|error| ShimError::Protocol(error.to_string()))?;
        let sent = descriptors::send(&self.stream, &line, with).map_err(connection)?;
        self.stream.write_all(&line[sent..]).map_err(connection)?;
        loop {
            match self.receive()? {
                Message::Answer { id, result } if id == self.last_id => return Ok(result?),
                Message::Answer { id: 0, result: Err(refusal) } => return Err(refusal.into()),
                Message::Answer { id, .. } => {
                    return Err(ShimError::Protocol(format!("an answer to order {id}")));
                }
                Message::Notice(notice) => self.notices.push_back(notice),
            }
        }
    }

    /// Starts a step; gives its process and token ([`Answer::Started`]).
    pub fn start(&mut self, order: StartOrder) -> Result<Answer, ShimError> {
        self.call(Order::Start(Box::new(order)))
    }

    /// Starts a program beside a step, with these descriptors; gives its process. From then on this connection hears of nothing
    /// but the ends of such programs.
    pub fn exec(&mut self, order: ExecOrder, with: &[BorrowedFd<'_>]) -> Result<u32, ShimError> {
        match self.call_with(Order::Exec(Box::new(order)), with)? {
            Answer::Executing { pid } => Ok(pid),
            other => Err(unexpected(&other)),
        }
    }

    /// Waits for the end of a program that this connection [started](Self::exec).
    pub fn wait_exec(&mut self, pid: u32) -> Result<ExecEnd, ShimError> {
        loop {
            match self.notice(None)? {
                Some(Notice::ExecEnded(end)) if end.pid == pid => return Ok(end),
                _ => {}
            }
        }
    }

    /// Which processes a step has now.
    pub fn members(&mut self, step: &StepId) -> Result<Vec<u32>, ShimError> {
        match self.call(Order::Members { step: step.clone() })? {
            Answer::Members(members) => Ok(members),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends a step and everything it started; returns when nothing is left, with whether force was needed.
    pub fn stop(&mut self, step: &StepId, grace: Duration) -> Result<bool, ShimError> {
        let grace_ms = grace.as_millis().try_into().unwrap_or(u64::MAX);
        match self.call(Order::Stop { step: step.clone(), grace_ms, forget: false })? {
            Answer::Stopped { forced } => Ok(forced),
            other => Err(unexpected(&other)),
        }
    }

    /// How a step is.
    pub fn status(&mut self, step: &StepId) -> Result<StepStatus, ShimError> {
        match self.call(Order::Status { step: step.clone() })? {
            Answer::Status(status) => Ok(*status),
            other => Err(unexpected(&other)),
        }
    }

    /// How all steps are.
    pub fn list(&mut self) -> Result<Vec<StepStatus>, ShimError> {
        match self.call(Order::List)? {
            Answer::List(list) => Ok(list),
            other => Err(unexpected(&other)),
        }
    }

    /// Frees an ended step.
    pub fn forget(&mut self, step: &StepId) -> Result<(), ShimError> {
        self.call(Order::Forget { step: step.clone() }).map(drop)
    }

    /// Waits until the step's first process ended; may be called at any time and again.
    pub fn wait(&mut self, step: &StepId) -> Result<ExitRecord, ShimError> {
        if let Some(exit) = self.status(step)?.exit {
            return Ok(exit);
        }
        loop {
            match self.notice(None)? {
                Some(Notice::Exited { step: ended, exit, .. }) if ended == *step => return Ok(exit),
                _ => {}
            }
        }
    }

    /// The next notice, waiting at most `timeout`; `None` when that passed.
    pub fn notice(&mut self, timeout: Option<Duration>) -> Result<Option<Notice>, ShimError> {
        if let Some(notice) = self.notices.pop_front() {
            return Ok(Some(notice));
        }
        let until = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            self.stream.set_read_timeout(left).map_err(connection)?;
            let received = self.receive();
            self.stream.set_read_timeout(None).map_err(connection)?;
            match received {
                Ok(Message::Notice(notice)) => return Ok(Some(notice)),
                Ok(Message::Answer { id, .. }) => {
                    return Err(ShimError::Protocol(format!("an answer to order {id}, which nobody gave")));
                }
                Err(ShimError::Connection(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn receive(&mut self) -> Result<Message, ShimError> {
        let mut piece = [0; 16 << 10];
        loop {
            if let Some(message) =
                self.decoder.next_message().map_err(|error| ShimError::Protocol(error.to_string()))?
            {
                return Ok(message);
            }
            match self.stream.read(&mut piece).map_err(connection)? {
                0 => return Err(ShimError::Gone),
                length => self.decoder.push(&piece[..length]),
            }
        }
    }
}

/// A connection that the other side dropped means that the shim is gone, in whichever way the system says it.
fn connection(error: std::io::Error) -> ShimError {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    if matches!(error.kind(), BrokenPipe | ConnectionReset) {
        ShimError::Gone
    } else {
        ShimError::Connection(error)
    }
}

fn unexpected(answer: &Answer) -> ShimError {
    ShimError::Protocol(format!("an answer of another kind: {answer:?}"))
}

impl ShimError {
    /// The refusal, when the shim refused.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}
