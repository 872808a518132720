//! An owner's connection: bytes in and out, never waiting for a slow one (DESIGN rule 7). What an order means is in
//! [`crate::orders`].

use std::io::{self, ErrorKind};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use jobwright_shim::codec::{self, DecodeError, Decoder};
use jobwright_shim::descriptors;
use jobwright_shim::protocol::{Message, Request};
use rustix::io::Errno;

/// What an owner may leave unread before it is dropped.
const MAX_UNREAD: usize = 16 << 20;
/// What is read from one owner in one turn.
const PIECE: usize = 16 << 10;
/// What an owner may send of descriptors that no order takes.
const MAX_DESCRIPTORS: usize = 16;

/// An owner.
pub(crate) struct Connection {
    input: OwnedFd,
    /// Standard output of `--stdio`; a socket goes both ways.
    separate_output: Option<OwnedFd>,
    decoder: Decoder,
    unsent: Vec<u8>,
    /// Came with orders that did not take them yet.
    descriptors: Vec<OwnedFd>,
    /// Whether it is told of what becomes of steps.
    pub(crate) hears_of_steps: bool,
    /// Whether the protocol was agreed on.
    pub(crate) greeted: bool,
    /// Whether the poller waits for the output to take more.
    pub(crate) waits_for_output: bool,
    /// The owner sends nothing any more, but (`--stdio`) may still read.
    pub(crate) input_ended: bool,
}

/// The connection is of no more use.
#[derive(Debug)]
pub(crate) struct Broken;

impl Connection {
    pub(crate) fn new(input: OwnedFd, separate_output: Option<OwnedFd>) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&input, true)?;
        if let Some(output) = &separate_output {
            rustix::io::ioctl_fionbio(output, true)?;
        }
        Ok(Self {
            input,
            separate_output,
            decoder: Decoder::default(),
            unsent: Vec::new(),
            descriptors: Vec::new(),
            hears_of_steps: true,
            greeted: false,
            waits_for_output: false,
            input_ended: false,
        })
    }

    pub(crate) fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    pub(crate) fn output(&self) -> BorrowedFd<'_> {
        self.separate_output.as_ref().unwrap_or(&self.input).as_fd()
    }

    pub(crate) fn is_stdio(&self) -> bool {
        self.separate_output.is_some()
    }

    /// Reads what is there, at most one piece.
    pub(crate) fn receive(&mut self) -> Result<(), Broken> {
        let mut piece = [0; PIECE];
        let received = match self.is_stdio() {
            // Perhaps no socket.
            true => rustix::io::read(&self.input, &mut piece).map_err(io::Error::from),
            false => descriptors::receive(&self.input, &mut piece, &mut self.descriptors),
        };
        match received {
            Ok(0) => self.input_ended = true,
            Ok(length) => self.decoder.push(&piece[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return Err(Broken),
        }
        if self.descriptors.len() > MAX_DESCRIPTORS { Err(Broken) } else { Ok(()) }
    }

    /// The descriptors that came and were not taken.
    pub(crate) fn take_descriptors(&mut self) -> Vec<OwnedFd> {
        mem::take(&mut self.descriptors)
    }

    /// The next order, or why a line is none.
    pub(crate) fn next_request(&mut self) -> Result<Option<Request>, DecodeError> {
        self.decoder.next_message()
    }

    /// Keeps a message for the next [`flush`](Self::flush): what happens in one turn wakes the owner once.
    pub(crate) fn queue(&mut self, message: &Message) -> Result<(), Broken> {
        // Everything in a message came as JSON, so it can go as JSON.
        let line = codec::encode(message).map_err(|_| Broken)?;
        if self.unsent.len() + line.len() > MAX_UNREAD {
            return Err(Broken);
        }
        self.unsent.extend_from_slice(&line);
        Ok(())
    }

    /// Sends what was kept, as far as the owner reads.
    pub(crate) fn flush(&mut self) -> Result<(), Broken> {
        while !self.unsent.is_empty() {
            let output = self.separate_output.as_ref().unwrap_or(&self.input);
            match rustix::io::write(output, &self.unsent) {
                Ok(length) => drop(self.unsent.drain(..length)),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(_) => return Err(Broken),
            }
        }
        Ok(())
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }
}
