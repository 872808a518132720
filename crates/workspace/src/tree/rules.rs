//! The ignore rules that hold in a directory: `.jobwrightignore` and `.gitignore` files from it upwards to the top of its repository,
//! the repository's `info/exclude`, and what its index tracks.
//!
//! The patterns themselves are read by the crate `ignore`; this file says which of them apply where, as gitignore(5) does:
//! the deepest file that has a word on a path decides. `.jobwrightignore` comes before all of git's files.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::files::read_small;
use super::git_index::Tracked;
use super::listing::RuleProblem;

const GIT_RULES: &str = ".gitignore";
const OWN_RULES: &str = ".jobwrightignore";
const MAX_RULE_FILE: u64 = 4 << 20;
const MAX_INDEX: u64 = 1 << 30;

/// The rules of one directory and, through `above`, of those around it. Directories without rules of their own share their parent's.
pub(super) struct Rules {
    above: Option<Rc<Rules>>,
    /// How many bytes of a path (relative to the outermost directory) come before what these rules are about.
    at: usize,
    own: Gitignore,
    git: Gitignore,
    repository: Option<Repository>,
}

/// A git repository whose top is the directory of a [`Rules`]: git's rules from above it do not apply.
struct Repository {
    git_dir: PathBuf,
    exclude: Gitignore,
    tracked: OnceCell<Tracked>,
}

/// Reads rule files, and keeps what was wrong with them.
#[derive(Default)]
pub(super) struct RuleReader {
    pub(super) problems: Vec<RuleProblem>,
    /// The user's own rules (`core.excludesFile`) when they were asked for.
    pub(super) user: Option<Gitignore>,
}

/// What names a directory's listing showed; a rule file that is not there need not be opened.
#[derive(Clone, Copy)]
pub(super) struct Present {
    pub(super) git: bool,
    pub(super) git_rules: bool,
    pub(super) own_rules: bool,
}

impl RuleReader {
    /// The rules inside `directory`, which lies at `path` and whose entries' paths begin at byte `at`.
    pub(super) fn rules_in(
        &mut self,
        above: Option<&Rc<Rules>>,
        directory: impl AsFd,
        path: &Path,
        at: usize,
        present: Present,
    ) -> Option<Rc<Rules>> {
        if !(present.git || present.git_rules || present.own_rules) {
            return above.cloned();
        }
        let own = if present.own_rules {
            self.read(&directory, Path::new(OWN_RULES), path.join(OWN_RULES))
        } else {
            Gitignore::empty()
        };
        let git = if present.git_rules {
            self.read(&directory, Path::new(GIT_RULES), path.join(GIT_RULES))
        } else {
            Gitignore::empty()
        };
        let repository = present.git.then(|| self.repository(path)).flatten();
        Some(Rc::new(Rules { above: above.cloned(), at, own, git, repository }))
    }

    /// Reads the user's own rules, wherever git's configuration says that they are.
    pub(super) fn read_user_rules(&mut self) {
        let (rules, problem) = GitignoreBuilder::new(".").build_global();
        if let Some(problem) = problem {
            let file = ignore::gitignore::gitconfig_excludes_path().unwrap_or_default();
            self.problems.push(RuleProblem { file, line: 0, reason: problem.to_string() });
        }
        self.user = Some(rules);
    }

    fn repository(&mut self, top: &Path) -> Option<Repository> {
        let git_dir = git_dir(top)?;
        let common = match read_small(rustix::fs::CWD, &git_dir.join("commondir"), MAX_RULE_FILE) {
            Ok(Some(bytes)) => git_dir.join(String::from_utf8_lossy(&bytes).trim_end()),
            _ => git_dir.clone(),
        };
        let file = common.join("info/exclude");
        let exclude = self.read(rustix::fs::CWD, &file, file.clone());
        Some(Repository { git_dir, exclude, tracked: OnceCell::new() })
    }

    /// Reads the rule file at `looked_up`, relative to `directory`; `file` is what a report calls it.
    fn read(&mut self, directory: impl AsFd, looked_up: &Path, file: PathBuf) -> Gitignore {
        let bytes = match read_small(directory, looked_up, MAX_RULE_FILE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Gitignore::empty(),
            Err(reason) => {
                self.problems.push(RuleProblem { file, line: 0, reason });
                return Gitignore::empty();
            }
        };
        self.compile(&file, &bytes)
    }

