//! Files that are broken, enormous or made to do harm: each gets one clear error, in little time, and none a panic.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use jobwright_pipeline::{LoadError, Loader, Look, MAX_BYTES, Pipeline, Report};
use proptest::prelude::*;

/// The one finding of a file that cannot be read at all, and its place.
fn only_error(bytes: &[u8]) -> (String, usize, usize) {
    let report = Pipeline::parse("p.yaml", bytes).unwrap_err();
    let [finding] = report.findings() else { panic!("{report}") };
    let position = report.position(finding);
    assert!(!report.to_string().is_empty());
    (finding.message.clone(), position.line, position.column)
}

#[test]
fn a_line_of_ten_megabytes_is_refused_by_its_size() {
    let (message, ..) = only_error(&vec![b'a'; 10_000_000]);
    assert_eq!(message, "the file is larger than 4 MiB, the most for a pipeline file");
}

#[test]
fn no_more_of_a_huge_file_is_read_than_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.yaml");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let started = Instant::now();
    let Err(LoadError::Invalid(report)) = Pipeline::load(&path) else { panic!() };
    assert!(report.summary().contains("larger than 4 MiB"), "{}", report.summary());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_long_line_is_read_and_its_excerpt_cut() {
    let items = "echo, ".repeat(100_000);
    let file = format!("stages: [t]\na: {{stage: t, script: [{items}echo], timeout: soon}}\n");
    let report = Pipeline::parse("p.yaml", file.as_bytes()).unwrap_err();
    let shown = report.to_string();
    assert!(shown.len() < 1000 && shown.contains("timeout: soon"), "{shown}");
    assert!(shown.contains("[p.yaml:2:600040]"), "{shown}");
}

#[test]
fn a_nul_byte_is_named_with_its_place() {
    assert_eq!(
        only_error(b"stages: [t]\na: \0\n"),
        ("the file has a NUL byte: it is not a text file".to_owned(), 2, 4)
    );
    let elf = [b"\x7fELF\x02\x01\x01\0".as_slice(), &[0xff; 100]].concat();
    assert_eq!(only_error(&elf).0, "the file has a NUL byte: it is not a text file");
}

#[test]
fn invalid_utf_8_is_named_with_its_place_in_characters() {
    assert_eq!(only_error(b"a: 1\n\xc3\xa9: \xff\n"), ("the byte 0xff is not valid UTF-8".to_owned(), 2, 4));
    assert_eq!(only_error(b"a: \xc3"), ("the byte 0xc3 is not valid UTF-8".to_owned(), 1, 4));
}

#[test]
fn utf_16_is_recognised() {
    assert_eq!(only_error(b"\xff\xfea\0:\0").0, "the file is UTF-16 text");
}

