//! The blocking functions of this crate for asynchronous callers: each runs on tokio's blocking threads.
//!
//! A future that is dropped does not stop work that has begun; it only no longer waits for it.

use std::path::{Path, PathBuf};

use crate::{CopyOptions, CopyReport, Error, Listing, Project, RemoveReport, Result};

/// [`copy_tree`](crate::copy_tree).
///
/// # Errors
///
/// Those of the blocking function, and [`Error::Stopped`].
pub async fn copy_tree(source: &Path, dest: &Path, options: &CopyOptions) -> Result<CopyReport> {
    let (source, to, options) = (source.to_path_buf(), dest.to_path_buf(), options.clone());
    blocking(dest, move || crate::copy_tree(&source, &to, &options)).await
}

/// [`remove_tree`](crate::remove_tree).
///
/// # Errors
///
/// Those of the blocking function, and [`Error::Stopped`].
pub async fn remove_tree(path: &Path) -> Result<RemoveReport> {
    let target = path.to_path_buf();
    blocking(path, move || crate::remove_tree(&target)).await
}

/// [`Project::list`].
///
/// # Errors
///
/// Those of the blocking function, and [`Error::Stopped`].
pub async fn list(project: Project) -> Result<Listing> {
    let root = project.root().to_path_buf();
    blocking(&root, move || project.list()).await
}

pub(crate) async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let path: PathBuf = path.to_path_buf();
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::Stopped { path, reason: error.to_string() }))
}
