//! Trees into tar streams and back, with honest archives: our own and those of tar and git.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use common::{facts, is_root, mkfifo, rich_tree, set_mtime};
use futures_util::StreamExt;
use jobwright_workspace::{
    Error, Globs, Owner, PackOptions, Selection, TarStream, TreeOptions, UnpackOptions, pack, pack_into,
    pack_with_report, unpack, unpack_from,
};

fn whole() -> Selection {
    Selection::Tree(TreeOptions::default())
}

fn globs(globs: &[&str]) -> Selection {
    Selection::Globs(Globs::new(globs).unwrap())
}

fn packed(dir: &Path, selection: &Selection) -> Vec<u8> {
    let mut archive = Vec::new();
    pack_into(dir, selection, &PackOptions::default(), &mut archive).unwrap();
    archive
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
}

/// As a stream of chunks of `size` bytes.
fn stream(archive: &[u8], size: usize) -> TarStream {
    let chunks: Vec<_> = archive.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    Box::pin(futures_util::stream::iter(chunks))
}

// covers: local-ci 121
#[tokio::test]
async fn a_tree_survives_a_tar_stream_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (source, dest) = (dir.path().join("source"), dir.path().join("dest"));
    fs::create_dir(&source).unwrap();
    rich_tree(&source);
    let (stream, report) = pack_with_report(&source, &whole(), &PackOptions::default()).await.unwrap();
    let unpacked = unpack(stream, &dest, &UnpackOptions::default()).await.unwrap();
    assert_eq!(facts(&dest), facts(&source));
    assert_eq!((unpacked.files, unpacked.hard_links, unpacked.symlinks, unpacked.directories), (6, 2, 4, 5));
    let report = report.await.unwrap();
    assert_eq!((report.members, report.bytes), (17, unpacked.bytes));
}

#[test]
fn gnu_tar_reads_our_archives() {
    let dir = tempfile::tempdir().unwrap();
    let (source, dest) = (dir.path().join("source"), dir.path().join("dest"));
    fs::create_dir(&source).unwrap();
    fs::create_dir(&dest).unwrap();
    rich_tree(&source);
    let archive = dir.path().join("a.tar");
    fs::write(&archive, packed(&source, &whole())).unwrap();
    let output =
        Command::new("tar").args(["-x", "-p", "-f"]).arg(&archive).arg("-C").arg(&dest).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    let about_1969 = |line: &str| line.contains("implausibly old time stamp");
    assert!(output.status.success() && complaints.trim().lines().all(about_1969), "{complaints}");
    assert_eq!(facts(&dest), facts(&source));
}

#[test]
fn archives_of_gnu_tar_are_unpacked_in_each_of_its_formats() {
    for format in ["gnu", "pax", "oldgnu"] {
        let dir = tempfile::tempdir().unwrap();
        let (source, dest) = (dir.path().join("source"), dir.path().join("dest"));
        fs::create_dir(&source).unwrap();
        rich_tree(&source);
        if format == "pax" {
            // The parser takes a line break in a PAX record for the record's end; see the test below.
            fs::remove_file(source.join(OsStr::from_bytes(b"not-\xff-utf8\n"))).unwrap();
        }
        let mut expected = facts(&source);
        if format != "pax" {
            expected.values_mut().for_each(|facts| facts.mtime.1 = 0);
        }
        let tar = Command::new("tar")
            .args(["-c", "-S", "--format", format, "-C"])
            .arg(&source)
            .arg(".")
            .output()
            .unwrap();
        unpack_from(&*tar.stdout, &dest, &UnpackOptions::default()).unwrap();
        let mut got = facts(&dest);
        if format != "pax" {
            got.values_mut().for_each(|facts| facts.mtime.1 = 0);
        }
        assert_eq!(got, expected, "{format}");
    }
}

