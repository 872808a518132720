//! The reader between an archive's source and the tar parser. It knows what the parser does not tell: whether the source failed or the archive is
//! broken, whether the end marker came, and how much one entry's headers take.

use std::cell::{Cell, RefCell};
use std::io::{self, Read};
use std::rc::Rc;

/// What a [`Feed`] has seen; shared with who owns the parser.
#[derive(Default)]
pub(crate) struct Seen {
    source_error: RefCell<Option<io::Error>>,
    header_bytes_left: Cell<Option<u64>>,
    headers_too_long: Cell<bool>,
    trailing_zeros: Cell<u64>,
}

impl Seen {
    /// From now on headers are read, and at most `max` bytes of them.
    pub(crate) fn expect_headers(&self, max: u64) {
        self.header_bytes_left.set(Some(max));
        self.trailing_zeros.set(0);
    }

    /// From now on contents are read, which have limits elsewhere.
    pub(crate) fn expect_contents(&self) {
        self.header_bytes_left.set(None);
    }

    pub(crate) fn headers_were_too_long(&self) -> bool {
        self.headers_too_long.get()
    }

    pub(crate) fn take_source_error(&self) -> Option<io::Error> {
        self.source_error.borrow_mut().take()
    }

    /// Whether the last header was the block of zeros that ends an archive. Padding before it is shorter than a block.
    pub(crate) fn ended_with_marker(&self) -> bool {
        const BLOCK: u64 = 512;
        self.trailing_zeros.get() >= BLOCK
    }
}

/// Reads from `source` and keeps [`Seen`] up to date.
pub(crate) struct Feed<R> {
    source: R,
    seen: Rc<Seen>,
}

impl<R: Read> Feed<R> {
    pub(crate) fn new(source: R) -> (Self, Rc<Seen>) {
        let seen = Rc::new(Seen::default());
        (Self { source, seen: seen.clone() }, seen)
    }
}

impl<R: Read> Read for Feed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let allowed = match self.seen.header_bytes_left.get() {
            Some(0) if !buffer.is_empty() => {
                self.seen.headers_too_long.set(true);
                return Err(io::Error::other("the headers of one entry are too long"));
            }
            Some(left) => buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX)),
            None => buffer.len(),
        };
        let got = match self.source.read(&mut buffer[..allowed]) {
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                *self.seen.source_error.borrow_mut() = Some(error);
                return Err(io::Error::other("the source failed"));
            }
        };
        if let Some(left) = self.seen.header_bytes_left.get() {
            self.seen.header_bytes_left.set(Some(left - got as u64));
            let zeros = buffer[..got].iter().rev().take_while(|&&byte| byte == 0).count();
            let before = if zeros == got { self.seen.trailing_zeros.get() } else { 0 };
            self.seen.trailing_zeros.set(before + zeros as u64);
        }
        Ok(got)
    }
}
