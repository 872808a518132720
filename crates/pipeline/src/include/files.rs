//! Reading the files of a pipeline: each once, however often it is included, and never more than honest pipelines need. Not for
//! merging them.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use crate::check::describe;
use crate::dialect::Dialect;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::include::reach::Opened;
use crate::include::{OpenError, Place, Reach, SMALLEST, empty_file};
use crate::keys::{self, PIPELINE_KEYS};
use crate::source::{Source, Sources, Span};
use crate::text::shown;
use crate::yaml::{self, Entry, MAX_BYTES, Node, Value, decode};

/// The most files of one pipeline.
const MOST_FILES: usize = 100;
/// The most files that include each other in a row.
const DEEPEST: usize = 16;
/// The most includes in all files together: a file may be included more than once.
const MOST_INCLUDES: usize = 1000;
/// The most bytes of all files together.
const MOST_BYTES: usize = 2 * MAX_BYTES;

/// One file's own keys and jobs, and what it includes.
pub(super) struct Tree {
    pub(super) path: PathBuf,
    pub(super) own: Vec<Entry>,
    pub(super) jobs: Vec<Entry>,
    /// Numbers of trees, in the file's order, with the place that names them.
    pub(super) includes: Vec<(usize, Span)>,
    /// Where the file's mapping is; none when there is none.
    start: Option<Span>,
}

/// All files of a pipeline; the first tree is that of the file that was asked for.
pub(super) struct Files {
    pub(super) trees: Vec<Tree>,
    pub(super) sources: Sources,
    pub(super) complete: bool,
    known: HashMap<PathBuf, usize>,
    /// The trees whose includes are being read, outermost first.
    chain: Vec<usize>,
    reach: Reach,
    includes_left: usize,
    bytes_left: usize,
}

impl Files {
    pub(super) fn read(source: Source, place: Option<Place>, findings: &mut Findings) -> Self {
        let root = yaml::parse(&source, findings);
        let path = PathBuf::from(source.name());
        let mut files = Self {
            trees: Vec::new(),
            complete: root.is_some() || findings.is_empty(),
            bytes_left: MOST_BYTES.saturating_sub(source.text().len()),
            includes_left: MOST_INCLUDES,
            known: HashMap::new(),
            reach: Reach::default(),
            chain: Vec::new(),
            sources: Sources::new(source),
        };
        let start = files.sources.first().span(0, 0);
        if root.as_ref().map_or_else(|| findings.is_empty(), Node::is_null) {
            findings.push(empty_file(start));
        }
        let index = files.add(path, root, findings);
        match place {
            Some(Place { directory, canonical, reach }) => {
                files.reach = reach;
                files.known.extend(canonical.map(|path| (path, index)));
                files.follow(index, &directory, findings);
            }
            None => files.refuse(findings),
        }
        files
    }

    /// Where the first file's mapping begins.
    pub(super) fn start(&self) -> Option<Span> {
        self.trees.first().and_then(|tree| tree.start)
    }

    /// Takes a file's keys and jobs.
    fn add(&mut self, path: PathBuf, root: Option<Node>, findings: &mut Findings) -> usize {
        let mut tree = Tree { path, own: Vec::new(), jobs: Vec::new(), includes: Vec::new(), start: None };
        match root.as_ref().map(|root| (root, root.value())) {
            Some((root, Value::Mapping(entries))) => {
                let is_own = |entry: &&Entry| keys::find(PIPELINE_KEYS, &entry.key).is_some();
                tree.own = entries.iter().filter(is_own).cloned().collect();
                tree.jobs = entries.iter().filter(|entry| !is_own(entry)).cloned().collect();
                tree.start = Some(Span::new(root.span.file, root.span.start, root.span.start));
            }
            Some((root, _)) if !root.is_null() => {
                let message = format!("a pipeline file must be a mapping of keys, found {}", describe(root));
                findings.push(Finding::error(root.span, message).help(SMALLEST));
            }
            _ => {}
        }
        self.trees.push(tree);
        self.trees.len() - 1
    }

    /// Bytes that lie nowhere include nothing.
    fn refuse(&mut self, findings: &mut Findings) {
        let includes = includes_of(&self.trees[0], findings);
        for (_, span) in &includes {
            let finding = Finding::error(*span, "a file that lies nowhere cannot include others");
            findings.push(finding.help("load it by its path"));
        }
        self.complete &= includes.is_empty();
    }

    /// Reads what the tree `index` includes, whose paths count from `directory`.
    fn follow(&mut self, index: usize, directory: &Path, findings: &mut Findings) {
        self.chain.push(index);
        for (text, span) in includes_of(&self.trees[index], findings) {
            match self.include(index, &text, span, directory, findings) {
                Some(included) => self.trees[index].includes.push((included, span)),
                None => self.complete = false,
            }
        }
        self.chain.pop();
    }

