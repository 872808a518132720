//! A project directory and which of its files a job gets.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::listing::Listing;
use super::rules::{Present, RuleReader, Rules};
use super::walk::{Chooser, Verdict, Visit, append, walk};
use crate::beneath::Beneath;
use crate::{Error, Result};

/// Which files of a tree are taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeOptions {
    /// Whether `.gitignore`, `.git/info/exclude` and `.jobwrightignore` are obeyed. Default: true.
    ///
    /// `.gitignore` works without a repository too. In one, the files of the directories above up to the repository's top
    /// count as well, and a file that git tracks is taken whatever the rules say, as git itself has it; only
    /// `.jobwrightignore` can leave out a tracked file.
    pub ignore_rules: bool,
    /// Whether `.git` is taken, whole: builds call git. Default: true.
    pub git: bool,
    /// Whether the user's own rules (git's `core.excludesFile`) are obeyed as well. Default: false, so that two users
    /// get the same files.
    pub user_rules: bool,
    /// Paths that are left out, absolute or relative to the tree's root. One that is not in the tree has no effect.
    pub exclude: Vec<PathBuf>,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self { ignore_rules: true, git: true, user_rules: false, exclude: Vec::new() }
    }
}

/// A directory with the choice of which of its files a job gets.
#[derive(Debug, Clone)]
pub struct Project {
    root: PathBuf,
    options: TreeOptions,
}

impl Project {
    /// The project in the directory `root`. Nothing is read yet.
    pub fn new(root: impl Into<PathBuf>, options: TreeOptions) -> Self {
        Self { root: root.into(), options }
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The choice.
    pub fn options(&self) -> &TreeOptions {
        &self.options
    }

    /// Walks the directory. Hidden files and empty directories are taken; symlinks are never followed; sockets, fifos and devices are
    /// skipped and reported.
    ///
    /// # Errors
    ///
    /// [`Error::NotADirectory`], and [`Error::Unreadable`] for the root or a directory in it that is not ignored.
    pub fn list(&self) -> Result<Listing> {
        let root = std::fs::canonicalize(&self.root).map_err(|source| Error::reading(&self.root, source))?;
        let mut choice = ProjectChoice::new(&root, &self.options);
        let outside = choice.rules_above(&root);
        let mut listing = walk(&root, &mut choice, outside, Verdict::Take)?;
        listing.rule_problems = choice.reader.problems;
        Ok(listing)
    }

    /// Whether the absolute, canonical `path` lies in one of the excluded paths.
    pub(crate) fn excludes(&self, root: &Path, path: &Path) -> bool {
        let excluded = excluded_paths(root, &self.options.exclude);
        path.strip_prefix(root).is_ok_and(|relative| {
            relative.ancestors().any(|above| excluded.contains(above.as_os_str().as_bytes()))
        })
    }
}

/// The excluded paths relative to the canonical `root`.
fn excluded_paths(root: &Path, exclude: &[PathBuf]) -> HashSet<Vec<u8>> {
    let relative = exclude.iter().filter_map(|path| {
        if path.is_absolute() {
            // Its directory may be reached through symlinks; the name itself is not followed.
            let parent = path.parent().and_then(|parent| parent.canonicalize().ok());
            let path =
                parent.zip(path.file_name()).map_or_else(|| path.clone(), |(parent, name)| parent.join(name));
            Some(path.strip_prefix(root).ok()?.to_path_buf())
        } else {
            Some(path.components().filter(|part| *part != Component::CurDir).collect())
        }
    });
    relative.map(|path| path.as_os_str().as_bytes().to_vec()).filter(|path| !path.is_empty()).collect()
}

/// What holds in one directory of a project.
#[derive(Clone)]
enum Scope {
    /// Inside `.git`, or without rules: all is taken.
    Everything,
    /// Rules hold. In a directory that they ignore, only what git tracks is taken.
    Ruled { rules: Option<Rc<Rules>>, only_tracked: bool },
}

struct ProjectChoice<'a> {
    root: &'a Path,
    options: &'a TreeOptions,
    excluded: HashSet<Vec<u8>>,
    reader: RuleReader,
    /// The root's path relative to the outermost directory whose rules count; empty when that is the root itself.
    prefix: Vec<u8>,
}

