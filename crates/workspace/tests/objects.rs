//! Stored archives: whole or not there, whoever writes, reads, dies or runs out of room meanwhile.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jobwright_workspace::{
    Archive, ArchiveWriter, Error, Globs, Label, ObjectKey, ObjectStore, PackOptions, PrunePolicy, Selection,
    TarStream, UnpackOptions, pack, unpack,
};

struct Bench {
    dir: tempfile::TempDir,
    store: ObjectStore,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = ObjectStore::new(dir.path().join("cache"));
        Self { dir, store }
    }

    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path().join("cache")).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn path(&self, key: &ObjectKey) -> PathBuf {
        self.dir.path().join("cache").join(format!("{}.tar.zst", key.id()))
    }

    async fn store(&self, key: &ObjectKey, text: &str) {
        self.store.writer(key).await.unwrap().store(tar_of(text), None).await.unwrap();
    }

    /// What lies under `key`, as it comes out of it.
    async fn text(&self, key: &ObjectKey) -> Option<String> {
        let archive = self.store.open(key).await.unwrap()?;
        let out = tempfile::tempdir().unwrap();
        unpack(archive.into_stream(), out.path(), &UnpackOptions::default()).await.unwrap();
        Some(fs::read_to_string(out.path().join("deps/file")).unwrap())
    }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("/project", name, name)
}

fn archive_of(text: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, "deps/file", text.as_bytes()).unwrap();
    archive.into_inner().unwrap()
}

fn tar_of(text: &str) -> TarStream {
    stream::iter([Ok(Bytes::from(archive_of(text)))]).boxed()
}

#[tokio::test]
async fn what_did_not_change_is_not_stored_again_and_what_did_is() {
    use std::os::unix::fs::MetadataExt;
    let bench = Bench::new();
    let store = async |text: &str| {
        let written = bench.store.writer(&key("a")).await.unwrap().store(tar_of(text), None).await.unwrap();
        (written.unchanged, fs::metadata(bench.path(&key("a"))).unwrap().ino())
    };
    let (first, object) = store("one").await;
    assert!(!first);
    let long_ago = SystemTime::now() - Duration::from_secs(9_000);
    fs::File::options().write(true).open(bench.path(&key("a"))).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(store("one").await, (true, object), "the file is the same one");
    assert!(bench.store.list().unwrap()[0].used > long_ago + Duration::from_secs(8_000), "it counts as used");
    assert_eq!(bench.files().len(), 1, "nothing else is left");
    let (second, replaced) = store("two").await;
    assert!(!second && replaced != object);
    assert_eq!(bench.text(&key("a")).await.as_deref(), Some("two"));
    let mut bytes = fs::read(bench.path(&key("a"))).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(bench.path(&key("a")), bytes).unwrap();
    assert!(!store("two").await.0, "what is damaged is replaced");
    assert_eq!(bench.text(&key("a")).await.as_deref(), Some("two"));
}

#[tokio::test]
async fn what_is_stored_under_a_key_comes_out_again_and_nothing_else_does() {
    let bench = Bench::new();
    assert_eq!(bench.text(&key("a")).await, None);
    bench.store(&key("a"), "one").await;
    bench.store(&ObjectKey::new("/other", "a", "a"), "another project's").await;
    bench.store(&key("../../b/\n"), "strange").await;
    assert_eq!(bench.text(&key("a")).await.as_deref(), Some("one"));
    assert_eq!(bench.text(&key("../../b/\n")).await.as_deref(), Some("strange"));
    bench.store(&key("a"), "two").await;
    assert_eq!(bench.text(&key("a")).await.as_deref(), Some("two"));
    assert_eq!(bench.files().len(), 3, "names are hashes, and no draft or lock is left");
}

#[tokio::test]
async fn a_stored_archive_is_one_that_other_programs_read() {
    let bench = Bench::new();
    bench.store(&key("a"), "one").await;
    let packed = fs::read(bench.path(&key("a"))).unwrap();
    let tar = zstd::decode_all(&*packed).unwrap();
    assert_eq!(tar, archive_of("one"));
}

