//! The files with which a job begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use jobwright_backend::conformance::Script;
use jobwright_backend::{Backend, Error};
use jobwright_model::{Cause, TaskUuid};
use jobwright_runtime::WorkspaceSource;
use tar::{EntryType, Header};

use super::{scenario, shell};
use crate::suite::Scenario;
use crate::world::{World, ending};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(files_are_there_before_the_first_step_and_are_brought_once),
        scenario!(files_keep_their_modes_links_and_times, shell),
        scenario!(files_that_cannot_be_brought_fail_every_step_of_the_first_stage),
    ]
}

/// When the files of the archive were changed: 2001-09-09T01:46:40Z.
const CHANGED: u64 = 1_000_000_000;

/// A small project as a tar stream, and how often it was asked for.
#[derive(Default)]
pub(super) struct Small {
    pub(super) deliveries: AtomicUsize,
    broken: bool,
}

#[async_trait]
impl WorkspaceSource for Small {
    async fn deliver(&self, backend: &dyn Backend, task: &TaskUuid) -> Result<(), Error> {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        if self.broken {
            return Err(Error::Workspace("the project is gone".to_owned()));
        }
        let archive = Bytes::from(archive());
        // In pieces, as from a network.
        let pieces: Vec<_> = (0..archive.len())
            .step_by(1000)
            .map(|at| Ok(archive.slice(at..archive.len().min(at + 1000))))
            .collect();
        backend.put(task, "", stream::iter(pieces).boxed()).await
    }
}

fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: EntryType, mode: u32, content: &str| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(CHANGED);
        if kind == EntryType::Symlink {
            header.set_size(0);
            archive.append_link(&mut header, path, content).unwrap();
        } else {
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
    };
    add("src", EntryType::Directory, 0o755, "");
    add("src/data with spaces.txt", EntryType::Regular, 0o640, "data\n");
    add("run.sh", EntryType::Regular, 0o755, "#!/bin/sh\necho ran $1\n");
    add("link", EntryType::Symlink, 0o777, "src/data with spaces.txt");
    add("dangling", EntryType::Symlink, 0o777, "nowhere");
    add(&format!("{}deep", "long/".repeat(40)), EntryType::Regular, 0o644, "deep");
    archive.into_inner().unwrap()
}

async fn files_are_there_before_the_first_step_and_are_brought_once(world: World) {
    let show = |name: &str| world.step(name, &Script::new().print_file("link"));
    let workflow = world.workflow([vec![show("one"), show("two")], vec![show("three")]]);
    let files = Arc::new(Small::default());
    let report = world.finish(world.plan(&workflow).files(Arc::clone(&files) as _)).await;
    assert!(report.ending.succeeded(), "{report:?}");
    for name in ["one", "two", "three"] {
        assert_eq!(world.seen.output(name), "data\n");
    }
    assert_eq!(files.deliveries.load(Ordering::Relaxed), 1);
}

async fn files_keep_their_modes_links_and_times(world: World) {
    let text = "./run.sh well && readlink link && readlink dangling && stat -c '%a %Y' run.sh 'src/data with spaces.txt' \
                && find long -type f | wc -c";
    let step = world.shell("look", text);
    let run = world.plan(&world.workflow([vec![step]])).files(Arc::new(Small::default()));
    let report = world.finish(run).await;
    assert!(report.ending.succeeded(), "{report:?} {}", world.seen.text());
    let expected = format!(
        "ran well\nsrc/data with spaces.txt\nnowhere\n755 {CHANGED}\n640 {CHANGED}\n{}\n",
        "long/".len() * 40 + "deep\n".len()
    );
    assert_eq!(world.seen.output("look").replace("\n ", "\n"), expected);
}

async fn files_that_cannot_be_brought_fail_every_step_of_the_first_stage(world: World) {
    let step = |name: &str| world.step(name, &Script::new().print("it ran"));
    let workflow = world.workflow([vec![step("one"), step("two")], vec![step("three")]]);
    let files = Arc::new(Small { broken: true, ..Small::default() });
    let report = world.finish(world.plan(&workflow).files(Arc::clone(&files) as _)).await;
    for name in ["one", "two"] {
        assert_eq!(ending(&report, name).cause, Cause::Workspace);
    }
    assert_eq!(report.error.as_deref(), Some("workspace: the project is gone"));
    assert!(!world.seen.text().contains("it ran"));
    assert_eq!(files.deliveries.load(Ordering::Relaxed), 1);
}
