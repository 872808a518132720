//! Files: shared between a task's steps, put in, and got out.

use std::collections::BTreeMap;
use std::io::{self, Read};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use globset::Glob;
use jobwright_model::{ExitStatus, TaskUuid};
use tar::{Archive, Builder, EntryType, Header};

use super::{case, files};
use crate::conformance::check::{ensure, refused, same, same_bytes};
use crate::conformance::{Case, CaseResult, Script, Task, Trial};
use crate::{Error, Result, TarStream};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(steps_of_a_task_share_the_workspace, "woodpecker 11"),
        case!(what_was_put_is_seen_by_steps, "", files),
        case!(what_was_put_comes_back_as_it_was, "", files),
        case!(what_a_step_wrote_can_be_got, "", files),
        case!(a_put_goes_below_its_path, "", files),
        case!(a_later_put_replaces_files, "", files),
        case!(large_files_come_back_whole, "", files),
        case!(get_takes_what_matches_and_nothing_else, "", files),
        case!(get_with_nothing_that_matches_is_an_error, "", files),
        case!(a_hostile_archive_is_refused, "", files),
        case!(a_broken_archive_is_refused, "", files),
        case!(a_put_outside_of_the_workspace_is_refused, "", files),
        case!(files_of_an_unknown_task_are_an_error, "", files),
    ]
}

/// One entry of an archive, as the cases write and expect it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    kind: EntryType,
    mode: u32,
    modified: u64,
    /// A file's bytes, a symlink's target.
    content: Vec<u8>,
}

fn file(mode: u32, content: &[u8]) -> Entry {
    Entry { kind: EntryType::Regular, mode, modified: 1_000_000_007, content: content.to_vec() }
}

fn directory(mode: u32) -> Entry {
    Entry { kind: EntryType::Directory, mode, modified: 1_111_111_111, content: Vec::new() }
}

fn symlink(target: &str) -> Entry {
    Entry { kind: EntryType::Symlink, mode: 0o777, modified: 1_222_222_222, content: target.into() }
}

/// An archive of `entries`, whose names are written as they are, however bad.
fn archive(entries: &[(&str, Entry)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, entry) in entries {
        append(&mut builder, name, entry).expect("a tar archive in memory takes any entry");
    }
    builder.into_inner().expect("a tar archive in memory can be finished")
}

fn append(builder: &mut Builder<Vec<u8>>, name: &str, entry: &Entry) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(entry.kind);
    header.set_mode(entry.mode);
    header.set_mtime(entry.modified);
    header.set_size(if entry.kind == EntryType::Regular { entry.content.len() as u64 } else { 0 });
    if matches!(entry.kind, EntryType::Symlink | EntryType::Link) {
        header.set_link_name_literal(&entry.content)?;
    }
    if name.len() > 100 {
        return builder.append_data(&mut header, name, entry.content.as_slice());
    }
    // Written directly, as the checked way refuses the bad names that the hostile archives need.
    header.as_gnu_mut().expect("the header was made as GNU's").name[..name.len()]
        .copy_from_slice(name.as_bytes());
    header.set_cksum();
    let content = if entry.kind == EntryType::Regular { entry.content.as_slice() } else { &[] };
    builder.append(&header, content)
}

