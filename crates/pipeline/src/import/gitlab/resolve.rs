//! `extends` and `!reference`: every job with all that it takes from others, as GitLab puts it together. Not for `default`.

use std::collections::HashMap;

use super::MOST_MERGED;
use super::files::{at_key, merge_deep};
use crate::import::Notes;
use crate::import::node::{get, texts_of};
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// How many jobs may extend each other in a row; GitLab takes 11.
const DEEPEST: usize = 50;
/// How deep references may lead; GitLab takes 10.
const DEEPEST_REFERENCE: usize = 20;
/// The most values that one job may come to.
const MOST_NODES: usize = 500_000;

/// All entries of the file, those that are mappings with what they extend.
pub(super) fn extended(entries: &[Entry], notes: &mut Notes) -> Vec<Entry> {
    let names = entries.iter().enumerate().map(|(at, entry)| (entry.key.as_str(), at)).collect();
    let mut extending = Extending { entries, names, done: HashMap::new(), merged: 0, notes };
    let mut all = Vec::with_capacity(entries.len());
    for (at, entry) in entries.iter().enumerate() {
        let value = extending.job(at, &mut Vec::new()).unwrap_or_else(|| entry.value.clone());
        all.push(Entry { value, ..entry.clone() });
    }
    all
}

struct Extending<'a> {
    entries: &'a [Entry],
    names: HashMap<&'a str, usize>,
    done: HashMap<usize, Option<Node>>,
    merged: usize,
    notes: &'a mut Notes,
}

impl Extending<'_> {
    fn job(&mut self, at: usize, open: &mut Vec<usize>) -> Option<Node> {
        if let Some(done) = self.done.get(&at) {
            return done.clone();
        }
        let all = self.entries;
        let entry = &all[at];
        let own = entry.value.entries()?;
        let Some(extends) = get(own, "extends") else { return Some(entry.value.clone()) };
        if open.contains(&at) || open.len() >= DEEPEST {
            let why = if open.contains(&at) { "extends itself" } else { "extends too many others in a row" };
            self.notes.push(at_key(extends, format!("`{}` {why}", shown(&entry.key))));
            return None;
        }
        open.push(at);
        let mut whole = Vec::new();
        for (name, span) in texts_of(extends, self.notes) {
            let Some(base) = self.names.get(name.as_str()).copied() else {
                let message =
                    format!("`{}` extends `{}`, which is not there", shown(&entry.key), shown(&name));
                self.notes.wrong(span, message);
                continue;
            };
            if let Some(base) = self.job(base, open) {
                whole = merge_deep(&whole, base.entries().unwrap_or_default(), &mut self.merged);
            }
        }
        open.pop();
        let own: Vec<Entry> = own.iter().filter(|entry| entry.key != "extends").cloned().collect();
        let whole = merge_deep(&whole, &own, &mut self.merged);
        if self.merged > MOST_MERGED {
            self.notes
                .wrong(extends.key_span, "what the jobs of this file extend adds up to too many entries");
            return None;
        }
        let node = Node::mapping(whole, entry.value.span);
        self.done.insert(at, Some(node.clone()));
        Some(node)
    }
}

/// The same entries with what every `!reference` stands for in its place.
pub(super) fn referenced(entries: &[Entry], notes: &mut Notes) -> Vec<Entry> {
    let mut all = Vec::with_capacity(entries.len());
    let names = entries.iter().map(|entry| (entry.key.as_str(), &entry.value)).collect();
    let mut references = References { names, known: HashMap::new(), open: Vec::new(), notes };
    for entry in entries {
        let value = references.node(&entry.value);
        if value.size() > MOST_NODES {
            let message = format!("the references of `{}` stand for too many values", shown(&entry.key));
            references.notes.push(at_key(entry, message));
            continue;
        }
        all.push(Entry { value, ..entry.clone() });
    }
    all
}

struct References<'a> {
    names: HashMap<&'a str, &'a Node>,
    known: HashMap<Vec<String>, Node>,
    open: Vec<Vec<String>>,
    notes: &'a mut Notes,
}

impl References<'_> {
    fn node(&mut self, node: &Node) -> Node {
        if node.is_reference {
            return self.target(node).unwrap_or_else(|| Node::sequence(Vec::new(), node.span));
        }
        if !has_reference(node) {
            return node.clone();
        }
        match node.value() {
            Value::Scalar(_) => node.clone(),
            Value::Sequence(items) => {
                let items: Vec<Node> = items.iter().map(|item| self.node(item)).collect();
                Node::sequence(items, node.span)
            }
            Value::Mapping(entries) => {
                let entries = entries
                    .iter()
                    .map(|entry| Entry { value: self.node(&entry.value), ..entry.clone() })
                    .collect();
                Node::mapping(entries, node.span)
            }
        }
    }

    fn target(&mut self, node: &Node) -> Option<Node> {
        let Value::Sequence(items) = node.value() else { return None };
        let path: Option<Vec<String>> =
            items.iter().map(|item| crate::import::node::text(item).map(str::to_owned)).collect();
        let Some(path) = path.filter(|path| !path.is_empty()) else {
            self.notes.wrong(node.span, "`!reference` must be a list of names, such as `[.setup, script]`");
            return None;
        };
        if let Some(known) = self.known.get(&path) {
            return Some(known.clone());
        }
        let written = shown(&path.join(", "));
        if self.open.contains(&path) || self.open.len() >= DEEPEST_REFERENCE {
            self.notes
                .wrong(node.span, format!("the reference `[{written}]` leads back to itself, or too far"));
            return None;
        }
        let first = self.names.get(path[0].as_str()).map(|node| (*node).clone());
        let found = path[1..].iter().fold(first, |node, key| {
            node?.entries()?.iter().find(|entry| entry.key == *key).map(|entry| entry.value.clone())
        });
        let Some(found) = found else {
            self.notes.wrong(node.span, format!("there is nothing at the reference `[{written}]`"));
            return None;
        };
        self.open.push(path.clone());
        let resolved = self.node(&found);
        self.open.pop();
        self.known.insert(path, resolved.clone());
        Some(resolved)
    }
}

fn has_reference(node: &Node) -> bool {
    node.is_reference
        || match node.value() {
            Value::Scalar(_) => false,
            Value::Sequence(items) => items.iter().any(has_reference),
            Value::Mapping(entries) => entries.iter().any(|entry| has_reference(&entry.value)),
        }
}
