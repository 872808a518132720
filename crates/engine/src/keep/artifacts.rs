//! A run's artifacts in its folder: one archive for each job, named after it. Not for what goes into them.

use std::path::{Path, PathBuf};

use jobwright_workspace::{Archive, Contents, Error, ObjectKey};

/// What an archive's file name ends with.
const ENDING: &str = ".tar.zst";
/// The longest part of a job's name in a file's, in bytes.
const LONGEST: usize = 150;

/// The artifacts in a run's folder, for whoever looks at them.
#[derive(Debug, Clone)]
pub struct RunArtifacts {
    folder: PathBuf,
}

/// The artifacts that one job left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobArtifacts {
    /// The job; the file's name when the archive is damaged.
    pub job: String,
    /// What is in them; none when the archive is damaged.
    pub contents: Option<Contents>,
    /// The archive.
    pub path: PathBuf,
}

impl RunArtifacts {
    /// Those in a run's folder, which need not be there.
    #[must_use]
    pub fn of_run(folder: &Path) -> Self {
        Self { folder: folder.join("artifacts") }
    }

    /// Where a job's are, or would be.
    #[must_use]
    pub fn path(&self, job: &str) -> PathBuf {
        self.folder.join(file_name(job) + ENDING)
    }

    /// All of them, in the order of the jobs' names.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn list(&self) -> Result<Vec<JobArtifacts>, Error> {
        let fail = |source| Error::Unreadable { path: self.folder.clone(), source };
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fail(error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(fail)?.path();
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            let Some(stem) = name.strip_suffix(ENDING) else { continue };
            let (job, contents) = match Archive::describe(&path) {
                Ok(Some((label, contents))) => (label.name, Some(contents)),
                Ok(None) => continue,
                Err(Error::Damaged { .. }) => (stem.to_owned(), None),
                Err(error) => return Err(error),
            };
            found.push(JobArtifacts { job, contents, path });
        }
        found.sort_by(|a, b| a.job.cmp(&b.job));
        Ok(found)
    }
}

/// A job's name as a file's, which no other job's is. What is not plain becomes `%XX`.
fn file_name(job: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_=.:@,+".contains(byte);
    let mut name = String::new();
    for byte in job.bytes() {
        if plain(&byte) && !(name.is_empty() && byte == b'.') {
            name.push(char::from(byte));
        } else {
            name += &format!("%{byte:02X}");
        }
    }
    if name.len() > LONGEST {
        let id = ObjectKey::new("", job, "");
        name = format!("{}~{}", &name[..LONGEST], id.id());
    }
    name
}

/// The artifacts of a run on its way. What is in the folder is what there is, so that a run that is taken up again finds it.
pub(super) struct Shelf(RunArtifacts);

impl Shelf {
    pub(super) fn new(folder: &Path) -> Self {
        Self(RunArtifacts::of_run(folder))
    }

    pub(super) fn path(&self, job: &str) -> PathBuf {
        self.0.path(job)
    }

    pub(super) fn has(&self, job: &str) -> bool {
        self.path(job).exists()
    }

    /// What an earlier attempt of `job` left counts no longer.
    pub(super) fn forget(&self, job: &str) {
        match std::fs::remove_file(self.path(job)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(job, %error, "the artifacts of an earlier attempt could not be removed");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_jobs_name_becomes_a_file_name_of_its_own() {
        let names = ["build", "test_V=1.2", "a/b", "a%2Fb", "..", ".", "é x", "", "a\0b"];
        let files: BTreeSet<String> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len());
        assert_eq!(file_name("test_V=1.2"), "test_V=1.2");
        assert_eq!(file_name("../x"), "%2E.%2Fx");
        let (long, longer) = (file_name(&"é".repeat(300)), file_name(&"é".repeat(301)));
        assert!(long.len() < 200 && long != longer);
    }
}