/// The archive in pieces that are cut anywhere, as a network gives them.
fn stream_of(archive: Vec<u8>) -> TarStream {
    let pieces: Vec<_> = archive.chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn put(task: &Task, path: &str, archive: Vec<u8>) -> Result<()> {
    task.backend.put(&task.uuid, path, stream_of(archive)).await
}

async fn get(task: &Task, globs: &[&str]) -> CaseResult<BTreeMap<String, Entry>> {
    let globs: Vec<Glob> = globs.iter().map(|glob| Glob::new(glob)).collect::<std::result::Result<_, _>>()?;
    let pieces: Vec<Bytes> = task.backend.get(&task.uuid, &globs).await?.try_collect().await?;
    let archive = pieces.concat();
    let mut found = BTreeMap::new();
    for entry in Archive::new(archive.as_slice()).entries()? {
        let mut entry = entry?;
        let name = String::from_utf8(entry.path_bytes().into_owned())?;
        let name = name.trim_start_matches("./").trim_end_matches('/').to_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if let Some(target) = entry.link_name_bytes() {
            content = target.into_owned();
        }
        let header = entry.header();
        let (kind, mode, modified) = (header.entry_type(), header.mode()? & 0o7777, header.mtime()?);
        found.insert(name, Entry { kind, mode, modified, content });
    }
    Ok(found)
}

async fn steps_of_a_task_share_the_workspace(trial: &Trial<'_>) -> CaseResult {
    let writer = trial.step("writer", &Script::new().write_file("shared", b"from \0 one\n"));
    let reader = trial.step("reader", &Script::new().print_file("shared"));
    let task = trial.set_up(&[&writer, &reader]).await?;
    task.run(&writer).await?;
    same_bytes("the file", &task.run(&reader).await?.0.stdout(), b"from \0 one\n")
}

async fn what_was_put_is_seen_by_steps(trial: &Trial<'_>) -> CaseResult {
    let reader = trial.step("reader", &Script::new().print_file("src/hello").print_file("link"));
    let task = trial.set_up(&[&reader]).await?;
    let entries =
        [("src", directory(0o755)), ("src/hello", file(0o644, b"hello\n")), ("link", symlink("src/hello"))];
    put(&task, "", archive(&entries)).await?;
    let (output, exit) = task.run(&reader).await?;
    same("the status", &exit.status, &ExitStatus::Code(0))?;
    same_bytes("what the step read", &output.stdout(), b"hello\nhello\n")
}

async fn what_was_put_comes_back_as_it_was(trial: &Trial<'_>) -> CaseResult {
    let long = format!("tree/{}/{}", "a".repeat(90), "b".repeat(90));
    let entries = [
        ("tree", directory(0o755)),
        ("tree/empty", directory(0o700)),
        ("tree/run.sh", file(0o755, b"#!/bin/sh\n")),
        ("tree/private", file(0o600, b"x")),
        ("tree/read-only", file(0o444, b"")),
        ("tree/größe 📦", file(0o644, &[0, 255, b'\n'])),
        (long.as_str(), file(0o640, b"deep")),
        ("tree/link", symlink("run.sh")),
        ("tree/dangling", symlink("no/such/file")),
        ("tree/outward", symlink("/etc/passwd")),
    ];
    let task = trial.set_up(&[]).await?;
    put(&task, "", archive(&entries)).await?;
    let found = get(&task, &["tree"]).await?;
    for (name, mut entry) in entries {
        let Some(mut came) = found.get(name).cloned() else {
            ensure!(false, "{name:?} did not come back; these did: {:?}", found.keys());
            return Ok(());
        };
        if entry.kind == EntryType::Symlink {
            // A symlink has no mode of its own.
            came.mode = entry.mode;
        }
        if entry.kind == EntryType::Directory {
            // What was put into it after it may have touched it.
            entry.modified = came.modified;
        }
        same(name, &came, &entry)?;
    }
    Ok(())
}

async fn what_a_step_wrote_can_be_got(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().write_file("result", "made\n"));
    let task = trial.set_up(&[&step]).await?;
    task.run(&step).await?;
    let found = get(&task, &["result"]).await?;
    same_bytes("the file", &found.get("result").map_or(Vec::new(), |entry| entry.content.clone()), b"made\n")
}

async fn a_put_goes_below_its_path(trial: &Trial<'_>) -> CaseResult {
    let reader = trial.step("reader", &Script::new().print_file("some/where/hello"));
    let task = trial.set_up(&[&reader]).await?;
    put(&task, "some/where", archive(&[("hello", file(0o644, b"hello\n"))])).await?;
    same_bytes("the file", &task.run(&reader).await?.0.stdout(), b"hello\n")
}

async fn a_later_put_replaces_files(trial: &Trial<'_>) -> CaseResult {
    let task = trial.set_up(&[]).await?;
    put(&task, "", archive(&[("a", file(0o644, b"first, and longer")), ("b", file(0o644, b"stays"))]))
        .await?;
    put(&task, "", archive(&[("a", file(0o600, b"second"))])).await?;
    let found = get(&task, &["a", "b"]).await?;
    same("the replaced file", &found.get("a"), &Some(&file(0o600, b"second")))?;
    same("the other file", &found.get("b"), &Some(&file(0o644, b"stays")))
}

