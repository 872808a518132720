//! Server-sent events out of bytes, as the HTML standard (9.2.6) has them, but for ids and retries, which nobody here asks for. Not for
//! what is in an event.

use std::collections::VecDeque;

/// The longest line and the longest event in bytes; a server of ours sends pieces of output far smaller.
const LONGEST: usize = 64 << 20;

/// An event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// `message`, when it has none of its own, is empty here.
    pub(super) name: String,
    pub(super) data: String,
}

/// An event has no end within bounds.
#[derive(Debug)]
pub(super) struct TooLong;

/// Makes events of what was pushed.
#[derive(Default)]
pub(super) struct Decoder {
    bytes: VecDeque<u8>,
    /// How many of `bytes` hold no line's end.
    searched: usize,
    event: Event,
}

impl Decoder {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.bytes.extend(piece);
    }

    /// Whether another whole line is here.
    pub(super) fn has_more(&self) -> bool {
        self.bytes.iter().skip(self.searched).any(|byte| *byte == b'\n')
    }

    /// The next whole event.
    pub(super) fn next(&mut self) -> Result<Option<Event>, TooLong> {
        while let Some(line) = self.line() {
            if !line.is_empty() {
                self.field(&line);
            } else if !self.event.data.is_empty() {
                let mut event = std::mem::take(&mut self.event);
                event.data.pop();
                return Ok(Some(event));
            } else {
                self.event = Event::default();
            }
        }
        if self.bytes.len() + self.event.data.len() > LONGEST { Err(TooLong) } else { Ok(None) }
    }

    /// The next line without its end, a line feed with or without a carriage return before it.
    fn line(&mut self) -> Option<String> {
        let found = self.bytes.iter().skip(self.searched).position(|byte| *byte == b'\n');
        let Some(found) = found else {
            self.searched = self.bytes.len();
            return None;
        };
        let mut line: Vec<u8> = self.bytes.drain(..=self.searched + found).collect();
        self.searched = 0;
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// A line that begins with a colon is a comment: its name is empty.
    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                self.event.data.push_str(value);
                self.event.data.push('\n');
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str =
        ": hello\n\nevent: output\nid: 3\ndata: a\ndata: ü\r\n\r\ndata:b\n\nevent: half\ndata: c";

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        for size in 1..STREAM.len() {
            let mut decoder = Decoder::default();
            let mut events = Vec::new();
            for piece in STREAM.as_bytes().chunks(size) {
                decoder.push(piece);
                while let Some(event) = decoder.next().unwrap() {
                    events.push((event.name, event.data));
                }
            }
            let expected =
                [("output", "a\nü"), ("", "b")].map(|(name, data)| (name.to_owned(), data.to_owned()));
            assert_eq!(events, expected, "pieces of {size}");
        }
    }

    #[test]
    fn an_event_without_end_is_not_kept_for_ever() {
        let mut decoder = Decoder::default();
        decoder.push(&vec![b'x'; LONGEST + 1]);
        assert!(decoder.next().is_err());
    }
}
