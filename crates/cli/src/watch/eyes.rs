//! Looks at a project's files whenever something happened there, and tells what has become another. An editor's save is several events and
//! a checkout thousands; they are one change when they come within a moment.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use jobwright_workspace::{Error, Project, Snapshot};
use tokio::time::Instant;

use super::alarm::Alarm;

/// How long it must have been quiet before a change counts as whole (local-ci.md 5).
const QUIET: Duration = Duration::from_millis(400);
/// The longest that a change that does not come to rest is waited for.
const LONGEST: Duration = Duration::from_secs(3);
/// How often directories may appear while they are looked at before the rest is left to the next look.
const MOST_LOOKS: usize = 16;

/// What is looked at.
#[derive(Clone)]
pub(crate) struct Watched {
    /// The project's files.
    pub(crate) project: Project,
    /// Files that count wherever they lie and whatever the rules say, each time they are asked for: the pipeline's.
    pub(crate) beside: fn(&Path, Option<&Path>) -> Vec<PathBuf>,
    /// The pipeline file that was named.
    pub(crate) config: Option<PathBuf>,
}

impl Watched {
    fn look(&self) -> Result<Snapshot, Error> {
        let mut snapshot = self.project.snapshot()?;
        let root = self.project.root();
        for file in (self.beside)(root, self.config.as_deref()) {
            // One that a job gets is there already, by its path from the root on.
            if !snapshot.contains(file.strip_prefix(root).unwrap_or(&file)) {
                snapshot.add_file(&file);
            }
        }
        Ok(snapshot)
    }
}

/// What changed, the paths from the project's root on.
pub(crate) type Changes = Vec<PathBuf>;

/// What was seen, and who goes on looking.
type Looked = (Looking, Result<Changes, Error>);

/// Looks for changes one after the other.
pub(crate) struct Eyes {
    next: Pin<Box<dyn Future<Output = Looked>>>,
}

impl Eyes {
    /// Sees what changes from now on.
    ///
    /// # Errors
    /// When the project cannot be read.
    pub(crate) async fn open(watched: Watched) -> Result<Self, Error> {
        Self::with(watched, Alarm::new()).await
    }

    async fn with(watched: Watched, alarm: Alarm) -> Result<Self, Error> {
        let mut looking = Looking { watched, alarm, seen: Snapshot::default() };
        looking.seen = looking.look().await?;
        Ok(Self { next: Box::pin(looking.next()) })
    }

    /// Waits for the next change. May be dropped and called again: nothing is missed.
    ///
    /// # Errors
    /// When the project cannot be read; it may be asked again.
    pub(crate) async fn changes(&mut self) -> Result<Changes, Error> {
        let (looking, changes) = (&mut self.next).await;
        self.next = Box::pin(looking.next());
        changes
    }
}

struct Looking {
    watched: Watched,
    alarm: Alarm,
    seen: Snapshot,
}

impl Looking {
    async fn next(mut self) -> Looked {
        loop {
            self.alarm.rings().await;
            self.wait_for_quiet().await;
            match self.look().await {
                Ok(now) => {
                    let mut changes = now.changes_since(&self.seen);
                    self.seen = now;
                    changes.retain(|path| !is_an_editors(path));
                    if !changes.is_empty() {
                        return (self, Ok(changes));
                    }
                }
                Err(error) => return (self, Err(error)),
            }
        }
    }

    async fn wait_for_quiet(&self) {
        let deadline = Instant::now() + LONGEST;
        while Instant::now() < deadline {
            if tokio::time::timeout(QUIET, self.alarm.rings()).await.is_err() {
                return;
            }
        }
    }

    /// Looks until no directory is new, as what happened in a new one before it was watched was not heard.
    async fn look(&mut self) -> Result<Snapshot, Error> {
        let mut now = self.look_once().await?;
        for _ in 0..MOST_LOOKS {
            if !self.alarm.is_for(&now) {
                break;
            }
            now = self.look_once().await?;
        }
        Ok(now)
    }

    async fn look_once(&self) -> Result<Snapshot, Error> {
        let (watched, path) = (self.watched.clone(), self.watched.project.root().to_owned());
        let looked = tokio::task::spawn_blocking(move || watched.look()).await;
        looked.unwrap_or_else(|error| Err(Error::Stopped { path, reason: error.to_string() }))
    }
}

/// Whether it is a file that an editor keeps beside the one that is edited: Vim's swap and test files, Emacs' locks and autosaves,
/// backups. Opening a file is no change.
fn is_an_editors(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    let is_swap = |name: &str| {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending);
        ending.is_some_and(|ending| ending.len() == 3 && ending.starts_with("sw") && name.starts_with('.'))
    };
    name.ends_with('~')
        || name.starts_with(".#")
        || (name.starts_with('#') && name.ends_with('#'))
        || name == "4913"
        || is_swap(name)
}

#[cfg(test)]
mod tests {
    use jobwright_workspace::TreeOptions;

    use super::*;

    fn watched(root: &Path) -> Watched {
        let project = Project::new(root, TreeOptions { git: false, ..TreeOptions::default() });
        Watched { project, beside: |_, _| Vec::new(), config: None }
    }

    #[test]
    fn what_an_editor_keeps_for_itself_is_known_by_its_name() {
        for name in [".main.rs.swp", ".main.rs.swx", "main.rs~", ".#main.rs", "#main.rs#", "d/4913"] {
            assert!(is_an_editors(Path::new(name)), "{name}");
        }
        for name in ["main.rs", ".gitignore", "view.swf", "a.swp.txt", "#readme", "49130", "."] {
            assert!(!is_an_editors(Path::new(name)), "{name}");
        }
    }

    #[tokio::test]
    async fn without_the_kernels_help_changes_are_seen_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut eyes = Eyes::with(watched(dir.path()), Alarm::by_the_clock()).await.unwrap();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("d/a"), "1").unwrap();
        assert_eq!(eyes.changes().await.unwrap(), [Path::new("d"), Path::new("d/a")]);
    }

    #[tokio::test]
    async fn nothing_is_missed_when_the_wait_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let mut eyes = Eyes::open(watched(dir.path())).await.unwrap();
        std::fs::write(dir.path().join("a"), "1").unwrap();
        while tokio::time::timeout(Duration::from_millis(50), eyes.changes()).await.is_err() {}
        std::fs::write(dir.path().join("a"), "22").unwrap();
        assert_eq!(eyes.changes().await.unwrap(), [Path::new("a")]);
    }

    #[tokio::test]
    async fn a_project_that_is_gone_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("project");
        std::fs::create_dir(&root).unwrap();
        let mut eyes = Eyes::open(watched(&root)).await.unwrap();
        std::fs::remove_dir(&root).unwrap();
        assert!(eyes.changes().await.is_err());
    }
}
