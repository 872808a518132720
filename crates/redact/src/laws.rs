//! The laws of the crate's documentation, checked against an implementation too simple to be wrong.
//!
//! Not for single behaviours; those are tested beside the code.

use proptest::prelude::*;
use proptest::sample::Index;

use crate::patterns::Patterns;
use crate::{DEFAULT_REPLACEMENT, MIN_SECRET_BYTES, MaskStream, Masker, Secret};

/// A value, or any other pattern, and its replacement.
type Rule = (Vec<u8>, String);

/// The intervals of a text, each with its replacement: looks at every position for every value.
fn intervals<'r>(rules: &'r [Rule], text: &[u8]) -> Vec<(usize, usize, &'r str)> {
    let mut matches: Vec<(usize, usize, &str)> = Vec::new();
    for start in 0..text.len() {
        for (value, replacement) in rules.iter().filter(|(value, _)| text[start..].starts_with(value)) {
            matches.push((start, start + value.len(), replacement));
        }
    }
    matches.sort_by_key(|&(start, end, _)| (start, std::cmp::Reverse(end)));
    let mut intervals: Vec<(usize, usize, &str)> = Vec::new();
    for found in matches {
        match intervals.last_mut().filter(|last| found.0 < last.1) {
            Some(last) => last.1 = last.1.max(found.1),
            None => intervals.push(found),
        }
    }
    intervals
}

fn reference(rules: &[Rule], text: &[u8]) -> Vec<u8> {
    let (mut masked, mut from) = (Vec::new(), 0);
    for (start, end, replacement) in intervals(rules, text) {
        masked.extend_from_slice(&text[from..start]);
        masked.extend_from_slice(replacement.as_bytes());
        from = end;
    }
    [&masked, &text[from..]].concat()
}

/// How much of a text must be held back: its longest end that begins a value and is not all of it, and the interval which
/// that end lies in.
fn to_be_held(rules: &[Rule], text: &[u8]) -> usize {
    let begins =
        |from: usize| rules.iter().any(|(v, _)| v.len() > text.len() - from && v.starts_with(&text[from..]));
    let pending = (0..text.len()).find(|&from| begins(from)).unwrap_or(text.len());
    let open = intervals(rules, text).into_iter().find(|&(start, end, _)| start < pending && pending < end);
    text.len() - open.map_or(pending, |(start, ..)| start)
}

/// Different values of few letters, so that they overlap, nest and repeat; none of them changes under an encoding that
/// the texts could show.
fn secrets() -> impl Strategy<Value = Vec<Rule>> {
    let value = prop_oneof![
        4 => prop::collection::vec(b'a'..=b'c', 1..9),
        1 => prop::collection::vec(b'a'..=b'b', 20..40),
        1 => (1usize..30).prop_map(|length| vec![b'a'; length]),
    ];
    prop::collection::hash_set(value, 0..8)
        .prop_map(|values| (0..).zip(values).map(|(number, value)| (value, format!("<{number}>"))).collect())
}

fn masker(secrets: &[Rule]) -> Masker {
    let builder = secrets.iter().fold(Masker::builder(), |builder, (value, replacement)| {
        builder.with(Secret::new("S", value).replaced_by(replacement).even_if_short())
    });
    builder.build().masker
}

