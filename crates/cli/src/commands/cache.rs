//! `jobwright cache`: what runs keep for later runs, and getting rid of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jobwright_engine::caches;
use jobwright_journal::StateDir;
use jobwright_workspace::{Contents, Label, ObjectStore, PrunePolicy, Size, StoredObject};
use serde_json::{Value, json};

use crate::args::{CacheCommand, CacheLsArgs, CachePruneArgs, CacheRmArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::show::{aside, sink};

/// The shortest beginning of an id that is taken for one.
const SHORTEST_ID: usize = 6;

pub(crate) fn run(command: &CacheCommand, state: &StateDir) -> Result<Exit, Failure> {
    let store = caches(state);
    match command {
        CacheCommand::Ls(args) => list(&store, args),
        CacheCommand::Rm(args) => remove(&store, args),
        CacheCommand::Prune(args) => prune(&store, args),
    }
}

fn list(store: &ObjectStore, args: &CacheLsArgs) -> Result<Exit, Failure> {
    let objects: Vec<_> = of_project(store.list().map_err(failure)?, args.project.as_deref())?;
    if args.json {
        sink::say(Value::from_iter(objects.iter().map(as_json)));
        return Ok(Exit::Success);
    }
    if objects.is_empty() {
        sink::say("no caches are kept");
        return Ok(Exit::Success);
    }
    let now = SystemTime::now();
    let rows: Vec<[String; 6]> = objects
        .iter()
        .map(|object| {
            let (key, project, holds) = match &object.known {
                Some((label, contents)) => {
                    (printable(&label.name), printable(&label.scope), Size(contents.bytes).to_string())
                }
                None => ("(damaged)".to_owned(), String::new(), "-".to_owned()),
            };
            let size = Size(object.size).to_string();
            [object.id[..12].to_owned(), key, size, holds, ago(now, object.used), project]
        })
        .collect();
    table(["ID", "KEY", "ON DISK", "HOLDS", "USED", "PROJECT"], &rows);
    let total = objects.iter().map(|object| object.size).sum();
    sink::say(format_args!("{} cache(s), {}", objects.len(), Size(total)));
    Ok(Exit::Success)
}

/// All or nothing: what is not there, or may be one of several, is told before anything is removed.
fn remove(store: &ObjectStore, args: &CacheRmArgs) -> Result<Exit, Failure> {
    let objects = of_project(store.list().map_err(failure)?, args.project.as_deref())?;
    let mut chosen: Vec<&StoredObject> = if args.all { objects.iter().collect() } else { Vec::new() };
    for key in &args.keys {
        let object = one(&objects, key)?;
        if !chosen.contains(&object) {
            chosen.push(object);
        }
    }
    for object in &chosen {
        store.remove(&object.id).map_err(failure)?;
        sink::say(format_args!("{} removed, {}", named(object), Size(object.size)));
    }
    if chosen.is_empty() {
        sink::say("nothing to remove");
    }
    Ok(Exit::Success)
}

/// The object that a key, or the beginning of an id, means.
fn one<'a>(objects: &'a [StoredObject], wanted: &str) -> Result<&'a StoredObject, Failure> {
    let is_key =
        |object: &&StoredObject| object.known.as_ref().is_some_and(|(label, _)| label.name == wanted);
    let mut found: Vec<&StoredObject> = objects.iter().filter(is_key).collect();
    if found.is_empty() && wanted.len() >= SHORTEST_ID {
        found = objects.iter().filter(|object| object.id.starts_with(wanted)).collect();
    }
    match found.as_slice() {
        [] => Err(Failure::new(
            Exit::NotFound,
            format!("there is no cache {wanted:?}; `jobwright cache ls` shows those that there are"),
        )),
        [only] => Ok(only),
        several => {
            let ids: Vec<&str> = several.iter().map(|object| &object.id[..12]).collect();
            let text = format!(
                "{} caches are called {wanted:?}; name one by its id ({}) or its project by -C",
                several.len(),
                ids.join(", ")
            );
            Err(Failure::new(Exit::Invalid, text))
        }
    }
}