async fn large_files_come_back_whole(trial: &Trial<'_>) -> CaseResult {
    let large: Vec<u8> =
        (0..5_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let task = trial.set_up(&[]).await?;
    put(&task, "", archive(&[("large", file(0o644, &large))])).await?;
    let found = get(&task, &["large"]).await?;
    same_bytes("the file", &found.get("large").map_or(Vec::new(), |entry| entry.content.clone()), &large)
}

async fn get_takes_what_matches_and_nothing_else(trial: &Trial<'_>) -> CaseResult {
    let task = trial.set_up(&[]).await?;
    let entries = [
        ("out", directory(0o755)),
        ("out/deep", directory(0o755)),
        ("out/deep/file", file(0o644, b"1")),
        ("a.log", file(0o644, b"2")),
        ("b.log", file(0o644, b"3")),
        ("outside", file(0o644, b"4")),
        ("secret", file(0o600, b"5")),
    ];
    put(&task, "", archive(&entries)).await?;
    let found = get(&task, &["out", "*.log", "nothing/like/this"]).await?;
    let files: Vec<_> = found.iter().filter(|(_, entry)| entry.kind == EntryType::Regular).collect();
    let names: Vec<_> = files.into_iter().map(|(name, _)| name.as_str()).collect();
    same("the files that came", &names, &vec!["a.log", "b.log", "out/deep/file"])
}

async fn get_with_nothing_that_matches_is_an_error(trial: &Trial<'_>) -> CaseResult {
    let task = trial.set_up(&[]).await?;
    put(&task, "", archive(&[("a", file(0o644, b"1"))])).await?;
    let glob = Glob::new("no/such/*")?;
    let got = task.backend.get(&task.uuid, &[glob]).await;
    refused("getting nothing", got, |error| matches!(error, Error::NothingMatches(_) | Error::Workspace(_)))
}

async fn a_hostile_archive_is_refused(trial: &Trial<'_>) -> CaseResult {
    let evil = || file(0o644, b"evil");
    let hard_link = |target: &str| Entry { kind: EntryType::Link, ..symlink(target) };
    let device = Entry { kind: EntryType::Char, ..file(0o666, b"") };
    let archives: [(&str, Vec<(&str, Entry)>); 7] = [
        ("a name that climbs out", vec![("../evil", evil())]),
        ("a name that climbs out from below", vec![("a/../../evil", evil())]),
        ("an absolute name", vec![("/tmp/jobwright-conformance-evil", evil())]),
        (
            "a file through a symlink",
            vec![("link", symlink("/tmp")), ("link/jobwright-conformance-evil", evil())],
        ),
        ("a file through a symlink that climbs", vec![("link", symlink("..")), ("link/evil", evil())]),
        ("a hard link to what is outside", vec![("passwd", hard_link("/etc/passwd"))]),
        ("a device", vec![("null", device)]),
    ];
    let task = trial.set_up(&[]).await?;
    for (what, entries) in archives {
        let refusal = put(&task, "", archive(&entries)).await;
        refused(what, refusal, |error| matches!(error, Error::Workspace(_)))?;
    }
    ensure!(!std::path::Path::new("/tmp/jobwright-conformance-evil").exists(), "a file was written outside");
    Ok(())
}

async fn a_broken_archive_is_refused(trial: &Trial<'_>) -> CaseResult {
    let task = trial.set_up(&[]).await?;
    let whole = archive(&[("a", file(0o644, &[7; 5000]))]);
    let cut = whole[..2000].to_vec();
    let garbage = vec![0xA5; 5000];
    for (what, archive) in [("a cut archive", cut), ("no archive at all", garbage)] {
        let refusal = put(&task, "", archive).await;
        refused(what, refusal, |error| matches!(error, Error::Workspace(_)))?;
    }
    let pieces = [Ok(Bytes::copy_from_slice(&whole[..1000])), Err(io::Error::other("the sender is gone"))];
    let refusal = task.backend.put(&task.uuid, "", stream::iter(pieces).boxed()).await;
    refused("a stream that fails", refusal, |error| matches!(error, Error::Workspace(_)))
}

async fn a_put_outside_of_the_workspace_is_refused(trial: &Trial<'_>) -> CaseResult {
    let task = trial.set_up(&[]).await?;
    for path in ["../elsewhere", "a/../../elsewhere", "/tmp/jobwright-conformance-evil"] {
        let refusal = put(&task, path, archive(&[("evil", file(0o644, b"evil"))])).await;
        refused(path, refusal, |error| matches!(error, Error::Workspace(_)))?;
    }
    ensure!(!std::path::Path::new("/tmp/jobwright-conformance-evil").exists(), "a file was written outside");
    Ok(())
}

async fn files_of_an_unknown_task_are_an_error(trial: &Trial<'_>) -> CaseResult {
    let unknown = |error: &Error| matches!(error, Error::UnknownTask(_));
    let task = TaskUuid::random();
    let put = trial.backend().put(&task, "", stream_of(archive(&[("a", file(0o644, b"1"))]))).await;
    refused("putting", put, unknown)?;
    let get = trial.backend().get(&task, &[Glob::new("*")?]).await;
    refused("getting", get, unknown)
}