    /// The tree that `text` names, read if it was not yet.
    fn include(
        &mut self,
        by: usize,
        text: &str,
        span: Span,
        directory: &Path,
        findings: &mut Findings,
    ) -> Option<usize> {
        let path = plain(&directory.join(text));
        let opened = match self.reach.open(&path) {
            Ok(opened) => opened,
            Err(error) => {
                findings.push(not_to_be_had(span, &path, &error));
                return None;
            }
        };
        let known = self.known.get(&opened.canonical).copied();
        let open = known.and_then(|known| self.chain.iter().position(|open| *open == known));
        if let Some(open) = open {
            findings.push(self.circle(open, span));
            return None;
        }
        if !self.has_room(span, findings) {
            return None;
        }
        known.or_else(|| self.read_new(by, path, opened, span, findings))
    }

    /// A file that was not read yet, with all that it includes.
    fn read_new(
        &mut self,
        by: usize,
        path: PathBuf,
        opened: Opened,
        span: Span,
        findings: &mut Findings,
    ) -> Option<usize> {
        let Opened { file, canonical } = opened;
        let bytes = self.fetch(&path, file, span, findings)?;
        let id = self.sources.next_id();
        let source = match decode(id, &path.display().to_string(), &bytes) {
            Ok(source) => source,
            Err(not_text) => {
                self.sources.add(not_text.source);
                findings.push(not_text.finding.related(span, "it is included here"));
                return None;
            }
        };
        let includer = self.trees[by].start.map(|start| self.sources[start.file].dialect());
        let source = source.in_dialect(Dialect::of(&path, includer.unwrap_or_default()));
        let root = yaml::parse(&source, findings);
        self.complete &= root.is_some() || source.text().trim().is_empty();
        self.sources.add(source);
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        let included = self.add(path, root, findings);
        self.known.insert(canonical, included);
        self.follow(included, &directory, findings);
        Some(included)
    }

    /// A file's bytes, as long as those of all files together are not too many.
    fn fetch(
        &mut self,
        path: &Path,
        file: impl Read,
        span: Span,
        findings: &mut Findings,
    ) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Err(reason) = file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes) {
            findings.push(unreadable(span, path, &reason));
            return None;
        }
        let Some(left) = self.bytes_left.checked_sub(bytes.len()) else {
            let most = MOST_BYTES / 1024 / 1024;
            let message = format!("the files of this pipeline are larger than {most} MiB in all");
            findings.push(Finding::error(span, message));
            return None;
        };
        self.bytes_left = left;
        Some(bytes)
    }

    /// Whether one more include is allowed.
    fn has_room(&mut self, span: Span, findings: &mut Findings) -> bool {
        let message = if self.trees.len() >= MOST_FILES {
            format!("the pipeline has more than {MOST_FILES} files")
        } else if self.chain.len() >= DEEPEST {
            format!("more than {DEEPEST} files include each other in a row")
        } else if self.includes_left == 0 {
            format!("the files of this pipeline include others more than {MOST_INCLUDES} times")
        } else {
            self.includes_left -= 1;
            return true;
        };
        findings.push(Finding::error(span, message));
        false
    }

    fn circle(&self, from: usize, span: Span) -> Finding {
        let open = self.chain[from..].iter().chain(&self.chain[from..=from]);
        let names: Vec<String> = open.map(|tree| format!("`{}`", self.trees[*tree].path.display())).collect();
        Finding::error(span, format!("`include` goes round in a circle: {}", names.join(" → ")))
            .help("take one of these includes out")
    }
}

/// The paths that a file includes. What is no path is reported and left out.
fn includes_of(tree: &Tree, findings: &mut Findings) -> Vec<(String, Span)> {
    let Some(include) = tree.own.iter().find(|entry| entry.key == "include") else { return Vec::new() };
    let items = match include.value.value() {
        Value::Sequence(items) => items.as_slice(),
        Value::Scalar(scalar) if scalar.is_null() => &[],
        _ => std::slice::from_ref(&include.value),
    };
    items.iter().filter_map(|item| path_of(item, findings)).collect()
}

fn path_of(item: &Node, findings: &mut Findings) -> Option<(String, Span)> {
    let finding =
        || Finding::error(item.span, format!("`include` must name files, found {}", describe(item)));
    match item.value() {
        Value::Scalar(scalar) if scalar.text.contains("://") => {
            findings.push(finding().help("only files can be included: fetch it, and write its path"));
            None
        }
        Value::Scalar(scalar) if !scalar.is_null() && !scalar.text.is_empty() => {
            Some((scalar.text.clone(), item.span))
        }
        Value::Mapping(entries) if entries.iter().any(|entry| entry.key == "local") => {
            findings.push(finding().help("write the path alone, without `local:`"));
            None
        }
        _ => {
            findings.push(finding());
            None
        }
    }
}

fn not_to_be_had(span: Span, path: &Path, error: &OpenError) -> Finding {
    match error {
        OpenError::Io(reason) => unreadable(span, path, reason),
        OpenError::Outside => {
            let path = shown(&path.display().to_string());
            let message = format!("the included file `{path}` cannot be included here: {error}");
            Finding::error(span, message).help("put a copy of it into the project, and include that")
        }
    }
}

fn unreadable(span: Span, path: &Path, reason: &io::Error) -> Finding {
    let message =
        format!("the included file `{}` cannot be read: {reason}", shown(&path.display().to_string()));
    Finding::error(span, message).help("a path counts from the file that includes it")
}

/// The same path without `.`. A `..` stays, as what it means depends on links.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}
