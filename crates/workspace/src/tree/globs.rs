//! Files selected by globs relative to a root: artifacts, caches, what a backend's `get` asks for.
//!
//! Ignore rules do not count here: what a build makes is usually ignored. Not here: projects.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use super::listing::Listing;
use super::walk::{Chooser, Verdict, Visit, walk};
use crate::{Error, Result};

/// A checked set of globs.
///
/// `*` and `?` stay within one path component, `**` spans them, `{a,b}` and `[a-z]` work, a leading `./` and a trailing slash are ignored, and
/// hidden files match like others. A glob that matches a directory selects all that is in it. `.` selects everything.
#[derive(Debug, Clone)]
pub struct Globs {
    include: Vec<Pattern>,
    matcher: GlobSet,
    exclude: GlobSet,
}

#[derive(Debug, Clone)]
struct Pattern {
    given: String,
    /// The components before the first with a wildcard: nothing outside them can match.
    fixed: Vec<String>,
}

impl Globs {
    /// Checks and compiles `globs`.
    ///
    /// # Errors
    ///
    /// [`Error::BadGlob`] for one that is empty, absolute, leads upwards by `..`, or is malformed.
    pub fn new<S: AsRef<str>>(globs: &[S]) -> Result<Self> {
        let include = globs.iter().map(|glob| Pattern::new(glob.as_ref())).collect::<Result<_>>()?;
        Ok(Self { include, matcher: compile(globs)?, exclude: GlobSet::empty() })
    }

    /// The same but for what `globs` match, with all that is in it.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn except<S: AsRef<str>>(mut self, globs: &[S]) -> Result<Self> {
        self.exclude = compile(globs)?;
        Ok(self)
    }
}

/// Which of a set's globs an archive's members match, as they go by.
pub(crate) struct GlobHits<'a> {
    globs: &'a Globs,
    hits: Vec<bool>,
    missing: usize,
}

impl Globs {
    /// None of them matched yet.
    pub(crate) fn hits(&self) -> GlobHits<'_> {
        GlobHits { globs: self, hits: vec![false; self.include.len()], missing: self.include.len() }
    }
}

impl GlobHits<'_> {
    /// Takes note of a member: it is selected by what matches it or a directory above it.
    pub(crate) fn note(&mut self, path: &[u8]) {
        if self.missing == 0 {
            return;
        }
        let path = Path::new(OsStr::from_bytes(path));
        let path: std::path::PathBuf =
            path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
        for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            for index in self.globs.matcher.matches_candidate(&Candidate::new(part)) {
                if !std::mem::replace(&mut self.hits[index], true) {
                    self.missing -= 1;
                }
            }
        }
    }

    /// Those that matched nothing, as they were given.
    pub(crate) fn unmatched(self) -> Vec<String> {
        let unmatched = self.globs.include.iter().zip(self.hits).filter(|(_, hit)| !hit);
        unmatched.map(|(pattern, _)| pattern.given.clone()).collect()
    }
}

/// Lists what `globs` select beneath `root`, and which of them select nothing, in the order given.
///
/// # Errors
///
/// [`Error::NotADirectory`] or [`Error::Unreadable`] for the root, or for a directory that may hold something selected.
pub fn list_globs(root: &Path, globs: &Globs) -> Result<(Listing, Vec<String>)> {
    let mut choice = GlobChoice { globs, hits: vec![false; globs.include.len()], matches: Vec::new() };
    let mut listing = walk(root, &mut choice, false, Verdict::PassThrough)?;
    listing.directories.retain(|directory| directory.is_chosen || !directory.leaves.is_empty());
    let unmatched = globs.include.iter().zip(choice.hits).filter(|(_, hit)| !hit);
    Ok((listing, unmatched.map(|(pattern, _)| pattern.given.clone()).collect()))
}

impl Pattern {
    fn new(glob: &str) -> Result<Self> {
        let normal = normalise(glob)?;
        let is_fixed = |part: &&str| !part.contains(['*', '?', '[', '{', '\\']);
        let fixed = normal.split('/').take_while(is_fixed).map(str::to_owned).collect();
        Ok(Self { given: glob.to_owned(), fixed })
    }

    /// Whether something that matches may lie in the directory `path`.
    fn may_match_in(&self, path: &[u8]) -> bool {
        path.split(|&byte| byte == b'/').zip(&self.fixed).all(|(part, fixed)| part == fixed.as_bytes())
    }
}

fn normalise(glob: &str) -> Result<String> {
    let bad = |reason: &str| Error::BadGlob { glob: glob.to_owned(), reason: reason.to_owned() };
    if glob.is_empty() {
        return Err(bad("it is empty; write . for everything"));
    }
    let mut parts = Vec::new();
    for component in Path::new(glob).components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy()),
            Component::CurDir => {}
            Component::ParentDir => {
                return Err(bad("it leads out of the workspace by ..; name a path inside"));
            }
            _ => return Err(bad("it is absolute; write it relative to the workspace")),
        }
    }
    if parts.is_empty() { Ok("**".to_owned()) } else { Ok(parts.join("/")) }
}

/// One set in which glob number `i` is member `i`.
fn compile<S: AsRef<str>>(globs: &[S]) -> Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let malformed = |error: globset::Error| Error::BadGlob {
            glob: glob.as_ref().to_owned(),
            reason: format!(
                "{}; correct it, or put a backslash before a character that stands for itself",
                error.kind()
            ),
        };
        let normal = normalise(glob.as_ref())?;
        let glob = GlobBuilder::new(&normal).literal_separator(true).backslash_escape(true).build();
        set.add(glob.map_err(malformed)?);
    }
    set.build().map_err(|error| Error::BadGlob {
        glob: error.glob().unwrap_or_default().to_owned(),
        reason: error.kind().to_string(),
    })
}

struct GlobChoice<'a> {
    globs: &'a Globs,
    hits: Vec<bool>,
    matches: Vec<usize>,
}

impl Chooser for GlobChoice<'_> {
    /// Whether the directory, and so all that is in it, is selected.
    type Scope = bool;

    fn enter(&mut self, _around: &bool, visit: &Visit<'_>) -> bool {
        visit.verdict == Verdict::Take
    }

    fn choose(&mut self, inside_selected: &bool, path: &[u8], is_directory: bool) -> Verdict {
        let candidate = Candidate::new(Path::new(OsStr::from_bytes(path)));
        if self.globs.exclude.is_match_candidate(&candidate) {
            return Verdict::Leave;
        }
        self.globs.matcher.matches_candidate_into(&candidate, &mut self.matches);
        for &index in &self.matches {
            self.hits[index] = true;
        }
        if *inside_selected || !self.matches.is_empty() {
            Verdict::Take
        } else if is_directory && self.globs.include.iter().any(|pattern| pattern.may_match_in(path)) {
            Verdict::PassThrough
        } else {
            Verdict::Leave
        }
    }
}
