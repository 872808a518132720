//! Reads the numbered checklist out of a reference document. Not for what covers its items.
//!
//! The five documents differ: items stand one to a line or several in a paragraph ("5. ... 6. ..."), and
//! groups are headings (`###`), bold lines or plain lines.

use regex::Regex;

/// The references that have a checklist, by file stem.
pub(crate) const NAMES: [&str; 5] = ["woodpecker", "local-ci", "nunet", "sourcegraph", "bosun"];

/// The numbered behaviours of one reference.
#[derive(Debug, PartialEq)]
pub(crate) struct Checklist {
    pub(crate) name: String,
    pub(crate) items: Vec<Item>,
}

/// One behaviour.
#[derive(Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) number: u32,
    /// The heading that it stands under; empty when there is none.
    pub(crate) group: String,
    pub(crate) text: String,
}

impl Checklist {
    pub(crate) fn has(&self, number: u32) -> bool {
        self.items.iter().any(|item| item.number == number)
    }
}

/// The checklist of a document, or `None` when it has no section of that kind.
pub(crate) fn parse(name: &str, markdown: &str) -> Option<Checklist> {
    let mut lines = markdown.lines().skip_while(|line| !opens_checklist(line));
    lines.next()?;
    let mut items: Vec<Item> = Vec::new();
    let mut group = String::new();
    let mut after_item = false;
    for line in lines.take_while(|line| !line.starts_with("## ") && !line.starts_with("---")) {
        let line = line.trim();
        let found = split_items(line, items.last().map_or(0, |item| item.number));
        if let Some(title) = group_title(line, found.is_empty() && !after_item) {
            group = title;
            after_item = false;
        } else if found.is_empty() {
            if after_item && !line.is_empty() {
                append(&mut items, line);
            }
            after_item &= !line.is_empty();
        } else {
            after_item = true;
            items.extend(found.into_iter().map(|(number, text)| Item { number, group: group.clone(), text }));
        }
    }
    (!items.is_empty()).then(|| Checklist { name: name.to_owned(), items })
}

fn opens_checklist(line: &str) -> bool {
    let line = line.to_lowercase();
    line.starts_with("## ") && (line.contains("checklist") || line.contains("testable behaviours"))
}

/// The title when the line is a heading of a group. A plain line counts only where `plain_counts`, so that a
/// continuation of an item is not taken for one; sentences that introduce the list are not titles either.
fn group_title(line: &str, plain_counts: bool) -> Option<String> {
    if let Some(title) = line.strip_prefix("### ") {
        return Some(title.trim().to_owned());
    }
    if let Some(title) = line.strip_prefix("**").and_then(|rest| rest.strip_suffix("**")) {
        return Some(title.trim().to_owned());
    }
    let is_sentence = line.contains('.') || line.contains(':') || line.contains('[');
    (plain_counts && !line.is_empty() && !is_sentence).then(|| line.to_owned())
}

/// The items that begin in a line: at its start any number above the last one, later only the very next
/// number, so that "60 s. 20. x" does not open an item.
fn split_items(line: &str, last: u32) -> Vec<(u32, String)> {
    let marker = Regex::new(r"\b\d{1,3}\.").expect("the pattern is a constant");
    let mut starts: Vec<(u32, usize, usize)> = Vec::new();
    for found in marker.find_iter(line) {
        let (before, after) = (&line[..found.start()], &line[found.end()..]);
        let stands_alone = (before.is_empty() || before.ends_with(' ')) && after.starts_with(' ');
        let Ok(number) = found.as_str().trim_end_matches('.').parse::<u32>() else { continue };
        if !stands_alone {
            continue;
        }
        let expected = starts.last().map_or(last, |s| s.0) + 1;
        if number == expected || (before.is_empty() && number > expected) {
            starts.push((number, found.start(), found.end()));
        } else if starts.is_empty() {
            return Vec::new();
        }
    }
    let ends = starts.iter().skip(1).map(|s| s.1).chain([line.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(&(number, _, from), to)| (number, line[from..to].trim().to_owned()))
        .collect()
}

fn append(items: &mut [Item], line: &str) {
    if let Some(item) = items.last_mut() {
        item.text.push(' ');
        item.text.push_str(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(checklist: &Checklist) -> Vec<u32> {
        checklist.items.iter().map(|item| item.number).collect()
    }

    #[test]
    fn items_are_found_one_to_a_line_and_several_in_a_paragraph() {
        let text = "## 7. Other\n1. no\n## 8. Checklist\n### Ids\n1. one\n2. two. 3. three 60 s. 4. four\n## 9. End\n5. no\n";
        let list = parse("x", text).unwrap();
        assert_eq!(numbers(&list), [1, 2, 3, 4]);
        assert_eq!(list.items[2].text, "three 60 s.");
        assert!(list.items.iter().all(|item| item.group == "Ids"));
    }

    #[test]
    fn groups_are_headings_bold_lines_or_plain_lines() {
        let text = "## 9. Testable behaviours\n**[S]** = stated; the rest from code.\n\nWire types\n1. a\n2. b\n\n**B. Stop**\n3. c\n\nRun / Wait\n4. d\n";
        let list = parse("x", text).unwrap();
        let groups: Vec<&str> = list.items.iter().map(|item| item.group.as_str()).collect();
        assert_eq!(groups, ["Wire types", "Wire types", "B. Stop", "Run / Wait"]);
    }

    #[test]
    fn a_line_that_continues_an_item_belongs_to_it() {
        let list = parse("x", "## Checklist\n1. a behaviour\nthat goes on\n2. b\n").unwrap();
        assert_eq!(list.items[0].text, "a behaviour that goes on");
        assert_eq!(numbers(&list), [1, 2]);
    }

    #[test]
    fn a_number_inside_a_sentence_is_not_an_item() {
        let list = parse("x", "## Checklist\n1. waits 5. then 9. and 2. gives 400. 3. c\n").unwrap();
        assert_eq!(numbers(&list), [1, 2, 3]);
    }

    #[test]
    fn a_document_without_a_checklist_has_none() {
        assert_eq!(parse("x", "# title\n1. a\n"), None);
    }
}
