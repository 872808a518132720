//! Reads `docs/interfaces.md`: sections named after the interface documents, each with tables of two columns,
//! what the document says and what stands for it here. Not for the documents themselves.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::paths::Paths;

static PATH: LazyLock<Regex> = LazyLock::new(|| pattern(r"`(jobwright_\w+(?:::\w+)+)`"));
static LATER: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bissue \d+\b"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is a constant")
}

/// What a row is about.
#[derive(Debug, PartialEq)]
pub(crate) enum Subject {
    /// Names of the document, in backticks.
    Names(Vec<String>),
    /// A behaviour, in the document's own words.
    Quote(String),
}

/// One row.
#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) subject: Subject,
    /// What stands for it: paths into this code, an issue, or `none:` and the reason.
    pub(crate) here: String,
    /// In the page, from 1.
    pub(crate) line: usize,
}

impl Row {
    /// What is wrong with the right side.
    pub(crate) fn faults(&self, paths: &Paths) -> Vec<String> {
        let named: Vec<&str> =
            PATH.captures_iter(&self.here).filter_map(|found| found.get(1)).map(|m| m.as_str()).collect();
        let says_why = self.here.strip_prefix("none: ").is_some_and(|why| !why.trim().is_empty());
        if named.is_empty() && !LATER.is_match(&self.here) && !says_why {
            return vec![
                "the row names neither a path of this code, nor an issue, nor \"none: why\"".to_owned(),
            ];
        }
        named.into_iter().filter_map(|path| paths.fault(path)).collect()
    }
}

/// The rows of each section, by the document's file name.
pub(crate) fn parse(page: &str) -> BTreeMap<String, Vec<Row>> {
    let mut sections: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut current: Option<String> = None;
    for (index, line) in page.lines().enumerate() {
        if let Some(title) = line.strip_prefix("## ") {
            let name = title.trim().trim_matches('`').to_owned();
            current = name.ends_with(".txt").then_some(name);
        } else if let (Some(section), Some(row)) = (&current, row(line, index + 1)) {
            sections.entry(section.clone()).or_default().push(row);
        }
    }
    sections
}

fn row(line: &str, number: usize) -> Option<Row> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let (subject, here) = inner.split_once(" | ")?;
    let subject = subject.trim();
    let subject = if let Some(quote) = subject.strip_prefix('“') {
        Subject::Quote(quote.strip_suffix('”')?.to_owned())
    } else if subject.starts_with('`') {
        Subject::Names(subject.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    } else {
        // The heading of a table.
        return None;
    };
    Some(Row { subject, here: here.trim().to_owned(), line: number })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# T\n| `no` | section |\n## `a.txt`\n| there | here |\n|---|---|\n| `Step`, `Step.Name` | `jobwright_model::Step` |\n\
        | “it is (very) quick” | issue 4 |\n## Words\n| `x` | y |\n";

    #[test]
    fn rows_are_names_or_quotes_of_the_section_s_document() {
        let sections = parse(PAGE);
        assert_eq!(sections.len(), 1);
        let rows = &sections["a.txt"];
        assert_eq!(rows[0].subject, Subject::Names(vec!["Step".into(), "Step.Name".into()]));
        assert_eq!(rows[1].subject, Subject::Quote("it is (very) quick".into()));
        assert_eq!((rows[1].here.as_str(), rows[1].line), ("issue 4", 7));
    }

    #[test]
    fn a_row_names_a_path_an_issue_or_a_reason() {
        let paths = Paths::of([("model", "pub struct Step {\n    pub name: String,\n}\n")]);
        let faults = |here: &str| {
            Row { subject: Subject::Names(vec![]), here: here.to_owned(), line: 1 }.faults(&paths).len()
        };
        assert_eq!(faults("`jobwright_model::Step::name`"), 0);
        assert_eq!(faults("issue 6, item 1"), 0);
        assert_eq!(faults("none: Go passes a context, a future is dropped"), 0);
        assert_eq!(faults("`jobwright_model::Stop`"), 1);
        assert_eq!(faults("later"), 1);
        assert_eq!(faults("none: "), 1);
    }
}
