//! Archives made to write where they must not. Nothing outside the destination may change, whatever they hold.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use common::{facts, mkfifo};
use jobwright_workspace::{Error, Limit, Limits, UnpackOptions, unpack_from};
use proptest::prelude::*;
use tar::EntryType;

/// One entry of an archive, with whatever names it pleases.
#[derive(Debug, Clone)]
struct Member {
    kind: EntryType,
    name: Vec<u8>,
    link: Vec<u8>,
    data: Vec<u8>,
    mode: u32,
}

fn member(kind: EntryType, name: &str, link: &str) -> Member {
    let data = if kind == EntryType::Regular { b"evil".to_vec() } else { Vec::new() };
    Member { kind, name: name.into(), link: link.into(), data, mode: 0o644 }
}

fn file(name: &str) -> Member {
    member(EntryType::Regular, name, "")
}

fn archive(members: &[Member]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for member in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(member.kind);
        header.set_mode(member.mode);
        header.set_mtime(1);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(member.data.len() as u64);
        let old = header.as_old_mut();
        old.name[..member.name.len()].copy_from_slice(&member.name);
        old.linkname[..member.link.len()].copy_from_slice(&member.link);
        header.set_cksum();
        builder.append(&header, &*member.data).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A directory with a destination in it, and things beside it that must stay as they are.
struct Scene {
    dir: tempfile::TempDir,
    dest: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (dest, outside) = (dir.path().join("dest"), dir.path().join("outside"));
        fs::create_dir_all(outside.join("sub")).unwrap();
        fs::create_dir(&dest).unwrap();
        fs::write(outside.join("victim"), "innocent").unwrap();
        fs::set_permissions(outside.join("victim"), fs::Permissions::from_mode(0o600)).unwrap();
        // What a job may have prepared for the next one's archive.
        symlink("../outside", dest.join("trap")).unwrap();
        symlink("../outside/victim", dest.join("trap-file")).unwrap();
        symlink(&outside, dest.join("absolute-trap")).unwrap();
        mkfifo(&dest.join("fifo"));
        Self { dir, dest }
    }

    fn outside(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        let all = facts(&self.dir.path().join("outside"));
        let beside: Vec<_> =
            fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let time = fs::metadata(self.dir.path().join("outside")).unwrap().modified().unwrap();
        (all, beside.len(), time)
    }

    /// Unpacks and makes sure that nothing outside was touched.
    fn unpack(&self, members: &[Member]) -> Result<jobwright_workspace::UnpackReport, Error> {
        let before = self.outside();
        let answer = unpack_from(&*archive(members), &self.dest, &UnpackOptions::default());
        assert_eq!(self.outside(), before, "touched by {members:?}");
        answer
    }
}

#[test]
fn paths_that_lead_outside_are_refused() {
    for name in [
        "/etc/x",
        "../x",
        "a/../../x",
        "..",
        "./../x",
        "trap/x",
        "trap/victim",
        "absolute-trap/victim",
        "trap/new/x",
        "trap/sub/x",
        "absolute-trap/sub/x",
    ] {
        let error = Scene::new().unpack(&[file(name)]).unwrap_err();
        assert!(matches!(error, Error::UnsafeEntry { .. }), "{name}: {error}");
    }
}

#[test]
fn a_file_in_place_of_a_symlink_replaces_it_and_does_not_write_through_it() {
    let scene = Scene::new();
    scene.unpack(&[file("trap-file"), file("fifo")]).unwrap();
    assert!(scene.dest.join("trap-file").symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read(scene.dest.join("fifo")).unwrap(), b"evil");
}

#[test]
fn a_symlink_of_the_archive_is_not_followed_by_its_later_entries() {
    for (kind, link) in [(EntryType::Symlink, "../outside"), (EntryType::Symlink, "/etc")] {
        let error = Scene::new().unpack(&[member(kind, "new-trap", link), file("new-trap/x")]).unwrap_err();
        assert!(matches!(error, Error::UnsafeEntry { .. }), "{error}");
    }
}

#[test]
fn a_directory_entry_over_a_symlink_makes_a_real_directory() {
    let scene = Scene::new();
    let directory = Member { mode: 0o700, ..member(EntryType::Directory, "trap/", "") };
    scene.unpack(&[directory, file("trap/x")]).unwrap();
    assert!(scene.dest.join("trap").symlink_metadata().unwrap().is_dir());
}

#[test]
fn hard_links_reach_only_regular_files_in_the_destination() {
    for target in
        ["../outside/victim", "/etc/passwd", "trap/victim", "trap-file", "fifo", "missing", "trap", ".", ""]
    {
        let error =
            Scene::new().unpack(&[member(EntryType::Link, "link", target), file("link")]).unwrap_err();
        assert!(matches!(error, Error::UnsafeEntry { .. }), "{target}: {error}");
    }
}

#[test]
fn devices_and_fifos_are_refused() {
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo, EntryType::new(b'Z')] {
        let scene = Scene::new();
        let error = scene.unpack(&[member(kind, "thing", "")]).unwrap_err();
        assert!(matches!(error, Error::UnsafeEntry { .. }), "{error}");
        assert!(!scene.dest.join("thing").exists());
    }
}

