//! The file and all local files that it includes, as one mapping: GitLab merges them level by level, the including file over the
//! included, the later include over the earlier. Not for `extends`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use globset::GlobBuilder;

use crate::finding::{Finding, Report};
use crate::findings::Findings;
use crate::import::node::{get, items, text};
use crate::import::{ImportError, Notes};
use crate::source::{FileId, Source, Sources, Span};
use crate::text::shown;
use crate::yaml::{Entry, MAX_BYTES, Node, Value, decode, parse_with_references};

/// The most files, as in GitLab.
const MOST_FILES: usize = 150;
/// The most directories that a glob is looked for in.
const MOST_DIRECTORIES: usize = 10_000;

/// The file to import.
pub(in crate::import) struct Input {
    name: String,
    bytes: Vec<u8>,
    /// Where paths of includes count from; nothing when nobody knows.
    root: Option<PathBuf>,
    path: Option<PathBuf>,
}

impl Input {
    pub(in crate::import) fn read(path: &Path) -> Result<Self, ImportError> {
        let bytes = read(path).map_err(|reason| ImportError::Unreadable { path: path.to_owned(), reason })?;
        let canonical = std::fs::canonicalize(path).ok();
        let own = canonical.as_deref().and_then(Path::parent);
        let repository = own.and_then(|own| own.ancestors().find(|above| above.join(".git").exists()));
        let root = repository.or(own).map(Path::to_owned);
        Ok(Self { name: path.display().to_string(), bytes, root, path: canonical })
    }

    pub(in crate::import) fn bytes(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.to_owned(), bytes: bytes.to_owned(), root: None, path: None }
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// All entries of all files.
pub(super) fn load(input: Input) -> Result<(Vec<Entry>, Notes), ImportError> {
    let source = decode(FileId::default(), &input.name, &input.bytes).map_err(|refused| {
        ImportError::Invalid(Report::new(Arc::new(Sources::new(refused.source)), vec![refused.finding]))
    })?;
    let mut notes = Notes::new(Sources::new(source.clone()));
    let mut open: Vec<PathBuf> = input.path.into_iter().collect();
    let mut loading = Loading { root: input.root, notes: &mut notes, files: 1, merged: 0 };
    let entries = loading.tree(&source, &mut open);
    Ok((entries, notes))
}

struct Loading<'a> {
    root: Option<PathBuf>,
    notes: &'a mut Notes,
    files: usize,
    merged: usize,
}