#[tokio::test]
async fn a_reader_goes_on_while_the_object_is_replaced_and_removed() {
    let bench = Bench::new();
    bench.store(&key("a"), "old").await;
    let open = bench.store.open(&key("a")).await.unwrap().unwrap();
    bench.store(&key("a"), "new").await;
    assert!(bench.store.remove(key("a").id()).unwrap());
    assert!(!bench.store.remove(key("a").id()).unwrap());
    let out = bench.dir.path().join("out");
    open.unpack(&out, &UnpackOptions::default()).unwrap();
    assert_eq!(fs::read_to_string(out.join("deps/file")).unwrap(), "old");
}

#[tokio::test]
async fn one_writer_waits_for_another_and_readers_for_none() {
    let bench = Bench::new();
    bench.store(&key("a"), "old").await;
    let first = bench.store.writer(&key("a")).await.unwrap();
    let key = key("a");
    let waiting = tokio::time::timeout(Duration::from_millis(200), bench.store.writer(&key));
    assert!(waiting.await.is_err(), "there is one writer at a time");
    assert_eq!(bench.text(&key).await.as_deref(), Some("old"));
    let (second, ()) = tokio::join!(bench.store.writer(&key), async {
        first.store(tar_of("first"), None).await.unwrap();
    });
    second.unwrap().store(tar_of("second"), None).await.unwrap();
    assert_eq!(bench.text(&key).await.as_deref(), Some("second"));
    assert_eq!(bench.files().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_leave_one_whole_object() {
    let bench = Bench::new();
    let texts: Vec<String> = (0..12).map(|n| n.to_string().repeat(100_000)).collect();
    let stores = texts.iter().map(|text| async {
        let (key, store, text) = (key("a"), bench.store.clone(), text.clone());
        tokio::spawn(
            async move { store.writer(&key).await.unwrap().store(tar_of(&text), None).await.unwrap() },
        )
        .await
        .unwrap()
    });
    futures_util::future::join_all(stores).await;
    let found = bench.text(&key("a")).await.unwrap();
    assert!(texts.contains(&found));
    assert_eq!(bench.files().len(), 1);
}

#[tokio::test]
async fn an_archive_that_breaks_off_changes_nothing() {
    let bench = Bench::new();
    bench.store(&key("a"), "whole").await;
    let whole = Bytes::from(archive_of("torn"));
    let failing = vec![Ok(whole.slice(..700)), Err(io::Error::other("the engine went away"))];
    for pieces in [failing, vec![Ok(whole.slice(..700))], vec![Ok(whole.slice(..1024))], vec![]] {
        let writer = bench.store.writer(&key("a")).await.unwrap();
        let error = writer.store(stream::iter(pieces).boxed(), None).await.unwrap_err();
        assert!(matches!(error, Error::Stream { .. }), "{error}");
        assert_eq!(bench.text(&key("a")).await.as_deref(), Some("whole"));
        assert_eq!(bench.files().len(), 1);
    }
}

#[tokio::test]
async fn a_store_that_is_given_up_gives_its_lock_back_and_leaves_nothing() {
    let bench = Bench::new();
    let endless =
        stream::iter([Ok(Bytes::from(archive_of("x")).slice(..600))]).chain(stream::pending()).boxed();
    let storing = bench.store.writer(&key("a")).await.unwrap().store(endless, None);
    assert!(tokio::time::timeout(Duration::from_millis(100), storing).await.is_err());
    let writer = tokio::time::timeout(Duration::from_secs(10), bench.store.writer(&key("a"))).await;
    drop(writer.expect("the lock is free").unwrap());
    assert_eq!(bench.files(), [""; 0]);
}

#[tokio::test]
async fn a_damaged_object_is_an_error_that_says_so_and_the_next_store_mends_it() {
    let bench = Bench::new();
    bench.store(&key("a"), &"x".repeat(10_000)).await;
    let path = bench.path(&key("a"));
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&whole[..whole.len() - 1], &flipped, &whole[..20], b"", b"rubbish that is no archive"] {
        fs::write(&path, damaged).unwrap();
        let error = bench.store.open(&key("a")).await.unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("damaged"), "{error}");
    }
    bench.store(&key("a"), "new").await;
    assert_eq!(bench.text(&key("a")).await.as_deref(), Some("new"));
}