#[test]
fn a_line_break_in_a_pax_record_is_an_error_and_not_another_name() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("long\n12 path=evil\n".to_owned() + &"n".repeat(120)), "").unwrap();
    let tar =
        Command::new("tar").args(["-c", "--format=pax", "-C"]).arg(dir.path()).arg(".").output().unwrap();
    let dest = tempfile::tempdir().unwrap();
    let error = unpack_from(&*tar.stdout, dest.path(), &UnpackOptions::default()).unwrap_err();
    assert!(matches!(error, Error::CorruptArchive { .. }), "{error}");
    assert!(facts(dest.path()).is_empty());
}

#[test]
fn archives_of_git_are_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@b"];
        Command::new("git").current_dir(dir.path()).args(identity).args(arguments).output().unwrap().stdout
    };
    fs::write(dir.path().join("x"), "x").unwrap();
    run(&["init", "-q"]);
    run(&["add", "x"]);
    run(&["commit", "-qm", "x"]);
    let dest = dir.path().join("dest");
    unpack_from(&*run(&["archive", "HEAD"]), &dest, &UnpackOptions::default()).unwrap();
    assert_eq!(fs::read(dest.join("x")).unwrap(), b"x");
}

#[test]
fn sparse_members_are_unpacked_as_plain_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = fs::File::create(dir.path().join("sparse")).unwrap();
    file.set_len(1 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"middle", 1 << 19).unwrap();
    let tar = Command::new("tar")
        .args(["-c", "-S", "--format=gnu", "-C"])
        .arg(dir.path())
        .arg("sparse")
        .output()
        .unwrap();
    let dest = dir.path().join("dest");
    unpack_from(&*tar.stdout, &dest, &UnpackOptions::default()).unwrap();
    assert!(fs::read(dest.join("sparse")).unwrap() == fs::read(dir.path().join("sparse")).unwrap());
}

#[tokio::test]
async fn chunks_may_be_cut_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), vec![b'x'; 3000]).unwrap();
    let archive = packed(dir.path(), &whole());
    for size in [1, 511, 513, 1 << 20] {
        let dest = tempfile::tempdir().unwrap();
        unpack(stream(&archive, size), dest.path(), &UnpackOptions::default()).await.unwrap();
        assert_eq!(facts(dest.path()), facts(dir.path()));
    }
}

#[test]
fn ignore_rules_hold_for_a_tree_but_not_for_globs() {
    let dir = tempfile::tempdir().unwrap();
    for path in ["target/app", "target/deep/lib.so", "src/main", "src/.hidden"] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    fs::write(dir.path().join(".gitignore"), "target\n").unwrap();
    assert_eq!(names(&packed(dir.path(), &whole())), [".gitignore", "src/", "src/.hidden", "src/main"]);
    let selected = |patterns: &[&str]| names(&packed(dir.path(), &globs(patterns)));
    assert_eq!(selected(&["target/app"]), ["target/app"]);
    assert_eq!(selected(&["./target/"]), ["target/", "target/app", "target/deep/", "target/deep/lib.so"]);
    assert_eq!(selected(&["**/*.so", "src/*"]), ["src/.hidden", "src/main", "target/deep/lib.so"]);
    assert_eq!(selected(&["*/app"]), ["target/app"]);
    assert_eq!(selected(&["."]).len(), 8);
    let most = Globs::new(&["target"]).unwrap().except(&["**/*.so"]).unwrap();
    assert_eq!(
        names(&packed(dir.path(), &Selection::Globs(most))),
        ["target/", "target/app", "target/deep/"]
    );
}

// covers: local-ci 120
#[tokio::test]
async fn globs_that_match_nothing_are_named() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "").unwrap();
    let selection = globs(&["x", "missing/*.xml", "other"]);
    let Err(error) = pack(dir.path(), &selection, &PackOptions::default()).await else {
        panic!("it was packed")
    };
    assert!(
        matches!(&error, Error::NothingMatched { globs, .. } if globs == &["missing/*.xml", "other"]),
        "{error}"
    );
    let lenient = PackOptions { allow_unmatched: true, ..PackOptions::default() };
    assert!(pack(dir.path(), &selection, &lenient).await.is_ok());
}

