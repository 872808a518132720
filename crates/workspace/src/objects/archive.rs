//! One stored archive: written once, shown when it is whole, read by anybody meanwhile and afterwards. Not for finding it by a key
//! (`store`).

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::time::sleep;

use super::audit::{self, Broken, make_private};
use super::draft::Draft;
use super::header::{Contents, Header, Label};
use crate::offload::blocking;
use crate::tar::{ChunkWriter, channel, read_blocking, stream_of};
use crate::{Error, Globs, Result, TarStream, UnpackOptions, UnpackReport, unpack_from};

/// The fastest that zstd does well: a cache that costs more to pack than to make again is of no use.
const LEVEL: i32 = 1;
/// How often somebody who waits for another writer looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How much is read from or written to a file at a time, in bytes.
const PIECE: usize = 128 << 10;

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// What is in it.
    pub contents: Contents,
    /// The globs that the archive has nothing for, as they were given.
    pub unmatched: Vec<String>,
    /// It holds what was there already, which was left as it is.
    pub unchanged: bool,
}

/// The right to write the archive at a path; nobody else has it meanwhile, in this or another process. Dropping it gives it back.
pub struct ArchiveWriter {
    draft: Draft,
    target: PathBuf,
    unless_same: bool,
}

impl ArchiveWriter {
    /// Waits until nobody else writes to `target`; the folder is made when there is none (mode 0700). Readers of what is there go on.
    ///
    /// # Errors
    /// [`Error::Unwritable`], [`Error::DiskFull`].
    pub async fn open(target: &Path) -> Result<Self> {
        loop {
            let path = target.to_owned();
            let draft = blocking(target, move || {
                let parent = path.parent().unwrap_or(Path::new("/"));
                let draft = make_private(parent).and_then(|()| Draft::lock(&path));
                draft.map_err(|error| Error::writing(&path, error))
            });
            match draft.await? {
                Some(draft) => return Ok(Self { draft, target: target.to_owned(), unless_same: false }),
                None => sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Leaving what is there when it is whole and has the same members: then nothing is shown in its place.
    #[must_use]
    pub fn unless_same(mut self) -> Self {
        self.unless_same = true;
        self
    }

    /// Writes `tar` and shows it in place of what was at the path. With `globs`, those that it has nothing for are told; with `complete`
    /// it is then not shown. Holds a few hundred KiB in memory, whatever the archive's size. It is not synced: after a power cut it may be
    /// damaged, which [`Archive::open`] finds.
    ///
    /// When it fails, or the future is dropped, what was at the path before is still there and nothing else is left.
    ///
    /// # Errors
    /// [`Error::Stream`] when `tar` fails or is no whole archive; [`Error::DiskFull`], [`Error::Unwritable`].
    pub async fn write(
        self,
        label: Label,
        tar: TarStream,
        globs: Option<Globs>,
        complete: bool,
    ) -> Result<Written> {
        let target = self.target.clone();
        read_blocking(tar, &target, move |source| self.write_from(label, source, globs.as_ref(), complete))
            .await
    }

    /// The same from a reader, by this thread.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn write_from(
        mut self,
        label: Label,
        source: impl Read,
        globs: Option<&Globs>,
        complete: bool,
    ) -> Result<Written> {
        let target = &self.target;
        let room =
            Header::reserve(&mut self.draft.file, &label).map_err(|error| Error::writing(target, error))?;
        let (mut written, sum, digest) = write_body(&mut self.draft.file, target, source, globs)?;
        if complete && !written.unmatched.is_empty() {
            return Ok(written);
        }
        // What cannot be read there is replaced.
        if self.unless_same
            && let Ok(Some(there)) = Archive::open(target)
            && there.digest == digest
        {
            written.unchanged = true;
            written.contents = there.contents;
            return Ok(written);
        }
        let header = Header::new(label, written.contents, sum, digest);
        let shown = header.fill(&mut self.draft.file, room).and_then(|()| self.draft.publish());
        shown.map_err(|error| Error::writing(target, error))?;
        Ok(written)
    }
}

/// Writes everything behind the header, and says what it was, its sum and its members' digest.
fn write_body(
    file: &mut File,
    target: &Path,
    source: impl Read,
    globs: Option<&Globs>,
) -> Result<(Written, u32, String)> {
    let writing = |error| Error::writing(target, error);
    let sink =
        Summed { file: BufWriter::with_capacity(PIECE, file), sum: crc32fast::Hasher::new(), bytes: 0 };
    let mut encoder = zstd::Encoder::new(sink, LEVEL).map_err(writing)?;
    let seen = audit::pass(source, &mut encoder, globs).map_err(|broken| match broken {
        Broken::Source(source) => Error::Stream { dest: target.to_owned(), source },
        Broken::Sink(error) => writing(error),
    })?;
    let mut sink = encoder.finish().map_err(writing)?;
    sink.flush().map_err(writing)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let contents =
        Contents { members: seen.members, bytes: seen.bytes, packed: sink.bytes, written: now.as_secs() };
    let written = Written { contents, unmatched: seen.unmatched, unchanged: false };
    Ok((written, sink.sum.finalize(), seen.digest))
}

/// A file that is summed while it is written.
struct Summed<'a> {
    file: BufWriter<&'a mut File>,
    sum: crc32fast::Hasher,
    bytes: u64,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A stored archive that was found whole. It stays readable when it is replaced or removed.
#[derive(Debug)]
pub struct Archive {
    /// Whose it is.
    pub label: Label,
    /// What is in it.
    pub contents: Contents,
    digest: String,
    file: File,
    path: PathBuf,
}

impl Archive {
    /// What the archive at `path` says of itself, without reading it; none when there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it says nothing, [`Error::Unreadable`].
    pub fn describe(path: &Path) -> Result<Option<(Label, Contents)>> {
        let Some((header, _)) = peek(path)? else { return Ok(None) };
        let header = header.ok_or_else(|| not_ours(path))?;
        Ok(Some((header.label, header.contents)))
    }

    /// Opens the archive at `path` and reads it once, to be sure that it is whole; none when there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Unreadable`].
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let Some((header, mut file)) = peek(path)? else { return Ok(None) };
        let damaged = |reason: &str| Error::Damaged { path: path.to_owned(), reason: reason.to_owned() };
        let Some(header) = header else {
            return Err(damaged("it does not begin as an archive of Jobwright's"));
        };
        let begins = file.stream_position().map_err(|error| Error::reading(path, error))?;
        let (mut sum, mut bytes, mut piece) = (crc32fast::Hasher::new(), 0, vec![0; PIECE]);
        loop {
            match file.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => {
                    sum.update(&piece[..count]);
                    bytes += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::reading(path, error)),
            }
        }
        if bytes != header.contents.packed {
            return Err(damaged("it is cut short"));
        }
        if sum.finalize() != header.sum {
            return Err(damaged("its sum is wrong"));
        }
        file.seek(SeekFrom::Start(begins)).map_err(|error| Error::reading(path, error))?;
        let Header { label, contents, digest, .. } = header;
        Ok(Some(Self { label, contents, digest, file, path: path.to_owned() }))
    }

