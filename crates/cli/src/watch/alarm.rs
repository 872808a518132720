//! Tells that something happened in some directories: by the kernel where it can, else every second. What happened is not said, as only a
//! look at the files tells that for sure: the kernel's queue may overflow, and most events are about nothing that counts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jobwright_workspace::{DirectoryId, Snapshot};
use notify::{Config, ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use crate::show::aside;

/// How often is looked where the kernel does not tell.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What rings when something happens.
pub(crate) struct Alarm {
    rings: Arc<Notify>,
    /// None when the kernel does not tell.
    kernel: Option<RecommendedWatcher>,
    watched: HashMap<PathBuf, DirectoryId>,
}

impl Alarm {
    /// One that the kernel rings, for no directory yet.
    pub(crate) fn new() -> Self {
        let rings = Arc::new(Notify::new());
        let ring = Arc::clone(&rings);
        let heard = move |event: notify::Result<Event>| {
            if !event.is_ok_and(|event| is_nothing(&event)) {
                ring.notify_one();
            }
        };
        let mut alarm = Self { rings, kernel: None, watched: HashMap::new() };
        match RecommendedWatcher::new(heard, Config::default().with_follow_symlinks(false)) {
            Ok(kernel) => alarm.kernel = Some(kernel),
            Err(error) => alarm.do_without_the_kernel(&error),
        }
        alarm
    }

    /// One that rings by the clock only.
    #[cfg(test)]
    pub(crate) fn by_the_clock() -> Self {
        Self { rings: Arc::new(Notify::new()), kernel: None, watched: HashMap::new() }
    }

    /// Waits until something happens, or has happened since the last wait. May be dropped and called again.
    pub(crate) async fn rings(&self) {
        match &self.kernel {
            Some(_) => self.rings.notified().await,
            None => tokio::time::sleep(LOOK_EVERY).await,
        }
    }

    /// From now on is about the directories of `snapshot`. Answers whether some of them are new: what happened in these before is not heard.
    pub(crate) fn is_for(&mut self, snapshot: &Snapshot) -> bool {
        if self.kernel.is_none() {
            return false;
        }
        let now: HashMap<PathBuf, DirectoryId> =
            snapshot.directories().map(|(path, id)| (path.to_owned(), id)).collect();
        let gone: Vec<PathBuf> =
            self.watched.keys().filter(|path| !now.contains_key(*path)).cloned().collect();
        gone.iter().for_each(|path| self.forget(path));
        let mut any_new = false;
        for (path, id) in now {
            let known = self.watched.get(&path);
            if known == Some(&id) && id.is_certain() {
                continue;
            }
            any_new |= known != Some(&id);
            if known.is_some() {
                // It is another one now, of which the kernel knows nothing.
                self.forget(&path);
            }
            if !self.listen(path, id) {
                return false;
            }
        }
        any_new
    }

    fn forget(&mut self, path: &Path) {
        self.watched.remove(path);
        if let Some(kernel) = &mut self.kernel {
            // The kernel forgets a directory that is removed by itself.
            let _ = kernel.unwatch(path);
        }
    }

    /// Answers whether the kernel still tells.
    fn listen(&mut self, path: PathBuf, id: DirectoryId) -> bool {
        let Some(kernel) = &mut self.kernel else { return false };
        match kernel.watch(&path, RecursiveMode::NonRecursive) {
            Ok(()) => {}
            Err(error) if is_about_limits(&error) => {
                self.do_without_the_kernel(&error);
                return false;
            }
            // It is gone, or nobody may look into it: then nothing that counts happens there.
            Err(error) => tracing::debug!(path = %path.display(), %error, "a directory is not watched"),
        }
        self.watched.insert(path, id);
        true
    }

    fn do_without_the_kernel(&mut self, error: &notify::Error) {
        let why = match error.kind {
            ErrorKind::MaxFilesWatch => {
                "there are more directories than this system watches for one user (fs.inotify.max_user_watches)"
                    .to_owned()
            }
            _ => format!("the system does not tell what changes: {error}"),
        };
        aside::say(format_args!("[watch] {why}; looking at the files every second"));
        self.kernel = None;
        self.watched.clear();
    }
}

/// Whether nothing changed: files that are read, our own looking included.
fn is_nothing(event: &Event) -> bool {
    matches!(event.kind, EventKind::Access(_)) && !event.need_rescan()
}

fn is_about_limits(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        // EMFILE and ENOMEM: no more descriptors or no more memory for watches.
        ErrorKind::Io(error) => {
            let limits = [rustix::io::Errno::MFILE, rustix::io::Errno::NOMEM, rustix::io::Errno::NOSPC];
            rustix::io::Errno::from_io_error(error).is_some_and(|errno| limits.contains(&errno))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind, Flag};

    use super::*;

    #[test]
    fn reading_is_nothing_and_an_overflow_of_the_queue_is_something() {
        let read = Event::new(EventKind::Access(AccessKind::Any));
        assert!(is_nothing(&read));
        assert!(!is_nothing(&read.set_flag(Flag::Rescan)));
        assert!(!is_nothing(&Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        assert!(!is_nothing(&Event::new(EventKind::Create(CreateKind::Any))));
    }

    #[test]
    fn only_a_limit_of_the_system_is_a_reason_to_do_without_it() {
        let io = |errno: rustix::io::Errno| notify::Error::io(errno.into());
        assert!(is_about_limits(&notify::Error::new(ErrorKind::MaxFilesWatch)));
        assert!(is_about_limits(&io(rustix::io::Errno::MFILE)));
        assert!(!is_about_limits(&io(rustix::io::Errno::ACCESS)));
        assert!(!is_about_limits(&notify::Error::new(ErrorKind::PathNotFound)));
    }

    #[test]
    fn a_directory_is_new_once_and_again_when_it_is_another() {
        let dir = tempfile::tempdir().unwrap();
        let look = || {
            let mut snapshot = Snapshot::default();
            snapshot.add_file(&dir.path().join("d/file"));
            snapshot
        };
        std::fs::create_dir(dir.path().join("d")).unwrap();
        let mut alarm = Alarm::new();
        assert!(alarm.is_for(&look()));
        assert!(!alarm.is_for(&look()));
        std::fs::remove_dir(dir.path().join("d")).unwrap();
        assert!(!alarm.is_for(&look()));
        std::fs::create_dir(dir.path().join("d")).unwrap();
        assert!(alarm.is_for(&look()));
    }
}
