//! Inputs made to be slow or to fill memory. Were anything here quadratic, it would take hours.
//!
//! Not for speed itself: `examples/throughput.rs` measures that.

use std::time::{Duration, Instant};

use jobwright_redact::{DEFAULT_REPLACEMENT, MAX_SECRET_BYTES, MaskStream, Masker};

/// Far above what a debug build on a busy machine needs, far below what anything quadratic would.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pushes the text in pieces, and fails when out of patience.
fn mask(masker: &Masker, text: &[u8], piece: usize) -> Vec<u8> {
    let begun = Instant::now();
    let mut stream = MaskStream::new(masker);
    let mut out = Vec::new();
    for piece in text.chunks(piece) {
        stream.push(piece, &mut out);
        assert!(begun.elapsed() < PATIENCE, "out of patience with {} bytes held", stream.held());
    }
    stream.finish(&mut out);
    out
}

#[test]
fn a_secret_of_one_mebibyte_is_masked_byte_by_byte() {
    let secret = "a".repeat(MAX_SECRET_BYTES);
    let masker = Masker::builder().secret("BIG", &secret).build().masker;
    assert_eq!(mask(&masker, secret.as_bytes(), 1), DEFAULT_REPLACEMENT.as_bytes());
}

#[test]
fn a_secret_of_one_mebibyte_that_almost_comes_three_times_is_shown_three_times() {
    let secret = "a".repeat(MAX_SECRET_BYTES);
    let masker = Masker::builder().secret("BIG", &secret).build().masker;
    let text = format!("{}b", &secret[1..]).repeat(3);
    assert!(mask(&masker, text.as_bytes(), 1000) == text.as_bytes());
}

#[test]
fn a_secret_of_one_mebibyte_in_lines_is_masked_line_by_line() {
    let secret = "line\n".repeat(MAX_SECRET_BYTES / 5);
    let masker = Masker::builder().secret("LINES", &secret).build().masker;
    assert_eq!(mask(&masker, b"line by line", 5), b"******** by ********");
    assert_eq!(mask(&masker, secret.as_bytes(), 777), b"********\n");
}

#[test]
fn hundreds_of_nested_secrets_are_one_interval_of_a_row() {
    let nested = (4..=400).fold(Masker::builder(), |builder, length| builder.secret("S", "a".repeat(length)));
    let masker = nested.secret("LONG", "a".repeat(200_000)).build().masker;
    let row = vec![b'a'; 4 << 20];
    assert_eq!(mask(&masker, &row, 1 << 20), DEFAULT_REPLACEMENT.as_bytes());
}

#[test]
fn hundreds_of_secrets_that_differ_only_in_their_last_bytes_are_told_apart() {
    let common = "x".repeat(500);
    let secrets = (0..400).map(|number| format!("{common}{number:03}"));
    let masker =
        secrets.fold(Masker::builder(), |builder, secret| builder.secret("S", secret)).build().masker;
    let shown = format!("{common}9?").repeat(1000);
    assert!(mask(&masker, shown.as_bytes(), 64) == shown.as_bytes());
    let masked = mask(&masker, format!("{common}399{common}400").as_bytes(), 64);
    assert_eq!(masked, format!("********{common}400").as_bytes());
}

#[test]
fn many_secrets_inside_the_beginning_of_a_long_one_are_each_replaced_when_it_does_not_come() {
    let long = "abcd.".repeat(100_000);
    let masker = Masker::builder().secret("LONG", format!("{long}!")).secret("SHORT", "abcd").build().masker;
    let masked = mask(&masker, format!("{long}?").as_bytes(), 3);
    assert!(masked == format!("{}?", "********.".repeat(100_000)).as_bytes());
}

#[test]
fn an_interval_that_does_not_end_is_held_without_being_kept() {
    let masker = Masker::builder().secret("S", "aaaa").build().masker;
    let mut stream = MaskStream::new(&masker);
    let mut out = Vec::new();
    let piece = vec![b'a'; 1 << 20];
    for pushed in 1..=16 {
        stream.push(&piece, &mut out);
        assert_eq!(stream.held(), pushed << 20);
        out.shrink_to_fit();
    }
    stream.push(b".", &mut out);
    assert_eq!((out.as_slice(), stream.held()), (&b"********."[..], 0));
}
