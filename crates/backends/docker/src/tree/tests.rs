//! Archives without an engine.

use futures_util::{StreamExt, stream};
use tar::Header;

use super::*;

/// A member of an archive: name, kind, what it links to or holds.
type Member<'a> = (&'a str, EntryType, &'a str);

fn archive(members: &[Member<'_>]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, kind, content) in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o640);
        header.set_mtime(1_000_000_000);
        let links = matches!(kind, EntryType::Symlink | EntryType::Link);
        if links {
            header.set_link_name(content).unwrap();
        }
        let data = if links { "" } else { content };
        header.set_size(data.len() as u64);
        // Written as bytes: `set_path` refuses the names that these tests are about.
        let old = header.as_gnu_mut().unwrap();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, data.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// What comes through, and the verdict. `piece` is the size of the pieces in which it arrives.
async fn through(bytes: Vec<u8>, piece: usize) -> (Vec<u8>, Result<(), String>) {
    let pieces: Vec<_> = bytes.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let (stream, verdict) = checked(stream::iter(pieces).boxed());
    let stream: Vec<_> = stream.collect().await;
    let passed = stream.into_iter().filter_map(Result::ok).flatten().collect();
    (passed, verdict.await.unwrap())
}

#[tokio::test]
async fn a_sound_archive_comes_through_byte_for_byte_however_it_is_cut() {
    let long = "x".repeat(100_000);
    let bytes = archive(&[
        ("a", EntryType::Directory, ""),
        ("a/f", EntryType::Regular, &long),
        ("a/l", EntryType::Symlink, "../../etc/passwd"),
        ("a/h", EntryType::Link, "a/f"),
    ]);
    for piece in [1, 511, 512, 70_000, usize::MAX] {
        let (passed, verdict) = through(bytes.clone(), piece).await;
        assert_eq!(verdict, Ok(()));
        assert!(passed == bytes, "{piece}");
    }
}

#[tokio::test]
async fn nothing_of_an_entry_that_leads_elsewhere_comes_through() {
    for (members, named) in [
        (vec![("../evil", EntryType::Regular, "hidden")], "../evil"),
        (vec![("/etc/evil", EntryType::Regular, "hidden")], "/etc/evil"),
        (vec![("a/../../evil", EntryType::Regular, "hidden")], "a/../../evil"),
        (vec![("l", EntryType::Symlink, "/etc"), ("l/evil", EntryType::Regular, "hidden")], "l/evil"),
        (vec![("h", EntryType::Link, "/etc/passwd")], "\"h\""),
        (vec![("null", EntryType::Char, "")], "device"),
    ] {
        let (passed, verdict) = through(archive(&members), 512).await;
        let reason = verdict.unwrap_err();
        assert!(reason.contains(named), "{reason}");
        assert!(!passed.windows(6).any(|window| window == b"hidden"));
    }
}

#[tokio::test]
async fn a_broken_archive_is_told() {
    let whole = archive(&[("f", EntryType::Regular, &"x".repeat(5000))]);
    for bytes in [whole[..2000].to_vec(), b"this is no archive at all".repeat(50)] {
        let (_, verdict) = through(bytes, 512).await;
        assert!(verdict.unwrap_err().contains("broken"));
    }
    assert_eq!(through(Vec::new(), 512).await.1, Ok(()));
}

fn selection(globs: &[&str]) -> Selection {
    let globs: Vec<_> = globs.iter().map(|glob| Glob::new(glob).unwrap()).collect();
    Selection::new(&globs).unwrap()
}

#[test]
fn only_the_folders_that_can_hold_a_match_are_read() {
    let within = |folder: &str| Part::Within(folder.into());
    let exactly = |path: &str| Part::Exactly(path.into());
    assert_eq!(selection(&["target/release/*.jar"]).parts, [within("target/release")]);
    assert_eq!(selection(&["report.xml", "./a//b"]).parts, [exactly("report.xml"), exactly("a/b")]);
    assert_eq!(selection(&["a/b/*.c", "a/*.h", "a/x"]).parts, [within("a")]);
    assert_eq!(selection(&["**/*.c", "a/x"]).parts, [within("")]);
}

async fn sifted(globs: &[&str], members: &[Member<'_>]) -> (Vec<(String, EntryType, String)>, Vec<PathBuf>) {
    let (selection, bytes) = (selection(globs), archive(members));
    let (pieces, mut stream) = mpsc::channel(PIECES);
    let work = tokio::task::spawn_blocking(move || {
        let mut sieve = Sieve::new(&selection, pieces, &|| {});
        sieve.sift(bytes.as_slice(), Path::new("ws")).unwrap();
        let cut_off = sieve.cut_off.clone();
        sieve.finish().unwrap();
        cut_off
    });
    let mut out = Vec::new();
    while let Some(piece) = stream.recv().await {
        out.extend_from_slice(&piece.unwrap());
    }
    let mut archive = Archive::new(out.as_slice());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        assert_eq!((entry.header().mode().unwrap(), entry.header().mtime().unwrap()), (0o640, 1_000_000_000));
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        if let Some(link) = entry.link_name().unwrap() {
            content = link.display().to_string();
        }
        (entry.path().unwrap().display().to_string(), entry.header().entry_type(), content)
    });
    (entries.collect(), work.await.unwrap())
}

#[tokio::test]
async fn a_glob_takes_what_it_matches_and_all_below_a_folder_that_it_matches() {
    let members = [
        ("./", EntryType::Directory, ""),
        ("./a.txt", EntryType::Regular, "A"),
        ("/b.log", EntryType::Regular, "B"),
        ("out", EntryType::Directory, ""),
        ("out/deep/c", EntryType::Regular, "C"),
        ("out/l", EntryType::Symlink, "/elsewhere"),
    ];
    let (found, _) = sifted(&["ws/*.txt", "ws/out"], &members).await;
    let expected = [
        ("ws/a.txt", EntryType::Regular, "A"),
        ("ws/out", EntryType::Directory, ""),
        ("ws/out/deep/c", EntryType::Regular, "C"),
        ("ws/out/l", EntryType::Symlink, "/elsewhere"),
    ];
    let found: Vec<_> =
        found.iter().map(|(path, kind, content)| (path.as_str(), *kind, content.as_str())).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_hard_link_follows_its_target_or_is_named_as_cut_off() {
    let members = [("a", EntryType::Regular, "A"), ("b", EntryType::Link, "a")];
    let (found, cut_off) = sifted(&["ws/*"], &members).await;
    assert_eq!(found[1], ("ws/b".to_owned(), EntryType::Link, "ws/a".to_owned()));
    assert!(cut_off.is_empty());
    let (found, cut_off) = sifted(&["ws/b"], &members).await;
    assert!(found.is_empty());
    assert_eq!(cut_off, [PathBuf::from("ws/b")]);
}