#[tokio::test]
async fn globs_without_a_file_are_told_and_keep_an_archive_that_must_be_complete_from_being_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("artifacts/job.tar.zst");
    let globs = Globs::new(&["deps", "./deps/f*", "missing", "deps/file/"]).unwrap();
    for complete in [true, false] {
        let writer = ArchiveWriter::open(&path).await.unwrap();
        let written =
            writer.write(Label::new("job", ""), tar_of("x"), Some(globs.clone()), complete).await.unwrap();
        assert_eq!(written.unmatched, ["missing"]);
        assert_eq!(path.exists(), !complete);
    }
    let archive = Archive::open(&path).unwrap().unwrap();
    assert_eq!(
        (archive.label.name.as_str(), archive.contents.members, archive.contents.bytes),
        ("job", 1, 1)
    );
}

#[tokio::test]
async fn objects_are_listed_with_their_sizes_and_pruned_by_use_and_by_size() {
    let bench = Bench::new();
    for name in ["a", "b", "c"] {
        bench.store(&key(name), "0123456789").await;
    }
    fs::write(bench.path(&key("broken")), "rubbish").unwrap();
    fs::write(bench.dir.path().join("cache/dead.tar.zst.partial"), "half").unwrap();
    let listed = bench.store.list().unwrap();
    let known: Vec<_> = listed.iter().filter_map(|object| object.known.clone()).collect();
    assert_eq!(known.iter().map(|(label, _)| &*label.name).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(known.iter().all(|(_, contents)| (contents.members, contents.bytes) == (1, 10)));
    assert_eq!(listed.len(), 4);

    let alive = bench.store.writer(&key("alive")).await.unwrap();
    let first = bench.store.prune(&PrunePolicy::default()).unwrap();
    assert_eq!((first.objects.len(), first.drafts), (1, 1), "only what is of no use to anybody");
    assert!(bench.files().iter().any(|name| name.starts_with(key("alive").id())), "a writer's draft stays");
    drop(alive);

    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    for name in ["a", "b"] {
        let file = fs::File::options().write(true).open(bench.path(&key(name))).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(long_ago)).unwrap();
    }
    assert!(bench.text(&key("b")).await.is_some(), "taking it is using it");
    let old = PrunePolicy { unused_for: Some(Duration::from_secs(1800)), total: None };
    let gone = bench.store.prune(&old).unwrap();
    assert_eq!(gone.objects.iter().map(|object| &*object.id).collect::<Vec<_>>(), [key("a").id()]);

    let one = PrunePolicy { unused_for: None, total: Some(listed[1].size) };
    assert_eq!(bench.store.prune(&one).unwrap().objects.len(), 1);
    assert!(bench.text(&key("b")).await.is_some(), "the last one used is kept");
    assert_eq!(bench.text(&key("c")).await, None);
}

/// Where the program that is killed writes to.
const TARGET: &str = "JOBWRIGHT_TEST_ARCHIVE";

/// Not a test of its own: the program that [`a_writer_that_is_killed_leaves_what_was_there_and_its_lock_free`] kills.
#[test]
#[ignore = "is run by another test"]
fn write_without_end() {
    let target = PathBuf::from(std::env::var_os(TARGET).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let writer = runtime.block_on(ArchiveWriter::open(&target)).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(1 << 40);
    header.set_path("endless").unwrap();
    header.set_cksum();
    let source = io::Read::chain(&header.as_bytes()[..], Noise(1));
    let _ = writer.write_from(Label::default(), source, None, false);
}

/// Bytes that do not get smaller.
struct Noise(u64);

impl io::Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
        Ok(buffer.len())
    }
}