#[test]
fn limits_are_kept_and_named() {
    let limits = Limits { entries: 5, total_bytes: 10, file_bytes: 6, path_bytes: 20 };
    let of_size = |name: &str, size: usize| Member { data: vec![b'x'; size], ..file(name) };
    let cases = [
        (vec![of_size("a", 7)], Limit::FileBytes),
        (vec![of_size("a", 6), of_size("b", 5)], Limit::TotalBytes),
        (vec![Member { data: vec![0; 11], ..member(EntryType::Symlink, "s", "t") }], Limit::FileBytes),
        (["a", "b", "c", "d", "e", "f"].map(|name| of_size(name, 0)).to_vec(), Limit::Entries),
        (vec![of_size("a/b/c/d/e/f", 0), of_size("g", 0)], Limit::Entries),
        (vec![of_size("twenty-one-characters", 0)], Limit::PathBytes),
    ];
    for (members, expected) in cases {
        let scene = Scene::new();
        let options = UnpackOptions { limits, ..UnpackOptions::default() };
        let error = unpack_from(&*archive(&members), &scene.dest, &options).unwrap_err();
        assert!(
            matches!(error, Error::LimitExceeded { limit, .. } if limit == expected),
            "{expected}: {error}"
        );
    }
}

#[test]
fn headers_without_end_do_not_fill_the_memory() {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let endless = std::io::Read::chain(&header.as_bytes()[..], std::io::repeat(b'n'));
    let scene = Scene::new();
    let error = unpack_from(endless, &scene.dest, &UnpackOptions::default()).unwrap_err();
    assert!(matches!(error, Error::LimitExceeded { limit: Limit::HeaderBytes, .. }), "{error}");
}

#[test]
fn a_size_that_overflows_is_an_error() {
    for size in [u64::MAX, u64::MAX - 511, 1 << 63] {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[0] = b'x';
        header.set_size(size);
        header.set_mode(0);
        header.set_mtime(0);
        header.set_cksum();
        let scene = Scene::new();
        let error = unpack_from(&header.as_bytes()[..], &scene.dest, &UnpackOptions::default()).unwrap_err();
        assert!(matches!(error, Error::CorruptArchive { .. } | Error::LimitExceeded { .. }), "{error}");
    }
}

#[test]
fn names_with_nul_bytes_or_parts_too_long_for_the_system_are_one_error() {
    let long = format!("{}/x", "n".repeat(300));
    for (key, value) in [("path", &b"a\0b"[..]), ("path", long.as_bytes())] {
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_pax_extensions([(key, value)]).unwrap();
        let mut bytes = builder.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024);
        bytes.extend(archive(&[file("x")]));
        let scene = Scene::new();
        let error = unpack_from(&*bytes, &scene.dest, &UnpackOptions::default()).unwrap_err();
        assert!(matches!(error, Error::UnsafeEntry { .. } | Error::Unwritable { .. }), "{error}");
    }
}

#[test]
fn directories_that_close_themselves_do_not_stop_what_follows() {
    let scene = Scene::new();
    let closed = |name| Member { mode: 0, ..member(EntryType::Directory, name, "") };
    scene.unpack(&[closed("a/b"), closed("a"), file("a/b/c"), closed("a/b")]).unwrap();
    assert_eq!(fs::metadata(scene.dest.join("a")).unwrap().permissions().mode() & 0o7777, 0);
}

fn hostile_member() -> impl Strategy<Value = Member> {
    let kinds = vec![
        EntryType::Regular,
        EntryType::Regular,
        EntryType::Symlink,
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::GNUSparse,
    ];
    let part = prop::sample::select(vec![
        "a",
        "b",
        "trap",
        "trap-file",
        "absolute-trap",
        "..",
        ".",
        "outside",
        "sub",
        "victim",
        "dest",
        "",
    ]);
    let path = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/").into_bytes());
    let data = prop_oneof![Just(Vec::new()), Just(b"evil".to_vec()), Just(vec![0; 600])];
    (
        prop::sample::select(kinds),
        path.clone(),
        path,
        data,
        prop::sample::select(vec![0, 0o777, 0o644, 0o6755]),
    )
        .prop_map(|(kind, name, link, data, mode)| Member { kind, name, link, data, mode })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_archive_touches_anything_outside(members in prop::collection::vec(hostile_member(), 1..12)) {
        // One entry after the other too, so that a refused one does not shield what would come after it.
        let _ = Scene::new().unpack(&members);
        let scene = Scene::new();
        for member in &members {
            let _ = scene.unpack(std::slice::from_ref(member));
        }
    }

    #[test]
    fn no_damage_to_an_archive_makes_it_panic_or_reach_outside(
        members in prop::collection::vec(hostile_member(), 1..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = archive(&members);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let scene = Scene::new();
        let before = scene.outside();
        let limits = Limits { file_bytes: 1 << 20, total_bytes: 1 << 20, ..Limits::default() };
        let _ = unpack_from(&*bytes, &scene.dest, &UnpackOptions { limits, ..UnpackOptions::default() });
        prop_assert_eq!(scene.outside(), before);
    }
}
