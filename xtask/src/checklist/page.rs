//! The forms in which coverage is shown: `docs/coverage.md`, the report on a terminal, the totals. Not for
//! finding out what is covered.

use std::fmt::Write as _;

use super::claims::Claim;
use super::reference::{Checklist, Item};

/// Longest text of an item in the page, in characters.
const SHORT: usize = 110;

/// The whole of `docs/coverage.md`.
pub(crate) fn render(checklists: &[Checklist], claims: &[Claim]) -> String {
    let mut page = String::from(
        "<!-- Written by `cargo xtask checklist --write`. Do not edit. -->\n\n# Coverage of the reference checklists\n\n\
         A test says in a comment above it which items it shows (`// covers: woodpecker 34, local-ci 56`). An item without\n\
         a test is not built yet, or not shown.\n\n| checklist | items | covered |\n|---|---:|---:|\n",
    );
    for list in checklists {
        let row = format!("| [{0}](#{0}) | {1} | {2} |", list.name, list.items.len(), covered(list, claims));
        page.push_str(&row);
        page.push('\n');
    }
    for list in checklists {
        let _ = write!(page, "\n## {}\n", list.name);
        let mut group = None;
        for item in &list.items {
            if group != Some(&item.group) {
                group = Some(&item.group);
                if !item.group.is_empty() {
                    let _ = write!(page, "\n### {}\n", item.group);
                }
                page.push_str("\n| no. | behaviour | tests |\n|---:|---|---|\n");
            }
            let tests = tests(list, item, claims);
            let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
            let _ = writeln!(page, "| {} | {} | {} |", item.number, short(&item.text), tests.join("<br>"));
        }
    }
    page
}

/// The checklists as a page that [`render`] wrote lists them, with the texts cut as they are there.
pub(crate) fn parse(page: &str) -> Vec<Checklist> {
    let mut lists: Vec<Checklist> = Vec::new();
    let mut group = String::new();
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            lists.push(Checklist { name: name.to_owned(), items: Vec::new() });
            group.clear();
        } else if let Some(title) = line.strip_prefix("### ") {
            title.clone_into(&mut group);
        } else if let (Some(list), Some((number, text))) = (lists.last_mut(), row(line)) {
            list.items.push(Item { number, group: group.clone(), text });
        }
    }
    lists
}

/// Per checklist what is covered, by which test, and what is not.
pub(crate) fn report(checklists: &[Checklist], claims: &[Claim]) -> String {
    let mut text = String::new();
    for list in checklists {
        let _ = writeln!(text, "{}", list.name);
        let mut open = Vec::new();
        for item in &list.items {
            let tests = tests(list, item, claims);
            if tests.is_empty() {
                open.push(item.number);
            } else {
                let _ = writeln!(text, "  {:>3}  {}", item.number, tests.join(", "));
            }
        }
        let _ = writeln!(text, "  not covered: {}\n", ranges(&open));
    }
    text
}

/// One line: `woodpecker 12 of 96, ...`.
pub(crate) fn totals(checklists: &[Checklist], claims: &[Claim]) -> String {
    let each: Vec<String> = checklists
        .iter()
        .map(|list| format!("{} {} of {}", list.name, covered(list, claims), list.items.len()))
        .collect();
    format!("covered: {}", each.join(", "))
}

fn covered(list: &Checklist, claims: &[Claim]) -> usize {
    list.items.iter().filter(|item| !tests(list, item, claims).is_empty()).count()
}

fn tests(list: &Checklist, item: &Item, claims: &[Claim]) -> Vec<String> {
    let mut tests: Vec<String> = claims
        .iter()
        .filter(|claim| claim.list == list.name && claim.number == item.number)
        .map(|claim| claim.test.clone())
        .collect();
    tests.sort();
    tests.dedup();
    tests
}

fn row(line: &str) -> Option<(u32, String)> {
    let (number, rest) = line.strip_prefix("| ")?.split_once(" | ")?;
    let (text, _tests) = rest.rsplit_once(" | ")?;
    Some((number.parse().ok()?, text.replace("\\|", "|")))
}

/// The text cut to one readable table cell. Cutting a text that was cut before changes nothing.
fn short(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = if text.ends_with('…') || text.chars().count() <= SHORT {
        text
    } else {
        let cut: String = text.chars().take(SHORT).collect();
        format!("{}…", cut.rsplit_once(' ').map_or(cut.as_str(), |(words, _)| words))
    };
    // A code span that was cut open would swallow the rest of the row.
    let closed = if cut.matches('`').count() % 2 == 1 { cut.replace('`', "'") } else { cut };
    closed.replace('|', "\\|")
}

fn ranges(numbers: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, end)) if *end + 1 == number => *end = number,
            _ => parts.push((number, number)),
        }
    }
    if parts.is_empty() {
        return "nothing".to_owned();
    }
    let shown = parts.iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}-{b}") });
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<Checklist>, Vec<Claim>) {
        let item = |number, group: &str, text: &str| Item { number, group: group.into(), text: text.into() };
        let long = format!("uses `a|b` and {}", "words ".repeat(40));
        let items = vec![item(1, "Ids", "an id"), item(2, "Ids", &long), item(3, "Logs", "a log")];
        let claim = |number, test: &str| Claim {
            list: "woodpecker".into(),
            number,
            test: test.into(),
            place: String::new(),
        };
        let lists = vec![Checklist { name: "woodpecker".into(), items }];
        (lists, vec![claim(1, "model::b"), claim(1, "model::a"), claim(1, "model::a")])
    }

    #[test]
    fn the_page_names_each_item_and_its_tests_once() {
        let (lists, claims) = sample();
        let page = render(&lists, &claims);
        assert!(page.contains("| 1 | an id | `model::a`<br>`model::b` |\n"), "{page}");
        assert!(page.contains("| [woodpecker](#woodpecker) | 3 | 1 |"), "{page}");
    }

    #[test]
    fn a_page_rendered_from_its_own_items_is_the_same_page() {
        let (lists, claims) = sample();
        let page = render(&lists, &claims);
        assert_eq!(render(&parse(&page), &claims), page);
    }

    #[test]
    fn the_report_lists_open_items_as_ranges() {
        let (lists, claims) = sample();
        assert!(report(&lists, &claims).contains("not covered: 2-3\n"));
        assert_eq!(ranges(&[1, 3, 4, 5, 9]), "1, 3-5, 9");
    }
}
