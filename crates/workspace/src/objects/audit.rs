//! An archive on its way to disk: passed on byte for byte, and looked at on the way: whether it is whole, what is in it, and which globs
//! it has something for. Nothing of it is held. Not for bringing members to disk (`tar::unpack`).

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::path::Path;
use std::rc::Rc;

use tar::Archive;

use super::digest::MemberDigest;
use crate::tar::{Feed, MAX_HEADER_BYTES};
use crate::tree::{GlobHits, Globs};

/// Why an archive could not be passed on.
pub(super) enum Broken {
    /// Where it comes from failed, or it is no whole archive.
    Source(io::Error),
    /// Where it goes failed.
    Sink(io::Error),
}

/// What went by.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) members: u64,
    pub(super) bytes: u64,
    /// The globs for which there was nothing, as they were given.
    pub(super) unmatched: Vec<String>,
    /// The members' digest ([`MemberDigest`]).
    pub(super) digest: String,
}

/// Copies the archive from `source` to `sink`.
pub(super) fn pass(source: impl Read, sink: &mut impl Write, globs: Option<&Globs>) -> Result<Seen, Broken> {
    let failed = Rc::new(RefCell::new(None));
    let tee = Tee { source, sink, failed: Rc::clone(&failed) };
    let passed = inspect(tee, globs.map(Globs::hits));
    match (failed.take(), passed) {
        (Some(error), _) => Err(Broken::Sink(error)),
        (None, Err(error)) => Err(Broken::Source(error)),
        (None, Ok(seen)) => Ok(seen),
    }
}

fn inspect(source: impl Read, mut hits: Option<GlobHits<'_>>) -> io::Result<Seen> {
    let mut seen = Seen::default();
    let mut digest = MemberDigest::default();
    let (feed, watch) = Feed::new(source);
    let mut archive = Archive::new(feed);
    let blame = |error: io::Error| watch.take_source_error().unwrap_or(error);
    let mut entries = archive.entries().map_err(blame)?;
    loop {
        watch.expect_headers(MAX_HEADER_BYTES);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(blame)?;
        watch.expect_contents();
        if let Some(hits) = &mut hits {
            hits.note(&entry.path_bytes());
        }
        let size = entry.size();
        digest.begin(&mut entry).map_err(blame)?;
        // The parser would skip the contents as if they were headers.
        if io::copy(&mut entry, &mut digest).map_err(blame)? != size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within a file"));
        }
        seen.members += 1;
        seen.bytes += size;
    }
    if !watch.ended_with_marker() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive is cut short"));
    }
    watch.expect_contents();
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(blame)?;
    seen.unmatched = hits.map(GlobHits::unmatched).unwrap_or_default();
    seen.digest = digest.finish();
    Ok(seen)
}

/// Reads `source`, and writes what was read to `sink`.
struct Tee<'a, R, W> {
    source: R,
    sink: &'a mut W,
    failed: Rc<RefCell<Option<io::Error>>>,
}

impl<R: Read, W: Write> Read for Tee<'_, R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        if let Err(error) = self.sink.write_all(&buffer[..count]) {
            let kind = error.kind();
            *self.failed.borrow_mut() = Some(error);
            return Err(kind.into());
        }
        Ok(count)
    }
}

/// The parent of everything that is stored, with a mode that lets nobody else look.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}
