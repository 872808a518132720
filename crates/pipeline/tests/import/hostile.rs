//! Files that are made to do harm, and files out of nothing: every one is imported or refused in little time, and what is imported is valid.

use std::fmt::Write;
use std::time::{Duration, Instant};

use jobwright_pipeline::{ImportError, import_gitlab_bytes, import_woodpecker_bytes};
use proptest::prelude::*;

use crate::wrong_gitlab;

/// Neither importer takes long or writes a file that is not valid.
fn check(bytes: &[u8]) {
    let files = [("a.yaml".to_owned(), bytes.to_vec()), ("b.yaml".to_owned(), bytes.to_vec())];
    for result in [
        import_gitlab_bytes(".gitlab-ci.yml", bytes),
        import_woodpecker_bytes(&files[..1]),
        import_woodpecker_bytes(&files),
    ] {
        if let Err(ImportError::Internal(report)) = result {
            panic!("{report}\n{}\nfrom\n{}", report.source().text(), String::from_utf8_lossy(bytes));
        }
    }
}

#[test]
fn references_that_multiply_are_stopped() {
    let mut file = ".r0: {script: [a, a, a, a, a, a, a, a, a, a]}\n".to_owned();
    for level in 1..15 {
        let below = vec![format!("!reference [.r{}, script]", level - 1); 10].join(", ");
        writeln!(file, ".r{level}: {{script: [{below}]}}").unwrap();
    }
    file.push_str("x: {image: i, script: [!reference [.r14, script]]}\n");
    let started = Instant::now();
    assert!(wrong_gitlab(&file).contains("stand for too many values"), "{}", wrong_gitlab(&file));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn variables_that_multiply_are_stopped() {
    let mut file = "variables:\n  V0: aaaaaaaaaaaaaaaaaaaa\n".to_owned();
    for level in 1..30 {
        writeln!(file, "  V{level}: {}", format!("$V{} ", level - 1).repeat(30)).unwrap();
    }
    file.push_str("x: {image: i, script: [x]}\n");
    let started = Instant::now();
    check(file.as_bytes());
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn templates_that_multiply_are_stopped() {
    let keys: String = (0..2000).map(|n| format!("V{n}: x, ")).collect();
    let mut file = format!(".t: {{variables: {{{keys}Z: x}}, script: [x]}}\n");
    for job in 0..2000 {
        writeln!(file, "j{job}: {{extends: .t}}").unwrap();
    }
    let started = Instant::now();
    assert!(wrong_gitlab(&file).contains("larger than"), "{}", wrong_gitlab(&file));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_deep_expression_is_refused_without_harm() {
    let file = format!("a:\n  image: i\n  script: [x]\n  rules: [{{if: '{}$A'}}]\n", "(".repeat(900));
    check(file.as_bytes());
}

/// Pieces that files are made of.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a:\n  script: [x]\n".to_owned()),
        Just("steps:\n  a: {image: i, commands: [x]}\n".to_owned()),
        "(stages|variables|default|include|workflow|image|services|cache|matrix|when|depends_on|steps|\\.h|b|cleanup): ?".prop_map(|key| key + "\n"),
        "  (script|stage|rules|only|except|needs|parallel|retry|timeout|cache|artifacts|services|image|variables|extends|when|settings|commands|environment|matrix|if): (\\[\\]|\\{\\}|x|1|true|null|\\[a, \\{if: \\$A\\}\\]|\\{key: a, paths: \\[b\\]\\}|\\{matrix: \\[\\{A: \\[1, \\$x\\]\\}\\]\\}|!reference \\[b, script\\]|\\{name: a, max: 1, when: always\\}|\\[\\{event: push, branch: 'a\\*'\\}\\]|'\\$A =~ /x/')\n",
        "[ -~\n]{0,30}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_file_harms_an_importer(pieces in prop::collection::vec(piece(), 0..12)) {
        check(pieces.concat().as_bytes());
    }

    #[test]
    fn no_bytes_harm_an_importer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }
}
