//! Messages as lines of JSON, without any I/O: bytes in, messages out, for blocking and asynchronous owners alike.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest line that is taken; far above what the kernel lets a step's arguments and environment be.
pub const MAX_LINE: usize = 16 << 20;

/// One message as the line to send.
///
/// # Errors
/// When a path in it is not UTF-8, which JSON cannot carry.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Why a line is no message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The line is longer than [`MAX_LINE`]; the connection cannot go on.
    #[error("a line of more than {MAX_LINE} bytes")]
    TooLong,
    /// The line is not the expected JSON; the next one may be.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Cuts received bytes into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Where the first unconsumed byte is.
    start: usize,
    /// Up to where no line end was found.
    searched: usize,
}

impl Decoder {
    /// Takes what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start == self.buffer.len() {
            self.buffer.clear();
            // One large order shall not keep its memory for ever.
            self.buffer.shrink_to(64 << 10);
            (self.start, self.searched) = (0, 0);
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] is final; after [`DecodeError::Json`] the line is skipped.
    pub fn next_message<T: DeserializeOwned>(&mut self) -> Result<Option<T>, DecodeError> {
        let from = self.searched.max(self.start);
        let Some(length) = self.buffer[from..].iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return if self.buffer.len() - self.start > MAX_LINE {
                Err(DecodeError::TooLong)
            } else {
                Ok(None)
            };
        };
        let line = &self.buffer[self.start..from + length];
        self.start = from + length + 1;
        self.searched = self.start;
        Ok(Some(serde_json::from_slice(line)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Order, Request};

    #[test]
    fn a_message_cut_at_every_byte_is_put_together_again() {
        let line = encode(&Request { id: 7, order: Order::List }).unwrap();
        let mut decoder = Decoder::default();
        for round in 0..3 {
            for (index, byte) in line.iter().enumerate() {
                assert!(decoder.next_message::<Request>().unwrap().is_none(), "round {round}, byte {index}");
                decoder.push(&[*byte]);
            }
            assert_eq!(decoder.next_message::<Request>().unwrap().unwrap().id, 7);
        }
    }

    #[test]
    fn a_line_that_is_no_message_does_not_swallow_the_next() {
        let mut decoder = Decoder::default();
        decoder.push(b"{\"id\":1}\n");
        decoder.push(&encode(&Request { id: 2, order: Order::List }).unwrap());
        assert!(matches!(decoder.next_message::<Request>(), Err(DecodeError::Json(_))));
        assert_eq!(decoder.next_message::<Request>().unwrap().unwrap().id, 2);
    }

    #[test]
    fn a_line_without_end_is_refused_not_kept() {
        let mut decoder = Decoder::default();
        decoder.push(&vec![b' '; MAX_LINE + 1]);
        assert!(matches!(decoder.next_message::<Request>(), Err(DecodeError::TooLong)));
    }
}