#[test]
fn a_directory_or_a_missing_file_is_unreadable() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("none.yaml")] {
        let error = Pipeline::load(&path).unwrap_err();
        assert!(matches!(error, LoadError::Unreadable { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn aliases_that_multiply_are_stopped() {
    let mut file = "x0: &x0 [a, a, a, a, a, a, a, a, a, a]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*x{}", level - 1); 10].join(", ");
        writeln!(file, "x{level}: &x{level} [{aliases}]").unwrap();
    }
    let started = Instant::now();
    assert!(only_error(file.as_bytes()).0.contains("aliases"));
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn merges_that_multiply_are_stopped() {
    let keys: String = (0..1000).map(|i| format!("k{i}: v, ")).collect();
    let merges = "*m, ".repeat(200);
    let mappings: String = (0..100).map(|i| format!("n{i}: {{<<: [{merges}]}}\n")).collect();
    assert!(only_error(format!("m: &m {{{keys}}}\n{mappings}").as_bytes()).0.contains("merges"));
}

#[test]
fn nesting_is_bounded_by_brackets_blocks_and_aliases() {
    assert_eq!(only_error("[".repeat(100_000).as_bytes()).0, "nested more than 64 levels deep");
    let block: String = (0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert_eq!(only_error(block.as_bytes()).0, "nested more than 64 levels deep");
    assert_eq!(only_error("- ".repeat(5000).as_bytes()).0, "nested more than 64 levels deep");
    let mut aliases = "x0: &x0 []\n".to_owned();
    for level in 1..100 {
        writeln!(aliases, "x{level}: &x{level} [*x{}]", level - 1).unwrap();
    }
    assert_eq!(only_error(aliases.as_bytes()).0, "nested more than 64 levels deep");
}

#[test]
fn an_alias_inside_of_its_own_anchor_is_an_error() {
    assert_eq!(
        only_error(b"a: &a\n  b: [*a]\n"),
        ("the alias `*a` stands inside of what it stands for".to_owned(), 2, 7)
    );
}

/// A large file whose every line is wrong costs seconds at most, and so does drawing it.
#[test]
fn a_file_full_of_errors_is_checked_and_drawn_in_bounded_time() {
    let started = Instant::now();
    let flow = format!("{{{}}}", "a: b, ".repeat(MAX_BYTES / 48));
    let needs: String =
        (0..5_000).map(|i| format!("j{i}: {{stage: t, script: ls, needs: [k{i}, l{i}, m{i}]}}\n")).collect();
    let tangle: String = (0..1_000)
        .map(|i| {
            format!(
                "j{i}: {{stage: t, script: ls, needs: [{}]}}\n",
                (0..100).map(|k| format!("j{}, ", (i + k + 1) % 1000)).collect::<String>()
            )
        })
        .collect();
    for file in [flow, format!("stages: [t]\n{needs}"), format!("stages: [t]\n{tangle}")] {
        let report = Pipeline::parse("p.yaml", file.as_bytes()).unwrap_err();
        assert!(report.findings().len() <= 201);
        assert!(report.to_string().len() < 300_000);
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

/// Whatever came out, it can be shown in every form.
fn show(result: Result<Pipeline, Report>) {
    let report = match result {
        Ok(pipeline) => pipeline.warnings(),
        Err(report) => {
            assert!(report.has_errors());
            report
        }
    };
    for finding in report.findings() {
        assert!(finding.span.start <= finding.span.end && finding.span.end <= report.source().text().len());
    }
    let forms =
        [report.to_string(), report.summary(), report.render(Look::Terminal { colour: false, width: 80 })];
    for form in forms {
        assert!(form.chars().all(|c| !c.is_control() || c == '\n'), "{form:?}");
    }
    serde_json::to_string(&report).unwrap();
}

const PIECES: [&str; 68] = [
    "\n",
    "  ",
    "\t",
    "- ",
    "? ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "&a ",
    "*a",
    "!",
    "!!str ",
    "|",
    "|2-\n",
    ">",
    "'",
    "\"",
    "%YAML 1.2\n",
    "---\n",
    "...\n",
    "#",
    "\u{feff}",
    "\0",
    "\r\n",
    "\r",
    "\u{85}",
    "\u{2028}",
    "é",
    "\\x",
    "<<: ",
    "\u{1F600}",
    "\u{1b}[31m",
    "stages: ",
    "script: ",
    "needs: ",
    "services: ",
    "secrets: ",
    "variables: ",
    "timeout: ",
    "image: ",
    "a",
    "1",
    "~",
    "{env: A}",
    "\u{202e}",
    "include: ",
    "extends: ",
    "matrix: ",
    "exclude: ",
    "retry: ",
    "cache: ",
    "artifacts: ",
    "paths: ",
    "bootstrap: ",
    "run: ",
    "if: ",
    "tag == 'x' && ",
    "changed(",
    "remote_provider: ",
    "resources: ",
    "concurrency: ",
    "network: ",
    "${A}",
    ".a",
    "-1",
];

/// The good and bad examples with some pieces put in or taken out at random places.
fn mutated() -> impl Strategy<Value = String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let files = ["good", "bad", "language"].map(|name| std::fs::read_dir(folder.join(name)).unwrap());
    let texts: Vec<String> = files
        .into_iter()
        .flatten()
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    let change = (any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(&PIECES[..]));
    (prop::sample::select(texts), prop::collection::vec(change, 1..8)).prop_map(|(mut text, changes)| {
        for (place, remove, piece) in changes {
            let at = text.floor_char_boundary(place.index(text.len() + 1));
            let end = text.ceil_char_boundary((at + remove).min(text.len()));
            text.replace_range(at..end, piece);
        }
        text
    })
}

/// With all keys, and by the rules of both languages.
fn parse(bytes: &[u8]) -> Result<Pipeline, Report> {
    let loader = Loader::new().every_key();
    drop(loader.parse(".local-ci.yaml", bytes));
    loader.parse("p.yaml", bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        show(parse(&bytes));
    }

    #[test]
    fn no_pieces_of_yaml_make_it_panic(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)) {
        show(parse(pieces.concat().as_bytes()));
    }

    #[test]
    fn no_change_to_an_example_makes_it_panic(text in mutated()) {
        show(parse(text.as_bytes()));
    }
}
