//! The bytes of output as text in JSON: which bytes are text, and how text is escaped at the speed of a disk. Not a JSON writer.

use memchr::memchr_iter;

/// From one line feed in so many bytes on, looking up byte by byte is faster than vectors that stop at every one.
const SHORT_LINES: usize = 12;

/// One zero in so many bytes makes it no text: each would take six bytes in JSON.
const ZEROS: usize = 8;

/// What kind of bytes they are is told by the first of them; a wrong guess costs time or space, nothing else.
fn sample(data: &[u8]) -> &[u8] {
    &data[..data.len().min(4096)]
}

/// The text that goes into `data`; none for what goes into `dataB64`: bytes that are not UTF-8, or mostly zeros, which would
/// grow sixfold as text.
pub(crate) fn as_text(data: &[u8]) -> Option<&str> {
    let text = simdutf8::basic::from_utf8(data).ok()?;
    let zeros = memchr_iter(0, sample(data)).count();
    (zeros * ZEROS <= sample(data).len()).then_some(text)
}

/// Adds `text` to `out` as a JSON string, quotes included.
pub(crate) fn escape_into(text: &str, out: &mut Vec<u8>) {
    let sample = sample(text.as_bytes());
    if memchr_iter(b'\n', sample).count() * SHORT_LINES > sample.len() {
        escape_by_table(text.as_bytes(), out);
    } else {
        json_escape_simd::escape_into(text, out);
    }
}

/// What a byte becomes: up to six bytes, and in the highest one how many.
static ESCAPES: [u64; 256] = escapes();

const fn escapes() -> [u64; 256] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    const TWO: [(u8, u8); 7] =
        [(b'\n', b'n'), (b'\r', b'r'), (b'\t', b't'), (8, b'b'), (12, b'f'), (b'"', b'"'), (b'\\', b'\\')];
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = u64::from_le_bytes(if byte < 0x20 {
            [b'\\', b'u', b'0', b'0', HEX[byte >> 4], HEX[byte & 15], 0, 6]
        } else {
            [byte as u8, 0, 0, 0, 0, 0, 0, 1]
        });
        byte += 1;
    }
    let mut next = 0;
    while next < TWO.len() {
        let (byte, letter) = TWO[next];
        table[byte as usize] = u64::from_le_bytes([b'\\', letter, 0, 0, 0, 0, 0, 2]);
        next += 1;
    }
    table
}

fn escape_by_table(bytes: &[u8], out: &mut Vec<u8>) {
    // 64 bytes become at most 384, so the mask changes nothing; it tells the compiler that no bounds need checking.
    const BLOCK: usize = 64;
    const MASK: usize = 511;
    let mut escaped = [0; MASK + 1 + 8];
    out.reserve(bytes.len() * 2 + 2);
    out.push(b'"');
    for block in bytes.chunks(BLOCK) {
        let mut end = 0;
        for byte in block {
            let entry = ESCAPES[usize::from(*byte)];
            let at = end & MASK;
            escaped[at..at + 8].copy_from_slice(&entry.to_le_bytes());
            end += (entry >> 56) as usize;
        }
        out.extend_from_slice(&escaped[..end & MASK]);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(escape: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = b"before".to_vec();
        escape(&mut out);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn both_ways_of_escaping_write_what_serde_writes(text in "(\\PC|[\\x00-\\x7f]|\n|\"){0,300}") {
            let expected = format!("before{}", serde_json::to_string(&text).unwrap());
            prop_assert_eq!(&escaped(|out| escape_into(&text, out)), &expected);
            prop_assert_eq!(&escaped(|out| escape_by_table(text.as_bytes(), out)), &expected);
        }
    }

    #[test]
    fn the_longest_escapes_fill_no_block_too_far() {
        let text = "\u{1}".repeat(1000);
        let expected = format!("before{}", serde_json::to_string(&text).unwrap());
        assert_eq!(escaped(|out| escape_by_table(text.as_bytes(), out)), expected);
    }

    #[test]
    fn zeros_are_no_text_but_a_few_of_them_may_be_in_one() {
        assert_eq!(as_text(&[0; 100]), None);
        assert_eq!(as_text(b"\xff"), None);
        assert_eq!(as_text(b"names\0 of files\0"), Some("names\0 of files\0"));
        assert_eq!(as_text(b""), Some(""));
    }
}