    /// Its members as a tar stream. Read a few hundred KiB ahead, on a blocking thread that ends when the stream is dropped.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn into_stream(self) -> TarStream {
        let (sender, receiver) = channel();
        let reader = tokio::task::spawn_blocking(move || {
            let mut chunks = ChunkWriter::new(sender);
            let outcome = self.decoder().and_then(|mut decoder| io::copy(&mut decoder, &mut chunks));
            chunks.finish(outcome.map(drop));
        });
        stream_of(receiver, reader)
    }

    /// Unpacks it into the directory `dest`, as safely as [`unpack`](crate::unpack), by this thread.
    ///
    /// # Errors
    /// As [`unpack`](crate::unpack).
    pub fn unpack(self, dest: &Path, options: &UnpackOptions) -> Result<UnpackReport> {
        let path = self.path.clone();
        unpack_from(self.decoder().map_err(|error| Error::reading(path, error))?, dest, options)
    }

    fn decoder(self) -> io::Result<impl Read> {
        zstd::Decoder::with_buffer(BufReader::with_capacity(PIECE, self.file))
    }
}

fn not_ours(path: &Path) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        reason: "it does not begin as an archive of Jobwright's".to_owned(),
    }
}

/// The archive's header, none when it has none that can be understood, and the file behind it; none when there is no file.
pub(super) fn peek(path: &Path) -> Result<Option<(Option<Header>, File)>> {
    let reading = |error| Error::reading(path, error);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(reading(error)),
    };
    let header = Header::read(&mut file).map_err(reading)?;
    Ok(Some((header, file)))
}