#[tokio::test]
async fn a_writer_that_is_killed_leaves_what_was_there_and_its_lock_free() {
    let bench = Bench::new();
    bench.store(&key("a"), "before").await;
    let (target, draft) = (bench.path(&key("a")), bench.path(&key("a")).with_extension("zst.partial"));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "write_without_end"])
        .env(TARGET, &target)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while fs::metadata(&draft).map_or(0, |data| data.len()) < 4 << 20 {
        assert!(child.try_wait().unwrap().is_none(), "it writes without end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(draft.exists());
    assert_eq!(bench.text(&key("a")).await.as_deref(), Some("before"));
    bench.store(&key("a"), "after").await;
    assert_eq!(bench.text(&key("a")).await.as_deref(), Some("after"));
    assert_eq!(bench.files().len(), 1, "the dead writer's draft became the next object");
}

/// The most memory that this process ever had resident, in bytes, counted anew from `begin` on.
fn peak(begin: bool) -> u64 {
    if begin {
        fs::write("/proc/self/clear_refs", "5").unwrap();
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10
}

/// Is run in a process of its own by [`two_hundred_mebibytes_go_in_and_out_in_little_memory`].
#[test]
#[ignore = "is run by another test"]
fn measure_a_large_archive() {
    let dir = tempfile::tempdir_in(std::env::var_os(TARGET).unwrap()).unwrap();
    let files = dir.path().join("files");
    fs::create_dir(&files).unwrap();
    let mut file = fs::File::create(files.join("large")).unwrap();
    io::copy(&mut io::Read::take(Noise(7), 200 << 20), &mut file).unwrap();
    file.flush().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (store, key) = (ObjectStore::new(dir.path().join("cache")), key("a"));
        let before = peak(true);
        let globs = Globs::new(&["large"]).unwrap();
        let tar = pack(&files, &Selection::Globs(globs), &PackOptions::default()).await.unwrap();
        let written = store.writer(&key).await.unwrap().store(tar, None).await.unwrap();
        assert!(written.contents.packed > 190 << 20, "noise does not get smaller");
        let out = dir.path().join("out");
        let archive = store.open(&key).await.unwrap().unwrap();
        unpack(archive.into_stream(), &out, &UnpackOptions::default()).await.unwrap();
        assert_eq!(fs::metadata(out.join("large")).unwrap().len(), 200 << 20);
        println!("grew by {} bytes", peak(false) - before);
    });
}

#[test]
fn two_hundred_mebibytes_go_in_and_out_in_little_memory() {
    let scratch = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "measure_a_large_archive"])
        .env(TARGET, scratch.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let (_, grew) = text.split_once("grew by ").unwrap();
    let grew: u64 = grew.split(' ').next().unwrap().parse().unwrap();
    assert!(grew < 24 << 20, "it took {grew} bytes of memory");
}

#[test]
fn a_full_disk_is_told_as_that_and_the_old_object_stays() {
    let disk = tempfile::tempdir().unwrap();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(disk.path()).output();
    if !mount.is_ok_and(|output| output.status.success()) {
        return eprintln!("skipped: cannot mount a small file system (needs root)");
    }
    let folder = disk.path().to_owned();
    let checked = std::thread::spawn(move || store_too_much(&folder)).join();
    assert!(Command::new("umount").arg(disk.path()).status().unwrap().success());
    checked.unwrap();
}

fn store_too_much(folder: &Path) {
    let target = folder.join("object");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let writer = || runtime.block_on(ArchiveWriter::open(&target)).unwrap();
    writer().write_from(Label::default(), &archive_of("small")[..], None, false).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(8 << 20);
    header.set_path("large").unwrap();
    header.set_cksum();
    let source = io::Read::chain(&header.as_bytes()[..], Noise(3));
    let error = writer().write_from(Label::default(), source, None, false).unwrap_err();
    assert!(matches!(error, Error::DiskFull { .. }), "{error}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "no draft is left");
    assert_eq!(Archive::open(&target).unwrap().unwrap().contents.bytes, 5);
}
