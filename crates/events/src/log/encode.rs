//! One event as one line of the log, fast for output: the bytes of a chunk are looked at twice and copied once. What it
//! writes is, byte for byte, what serde writes for the event's `WireEvent`.

use std::io::Write as _;

use base64_simd::STANDARD;

use crate::event::{Event, EventKind};
use crate::kinds::Name;
use crate::text::{as_text, escape_into};
use crate::wire::WireEvent;

/// Adds the event and a line feed to `out`.
pub(crate) fn encode(event: &Event, out: &mut Vec<u8>) {
    if let EventKind::LogLine { job, step, exec, stream, data, position: _ } = &event.kind {
        envelope(event, out);
        optional(out, ",\"job\":", job.as_ref());
        text(out, ",\"exec\":", exec.as_str());
        text(out, ",\"stream\":", stream.as_str());
        let as_text = as_text(data);
        if let Some(data) = as_text.filter(|data| !data.is_empty()) {
            text(out, ",\"data\":", data);
        }
        optional(out, ",\"step\":", step.as_ref());
        if as_text.is_none() {
            base64(out, ",\"dataB64\":\"", data);
        }
        out.push(b'}');
    } else {
        serde_json::to_writer(&mut *out, &WireEvent::from(event))
            .expect("strings, numbers and lists of strings are JSON, and a vector takes all bytes");
    }
    out.push(b'\n');
}

fn envelope(event: &Event, out: &mut Vec<u8>) {
    let Event { seq, time, run_id, kind } = event;
    write!(out, r#"{{"seq":{seq},"type":"{}","time":"{time}","runId":"{run_id}""#, kind.type_name())
        .expect("a vector takes all bytes");
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    escape_into(value, out);
}

fn optional(out: &mut Vec<u8>, name: &str, value: Option<&Name>) {
    if let Some(value) = value
        && !value.is_empty()
    {
        text(out, name, value);
    }
}

fn base64(out: &mut Vec<u8>, name: &str, data: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    STANDARD.encode_append(data, out);
    out.push(b'"');
}

/// `seq` and `type` of a line, without reading the rest where the line is of our own writing.
pub(crate) fn read_envelope(line: &[u8]) -> Result<(u64, String), serde_json::Error> {
    if let Some(found) = own_envelope(line) {
        return Ok(found);
    }
    let wire: WireEvent = serde_json::from_slice(line)?;
    Ok((wire.seq, wire.r#type))
}

fn own_envelope(line: &[u8]) -> Option<(u64, String)> {
    let rest = line.strip_prefix(b"{\"seq\":")?;
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let (seq, rest) = rest.split_at(digits);
    let rest = rest.strip_prefix(b",\"type\":\"")?;
    let end = rest.iter().position(|byte| !(byte.is_ascii_lowercase() || *byte == b'_'))?;
    let (kind, rest) = rest.split_at(end);
    rest.starts_with(b"\"").then_some(())?;
    Some((std::str::from_utf8(seq).ok()?.parse().ok()?, std::str::from_utf8(kind).ok()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jobwright_model::RunId;
    use proptest::prelude::*;

    use super::*;
    use crate::{ExecKind, OutputPosition, StreamKind};

    fn event(data: Vec<u8>, job: Option<Name>, step: Option<Name>) -> Event {
        Event {
            seq: 42,
            time: "2026-11-20T13:46:44.5Z".parse().unwrap(),
            run_id: RunId::new("20261120T134644Z-c0764b").unwrap(),
            kind: EventKind::LogLine {
                job,
                step,
                exec: ExecKind::Concurrent,
                stream: StreamKind::Stderr,
                data: Bytes::from(data),
                position: Some(OutputPosition::at(1)),
            },
        }
    }

    fn agrees_with_serde(event: &Event) {
        let mut line = Vec::new();
        encode(event, &mut line);
        let mut expected = serde_json::to_vec(&WireEvent::from(event)).unwrap();
        expected.push(b'\n');
        assert_eq!(String::from_utf8(line).unwrap(), String::from_utf8(expected).unwrap());
    }

    // covers: local-ci 24, local-ci 25, local-ci 28
    #[test]
    fn every_byte_is_written_as_serde_writes_it() {
        for byte in 0..=255 {
            for length in [1, 7, 33, 100] {
                let mut data = vec![b'x'; length];
                data[length / 2] = byte;
                agrees_with_serde(&event(data, None, None));
            }
        }
        agrees_with_serde(&event(Vec::new(), None, None));
    }

    proptest! {
        #[test]
        fn any_text_in_any_field_is_written_as_serde_writes_it(data: String, job: String, step: String) {
            agrees_with_serde(&event(data.into(), Some(job.into()), Some(step.into())));
        }

        #[test]
        fn any_bytes_come_back_as_they_were(data: Vec<u8>) {
            let mut line = Vec::new();
            encode(&event(data.clone(), None, None), &mut line);
            let wire: WireEvent = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(wire.output_bytes().unwrap(), data);
        }
    }

    #[test]
    fn the_envelope_is_read_of_our_own_and_of_other_writers() {
        let own = br#"{"seq":12,"type":"run_finished","time":"2026-11-20T13:46:44Z"}"#;
        let other = br#"{ "type": "run_finished", "time": "2026-11-20T13:46:44Z", "seq": 12 }"#;
        for line in [&own[..], other] {
            assert_eq!(read_envelope(line).unwrap(), (12, "run_finished".to_owned()));
        }
        for bad in [&b"{\"seq\":12"[..], b"\0\0\0", b"{\"seq\":99999999999999999999,\"type\":\"x\"}"] {
            assert!(read_envelope(bad).is_err());
        }
    }
}
