//! From bytes to text: what is not a text file of reasonable size is refused here, once, so that the parser never sees it.

use crate::finding::Finding;
use crate::source::{FileId, Source, Span};

/// The largest pipeline file, in bytes: room for 20,000 jobs, far below what would make reading it slow.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A file that is no text: what of it can be shown, and why it is refused.
pub(crate) struct NotText {
    pub(crate) source: Source,
    pub(crate) finding: Finding,
}

/// The text of the file `name`, which will be the file `id` of its pipeline, without a byte order mark.
///
/// # Errors
/// [`NotText`] when the file is too large, in another encoding, or not a text file.
pub(crate) fn decode(id: FileId, name: &str, bytes: &[u8]) -> Result<Source, Box<NotText>> {
    let source = |text: &str| Source::new(name, text).with_id(id);
    let refuse = |text: &str, finding| Box::new(NotText { source: source(text), finding });
    let start = Span::new(id, 0, 0);
    if bytes.len() > MAX_BYTES {
        let message =
            format!("the file is larger than {} MiB, the most for a pipeline file", MAX_BYTES / 1024 / 1024);
        return Err(refuse("", Finding::error(start, message)));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(refuse("", Finding::error(start, "the file is UTF-16 text").help("save it as UTF-8")));
    }
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => match text.find('\0') {
            None => Ok(source(text)),
            Some(at) => Err(refuse(text, nul(id, at))),
        },
        Err(error) => {
            let finding = not_utf8(id, bytes, error.valid_up_to());
            Err(refuse(&String::from_utf8_lossy(bytes), finding))
        }
    }
}

fn nul(id: FileId, at: usize) -> Finding {
    Finding::error(Span::new(id, at, at + 1), "the file has a NUL byte: it is not a text file")
}

/// `at` is where the bytes stop being UTF-8; up to there the lossy text is the same, and there it has U+FFFD.
fn not_utf8(id: FileId, bytes: &[u8], at: usize) -> Finding {
    if let Some(nul_at) = bytes[..at].iter().position(|byte| *byte == 0) {
        return nul(id, nul_at);
    }
    let span = Span::new(id, at, at + '\u{fffd}'.len_utf8());
    let message = format!("the byte 0x{:02x} is not valid UTF-8", bytes[at]);
    Finding::error(span, message).help("a pipeline file is UTF-8 text")
}
