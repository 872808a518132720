//! How much output of a job is kept. It counts; the log pump that asks it emits the events.

use bytes::Bytes;

use crate::event::EventKind;
use crate::kinds::{ExecKind, GapReason, Name, OutputPosition, StreamKind};

/// The output of one job against its quota, all its steps and attempts together.
///
/// The pump gives every masked chunk to [`Quota::admit`], emits what comes back, and emits a `LogGap` of
/// [`Quota::untold`] when the job ends (and where it likes in between), so that the stream tells where bytes are missing and,
/// in all, how many.
#[derive(Debug, Clone)]
pub struct Quota {
    left: u64,
    untold: u64,
    dropped: u64,
}

/// What the quota lets pass of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// What to emit; may be empty.
    pub kept: Bytes,
    /// Whether this chunk is the first from which bytes were cut: the moment to emit a gap, so that a reader knows.
    pub reached: bool,
}

impl Quota {
    /// 1 GiB: enough for any job that is read by people, too little to fill a disk unnoticed.
    pub const DEFAULT: u64 = 1 << 30;

    /// A quota of so many bytes; `u64::MAX` for none.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self { left: bytes, untold: 0, dropped: 0 }
    }

    /// Goes on where a job was: `used` bytes of it are in the event log already.
    #[must_use]
    pub fn resume(bytes: u64, used: u64) -> Self {
        Self::new(bytes.saturating_sub(used))
    }

    /// Takes a chunk. When the quota is used up within it, it is cut at the border of a character, and nothing passes any more.
    pub fn admit(&mut self, mut chunk: Bytes) -> Admitted {
        let length = chunk.len() as u64;
        if length <= self.left {
            self.left -= length;
            return Admitted { kept: chunk, reached: false };
        }
        // `left` is smaller than the chunk's length here, so it fits.
        let keep = character_border(&chunk, self.left as usize);
        let cut = length - keep as u64;
        let reached = self.dropped == 0;
        self.left = 0;
        self.untold += cut;
        self.dropped += cut;
        chunk.truncate(keep);
        Admitted { kept: chunk, reached }
    }

    /// How many bytes were cut since this was last asked.
    #[must_use = "what is not emitted as a gap is missing without a word"]
    pub fn untold(&mut self) -> u64 {
        std::mem::take(&mut self.untold)
    }

    /// The gap for what was cut since the last one; none when nothing was. `position` as in `LogGap`.
    #[must_use = "what is not emitted is missing without a word"]
    pub fn gap(
        &mut self,
        job: Option<&Name>,
        step: Option<&Name>,
        exec: ExecKind,
        stream: StreamKind,
        position: Option<OutputPosition>,
    ) -> Option<EventKind> {
        let bytes = self.untold();
        let (job, step) = (job.cloned(), step.cloned());
        (bytes > 0).then_some(EventKind::LogGap {
            job,
            step,
            exec,
            stream,
            bytes,
            reason: GapReason::Quota,
            position,
        })
    }

    /// How many bytes were cut in all.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The last border of a character at or before `at`, which lies within `bytes`; `at` itself when none is near.
fn character_border(bytes: &[u8], at: usize) -> usize {
    let near = (at.saturating_sub(3)..=at).rev();
    near.into_iter().find(|&border| bytes[border] & 0b1100_0000 != 0b1000_0000).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(quota: &mut Quota, text: &'static str) -> (Bytes, bool) {
        let admitted = quota.admit(Bytes::from_static(text.as_bytes()));
        (admitted.kept, admitted.reached)
    }

    #[test]
    fn output_within_the_quota_passes_untouched() {
        let mut quota = Quota::new(4);
        assert_eq!(admit(&mut quota, "ab"), ("ab".into(), false));
        assert_eq!(admit(&mut quota, "cd"), ("cd".into(), false));
        assert_eq!((quota.untold(), quota.dropped()), (0, 0));
    }

    #[test]
    fn what_is_beyond_is_cut_and_counted_and_told_once() {
        let mut quota = Quota::new(3);
        assert_eq!(admit(&mut quota, "abcde"), ("abc".into(), true));
        assert_eq!(quota.untold(), 2);
        assert_eq!(admit(&mut quota, "fgh"), ("".into(), false));
        assert_eq!((quota.untold(), quota.untold(), quota.dropped()), (3, 0, 5));
    }

    #[test]
    fn a_character_is_not_cut_and_nothing_smaller_slips_in_behind_it() {
        let mut quota = Quota::new(2);
        assert_eq!(admit(&mut quota, "a€"), ("a".into(), true));
        assert_eq!(admit(&mut quota, "b"), ("".into(), false));
        assert_eq!(quota.dropped(), 4);
    }

    #[test]
    fn a_resumed_job_has_only_what_it_left() {
        let mut quota = Quota::resume(4, 3);
        assert_eq!(admit(&mut quota, "ab"), ("a".into(), true));
        let mut overdrawn = Quota::resume(4, 9);
        assert_eq!(admit(&mut overdrawn, "ab"), ("".into(), true));
    }

    #[test]
    fn the_gap_names_the_job_and_the_bytes_and_comes_once() {
        let mut quota = Quota::new(0);
        admit(&mut quota, "abc");
        let job: Name = "build".into();
        let mut gap = || {
            quota.gap(Some(&job), None, ExecKind::Standalone, StreamKind::Stdout, Some(OutputPosition::at(9)))
        };
        assert!(matches!(
            gap(),
            Some(EventKind::LogGap {
                bytes: 3,
                reason: GapReason::Quota,
                position: Some(OutputPosition { from: 9, .. }),
                ..
            })
        ));
        assert_eq!(gap(), None);
    }
}
