//! Moments at which a test wants this process to die, by SIGKILL, as nothing else would end it: `JOBWRIGHT_TEST_KILL_AT` names a kind of
//! record, `before` or `after` it is written, and which of its kind. Only in builds with debug assertions.

use std::env;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// What a record of a journal begins with; the rest of its first word is its kind.
const KIND: &[u8] = br#"{"record":{"record":""#;

struct Moment {
    kind: String,
    when: String,
    left: AtomicU32,
}

/// `before` or `after` this encoded line is written.
pub(crate) fn moment(line: &[u8], when: &str) {
    static MOMENT: OnceLock<Option<Moment>> = OnceLock::new();
    let Some(moment) = MOMENT.get_or_init(Moment::wanted) else { return };
    if moment.when == when
        && kind(line) == Some(&moment.kind)
        && moment.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        let _ = kill_process(getpid(), Signal::KILL);
    }
}

impl Moment {
    /// `KIND:WHEN:NUMBER`, numbers from 1.
    fn wanted() -> Option<Self> {
        let wanted = env::var("JOBWRIGHT_TEST_KILL_AT").ok()?;
        let [kind, when, number] = wanted.split(':').collect::<Vec<_>>().try_into().ok()?;
        Some(Self {
            kind: kind.to_owned(),
            when: when.to_owned(),
            left: AtomicU32::new(number.parse().ok()?),
        })
    }
}

fn kind(line: &[u8]) -> Option<&str> {
    let begin = line.windows(KIND.len()).position(|part| part == KIND)? + KIND.len();
    let length = line[begin..].iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&line[begin..begin + length]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_known_by_its_own_first_word() {
        assert_eq!(kind(br#"0badcafe {"record":{"record":"task_opened","task":"t"}}"#), Some("task_opened"));
        assert_eq!(kind(br#"0badcafe {"journal":1,"owner":{}}"#), None);
    }
}
