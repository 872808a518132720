//! Open files handed over a unix socket together with bytes (`SCM_RIGHTS`). What they are for is in [`crate::exec`].

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// The most that one message carries: standard input, output and error.
pub const MOST: usize = 3;

/// Sends `bytes`, as many of them as the socket takes, with `descriptors`, which arrive with the first byte.
///
/// # Errors
/// The system's; `WouldBlock` when nothing was sent on a socket that does not block.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fits = descriptors.len() <= MOST
        && (descriptors.is_empty() || control.push(SendAncillaryMessage::ScmRights(descriptors)));
    if !fits {
        let why = format!("{} descriptors at once, and {MOST} is the most", descriptors.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

/// Receives what is there, at most `buffer`, and adds the descriptors that came with it to `descriptors`.
///
/// # Errors
/// The system's; `InvalidData` when more descriptors came than there is room for, of which some are lost then.
pub fn receive(
    socket: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut impl Extend<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut control, flags)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(came) = message {
            descriptors.extend(came);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more descriptors than a message carries"));
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_descriptor_arrives_with_the_first_byte_and_works() {
        let (near, far) = UnixStream::pair().unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        assert_eq!(send(&near, b"two", &[write.as_fd()]).unwrap(), 3);
        drop(write);
        let (mut came, mut first) = (Vec::new(), [0; 1]);
        assert_eq!(receive(&far, &mut first, &mut came).unwrap(), 1);
        assert_eq!(came.len(), 1);
        File::from(came.remove(0)).write_all(b"through").unwrap();
        let mut text = String::new();
        File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn more_descriptors_than_fit_are_an_error_on_both_sides() {
        let (near, far) = UnixStream::pair().unwrap();
        assert!(send(&near, b"x", &[near.as_fd(); MOST + 1]).is_err());
        // Far more, as the room for one message is rounded up.
        let too_many = [near.as_fd(); 4 * MOST];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4 * MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&too_many)));
        rustix::net::sendmsg(&near, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).unwrap();
        let received = receive(&far, &mut [0; 1], &mut Vec::new());
        assert_eq!(received.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
