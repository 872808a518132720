//! The book's pages for people who come from elsewhere name every key that an importer reads. Tests only.

use super::{gitlab, woodpecker};

fn lacking<'a>(page: &str, keys: impl IntoIterator<Item = &'a &'static str>) -> Vec<&'static str> {
    keys.into_iter().filter(|key| !page.contains(&format!("`{key}`"))).copied().collect()
}

#[test]
fn the_page_about_gitlab_names_every_keyword_that_is_read() {
    let page = include_str!("../../../../docs/book/from-gitlab.md");
    let keys = gitlab::GLOBAL.iter().chain(&gitlab::job::KNOWN);
    assert_eq!(lacking(page, keys), Vec::<&str>::new());
}

#[test]
fn the_page_about_woodpecker_names_every_key_that_is_read() {
    let page = include_str!("../../../../docs/book/from-woodpecker.md");
    // Editors read `$schema`, and nobody else does.
    let keys = woodpecker::workflow::KNOWN.iter().filter(|key| **key != "$schema");
    let keys = keys.chain(&woodpecker::step::KNOWN).chain(&woodpecker::when::KNOWN);
    assert_eq!(lacking(page, keys), Vec::<&str>::new());
}
