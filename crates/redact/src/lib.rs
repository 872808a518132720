//! Streaming masking of secrets: what a step prints goes through a [`MaskStream`] before anyone sees it (DESIGN rule 3).
//!
//! This crate knows bytes and secrets. It does not know where secrets come from, what a log line is, or who reads it; it
//! does no I/O and keeps nothing after it is dropped.
//!
//! ```
//! use jobwright_redact::{MaskStream, Masker};
//!
//! let built = Masker::builder().secret("NPM_TOKEN", "hunter2-hunter2").secret("PIN", "42").build();
//! assert_eq!(built.warnings[0].to_string(), "secret `PIN` is not masked: its value is shorter than 4 bytes");
//!
//! let mut shown = Vec::new();
//! let mut stream = MaskStream::new(&built.masker);
//! stream.push(b"login with hunter2-", &mut shown);
//! assert_eq!(shown, b"login with "); // `hunter2-` may still become the secret, so it is held back
//! assert_eq!(stream.held(), 8);
//! stream.push(b"hunter2 done", &mut shown);
//! stream.finish(&mut shown);
//! assert_eq!(shown, b"login with ******** done");
//! ```
//!
//! # What is looked for
//!
//! Of each secret, its value with white space around it cut off is turned into **patterns**:
//!
//! - the value as it is; when it has several lines, also with every line end written as LF and as CRLF, and every line
//!   alone (trimmed; lines shorter than [`MIN_SECRET_BYTES`] are not worth a pattern and would mask too much);
//! - each of these in the encodings that programs print without being asked: base64 (standard and URL-safe, at the three
//!   alignments, padded or not, wrapped at 64 and 76 columns), percent encoding, JSON string escapes, quotes of a shell.
//!
//! Base64 shows the edges of a secret that stands in the middle of other bytes mixed with its neighbours; only characters
//! that the secret alone determines are masked, so of its first and of its last byte up to four bits may be seen. A base64
//! form of fewer than six characters is not looked for: six are 36 bits, which a gibibyte of random base64 shows by chance
//! once in sixty; four would be shown sixty times. In wrapped base64 a secret is found where it is the beginning of what
//! was encoded, or where no line ends within it.
//!
//! Other forms (hexadecimal, compressed, one letter per line, half on stdout and half on stderr) are not found.
//!
//! # The law
//!
//! 1. Every occurrence of every pattern, overlapping ones included, is a *match*. Matches that share a byte are one
//!    *interval*: of the secrets `abcd` and `cdef`, nothing of `abcdef` stays. Matches that only touch stay two.
//! 2. The output is the input with every interval replaced by one replacement: that of the match that starts first, of
//!    several the longest. Of two equal patterns a value outranks a line, a line outranks an encoded form, and then the
//!    secret given last wins. Replacements are not searched again, so a secret that occurs in its own replacement is harmless.
//! 3. The output does not depend on how the input was cut into chunks.
//! 4. After every [`push`](MaskStream::push), what was put out is exactly the masked form of all input but the last
//!    [`held`](MaskStream::held) bytes, and masking may begin anew there: `mask(x) = mask(x[..n - held]) + mask(x[n - held..])`.
//!    A log pump can therefore write `n - held` down as the raw position that its output stands for, and a successor
//!    that starts there with a new stream neither repeats nor omits nor reveals a byte.
//! 5. Held back is what may still change and nothing else: the longest end of the input that more input can turn into a
//!    match, and the interval which that end lies in, from that interval's first byte. Memory is bounded by
//!    the longest pattern, however long an interval grows.
//!
//! So no text between two replacements contains a pattern. A secret can be read in the output only where a replacement
//! takes part: inside one, across the border of one, or across an empty one. And where the input *ends* within a secret,
//! that beginning is shown: it is no secret yet.
//!
//! # Cost
//!
//! Linear in input and patterns, whatever they are. A sieve looks at a few bytes in every stride and finds where no
//! pattern can begin; only the rest goes through an automaton, byte by byte. Ten usual secrets make some 500 patterns,
//! 1.5 ms to build; log lines then pass at 2.7 GiB/s and text of nothing but near matches at 0.35 GiB/s (one core of a
//! 2 GHz Xeon; `cargo run --release -p jobwright-redact --example throughput`). Without secrets, bytes are copied.
//!
//! No `Debug` or `Display` of this crate shows a value.

mod automaton;
mod builder;
mod encodings;
mod intervals;
#[cfg(test)]
mod laws;
mod masker;
mod patterns;
mod sieve;
mod stream;

pub use builder::{
    Built, DEFAULT_REPLACEMENT, MAX_ENCODED_BYTES, MAX_PATTERN_BYTES, MAX_SECRET_BYTES, MIN_SECRET_BYTES,
    MaskerBuilder, Secret, Warning,
};
pub use masker::Masker;
pub use stream::MaskStream;
