//! From bytes to text: what is not a text file of reasonable size is refused here, once, so that the parser never sees it.

use std::sync::Arc;

use crate::finding::{Finding, Report};
use crate::source::{Source, Span};

/// The largest pipeline file, in bytes: room for 20,000 jobs, far below what would make reading it slow.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The text of the file `name`, without a byte order mark.
///
/// # Errors
/// A [`Report`] with the one finding that the file is too large, in another encoding, or not a text file.
pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Source, Report> {
    if bytes.len() > MAX_BYTES {
        let message =
            format!("the file is larger than {} MiB, the most for a pipeline file", MAX_BYTES / 1024 / 1024);
        return Err(refuse(name, "", Finding::error(Span::default(), message)));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        let finding = Finding::error(Span::default(), "the file is UTF-16 text").help("save it as UTF-8");
        return Err(refuse(name, "", finding));
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => match text.find('\0') {
            None => Ok(Source::new(name, text)),
            Some(at) => Err(refuse(name, text, nul(at))),
        },
        Err(error) => {
            Err(refuse(name, &String::from_utf8_lossy(bytes), not_utf8(bytes, error.valid_up_to())))
        }
    }
}

fn refuse(name: &str, text: &str, finding: Finding) -> Report {
    Report::new(Arc::new(Source::new(name, text)), vec![finding])
}

fn nul(at: usize) -> Finding {
    Finding::error(Span::new(at, at + 1), "the file has a NUL byte: it is not a text file")
}

/// `at` is where the bytes stop being UTF-8; up to there the lossy text is the same, and there it has U+FFFD.
fn not_utf8(bytes: &[u8], at: usize) -> Finding {
    if let Some(nul_at) = bytes[..at].iter().position(|byte| *byte == 0) {
        return nul(nul_at);
    }
    let span = Span::new(at, at + '\u{fffd}'.len_utf8());
    let message = format!("the byte 0x{:02x} is not valid UTF-8", bytes[at]);
    Finding::error(span, message).help("a pipeline file is UTF-8 text")
}
