//! Placeholders in `stages`: `.name` stands for the stages of the included file of that name (local-ci.md 1.5). Not for stages otherwise.

use std::collections::HashSet;
use std::rc::Rc;

use crate::finding::Finding;
use crate::findings::Findings;
use crate::include::files::Files;
use crate::include::merge::Merged;
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// Only the file that was asked for may have placeholders.
pub(super) fn refuse_in_included(files: &Files, findings: &mut Findings) {
    for tree in files.trees.iter().skip(1) {
        for item in stages_of(&tree.own).iter().filter(|item| placeholder(item).is_some()) {
            let message = format!(
                "stage placeholders are only supported in the main file, found in `{}`",
                shown(&tree.path.display().to_string())
            );
            findings.push(Finding::error(item.span, message).help("list the stages themselves here"));
        }
    }
}

/// The first file's `stages` with every placeholder replaced, when it has any; `direct` are the files that it includes. A stage that is
/// named and brought in, or brought in twice, stands where it comes first.
pub(super) fn fill(files: &Files, direct: &[(usize, Rc<Merged>)], findings: &mut Findings) -> Option<Node> {
    let entry = files.trees[0].own.iter().find(|entry| entry.key == "stages")?;
    let Value::Sequence(items) = entry.value.value() else { return None };
    if items.iter().all(|item| placeholder(item).is_none()) {
        return None;
    }
    let (mut named, mut brought) = (HashSet::new(), HashSet::new());
    let mut filled = Vec::new();
    for item in items {
        let Some(name) = placeholder(item) else {
            named.insert(text(item));
            // A stage that is written here twice stays so, and is reported as such.
            if !brought.contains(text(item)) {
                filled.push(item.clone());
            }
            continue;
        };
        let Some(included) = find(files, direct, name, item, findings) else { continue };
        for stage in stages_of(&included.own) {
            if !named.contains(text(stage)) && brought.insert(text(stage)) {
                filled.push(stage.clone());
            }
        }
    }
    Some(Node::sequence(filled, entry.value.span))
}

/// The file that the placeholder `name` stands for.
fn find<'a>(
    files: &Files,
    direct: &'a [(usize, Rc<Merged>)],
    name: &str,
    item: &Node,
    findings: &mut Findings,
) -> Option<&'a Merged> {
    let mut found: Vec<&(usize, Rc<Merged>)> = Vec::new();
    for include in direct {
        let file = file_name(files, include.0);
        let is_it = file == name || stem(&file) == Some(name);
        if is_it && found.iter().all(|other| other.0 != include.0) {
            found.push(include);
        }
    }
    match found.as_slice() {
        [one] => Some(&one.1),
        [] if !files.complete => None,
        [] => {
            let message = format!("the stage placeholder `.{}` names no included file", shown(name));
            let names: Vec<String> = direct
                .iter()
                .filter_map(|(tree, _)| stem(&file_name(files, *tree)).map(str::to_owned))
                .collect();
            let help = if names.is_empty() {
                "a name that begins with `.` stands for the stages of an included file".to_owned()
            } else {
                let names: Vec<String> = names.iter().map(|name| format!("`.{name}`")).collect();
                format!("the included files are {}", names.join(", "))
            };
            findings.push(Finding::error(item.span, message).help(help));
            None
        }
        several => {
            let files: Vec<String> = several.iter().map(|(tree, _)| file_name(files, *tree)).collect();
            let message =
                format!("the stage placeholder `.{}` could be any of {} files", shown(name), files.len());
            let help = if files.iter().all(|file| *file == files[0]) {
                "rename one of these files".to_owned()
            } else {
                format!("write the whole name: `.{}`", files.join("` or `."))
            };
            findings.push(Finding::error(item.span, message).help(help));
            None
        }
    }
}

fn stages_of(own: &[Entry]) -> &[Node] {
    match own.iter().find(|entry| entry.key == "stages").map(|entry| entry.value.value()) {
        Some(Value::Sequence(items)) => items,
        _ => &[],
    }
}

fn text(item: &Node) -> &str {
    match item.value() {
        Value::Scalar(scalar) => &scalar.text,
        _ => "",
    }
}

/// The name behind a placeholder's point.
fn placeholder(item: &Node) -> Option<&str> {
    text(item).strip_prefix('.')
}

fn file_name(files: &Files, tree: usize) -> String {
    files.trees[tree].path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn stem(file: &str) -> Option<&str> {
    file.strip_suffix(".yaml").or_else(|| file.strip_suffix(".yml"))
}