#[test]
fn globs_that_lead_outside_or_are_malformed_are_refused() {
    for glob in ["", "/etc/passwd", "../x", "a/../../x", "a[", "{a"] {
        let error = Globs::new(&[glob]).unwrap_err();
        assert!(matches!(error, Error::BadGlob { .. }), "{glob:?}: {error}");
    }
}

#[test]
fn a_symlink_does_not_make_a_glob_reach_outside() {
    let dir = tempfile::tempdir().unwrap();
    symlink("/etc", dir.path().join("out")).unwrap();
    let error =
        pack_into(dir.path(), &globs(&["out/passwd"]), &PackOptions::default(), Vec::new()).unwrap_err();
    assert!(matches!(error, Error::NothingMatched { .. }), "{error}");
    assert_eq!(names(&packed(dir.path(), &globs(&["out"]))), ["out"]);
}

#[test]
fn members_can_be_given_an_owner() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "").unwrap();
    let options =
        PackOptions { owner: Some(Owner { uid: 3_000_000_000, gid: 12 }), ..PackOptions::default() };
    let mut bytes = Vec::new();
    pack_into(dir.path(), &whole(), &options, &mut bytes).unwrap();
    let mut archive = tar::Archive::new(&*bytes);
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (3_000_000_000, 12));
}

#[test]
fn what_is_unpacked_can_be_given_to_a_user_and_loses_set_user_id_bits() {
    if !is_root() {
        return eprintln!("skipped: only root can give files away");
    }
    let dir = tempfile::tempdir().unwrap();
    let (source, dest) = (dir.path().join("source"), dir.path().join("dest"));
    fs::create_dir(&source).unwrap();
    rich_tree(&source);
    fs::set_permissions(source.join("nothing"), fs::Permissions::from_mode(0o6711)).unwrap();
    let archive = packed(&source, &whole());
    let owner = Some(Owner { uid: 65534, gid: 65533 });
    unpack_from(&*archive, &dest, &UnpackOptions { owner, ..UnpackOptions::default() }).unwrap();
    assert!(facts(&dest).values().all(|facts| facts.owner == (65534, 65533)));
    assert_eq!(fs::metadata(dest.join("nothing")).unwrap().mode() & 0o7777, 0o711);
    let kept = dir.path().join("kept");
    unpack_from(&*archive, &kept, &UnpackOptions { keep_set_ids: true, ..UnpackOptions::default() }).unwrap();
    assert_eq!(fs::metadata(kept.join("nothing")).unwrap().mode() & 0o7777, 0o6711);
}

#[test]
fn unpacking_replaces_files_and_adds_to_directories() {
    let dir = tempfile::tempdir().unwrap();
    let (source, dest) = (dir.path().join("source"), dir.path().join("dest"));
    fs::create_dir_all(source.join("d")).unwrap();
    fs::create_dir_all(dest.join("d")).unwrap();
    fs::write(source.join("d/new"), "new").unwrap();
    fs::write(source.join("file"), "new").unwrap();
    set_mtime(&source.join("d"), (7, 0));
    fs::write(dest.join("d/old"), "old").unwrap();
    fs::write(dest.join("file"), "old").unwrap();
    fs::hard_link(dest.join("file"), dest.join("other-name")).unwrap();
    unpack_from(&*packed(&source, &whole()), &dest, &UnpackOptions::default()).unwrap();
    assert_eq!(fs::read_to_string(dest.join("file")).unwrap(), "new");
    // The file was replaced and not written into.
    assert_eq!(fs::read_to_string(dest.join("other-name")).unwrap(), "old");
    assert!(dest.join("d/old").exists() && dest.join("d/new").exists());
    assert_eq!(fs::metadata(dest.join("d")).unwrap().mtime(), 7);
}

#[test]
fn a_directory_is_not_replaced_by_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (source, dest) = (dir.path().join("source"), dir.path().join("dest"));
    fs::create_dir(&source).unwrap();
    fs::create_dir_all(dest.join("x/y")).unwrap();
    fs::write(source.join("x"), "").unwrap();
    let error = unpack_from(&*packed(&source, &whole()), &dest, &UnpackOptions::default()).unwrap_err();
    assert!(matches!(&error, Error::InTheWay { path } if path == &dest.join("x")), "{error}");
}