impl Loading<'_> {
    /// The entries of one file, with those of what it includes.
    fn tree(&mut self, source: &Source, open: &mut Vec<PathBuf>) -> Vec<Entry> {
        let mut findings = Findings::default();
        let root = parse_with_references(source, &mut findings);
        self.notes.take(findings);
        let start = source.span(0, 0);
        let Some(root) = root else {
            if !self.notes.has_error() {
                self.notes.wrong(start, "the file is empty");
            }
            return Vec::new();
        };
        let Some(own) = root.entries() else {
            self.notes.wrong(root.span, "a pipeline file must be a mapping of names to jobs");
            return Vec::new();
        };
        let mut all = Vec::new();
        if let Some(include) = get(own, "include") {
            for item in items(&include.value) {
                for included in self.include(item, include.key_span, open) {
                    all = merge_deep(&all, &included, &mut self.merged);
                }
            }
        }
        let own: Vec<Entry> = own.iter().filter(|entry| entry.key != "include").cloned().collect();
        let all = merge_deep(&all, &own, &mut self.merged);
        if self.merged > super::MOST_MERGED {
            self.notes.wrong(start, "the includes of this file add up to too many entries");
            return Vec::new();
        }
        all
    }

    /// What one item of `include` stands for, file by file.
    fn include(&mut self, item: &Node, key: Span, open: &mut Vec<PathBuf>) -> Vec<Vec<Entry>> {
        let span = if item.span.is_empty() { key } else { item.span };
        let (path, span) = match item.value() {
            Value::Scalar(scalar) if scalar.text.contains("://") => {
                self.notes.note_help(span, "the remote include is not carried over", REMOTE_HELP);
                return Vec::new();
            }
            Value::Scalar(scalar) if !scalar.text.is_empty() => (scalar.text.clone(), span),
            Value::Mapping(entries) => {
                let Some(local) = get(entries, "local") else {
                    let kind = entries.first().map_or("this", |entry| entry.key.as_str());
                    let message = format!("the include of a `{}` is not carried over", shown(kind));
                    self.notes.note_help(span, message, REMOTE_HELP);
                    return Vec::new();
                };
                for other in entries.iter().filter(|entry| entry.key != "local") {
                    let message = format!(
                        "`{}` of this include is not carried over: the file is always included",
                        shown(&other.key)
                    );
                    self.notes.note(other.key_span, message);
                }
                let Some(path) = text(&local.value).filter(|path| !path.is_empty()) else {
                    self.notes.wrong(span, "`local` must be a path");
                    return Vec::new();
                };
                (path.to_owned(), local.value.span)
            }
            _ => {
                self.notes.wrong(span, "an include must be a path or a mapping with `local`");
                return Vec::new();
            }
        };
        self.local(&path, span, open)
    }

    fn local(&mut self, path: &str, span: Span, open: &mut Vec<PathBuf>) -> Vec<Vec<Entry>> {
        let Some(root) = self.root.clone() else {
            self.notes.wrong(
                span,
                format!("`{}` cannot be included: nobody knows where this file lies", shown(path)),
            );
            return Vec::new();
        };
        let relative = path.trim_start_matches('/');
        if path.contains('$') {
            self.notes
                .note(span, format!("the include `{}` has a variable and is not carried over", shown(path)));
            return Vec::new();
        }
        if Path::new(relative)
            .components()
            .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
        {
            self.notes.wrong(span, format!("the include `{}` leads out of the project", shown(path)));
            return Vec::new();
        }
        let paths =
            if relative.contains('*') { find(&root, relative) } else { Some(vec![root.join(relative)]) };
        let Some(paths) = paths else {
            let text = format!(
                "the include `{}` is looked for in more than {MOST_DIRECTORIES} directories",
                shown(path)
            );
            self.notes.wrong(span, text);
            return Vec::new();
        };
        if paths.is_empty() {
            self.notes.wrong(span, format!("no file matches the include `{}`", shown(path)));
        }
        paths.iter().filter_map(|path| self.file(path, &root, span, open)).collect()
    }

    fn file(&mut self, path: &Path, root: &Path, span: Span, open: &mut Vec<PathBuf>) -> Option<Vec<Entry>> {
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        self.files += 1;
        if self.files > MOST_FILES {
            self.notes.wrong(span, format!("more than {MOST_FILES} files are included"));
            return None;
        }
        let canonical = match std::fs::canonicalize(path) {
            Ok(canonical) => canonical,
            Err(error) => {
                self.notes.wrong(span, format!("the include `{}` cannot be read: {error}", shown(&name)));
                return None;
            }
        };
        if !canonical.starts_with(root) {
            self.notes.wrong(span, format!("the include `{}` leads out of the project", shown(&name)));
            return None;
        }
        if open.contains(&canonical) {
            self.notes.wrong(span, format!("`{}` includes itself", shown(&name)));
            return None;
        }
        let bytes = match read(&canonical) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.notes.wrong(span, format!("the include `{}` cannot be read: {error}", shown(&name)));
                return None;
            }
        };
        let id = self.notes.sources.next_id();
        let source = match decode(id, &name, &bytes) {
            Ok(source) => source,
            Err(refused) => {
                self.notes.sources.add(refused.source);
                self.notes.push(refused.finding);
                return None;
            }
        };
        self.notes.sources.add(source.clone());
        open.push(canonical);
        let entries = self.tree(&source, open);
        open.pop();
        Some(entries)
    }
}

const REMOTE_HELP: &str = "only files of the project are read; save it there and include it as `local`";

/// The files below `root` that a glob means, in order; nothing when there are too many directories to look at.
fn find(root: &Path, glob: &str) -> Option<Vec<PathBuf>> {
    let Ok(glob) = GlobBuilder::new(glob).literal_separator(true).build() else { return Some(Vec::new()) };
    let matcher = glob.compile_matcher();
    let mut found = Vec::new();
    let mut directories = vec![root.to_owned()];
    let mut looked = 0;
    while let Some(directory) = directories.pop() {
        looked += 1;
        if looked > MOST_DIRECTORIES {
            return None;
        }
        let Ok(listing) = std::fs::read_dir(&directory) else { continue };
        for entry in listing.flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && entry.file_name() != ".git" => directories.push(path),
                Ok(kind)
                    if kind.is_file() && path.strip_prefix(root).is_ok_and(|path| matcher.is_match(path)) =>
                {
                    found.push(path);
                }
                _ => {}
            }
        }
    }
    found.sort();
    Some(found)
}

/// `over` laid over `under`: mappings key by key, everything else whole. `merged` counts the entries.
pub(super) fn merge_deep(under: &[Entry], over: &[Entry], merged: &mut usize) -> Vec<Entry> {
    *merged = merged.saturating_add(under.len() + over.len());
    if *merged > super::MOST_MERGED {
        return Vec::new();
    }
    let mut all = under.to_vec();
    let mut index: HashMap<String, usize> =
        all.iter().enumerate().map(|(at, entry)| (entry.key.clone(), at)).collect();
    for entry in over {
        match index.get(&entry.key) {
            None => {
                index.insert(entry.key.clone(), all.len());
                all.push(entry.clone());
            }
            Some(at) => {
                let both = all[*at].value.entries().zip(entry.value.entries());
                let value = match both {
                    Some((under, over)) => Node::mapping(merge_deep(under, over, merged), entry.value.span),
                    None => entry.value.clone(),
                };
                all[*at] = Entry { value, ..entry.clone() };
            }
        }
    }
    all
}

/// A finding at the place of `entry`'s key.
pub(super) fn at_key(entry: &Entry, message: String) -> Finding {
    Finding::error(entry.key_span, message)
}
