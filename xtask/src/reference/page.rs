//! The page: a chapter for each table, a section for each key. Not for what is right.

use std::fmt::Write as _;

use jobwright_pipeline::TABLES;

use crate::reference::example::{Called, Example, Run};
use crate::reference::{Entry, file_of, places, words};

const HEAD: &str = "<!-- Written by `cargo xtask reference` from the tables of keys and from examples/keys. Do not edit. -->

# Reference of the pipeline file

Every key: what it holds, what holds without it, what is refused in which words, and an example. The examples lie in
[`examples/keys`](../../examples/keys); all of them are executed with each test of Jobwright, and what is shown of their output has been
seen in it (`…`: lines left out). [Pipelines](pipelines.md) explains how the keys work together. In a job, `null` for any key takes back
what a template brings.

`jobwright validate` says everything that is wrong with a file; an unknown key is a warning that names the nearest one. Editors complete and
check a file that names the [schema](../schema/jobwright.schema.json), made from the same tables, in a comment of its own:

```yaml
# yaml-language-server: $schema=jobwright.schema.json
```

";

/// The whole page.
pub(super) fn render(entries: &[Entry]) -> String {
    let mut page = HEAD.to_owned();
    for table in TABLES {
        let keys: Vec<&Entry> = entries.iter().filter(|entry| entry.table.name == table.name).collect();
        let Ok(place) = places::of(table) else { continue };
        let links: Vec<String> =
            keys.iter().map(|entry| format!("[`{}`](#{})", entry.key.name, anchor(entry))).collect();
        let _ = write!(page, "## {}\n\n{}\n\n{}\n\n", place.title, place.about, links.join(" · "));
        for entry in keys {
            section(&mut page, entry);
        }
    }
    format!("{}\n", page.trim_end())
}

/// The place to link to, which no other key has.
fn anchor(entry: &Entry) -> String {
    format!("{}-{}", entry.table.name, entry.key.name)
}

fn section(page: &mut String, entry: &Entry) {
    let Entry { table, key, example } = entry;
    let _ = write!(page, "<a id=\"{}\"></a>\n\n### `{}`\n\n{}\n\n", anchor(entry), key.name, key.about);
    let _ = writeln!(page, "- holds: {}", key.holds);
    if !table.honours(key) {
        let _ = write!(page, "- not in this version: a file that uses it is refused\n\n");
        return;
    }
    let Some(example) = example else { return };
    let _ = writeln!(page, "- without it: {}", example.default);
    for limit in &example.limits {
        let _ = writeln!(page, "- {limit}");
    }
    for refused in &example.refused {
        let refuses = words::keeps_from_running(table, &refused.value).unwrap_or(true);
        let verdict = if refuses { "refused" } else { "warned of" };
        let _ = writeln!(page, "- {verdict}: `{}` ({})", refused.value, refused.message);
    }
    let _ = write!(page, "\n{}\n\n```yaml\n{}```\n\n```console\n", example.about, example.text);
    for run in &example.runs {
        show(page, run, example, &file_of(table, key).to_string_lossy());
    }
    page.push_str("```\n\n");
}

fn show(page: &mut String, run: &Run, example: &Example, file: &str) {
    let variables: String = example
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={} ", shell_words::quote(value)))
        .collect();
    let command = match &run.command {
        Called::Example(flags) => format!("{variables}jobwright run -c {file} {flags}"),
        Called::Program(arguments) => format!("jobwright {arguments}"),
    };
    let _ = writeln!(page, "$ {}", command.trim_end());
    for line in &run.prints {
        let _ = writeln!(page, "…\n{line}");
    }
    if run.ends != 0 {
        let _ = writeln!(page, "$ echo $?\n{}", run.ends);
    }
}
