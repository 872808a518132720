//! Finds the tests that say which checklist items they cover. Not for the checklists themselves.
//!
//! A test says so in a comment above it, `// covers: woodpecker 34, 36-37, local-ci 56 (only the order)`, and
//! a conformance case in a field, `covers: "woodpecker 20"`, or as it is made, `case!(name, "woodpecker 20")`.
//! The name that is reported is that of the function, or of the case, that the words belong to.

use std::path::Path;
use std::sync::LazyLock;

use anyhow::Result;
use regex::Regex;

use super::reference::NAMES;
use crate::repository;

static WORDS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"^\s*(?://[/!]?\s*covers:\s*(.+)|covers:\s*&?"([^"]+)".*)$"#));
static CASE: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\bcase!\(\s*(\w+)\s*,\s*"([^"]*)""#));
static NOTE: LazyLock<Regex> = LazyLock::new(|| pattern(r"\([^)]*\)"));
static TEST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"\bfn\s+(\w+)|\b(?:test|it)\(\s*["'`]([^"'`]+)|\bname:\s*"([^"]+)"|\bcase!?\(\s*"([^"]+)""#)
});
static NAME_FIELD: LazyLock<Regex> = LazyLock::new(|| pattern(r#"\bname:\s*"([^"]+)""#));
static FUNCTION: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bfn\s+(\w+)"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant")
}

/// One test's word that it shows one item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claim {
    pub(crate) list: String,
    pub(crate) number: u32,
    /// `room::name` of the test or case.
    pub(crate) test: String,
    /// `path:line`, for messages.
    pub(crate) place: String,
}

/// All claims of the repository's tests, and what was wrong with the others.
pub(crate) fn scan() -> Result<(Vec<Claim>, Vec<String>)> {
    let mut claims = Vec::new();
    let mut problems = Vec::new();
    for source in repository::sources(".", &["rs", "ts"])? {
        // This command's own sources quote the form.
        if source.path.starts_with("xtask/src/checklist") {
            continue;
        }
        let (found, wrong) = claims_in(&source.path, &source.text);
        claims.extend(found);
        problems.extend(wrong);
    }
    Ok((claims, problems))
}

fn claims_in(path: &Path, text: &str) -> (Vec<Claim>, Vec<String>) {
    let (mut claims, mut problems) = (Vec::new(), Vec::new());
    for said in said(text) {
        let place = format!("{}:{}", path.display(), said.line);
        let Some(name) = said.name else {
            problems.push(format!("{place}: no test follows the words \"covers: {}\"", said.words));
            continue;
        };
        let test = format!("{}::{name}", room(path));
        match items(&said.words) {
            Ok(items) => claims.extend(items.into_iter().map(|(list, number)| Claim {
                list,
                number,
                test: test.clone(),
                place: place.clone(),
            })),
            Err(problem) => problems.push(format!("{place}: {problem}")),
        }
    }
    (claims, problems)
}

/// Words about coverage, where they stand (a line from 1) and the test that they belong to.
struct Said {
    line: usize,
    words: String,
    name: Option<String>,
}

fn said(text: &str) -> Vec<Said> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("covers:")) {
        let Some(words) = WORDS.captures(line) else { continue };
        let (words, name) = match (words.get(1), words.get(2)) {
            (Some(comment), _) => (comment.as_str(), following_test(&lines[index + 1..])),
            (None, Some(field)) => (field.as_str(), case_around(&lines, index)),
            (None, None) => continue,
        };
        found.push(Said { line: index + 1, words: words.to_owned(), name });
    }
    for case in CASE.captures_iter(text).filter(|case| !case[2].trim().is_empty()) {
        let line = text[..case.get_match().start()].lines().count().max(1);
        found.push(Said { line, words: case[2].to_owned(), name: Some(case[1].to_owned()) });
    }
    found
}

/// `(checklist, number)` for each item named in words such as `woodpecker 1-3, 7, local-ci 5 (in part)`.
fn items(words: &str) -> Result<Vec<(String, u32)>, String> {
    let words = NOTE.replace_all(words, "");
    let mut list: Option<&str> = None;
    let mut found = Vec::new();
    for part in words.split([',', ';']).flat_map(str::split_whitespace) {
        let part = part.trim_end_matches('.');
        if let Some(name) = NAMES.into_iter().find(|name| *name == part) {
            list = Some(name);
            continue;
        }
        let (from, to) = range(part).ok_or_else(|| {
            format!("\"{part}\" is neither a checklist ({}) nor a number", NAMES.join(", "))
        })?;
        let list = list.ok_or_else(|| format!("{part} comes before the name of a checklist"))?;
        found.extend((from..=to).map(|number| (list.to_owned(), number)));
    }
    if found.is_empty() { Err("no item is named".to_owned()) } else { Ok(found) }
}

fn range(part: &str) -> Option<(u32, u32)> {
    let (from, to) = part.split_once(['-', '–']).unwrap_or((part, part));
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some((from, to))
}

/// The name of the first function or TypeScript test below.
fn following_test(lines: &[&str]) -> Option<String> {
    let found = lines.iter().find_map(|line| TEST.captures(line))?;
    (1..=4).find_map(|group| found.get(group)).map(|name| name.as_str().to_owned())
}

/// The `name: "..."` of the struct literal around a line, above it or below; else the function that the
/// case is made in.
fn case_around(lines: &[&str], index: usize) -> Option<String> {
    let name = |line: &&str| NAME_FIELD.captures(line).map(|found| found[1].to_owned());
    let inside = |line: &&&str| !line.trim_start().starts_with('}') && !line.trim_end().ends_with('{');
    lines[..index]
        .iter()
        .rev()
        .take_while(inside)
        .find_map(name)
        .or_else(|| lines[index + 1..].iter().take_while(inside).find_map(name))
        .or_else(|| {
            lines[..index].iter().rev().find_map(|l| FUNCTION.captures(l)).map(|found| found[1].to_owned())
        })
}

/// The room that a file belongs to: `crates/backends/docker/tests/x.rs` is `docker`.
fn room(path: &Path) -> String {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let end = parts.iter().position(|part| ["src", "tests", "benches"].contains(part)).unwrap_or(1);
    parts.get(end.saturating_sub(1)).unwrap_or(&"").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<(String, u32, String)> {
        let (claims, problems) = claims_in(Path::new("crates/backends/docker/tests/a.rs"), text);
        assert!(problems.is_empty(), "{problems:?}");
        claims.into_iter().map(|c| (c.list, c.number, c.test)).collect()
    }

    fn problem(text: &str) -> String {
        claims_in(Path::new("crates/model/src/a.rs"), text).1.join("\n")
    }

    #[test]
    fn a_comment_names_items_of_several_checklists_and_ranges() {
        let text = "// covers: woodpecker 1-2, 7, local-ci 56 (order only)\n#[test]\nfn it_holds() {}\n";
        let expected = [("woodpecker", 1), ("woodpecker", 2), ("woodpecker", 7), ("local-ci", 56)];
        let expected: Vec<_> =
            expected.iter().map(|(l, n)| (l.to_string(), *n, "docker::it_holds".to_owned())).collect();
        assert_eq!(found(text), expected);
    }

    #[test]
    fn a_conformance_case_names_its_items_in_a_field() {
        let above = "Case {\n    name: \"starts_once\",\n    covers: \"woodpecker 20\",\n}\n";
        let below = "Case {\n    covers: \"woodpecker 20\",\n    name: \"starts_once\",\n}\n";
        for text in [above, below] {
            assert_eq!(found(text), [("woodpecker".to_owned(), 20, "docker::starts_once".to_owned())]);
        }
    }

    #[test]
    fn a_case_that_a_macro_makes_names_its_items_beside_its_name() {
        let text = "case!(starts_once, \"woodpecker 20\", shell),\ncase!(\n    other,\n    \"\"\n),\n";
        assert_eq!(found(text), [("woodpecker".to_owned(), 20, "docker::starts_once".to_owned())]);
    }

    #[test]
    fn a_typescript_test_is_named_by_its_title() {
        let text = "// covers: local-ci 113\ntest('no repaint', () => {\n";
        assert_eq!(found(text), [("local-ci".to_owned(), 113, "docker::no repaint".to_owned())]);
    }

    #[test]
    fn words_that_mean_nothing_are_problems_with_their_place() {
        assert!(
            problem("// covers: woodpeker 3\nfn a() {}\n")
                .starts_with("crates/model/src/a.rs:1: \"woodpeker\"")
        );
        assert!(problem("// covers: 3\nfn a() {}\n").contains("before the name of a checklist"));
        assert!(problem("// covers: woodpecker 5-3\nfn a() {}\n").contains("nor a number"));
        assert!(problem("// covers: woodpecker 5\n").contains("no test follows"));
    }
}
