//! A concurrency group across the runs of one state directory: as many lock files as it has places, each held by whoever has the
//! place. The kernel gives a lock back when its holder dies, however it dies. Not for the jobs of one run among themselves.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobwright_pipeline::Concurrency;

/// How often a place that another run has is asked for. Short against a job, and one system call.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The groups of one project.
#[derive(Debug, Clone)]
pub struct SharedGroups {
    folder: PathBuf,
}

/// A place in a group. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct GroupLock {
    _file: File,
}

/// Nobody can tell who has a place.
#[derive(Debug, thiserror::Error)]
#[error("the lock of a concurrency group, {}: {source}", .path.display())]
pub struct SharedGroupsError {
    path: PathBuf,
    source: io::Error,
}

impl SharedGroups {
    /// The groups of the project in the directory `project`, whose locks lie beneath the state directory `state`. Another project's
    /// groups of the same names are others.
    #[must_use]
    pub fn new(state: &Path, project: &Path) -> Self {
        let key = file_name(&project.to_string_lossy());
        Self { folder: state.join("groups").join(key) }
    }

    /// Waits for a place. `waits` is called with the group's name once when there is none at first.
    pub(crate) async fn take(
        &self,
        concurrency: &Concurrency,
        waits: impl Fn(&str),
    ) -> Result<GroupLock, SharedGroupsError> {
        let folder = self.folder.join(file_name(&concurrency.group));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|source| SharedGroupsError { path: folder.clone(), source })?;
        let mut asked = false;
        loop {
            if let Some(lock) = try_take(&folder, concurrency.limit.get())? {
                return Ok(lock);
            }
            if !asked {
                waits(&concurrency.group);
                asked = true;
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

impl SharedGroups {
    /// A place, if one is free now and can be had.
    pub(crate) fn try_take(&self, concurrency: &Concurrency) -> Option<GroupLock> {
        let folder = self.folder.join(file_name(&concurrency.group));
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).ok()?;
        try_take(&folder, concurrency.limit.get()).ok().flatten()
    }
}

/// The first place that is free; none when all are taken.
fn try_take(folder: &Path, limit: u32) -> Result<Option<GroupLock>, SharedGroupsError> {
    for place in 0..limit {
        let path = folder.join(place.to_string());
        let failed = |source| SharedGroupsError { path: path.clone(), source };
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => return Ok(Some(GroupLock { _file: file })),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    Ok(None)
}

/// A file name that no other text has: letters, digits, `-` and `_` as they are, the rest by its bytes. Long ones are cut and told
/// apart by a checksum of the whole.
fn file_name(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut name = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(byte.into()),
            other => name.push_str(&format!(".{other:02x}")),
        }
    }
    if name.len() > LONGEST {
        // FNV-1a: two long names of one project that share 180 characters and this are not met by chance.
        let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        name.truncate(180);
        name.push_str(&format!(".{sum:016x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn group(name: &str, limit: u32) -> Concurrency {
        Concurrency { group: name.to_owned(), limit: NonZeroU32::new(limit).unwrap() }
    }

    #[tokio::test]
    async fn a_group_has_as_many_places_as_its_limit_over_all_runs_of_a_state_directory() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (
            SharedGroups::new(dir.path(), Path::new("/project")),
            SharedGroups::new(dir.path(), Path::new("/project")),
        );
        let deploy = group("deploy", 2);
        let first = one.take(&deploy, |_| panic!("it waited")).await.unwrap();
        let _second = other.take(&deploy, |_| panic!("it waited")).await.unwrap();
        let waited = AtomicUsize::new(0);
        let third = one.take(&deploy, |_| {
            waited.fetch_add(1, Ordering::SeqCst);
        });
        let mut third = std::pin::pin!(third);
        assert!(tokio::time::timeout(ASK_AGAIN * 3, &mut third).await.is_err());
        drop(first);
        third.await.unwrap();
        assert_eq!(waited.load(Ordering::SeqCst), 1, "it is told once");
    }

    #[tokio::test]
    async fn other_groups_and_other_projects_are_others() {
        let dir = tempfile::tempdir().unwrap();
        let one = SharedGroups::new(dir.path(), Path::new("/one"));
        let other = SharedGroups::new(dir.path(), Path::new("/other"));
        let _held = one.take(&group("deploy", 1), |_| {}).await.unwrap();
        other.take(&group("deploy", 1), |_| panic!("it waited")).await.unwrap();
        one.take(&group("deploy/..", 1), |_| panic!("it waited")).await.unwrap();
    }

    #[test]
    fn every_text_is_one_safe_file_name() {
        assert_eq!(file_name("a b/../c"), "a.20b.2f.2e.2e.2fc");
        let (long, longer) = ("x".repeat(500), "x".repeat(501));
        assert!(file_name(&long).len() <= 200 && file_name(&long) != file_name(&longer));
        assert_ne!(file_name("a.20"), file_name("a "));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_used_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("groups"), "no folder").unwrap();
        let groups = SharedGroups::new(dir.path(), Path::new("/one"));
        assert!(groups.take(&group("deploy", 1), |_| {}).await.is_err());
    }
}
