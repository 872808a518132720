//! The files that a job of the queue `batches` fetches for its workspace: `SPEC/FILE` in a directory that the server's owner names.

use std::path::{Path as FilePath, PathBuf};

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use jobwright_model::QueueName;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use super::Desk;
use super::access::Wanted;
use super::failure::Failure;

/// Whose files these are.
const QUEUE: &str = "batches";

/// The file; of `HEAD`, what is said of it.
pub(crate) async fn get(
    State(desk): State<Desk>,
    Path((spec, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let batches = QueueName::new(QUEUE).ok();
    let shared = &desk.shared;
    shared.access.job(&*shared.store, &headers, Wanted::Queue(batches.as_ref())).await?;
    let absent = || Failure::not_found("there is no such file");
    let path = shared.files.as_deref().and_then(|root| place(root, &spec, &file)).ok_or_else(absent)?;
    let (file, length) = match open(&path).await {
        Ok(Some(found)) => found,
        Ok(None) => return Err(absent()),
        Err(error) => {
            tracing::warn!("the file {} of a job cannot be read: {error}", path.display());
            return Err(Failure::error(format!("the file cannot be read: {}", error.kind())));
        }
    };
    let told = [(CONTENT_TYPE, "application/octet-stream".to_owned()), (CONTENT_LENGTH, length.to_string())];
    Ok((told, Body::from_stream(ReaderStream::new(file.take(length)))).into_response())
}

/// Where it lies; none when the names are not those of something directly in there.
fn place(root: &FilePath, spec: &str, file: &str) -> Option<PathBuf> {
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0']);
    (is_name(spec) && is_name(file)).then(|| root.join(spec).join(file))
}

/// The file and its length; none when there is none. A pipe or a device is none, and is not opened.
async fn open(path: &FilePath) -> std::io::Result<Option<(File, u64)>> {
    let absent = |error: &std::io::Error| {
        matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
    };
    match tokio::fs::metadata(path).await {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if absent(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let file = File::open(path).await?;
    let length = file.metadata().await?.len();
    Ok(Some((file, length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_two_names_deep_is_a_file_of_a_job() {
        let root = FilePath::new("/srv");
        assert_eq!(place(root, "spec", "file.txt"), Some(PathBuf::from("/srv/spec/file.txt")));
        for (spec, file) in [
            ("..", "x"),
            ("x", ".."),
            (".", "x"),
            ("", "x"),
            ("x", ""),
            ("a/b", "c"),
            ("/etc", "passwd"),
            ("a", "b\0"),
        ] {
            assert_eq!(place(root, spec, file), None, "{spec} {file}");
        }
    }
}