impl<'a> ProjectChoice<'a> {
    fn new(root: &'a Path, options: &'a TreeOptions) -> Self {
        let mut reader = RuleReader::default();
        if options.ignore_rules && options.user_rules {
            reader.read_user_rules();
        }
        let excluded = excluded_paths(root, &options.exclude);
        Self { root, options, excluded, reader, prefix: Vec::new() }
    }

    /// The rules from the top of the repository that the root lies in down to the directory above the root.
    fn rules_above(&mut self, root: &Path) -> Scope {
        if !self.options.ignore_rules {
            return Scope::Everything;
        }
        let nothing = Scope::Ruled { rules: None, only_tracked: false };
        let has_git = |directory: &&Path| directory.join(".git").symlink_metadata().is_ok();
        let Some(top) = root.ancestors().find(has_git).filter(|top| *top != root) else { return nothing };
        let Ok(below_top) = root.strip_prefix(top) else { return nothing };

        let (mut directory, mut path, mut rules) = (top.to_path_buf(), Vec::new(), None);
        for component in below_top.components() {
            rules = self.rules_of(rules.as_ref(), &directory, &path);
            append(&mut path, component.as_os_str().as_bytes());
            directory.push(component);
            // Who names a directory that its repository ignores means it: then the repository has no say.
            if self.reader.ignores(rules.as_ref(), &path, true) && !self.reader.tracks(rules.as_ref(), &path)
            {
                return nothing;
            }
        }
        self.prefix = path;
        Scope::Ruled { rules, only_tracked: false }
    }

    fn rules_of(&mut self, above: Option<&Rc<Rules>>, directory: &Path, path: &[u8]) -> Option<Rc<Rules>> {
        let Ok(open) = Beneath::new(directory) else { return above.cloned() };
        let git = directory.join(".git").symlink_metadata().is_ok();
        let present = Present { git, git_rules: true, own_rules: true };
        self.reader.rules_in(above, open.fd(), directory, content_offset(path), present)
    }

    fn full(&self, path: &[u8]) -> Vec<u8> {
        let mut full = self.prefix.clone();
        if !path.is_empty() {
            append(&mut full, path);
        }
        full
    }
}

/// At which byte the paths of what is in the directory `path` go on after it.
fn content_offset(path: &[u8]) -> usize {
    if path.is_empty() { 0 } else { path.len() + 1 }
}

fn name_of(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

impl Chooser for ProjectChoice<'_> {
    type Scope = Scope;

    fn enter(&mut self, around: &Scope, visit: &Visit<'_>) -> Scope {
        let Scope::Ruled { rules, .. } = around else { return Scope::Everything };
        if name_of(visit.path) == b".git" {
            return Scope::Everything;
        }
        let git = visit.has(".git");
        let present =
            Present { git, git_rules: visit.has(".gitignore"), own_rules: visit.has(".jobwrightignore") };
        let directory = self.root.join(Path::new(std::ffi::OsStr::from_bytes(visit.path)));
        let at = content_offset(&self.full(visit.path));
        let rules = self.reader.rules_in(rules.as_ref(), visit.fd, &directory, at, present);
        // A repository in an ignored directory that is tracked (a submodule) has rules of its own.
        Scope::Ruled { rules, only_tracked: visit.verdict == Verdict::TakeTracked && !git }
    }

    fn choose(&mut self, scope: &Scope, path: &[u8], is_directory: bool) -> Verdict {
        if self.excluded.contains(path) {
            return Verdict::Leave;
        }
        // Git never applies rules to its own directory, and a rule such as `logs` or `.*` must not tear it.
        if name_of(path) == b".git" {
            return if self.options.git { Verdict::Take } else { Verdict::Leave };
        }
        let Scope::Ruled { rules, only_tracked } = scope else { return Verdict::Take };
        let full = self.full(path);
        let (rules, only_tracked) = (rules.as_ref(), *only_tracked);
        if !only_tracked && !self.reader.ignores(rules, &full, is_directory) {
            return Verdict::Take;
        }
        if self.reader.tracks(rules, &full) && !self.reader.own_rules_ignore(rules, &full, is_directory) {
            return Verdict::TakeTracked;
        }
        Verdict::Leave
    }
}
