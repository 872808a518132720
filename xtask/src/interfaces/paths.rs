//! Whether a path such as `jobwright_backend::Backend::wait_step` exists in the source. A textual check: it
//! finds the item and then the member in a file that defines or implements the item. Not a compiler.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use regex::Regex;

use crate::repository;

/// The sources of each crate.
pub(crate) struct Paths {
    files: BTreeMap<String, Vec<String>>,
}

impl Paths {
    /// Reads all crates.
    pub(crate) fn read() -> Result<Self> {
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for source in repository::sources("crates", &["rs"])? {
            if let Some(room) = room(&source.path) {
                files.entry(room).or_default().push(source.text);
            }
        }
        Ok(Self { files })
    }

    /// Sources given by a test.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(sources: [(&str, &str); N]) -> Self {
        let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (room, text) in sources {
            files.entry(room.to_owned()).or_default().push(text.to_owned());
        }
        Self { files }
    }

    /// What is wrong with a path, or `None` when it exists.
    pub(crate) fn fault(&self, path: &str) -> Option<String> {
        let mut parts = path.split("::");
        let room = parts.next()?.trim_start_matches("jobwright_");
        let Some(files) = self.files.get(room) else {
            return Some(format!("`{path}`: there is no crate {room}"));
        };
        let parts: Vec<&str> = parts.collect();
        // Modules before a type only say where it is; functions of a module stand alone.
        let from =
            parts.iter().position(|part| part.starts_with(char::is_uppercase)).unwrap_or(parts.len() - 1);
        let (item, members) = parts[from..].split_first()?;
        let is_home = declares(item);
        let homes: Vec<&String> = files.iter().filter(|text| is_home(text)).collect();
        if homes.is_empty() {
            return Some(format!("`{path}`: {item} is not in the crate {room}"));
        }
        let absent = members.iter().find(|member| {
            let has = has_member(member);
            !homes.iter().any(|text| has(text))
        })?;
        Some(format!("`{path}`: {item} has no {absent}"))
    }
}

fn room(path: &Path) -> Option<String> {
    let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
    let source = parts.iter().position(|part| *part == "src")?;
    Some(parts.get(source.checked_sub(1)?)?.to_string())
}

fn declares(item: &str) -> impl Fn(&str) -> bool + use<> {
    // What a macro of ours declares has no keyword before its name: it stands in a list, or only has an `impl`.
    matcher(
        item,
        &format!(
            r"(?-u:\b)(?:struct|enum|trait|type|const|static|fn|mod|union)[ \t]+{item}(?-u:\b)|(?-u:\b)impl(?-u:\b)[^{{;]*(?-u:\b){item}(?-u:\b)|^[ \t]*{item},"
        ),
    )
}

fn has_member(member: &str) -> impl Fn(&str) -> bool + use<> {
    matcher(
        member,
        &format!(
            r"(?-u:\b)(?:fn|const|type)[ \t]+{member}(?-u:\b)|^[ \t]*(?:pub(?:\([^)]*\))?[ \t]+)?(?:r#)?{member}[ \t]*(?:[:,({{=]|$)"
        ),
    )
}

/// Matches a pattern in one of a text's lines. A line without the bare word, which is nearly all of them, is not searched.
fn matcher(word: &str, pattern: &str) -> impl Fn(&str) -> bool + use<> {
    let word = word.to_owned();
    let pattern = Regex::new(pattern).expect("a name of word characters makes a pattern");
    move |text| {
        text.contains(&word) && text.lines().any(|line| line.contains(&word) && pattern.is_match(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "pub enum Kind {\n    Plain,\n    Named { x: u8 },\n}\npub trait Port {\n    async fn wait(&self);\n}\n\
        pub const LIMIT: u8 = 1;\nid!(TaskUuid);\nimpl TaskUuid {\n    pub fn random() {}\n}\n";

    #[test]
    fn items_members_variants_and_constants_are_found() {
        let paths = Paths::of([("model", SOURCE)]);
        for path in [
            "jobwright_model::Kind::Plain",
            "jobwright_model::Kind::Named",
            "jobwright_model::Port::wait",
            "jobwright_model::LIMIT",
            "jobwright_model::ids::TaskUuid::random",
        ] {
            assert_eq!(paths.fault(path), None);
        }
    }

    #[test]
    fn what_is_not_there_is_named() {
        let paths = Paths::of([("model", SOURCE)]);
        assert!(paths.fault("jobwright_model::Kind::Other").unwrap().contains("Kind has no Other"));
        assert!(paths.fault("jobwright_model::Nothing").unwrap().contains("not in the crate"));
        assert!(paths.fault("jobwright_attic::Kind").unwrap().contains("no crate attic"));
    }
}
