//! Which files a job gets. git itself says what is right.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use jobwright_workspace::{Error, Kind, Listing, Project, SkipReason, Skipped, TreeOptions};
use proptest::prelude::*;

use common::mkfifo;

fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn git(dir: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new("git");
    command.current_dir(dir).args(arguments);
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("HOME", "/nonexistent");
    command.env_remove("XDG_CONFIG_HOME");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn list(dir: &Path) -> Listing {
    Project::new(dir, TreeOptions::default()).list().unwrap()
}

/// The chosen files and symlinks, but for those of `.git`.
fn leaves(listing: &Listing) -> BTreeSet<String> {
    let leaves = listing.paths().filter(|(_, kind)| *kind != Kind::Directory);
    let names = leaves.map(|(path, _)| path.to_string_lossy().into_owned());
    names.filter(|path| !path.starts_with(".git/")).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

// covers: local-ci 121
#[test]
fn the_patterns_that_the_original_got_wrong_are_understood() {
    let dir = tree(&[
        (".gitignore", "node_modules/\n/dist\na/b\n**/deep\n*.log\n!keep.log\n"),
        ("node_modules/x", ""),
        ("sub/node_modules/x", ""),
        ("dist", ""),
        ("sub/dist", ""),
        ("a/b", ""),
        ("a/c", ""),
        ("x/y/deep/z", ""),
        ("one.log", ""),
        ("keep.log", ""),
        ("inner/.gitignore", "!one.log\nown\n"),
        ("inner/one.log", ""),
        ("inner/own", ""),
    ]);
    let expected = [".gitignore", "a/c", "inner/.gitignore", "inner/one.log", "keep.log", "sub/dist"];
    assert_eq!(leaves(&list(dir.path())), set(&expected));
}

#[test]
fn hidden_files_and_empty_directories_are_taken() {
    let dir = tree(&[(".hidden", ""), (".config/x", "")]);
    fs::create_dir(dir.path().join("empty")).unwrap();
    let paths: Vec<_> = list(dir.path()).paths().collect();
    let expected = [
        (".hidden", Kind::File),
        (".config", Kind::Directory),
        (".config/x", Kind::File),
        ("empty", Kind::Directory),
    ];
    assert_eq!(paths, expected.map(|(path, kind)| (PathBuf::from(path), kind)));
}

#[test]
fn a_jobwrightignore_has_the_last_word_even_on_tracked_files() {
    let dir = tree(&[
        (".gitignore", "*.log\n"),
        (".jobwrightignore", "!a.log\nsecret\n"),
        ("a.log", ""),
        ("b.log", ""),
        ("secret", ""),
        ("tracked.log", ""),
    ]);
    git(dir.path(), &["init", "-q"]);
    git(dir.path(), &["add", "-f", "secret", "tracked.log"]);
    assert_eq!(leaves(&list(dir.path())), set(&[".gitignore", ".jobwrightignore", "a.log", "tracked.log"]));
}

#[test]
fn git_directories_are_whole_whatever_the_rules_say_or_left_out_whole() {
    let dir = tree(&[(".gitignore", ".*\nlogs\nHEAD\n*.sample\n"), ("sub/x", "")]);
    git(dir.path(), &["init", "-q"]);
    git(&dir.path().join("sub"), &["init", "-q"]);
    fs::create_dir_all(dir.path().join(".git/logs")).unwrap();
    fs::write(dir.path().join(".git/logs/HEAD"), "").unwrap();
    let paths: BTreeSet<PathBuf> = list(dir.path()).paths().map(|(path, _)| path).collect();
    for kept in [".git/HEAD", ".git/logs/HEAD", ".git/hooks/pre-commit.sample", "sub/.git/HEAD", "sub/x"] {
        assert!(paths.contains(Path::new(kept)), "{kept} is missing");
    }
    let options = TreeOptions { git: false, ..TreeOptions::default() };
    let without = Project::new(dir.path(), options).list().unwrap();
    assert_eq!(
        without.paths().map(|(path, _)| path).collect::<Vec<_>>(),
        [Path::new("sub"), Path::new("sub/x")]
    );
}

#[test]
fn a_project_in_a_repository_obeys_the_rules_above_it_up_to_the_top() {
    let dir = tree(&[
        (".gitignore", "outside-the-repository\n"),
        ("repo/.gitignore", "*.log\n/project/anchored\n"),
        ("repo/project/x.log", ""),
        ("repo/project/anchored", ""),
        ("repo/project/outside-the-repository", ""),
        ("repo/project/deep/y", ""),
    ]);
    git(&dir.path().join("repo"), &["init", "-q"]);
    let project = dir.path().join("repo/project");
    assert_eq!(leaves(&list(&project)), set(&["deep/y", "outside-the-repository"]));
}

#[test]
fn who_names_an_ignored_directory_means_it() {
    let dir = tree(&[(".gitignore", "/target\n*.o\n"), ("target/project/x.o", "")]);
    git(dir.path(), &["init", "-q"]);
    assert_eq!(leaves(&list(&dir.path().join("target/project"))), set(&["x.o"]));
}

#[test]
fn the_users_own_rules_do_not_count_unless_asked_for() {
    // The variable is read by the library, so this needs a process of its own: this test run again.
    if std::env::var_os("JOBWRIGHT_TEST_USER_RULES").is_none() {
        let config = tree(&[("git/ignore", "*.mine\n")]);
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_users_own_rules_do_not_count_unless_asked_for"])
            .env("JOBWRIGHT_TEST_USER_RULES", "1")
            .env("XDG_CONFIG_HOME", config.path())
            .env("HOME", config.path())
            .status();
        assert!(status.unwrap().success());
        return;
    }
    let dir = tree(&[("a.mine", "")]);
    assert_eq!(leaves(&list(dir.path())), set(&["a.mine"]));
    let options = TreeOptions { user_rules: true, ..TreeOptions::default() };
    assert_eq!(leaves(&Project::new(dir.path(), options).list().unwrap()), set(&[]));
}

#[test]
fn a_linked_worktree_and_its_main_repository_share_their_exclude_file() {
    let dir = tree(&[("main/x", "")]);
    let main = dir.path().join("main");
    git(&main, &["init", "-q"]);
    fs::write(main.join(".git/info/exclude"), "*.tmp\n").unwrap();
    git(&main, &["add", "x"]);
    git(&main, &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]);
    git(&main, &["worktree", "add", "-q", "../linked"]);
    let linked = dir.path().join("linked");
    fs::write(linked.join("y.tmp"), "").unwrap();
    assert_eq!(leaves(&list(&linked)), set(&[".git", "x"]));
}

#[test]
fn every_version_of_gits_index_is_read() {
    for (version, format) in [("2", "sha1"), ("3", "sha1"), ("4", "sha1"), ("4", "sha256")] {
        let dir = tree(&[
            (".gitignore", "out/\n"),
            ("out/a/kept.txt", ""),
            ("out/a/kept.too", ""),
            ("out/left", ""),
        ]);
        git(dir.path(), &["init", "-q", &format!("--object-format={format}")]);
        git(dir.path(), &["add", "-f", "out/a"]);
        git(dir.path(), &["update-index", "--index-version", version]);
        if version != "2" {
            // Extended flags are what makes version 3.
            fs::write(dir.path().join("out/intended"), "").unwrap();
            git(dir.path(), &["add", "-f", "-N", "out/intended"]);
            fs::remove_file(dir.path().join("out/intended")).unwrap();
        }
        let listing = list(dir.path());
        assert_eq!(listing.rule_problems, [], "version {version}, {format}");
        assert_eq!(leaves(&listing), set(&[".gitignore", "out/a/kept.too", "out/a/kept.txt"]));
    }
}

#[test]
fn a_broken_index_is_reported_and_does_no_harm() {
    let dir = tree(&[(".gitignore", "x\n"), ("x", ""), ("y", "")]);
    git(dir.path(), &["init", "-q"]);
    for broken in
        [&b"DIRC\0\0\0\x02\xff\xff\xff\xff"[..], b"", b"DIRC\0\0\0\x09\0\0\0\0", b"DIRC\0\0\0\x04\0\0\0\x01"]
    {
        fs::write(dir.path().join(".git/index"), broken).unwrap();
        let listing = list(dir.path());
        assert_eq!(leaves(&listing), set(&[".gitignore", "y"]));
        assert_eq!(listing.rule_problems.len(), 1);
    }
}

#[test]
fn lines_that_are_no_patterns_are_reported_with_file_and_line() {
    let dir = tree(&[("x", ""), ("y", "")]);
    fs::write(dir.path().join(".gitignore"), b"\xef\xbb\xbfx\r\n\xff\xfe\n").unwrap();
    let listing = list(dir.path());
    assert_eq!(leaves(&listing), set(&[".gitignore", "y"]));
    let problem = &listing.rule_problems[0];
    assert_eq!((problem.file.file_name().unwrap().to_str(), problem.line), (Some(".gitignore"), 2));
}

#[test]
fn a_fifo_or_symlink_for_an_ignore_file_is_not_waited_for_or_followed() {
    let dir = tree(&[("elsewhere", "x\n"), ("x", ""), ("sub/y", "")]);
    symlink("elsewhere", dir.path().join(".gitignore")).unwrap();
    mkfifo(&dir.path().join("sub/.gitignore"));
    let listing = list(dir.path());
    assert_eq!(leaves(&listing), set(&[".gitignore", "elsewhere", "sub/y", "x"]));
    assert_eq!(listing.rule_problems.len(), 2);
}

#[test]
fn sockets_fifos_and_devices_are_skipped_and_reported_but_not_when_ignored() {
    let dir = tree(&[(".gitignore", "ignored\n")]);
    mkfifo(&dir.path().join("fifo"));
    mkfifo(&dir.path().join("ignored"));
    let _socket = std::os::unix::net::UnixListener::bind(dir.path().join("socket")).unwrap();
    let skipped = |path: &str, reason| Skipped { path: path.into(), reason };
    let expected = [skipped("fifo", SkipReason::Fifo), skipped("socket", SkipReason::Socket)];
    assert_eq!(list(dir.path()).skipped, expected);
}

#[test]
fn symlinks_are_listed_and_never_followed() {
    let dir = tree(&[("real/x", ""), (".gitignore", "link/\n")]);
    symlink("real", dir.path().join("link")).unwrap();
    symlink("..", dir.path().join("real/up")).unwrap();
    let listing = list(dir.path());
    // A pattern with a slash at its end is for directories, and a symlink is none.
    assert_eq!(leaves(&listing), set(&[".gitignore", "link", "real/up", "real/x"]));
}

#[test]
fn excluded_paths_are_left_out_however_they_are_written() {
    let dir = tree(&[("state/x", ""), ("a/state/x", ""), ("b", "")]);
    let absolute = dir.path().join("state");
    for exclude in [absolute, "state".into(), "./state/".into()] {
        let options = TreeOptions { exclude: vec![exclude, "not/there".into()], ..TreeOptions::default() };
        let listing = Project::new(dir.path(), options).list().unwrap();
        assert_eq!(leaves(&listing), set(&["a/state/x", "b"]));
    }
}

#[test]
fn a_file_or_nothing_in_place_of_a_project_is_one_clear_error() {
    let dir = tree(&[("file", "")]);
    let error = Project::new(dir.path().join("file"), TreeOptions::default()).list().unwrap_err();
    assert!(matches!(error, Error::NotADirectory { .. }), "{error}");
    let error = Project::new(dir.path().join("nothing"), TreeOptions::default()).list().unwrap_err();
    assert!(error.to_string().contains("nothing: "), "{error}");
}

#[test]
fn names_that_are_not_utf8_are_listed_and_matched() {
    let dir = tree(&[(".gitignore", "*.log\n")]);
    let name = |bytes: &[u8]| dir.path().join(std::ffi::OsStr::from_bytes(bytes));
    fs::write(name(b"\xff.txt"), "").unwrap();
    fs::write(name(b"\xff.log"), "").unwrap();
    let names: Vec<_> = list(dir.path()).paths().map(|(path, _)| path.into_os_string().into_vec()).collect();
    assert_eq!(names, [&b".gitignore"[..], b"\xff.txt"]);
}

#[test]
fn a_tree_deeper_than_a_path_can_be_long_is_listed() {
    let dir = tempfile::tempdir().unwrap();
    let depth = 60;
    let name = "d".repeat(100);
    let mut here =
        rustix::fs::openat(rustix::fs::CWD, dir.path(), rustix::fs::OFlags::RDONLY, 0.into()).unwrap();
    for _ in 0..depth {
        rustix::fs::mkdirat(&here, &*name, rustix::fs::Mode::RWXU).unwrap();
        here = rustix::fs::openat(&here, &*name, rustix::fs::OFlags::RDONLY, 0.into()).unwrap();
    }
    assert_eq!(list(dir.path()).directories.len(), depth + 1);
}

fn patterns() -> impl Strategy<Value = String> {
    let pattern = prop::sample::select(vec![
        "*.log",
        "!x.log",
        "/a",
        "a/",
        "b/*",
        "!b/keep",
        "**/c",
        "a/**",
        "# a",
        "*",
        "!*/",
        "!*.txt",
        "a/b",
        "[xy].log",
        "b/**/x.log",
        "keep   ",
        "!a",
        "!b/",
        "c/",
        "?.txt",
        "/*",
        "!/b",
        "a/*/c",
        "**/b/**",
        "!c/keep",
        "\\!odd",
        "!",
        "/",
        "!/",
        "",
        "x.lo*",
        "/b/keep",
        "**",
        "a/**/",
        ".hid*",
        "\\*.log",
        "[!x].txt",
        "{a,b}",
        "#odd",
        "\\#odd",
    ]);
    prop::collection::vec(pattern, 0..6).prop_map(|lines| lines.join("\n"))
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    let part = prop::sample::select(vec!["a", "b", "c"]);
    let name = prop::sample::select(vec![
        "x.log", "y.log", "keep", "x.txt", "yy.txt", ".hidden", "!odd", "#odd", "{a,b}",
    ]);
    let path = (prop::collection::vec(part, 0..4), name).prop_map(|(parts, name)| {
        parts.into_iter().map(|part| format!("{part}/")).collect::<String>() + name
    });
    prop::collection::vec(path, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// The law: a job gets what `git ls-files -co --exclude-standard` names, tracked files included.
    // covers: local-ci 121
    #[test]
    fn a_job_gets_what_git_says(
        paths in paths(),
        rules in prop::collection::vec((prop::sample::select(vec!["", "a/", "b/", "a/b/", "c/a/"]), patterns()), 0..4),
        exclude in patterns(),
        tracked in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q"]);
        fs::write(dir.path().join(".git/info/exclude"), exclude).unwrap();
        let rules = rules.iter().map(|(at, text)| (format!("{at}.gitignore"), text.as_str()));
        for (path, text) in paths.iter().map(|path| (path.clone(), "")).chain(rules) {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for index in tracked {
            git(dir.path(), &["add", "-f", "--", &format!(":(literal){}", index.get(&paths))]);
        }
        let said = git(dir.path(), &["ls-files", "-co", "--exclude-standard", "-z"]);
        let said: BTreeSet<String> = said.split(|&byte| byte == 0).filter(|name| !name.is_empty())
            .map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        prop_assert_eq!(leaves(&list(dir.path())), said);
    }
}