    fn compile(&mut self, file: &Path, bytes: &[u8]) -> Gitignore {
        let mut builder = GitignoreBuilder::new(".");
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            // These match nothing; the crate `ignore` takes them for patterns that match everything.
            if matches!(line, b"!" | b"/" | b"!/") {
                continue;
            }
            let problem = match std::str::from_utf8(line) {
                Ok(line) => {
                    builder.add_line(None, &without_alternatives(line)).err().map(|error| error.to_string())
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(reason) = problem {
                self.problems.push(RuleProblem { file: file.to_path_buf(), line: index + 1, reason });
            }
        }
        builder.build().unwrap_or_else(|error| {
            self.problems.push(RuleProblem { file: file.to_path_buf(), line: 0, reason: error.to_string() });
            Gitignore::empty()
        })
    }

    /// Whether the rules ignore `path`, which is relative to the outermost directory.
    pub(super) fn ignores(&self, rules: Option<&Rc<Rules>>, path: &[u8], is_directory: bool) -> bool {
        rules
            .and_then(|rules| rules.word_on(path, is_directory))
            .or_else(|| {
                let at = rules.and_then(|rules| rules.repository()).map_or(0, |top| top.at);
                word(self.user.as_ref()?, &path[at..], is_directory)
            })
            .unwrap_or(false)
    }

    /// Whether `.jobwrightignore` files ignore `path`, which holds for tracked files too.
    pub(super) fn own_rules_ignore(
        &self,
        rules: Option<&Rc<Rules>>,
        path: &[u8],
        is_directory: bool,
    ) -> bool {
        rules.and_then(|rules| rules.own_word_on(path, is_directory)).unwrap_or(false)
    }

    /// Whether the repository around `path` tracks it or something in it.
    pub(super) fn tracks(&mut self, rules: Option<&Rc<Rules>>, path: &[u8]) -> bool {
        let Some(top) = rules.and_then(|rules| rules.repository()) else { return false };
        let Some(repository) = &top.repository else { return false };
        let tracked = repository.tracked.get_or_init(|| {
            read_index(&repository.git_dir).unwrap_or_else(|reason| {
                let file = repository.git_dir.join("index");
                self.problems.push(RuleProblem { file, line: 0, reason });
                Tracked::default()
            })
        });
        tracked.contains(&path[top.at..])
    }
}

impl Rules {
    fn upwards(&self) -> impl Iterator<Item = &Rules> {
        std::iter::successors(Some(self), |rules| rules.above.as_deref())
    }

    /// The rules of the top of the repository that these rules lie in.
    fn repository(&self) -> Option<&Rules> {
        self.upwards().find(|rules| rules.repository.is_some())
    }

    fn own_word_on(&self, path: &[u8], is_directory: bool) -> Option<bool> {
        self.upwards().find_map(|rules| word(&rules.own, &path[rules.at..], is_directory))
    }

    /// `Some(true)` to ignore, `Some(false)` to keep, `None` when no rule says anything.
    fn word_on(&self, path: &[u8], is_directory: bool) -> Option<bool> {
        if let Some(own) = self.own_word_on(path, is_directory) {
            return Some(own);
        }
        for rules in self.upwards() {
            let about = &path[rules.at..];
            if let Some(word) = word(&rules.git, about, is_directory) {
                return Some(word);
            }
            if let Some(repository) = &rules.repository {
                return word(&repository.exclude, about, is_directory);
            }
        }
        None
    }
}

/// The pattern with its braces taken literally, as git takes them; the crate `ignore` reads `{a,b}` as alternatives.
fn without_alternatives(line: &str) -> Cow<'_, str> {
    if !line.contains(['{', '}']) {
        return Cow::Borrowed(line);
    }
    let (mut literal, mut escaped, mut in_class) = (String::with_capacity(line.len() + 8), false, false);
    for character in line.chars() {
        match character {
            '{' | '}' if !escaped && !in_class => literal.extend(['\\', character]),
            other => literal.push(other),
        }
        in_class = !escaped && if in_class { character != ']' } else { character == '[' };
        escaped = character == '\\' && !escaped;
    }
    Cow::Owned(literal)
}

fn word(patterns: &Gitignore, path: &[u8], is_directory: bool) -> Option<bool> {
    use std::os::unix::ffi::OsStrExt;
    if patterns.is_empty() {
        return None;
    }
    match patterns.matched(Path::new(std::ffi::OsStr::from_bytes(path)), is_directory) {
        ignore::Match::None => None,
        ignore::Match::Ignore(_) => Some(true),
        ignore::Match::Whitelist(_) => Some(false),
    }
}

/// Where the repository with its top at `top` keeps its own files: `.git`, or what a file of that name points to.
fn git_dir(top: &Path) -> Option<PathBuf> {
    let dot_git = top.join(".git");
    if dot_git.symlink_metadata().ok()?.is_dir() {
        return Some(dot_git);
    }
    let bytes = read_small(rustix::fs::CWD, &dot_git, MAX_RULE_FILE).ok()??;
    let target = String::from_utf8(bytes).ok()?;
    Some(top.join(target.strip_prefix("gitdir: ")?.trim_end()))
}

fn read_index(git_dir: &Path) -> Result<Tracked, String> {
    let Some(index) = read_small(rustix::fs::CWD, &git_dir.join("index"), MAX_INDEX)? else {
        return Ok(Tracked::default());
    };
    let config = read_small(rustix::fs::CWD, &git_dir.join("config"), MAX_RULE_FILE)
        .ok()
        .flatten()
        .unwrap_or_default();
    let config = String::from_utf8_lossy(&config).to_lowercase();
    let is_sha256 = config.lines().any(|line| line.replace([' ', '\t'], "") == "objectformat=sha256");
    Tracked::parse(&index, if is_sha256 { 32 } else { 20 })
}