fn prune(store: &ObjectStore, args: &CachePruneArgs) -> Result<Exit, Failure> {
    let policy =
        PrunePolicy { unused_for: args.unused_for.map(|age| age.0), total: args.max_size.map(|size| size.0) };
    let pruned = store.prune(&policy).map_err(failure)?;
    for object in &pruned.objects {
        sink::say(format_args!("{} removed, {}", named(object), Size(object.size)));
    }
    if pruned.drafts > 0 {
        sink::say(format_args!("{} unfinished archive(s) removed", pruned.drafts));
    }
    if pruned.objects.is_empty() && pruned.drafts == 0 {
        sink::say("nothing to prune");
    }
    if policy == PrunePolicy::default() {
        aside::say("only what is damaged was looked for; say --unused-for or --max-size to prune more");
    }
    Ok(Exit::Success)
}

fn of_project(objects: Vec<StoredObject>, project: Option<&Path>) -> Result<Vec<StoredObject>, Failure> {
    let Some(project) = project else { return Ok(objects) };
    // One that is gone can still be named by the path that it had.
    let path = project
        .canonicalize()
        .or_else(|_| std::path::absolute(project))
        .unwrap_or_else(|_| PathBuf::from(project));
    let scope = path.display().to_string();
    let of_it = |object: &StoredObject| object.known.as_ref().is_some_and(|(label, _)| label.scope == scope);
    Ok(objects.into_iter().filter(of_it).collect())
}

fn named(object: &StoredObject) -> String {
    match &object.known {
        Some((label, _)) => format!("{:?} of {}", label.name, printable(&label.scope)),
        None => format!("damaged object {}", object.id),
    }
}

fn as_json(object: &StoredObject) -> Value {
    let moment = |at: SystemTime| Timestamp::try_from(at).map(|at| at.to_string()).unwrap_or_default();
    let (label, contents): (Option<&Label>, Option<&Contents>) =
        object.known.as_ref().map_or((None, None), |(label, contents)| (Some(label), Some(contents)));
    json!({
        "id": object.id,
        "key": label.map(|label| &label.name),
        "project": label.map(|label| &label.scope),
        "size": object.size,
        "bytes": contents.map(|contents| contents.bytes),
        "members": contents.map(|contents| contents.members),
        "stored": moment(object.stored),
        "used": moment(object.used),
        "damaged": object.known.is_none(),
    })
}

/// A key comes from a file and from variables: it must not move the cursor.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn ago(now: SystemTime, then: SystemTime) -> String {
    let seconds = now.duration_since(then).unwrap_or(Duration::ZERO).as_secs();
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3600 => format!("{}m ago", seconds / 60),
        3600..86_400 => format!("{}h ago", seconds / 3600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// Columns as wide as what is in them.
pub(super) fn table<const N: usize>(heads: [&str; N], rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or(0)
    };
    let line = |cells: [&str; N]| {
        let padded = cells.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column)));
        sink::say(padded.collect::<Vec<_>>().join("  ").trim_end());
    };
    line(heads);
    rows.iter().for_each(|row| line(std::array::from_fn(|column| row[column].as_str())));
}

fn failure(error: jobwright_workspace::Error) -> Failure {
    Failure::new(Exit::Unavailable, format!("failed to {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let now = SystemTime::now();
        let told = [0, 59, 60, 7200, 200_000].map(|seconds| ago(now, now - Duration::from_secs(seconds)));
        assert_eq!(told, ["0s ago", "59s ago", "1m ago", "2h ago", "2d ago"]);
    }

    #[test]
    fn a_key_cannot_move_the_cursor() {
        assert_eq!(printable("a\u{1b}[2Jé\n"), "a\\u{1b}[2Jé\\n");
    }
}