#[tokio::test]
async fn packing_ends_when_its_reader_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let large = fs::File::create(dir.path().join("large")).unwrap();
    large.set_len(1 << 40).unwrap();
    let (mut stream, report) = pack_with_report(dir.path(), &whole(), &PackOptions::default()).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    // The thread drops the report's sender when it ends; were it to read the whole file, that would take an hour.
    let ended = tokio::time::timeout(Duration::from_secs(20), report).await.unwrap();
    assert!(ended.is_err());
}

#[test]
fn fifos_are_left_out_and_reported() {
    let dir = tempfile::tempdir().unwrap();
    mkfifo(&dir.path().join("fifo"));
    let report = pack_into(dir.path(), &whole(), &PackOptions::default(), Vec::new()).unwrap();
    assert_eq!((report.members, report.skipped.len()), (0, 1));
}

#[tokio::test]
async fn an_error_of_the_sender_is_told_as_such_and_a_silent_one_does_not_hide_a_bad_archive() {
    let dest = tempfile::tempdir().unwrap();
    let error = Err(std::io::Error::other("the engine went away"));
    let failing: TarStream = Box::pin(futures_util::stream::iter([Ok(Bytes::from_static(&[1; 100])), error]));
    let error = unpack(failing, dest.path(), &UnpackOptions::default()).await.unwrap_err();
    assert!(
        matches!(&error, Error::Stream { source, .. } if source.to_string().contains("went away")),
        "{error}"
    );

    let garbage = futures_util::stream::iter([Ok(Bytes::from_static(&[b'g'; 4096]))]);
    let silent: TarStream = Box::pin(garbage.chain(futures_util::stream::pending()));
    let options = UnpackOptions::default();
    let unpacking = unpack(silent, dest.path(), &options);
    let error = tokio::time::timeout(Duration::from_secs(20), unpacking).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::CorruptArchive { .. }), "{error}");
}

#[test]
fn an_archive_cut_anywhere_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), vec![0; 1024]).unwrap();
    fs::write(dir.path().join("b"), "b").unwrap();
    let archive = packed(dir.path(), &whole());
    let end = archive.len() - 1024;
    // Of the two blocks of zeros at the end one is enough.
    for cut in (0..end).step_by(128).chain([end + 100]) {
        let dest = tempfile::tempdir().unwrap();
        let error = unpack_from(&archive[..cut], dest.path(), &UnpackOptions::default()).unwrap_err();
        assert!(matches!(error, Error::CorruptArchive { .. }), "cut at {cut}: {error}");
        for (_, facts) in facts(dest.path()) {
            assert!(matches!(facts.contents.len(), 1024 | 1), "a part of a file was left, cut at {cut}");
        }
    }
    let dest = tempfile::tempdir().unwrap();
    unpack_from(&archive[..end + 512], dest.path(), &UnpackOptions::default()).unwrap();
}

#[tokio::test]
async fn unpacking_stops_and_takes_back_the_unfinished_file_when_its_future_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    fs::write(dir.path().join("b"), vec![1; 1 << 20]).unwrap();
    let archive = packed(dir.path(), &whole());
    let first_half = Bytes::copy_from_slice(&archive[..archive.len() / 2]);
    let silent = futures_util::stream::iter([Ok(first_half)]).chain(futures_util::stream::pending());
    let (dest, options) = (dir.path().join("dest"), UnpackOptions::default());
    let begun = async {
        // Until the second file is begun, and then no longer.
        while !dest.join("b").exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        answer = unpack(Box::pin(silent), &dest, &options) => panic!("it ended: {answer:?}"),
        () = begun => {}
    }
    let gone = async {
        while dest.join("b").exists() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.unwrap();
    assert_eq!(fs::read(dest.join("a")).unwrap(), b"a");
}