/// Text made of whole secrets, beginnings and ends of them, and other bytes.
fn text(secrets: &[Rule], recipe: &[(u8, Index, Index)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (kind, which, cut) in recipe {
        match (kind, secrets.get(which.index(secrets.len().max(1)))) {
            (0..=1, Some((value, _))) => text.extend_from_slice(value),
            (2, Some((value, _))) => text.extend_from_slice(&value[..cut.index(value.len())]),
            (3, Some((value, _))) => text.extend_from_slice(&value[cut.index(value.len())..]),
            (4, _) => text.extend(std::iter::repeat_n(b'.', cut.index(60))),
            (_, _) => text.push(b"abcd\n\xff"[cut.index(6)]),
        }
    }
    text
}

fn recipe() -> impl Strategy<Value = Vec<(u8, Index, Index)>> {
    prop::collection::vec((0u8..8, any::<Index>(), any::<Index>()), 0..40)
}

/// Cuts a text into chunks of the given lengths, over and over.
fn chunks<'t>(mut text: &'t [u8], lengths: &'t [usize]) -> impl Iterator<Item = &'t [u8]> {
    lengths.iter().cycle().map_while(move |&length| {
        let (chunk, rest) = text.split_at(length.min(text.len()));
        let more = !text.is_empty();
        text = rest;
        more.then_some(chunk)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Laws 1 and 2, and rule 3.
    #[test]
    fn a_whole_text_is_masked_as_the_reference_masks_it(secrets in secrets(), recipe in recipe()) {
        let text = text(&secrets, &recipe);
        let masker = masker(&secrets);
        prop_assert_eq!(masker.mask_bytes(&text).into_owned(), reference(&secrets, &text));
    }

    /// Law 3.
    #[test]
    fn the_output_does_not_depend_on_how_the_input_is_cut(
        secrets in secrets(), recipe in recipe(), lengths in prop::collection::vec(0usize..20, 1..6),
    ) {
        prop_assume!(lengths.iter().any(|&length| length > 0));
        let text = text(&secrets, &recipe);
        let masker = masker(&secrets);
        for lengths in [&lengths[..], &[1]] {
            let mut stream = MaskStream::new(&masker);
            let mut out = Vec::new();
            chunks(&text, lengths).for_each(|chunk| stream.push(chunk, &mut out));
            stream.finish(&mut out);
            prop_assert_eq!(&out, &reference(&secrets, &text));
            prop_assert_eq!(stream.held(), 0);
        }
    }

    /// Law 4.
    #[test]
    fn masking_may_begin_anew_at_any_released_position(secrets in secrets(), recipe in recipe()) {
        let text = text(&secrets, &recipe);
        let masker = masker(&secrets);
        let whole = masker.mask_bytes(&text);
        let mut stream = MaskStream::new(&masker);
        let mut out = Vec::new();
        for end in 1..=text.len() {
            stream.push(&text[end - 1..end], &mut out);
            let released = end - stream.held() as usize;
            prop_assert_eq!(&out, &*masker.mask_bytes(&text[..released]));
            let successor = [&out[..], &masker.mask_bytes(&text[released..])].concat();
            prop_assert_eq!(&successor, &*whole);
        }
    }

    /// Law 5.
    #[test]
    fn what_can_still_change_is_held_and_nothing_else(secrets in secrets(), recipe in recipe()) {
        let text = text(&secrets, &recipe);
        let mut stream = MaskStream::new(&masker(&secrets));
        for end in 1..=text.len() {
            stream.push(&text[end - 1..end], &mut Vec::new());
            prop_assert_eq!(stream.held() as usize, to_be_held(&secrets, &text[..end]));
        }
    }

    /// Laws 1 to 3 for all forms that real values have.
    #[test]
    fn every_form_of_a_secret_is_masked_wherever_it_is_cut(
        values in prop::collection::vec("[ -~é\n]{4,40}", 1..4), recipe in recipe(), length in 1usize..50,
    ) {
        let builder = values.iter().fold(Masker::builder(), |builder, value| builder.secret("S", value));
        let values = values.iter().map(|value| value.trim().as_bytes()).filter(|value| value.len() >= MIN_SECRET_BYTES);
        let forms: Vec<Rule> = values
            .flat_map(|value| Patterns::encoded(value, 0))
            .map(|pattern| (pattern.bytes.into_vec(), DEFAULT_REPLACEMENT.to_owned()))
            .collect();
        let text = text(&forms, &recipe);
        let mut stream = MaskStream::new(&builder.build().masker);
        let mut out = Vec::new();
        text.chunks(length).for_each(|chunk| stream.push(chunk, &mut out));
        stream.finish(&mut out);
        prop_assert_eq!(out, reference(&forms, &text));
    }

    /// What is shown has no secret in it, and none can be read across a replacement that secrets have no byte of.
    #[test]
    fn no_secret_is_in_the_output(secrets in secrets(), recipe in recipe()) {
        let out = masker(&secrets).mask_bytes(&text(&secrets, &recipe)).into_owned();
        for (value, _) in &secrets {
            prop_assert!(!out.windows(value.len()).any(|part| part == value));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..6),
    ) {
        let builder = values.iter().fold(Masker::builder(), |builder, value| builder.secret("S", value));
        let mut stream = MaskStream::new(&builder.build().masker);
        let mut out = Vec::new();
        for piece in pieces.iter().chain(&values) {
            stream.push(piece, &mut out);
        }
        stream.finish(&mut out);
        for value in values.iter().filter(|value| value.trim_ascii().len() >= 4 && std::str::from_utf8(value).is_err()) {
            prop_assert!(!out.windows(value.len()).any(|part| part == value));
        }
    }
}
