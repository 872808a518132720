//! Being told that a file grew: one inotify instance for all outputs that a backend follows.
//!
//! Where the system has no more instances or watches to give, followers look again after a short pause instead.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// How long a follower without a watch waits before it looks again.
const PAUSE: Duration = Duration::from_millis(20);

/// All watches of a backend.
#[derive(Default)]
pub(crate) struct Watcher {
    /// Made with the first watch and kept: closing an instance makes the system wait for milliseconds.
    current: Mutex<Option<Running>>,
    followed: Arc<Followed>,
}

/// How many follow which file, whether the system gave them a watch or not.
#[derive(Default)]
struct Followed(Mutex<HashMap<PathBuf, usize>>);

/// One who is counted there.
struct Follower {
    followed: Arc<Followed>,
    path: PathBuf,
}

/// An instance and the task that hands out its events; over when the runtime of that task is.
struct Running {
    inotify: Arc<Inotify>,
    task: JoinHandle<()>,
}

struct Inotify {
    descriptor: AsyncFd<OwnedFd>,
    /// The system gives one number per file, however often it is watched.
    watched: Mutex<HashMap<i32, Vec<Arc<Notify>>>>,
}

/// One follower's watch; ends when dropped.
pub(crate) struct Watch {
    grown: Arc<Notify>,
    /// `None`: the system gave no watch.
    held: Option<(Arc<Inotify>, i32)>,
    _follower: Follower,
}

impl Watcher {
    /// Watches the file at `path`, beginning before this returns.
    pub(crate) fn watch(&self, path: &Path) -> Watch {
        let follower = Follower::new(Arc::clone(&self.followed), path);
        let grown = Arc::new(Notify::new());
        let held = self.inotify().and_then(|inotify| inotify.add(path, &grown)).map_err(|error| {
            tracing::debug!(%error, "no inotify watch for {}", path.display());
        });
        Watch { grown, held: held.ok(), _follower: follower }
    }

    /// Whether somebody follows the file at `path`.
    pub(crate) fn is_followed(&self, path: &Path) -> bool {
        self.followed.all().contains_key(path)
    }

    fn inotify(&self) -> io::Result<Arc<Inotify>> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = current.as_ref().filter(|running| !running.task.is_finished()) {
            return Ok(Arc::clone(&running.inotify));
        }
        let inotify = Arc::new(Inotify::new()?);
        let task = tokio::spawn(Arc::clone(&inotify).deliver_for_ever());
        *current = Some(Running { inotify: Arc::clone(&inotify), task });
        Ok(inotify)
    }
}

impl Followed {
    fn all(&self) -> MutexGuard<'_, HashMap<PathBuf, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower {
    fn new(followed: Arc<Followed>, path: &Path) -> Self {
        *followed.all().entry(path.to_owned()).or_default() += 1;
        Self { followed, path: path.to_owned() }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut all = self.followed.all();
        let Some(count) = all.get_mut(&self.path) else { return };
        *count -= 1;
        if *count == 0 {
            all.remove(&self.path);
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let current = self.current.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = current {
            running.task.abort();
        }
    }
}

impl Inotify {
    fn new() -> io::Result<Self> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // SAFETY: an `OwnedFd` is valid while it lives, and `AsyncFd` keeps this one until it is dropped itself.
        #[allow(unsafe_code, reason = "tokio has no other way to poll a foreign descriptor")]
        let descriptor = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE)? };
        Ok(Self { descriptor, watched: Mutex::default() })
    }

    fn add(self: Arc<Self>, path: &Path, grown: &Arc<Notify>) -> io::Result<(Arc<Self>, i32)> {
        // Held over the call: an event must find its follower.
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        // A file that loses its name has been destroyed with its step.
        let flags = WatchFlags::MODIFY | WatchFlags::ATTRIB;
        let number = inotify::add_watch(self.descriptor.get_ref(), path, flags)?;
        watched.entry(number).or_default().push(Arc::clone(grown));
        drop(watched);
        Ok((self, number))
    }

    fn remove(&self, number: i32, grown: &Arc<Notify>) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(followers) = watched.get_mut(&number) else { return };
        followers.retain(|other| !Arc::ptr_eq(other, grown));
        if followers.is_empty() {
            watched.remove(&number);
            // The file may be gone, and its watch with it.
            let _ = inotify::remove_watch(self.descriptor.get_ref(), number);
        }
    }

    async fn deliver_for_ever(self: Arc<Self>) {
        // An error means that the runtime ends.
        while let Ok(mut ready) = self.descriptor.readable().await {
            self.deliver();
            ready.clear_ready();
        }
    }

    /// Tells the followers of each event that is there.
    fn deliver(&self) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(self.descriptor.get_ref(), &mut buffer);
        while let Ok(event) = reader.next() {
            let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                watched.values().flatten().for_each(|grown| grown.notify_one());
            } else if event.events().contains(ReadFlags::IGNORED) {
                // The number is free; who followed it sees the end of its file.
                let followers = watched.remove(&event.wd());
                followers.iter().flatten().for_each(|grown| grown.notify_one());
            } else {
                watched.get(&event.wd()).into_iter().flatten().for_each(|grown| grown.notify_one());
            }
        }
    }
}

impl Watch {
    /// Returns when the file may have grown since the last call; may return without cause.
    pub(crate) async fn grown(&self) {
        if self.held.is_some() {
            self.grown.notified().await;
        } else {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((inotify, number)) = &self.held {
            inotify.remove(*number, &self.grown);
        }
    }
}
