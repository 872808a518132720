//! `if:` conditions: what they may say, what they come to, and that no text does harm.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jobwright_pipeline::{Condition, ConditionContext, Loader};
use proptest::prelude::*;

fn evaluate_with(text: &str, changed: Option<&[String]>) -> Result<bool, String> {
    let condition = Condition::parse(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    let variables = [("LEVEL", "debug"), ("COUNT", "12"), ("EMPTY", ""), ("my-var", "x")];
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let context = ConditionContext {
        variables: &variables,
        branch: "feature/ü",
        commit: "0123456789abcdef",
        tag: "",
        event: "manual",
        changed,
    };
    condition.evaluate(&context).map_err(|error| error.to_string())
}

fn holds(text: &str) -> bool {
    evaluate_with(text, None).unwrap()
}

/// What is wrong, each with the part of the text that it is about.
fn wrong(text: &str) -> Vec<String> {
    let errors = Condition::parse(text).expect_err(text);
    errors.iter().map(|error| format!("{}: {}", &text[error.place.clone()], error.message)).collect()
}

#[test]
fn a_condition_sees_variables_and_what_the_run_knows() {
    for text in [
        "branch == 'feature/ü'",
        "vars.LEVEL == \"debug\" && !(commit == '')",
        "vars[\"my-var\"] == 'x'",
        "tag == '' && event != 'push'",
        "vars.LEVEL in ['trace', 'debug']",
        "branch.startsWith('feature/') && branch.endsWith('ü') && branch.contains('ture')",
        "branch.matches('^feature/.$')",
        "size(commit) == 16 && commit.size() > 3",
        "int(vars.COUNT) > 9",
        "true",
        "tag != '' ? vars.LEVEL == 'x' : branch < 'z'",
        "'feature/' + 'ü' == branch",
        "int(vars.COUNT) in [1, 12]",
    ] {
        assert!(holds(text), "{text}");
    }
    for text in ["branch == 'main'", "false", "vars.LEVEL != 'debug' || tag != ''", "1 > 2", "1.5 < 0.5"] {
        assert!(!holds(text), "{text}");
    }
}

#[test]
fn a_variable_that_is_not_set_is_the_empty_text_and_can_be_told_from_one_that_is() {
    assert!(holds("vars.NONE == '' && vars.EMPTY == ''"));
    assert!(holds("!has(vars.NONE) && has(vars.EMPTY)"));
    assert!(holds("!('NONE' in vars) && 'EMPTY' in vars"));
}

#[test]
fn changed_means_any_of_its_globs_or_any_file_at_all() {
    let files = ["src/a/b.rs".to_owned(), "README.md".to_owned()];
    let changed = |text: &str| evaluate_with(text, Some(&files)).unwrap();
    for text in [
        "changed('src/**')",
        "changed('*.md')",
        "changed('docs/', 'src/')",
        "changed()",
        "changed('**/*.rs')",
    ] {
        assert!(changed(text), "{text}");
    }
    for text in ["changed('docs/**')", "changed('*.rs')", "changed('src/*')", "!changed()"] {
        assert!(!changed(text), "{text}");
    }
    assert!(!evaluate_with("changed()", Some(&[])).unwrap());
    // What nobody knows is no reason to skip a job.
    assert!(evaluate_with("changed('docs/**') && changed()", None).unwrap());
    assert!(Condition::parse("changed('x')").unwrap().asks_for_changes());
    assert!(!Condition::parse("branch == 'x'").unwrap().asks_for_changes());
}

#[test]
fn a_number_that_is_none_is_an_error_and_no_answer() {
    let error = evaluate_with("int(vars.LEVEL) > 1", None).unwrap_err();
    assert!(error.starts_with("the condition `int(vars.LEVEL) > 1` cannot be evaluated"), "{error}");
}

#[test]
fn types_are_checked_before_anything_runs_and_all_mistakes_are_told() {
    for (text, expected) in [
        ("branch", "branch: a condition must be true or false, this is a text"),
        ("size(tag)", "size(tag: a condition must be true or false, this is a whole number"),
        (
            "branch == 1",
            "branch == 1: these cannot be compared: one side is a text, the other a whole number",
        ),
        ("!branch", "!branch: `!` takes what is true or false, this is a text"),
        ("true && tag", "true && tag: `&&` and `||` join what is true or false, this is a text"),
        (
            "true ? 1 : tag == ''",
            "true ? 1 : tag == '': `?` chooses between two of a kind: one side is a whole number, the other true or false",
        ),
        ("1 + 1 == 2", "1 + 1: `+` joins two texts"),
        ("2 * 3 == 6", "2 * 3: conditions do no arithmetic"),
        ("brunch == 'main'", "brunch: there is no `brunch`"),
        ("CI_TAG == ''", "CI_TAG: there is no `CI_TAG`"),
        ("vars == ''", "vars: `vars` alone has no value"),
        ("branch.name == ''", "branch.: there is no `.name` here"),
        ("vars.A == null", "null: conditions have no `null`"),
        ("lower(tag) == ''", "lower(tag: there is no function `lower` in conditions"),
        ("[1].all(x, x > 0)", "[1].all(: conditions have no loops"),
        ("{'a': 1} == {}", ""),
        ("changed(branch)", "branch: `changed` takes texts that are written there"),
        (
            "changed('{a')",
            "'{a': `{a` is no glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
        ),
        ("tag.matches('(')", "'(': this is no regular expression"),
        ("tag.matches(branch)", "branch: `matches` takes a text that is written there"),
        ("tag in ['a', 1]", "1: a text is looked for, and this is a whole number"),
        (
            "tag in branch",
            "tag in branch: `in` looks a value up in a list that is written there, or a name in `vars`",
        ),
    ] {
        let found = wrong(text);
        assert!(expected.is_empty() || found == [expected], "{text}: {found:?}");
    }
    assert_eq!(
        wrong("brunch == 'é' && tags != ''"),
        ["brunch: there is no `brunch`", "tags: there is no `tags`"]
    );
    assert_eq!(
        Condition::parse("brunch == ''").unwrap_err()[0].help.as_deref(),
        Some("did you mean `branch`?")
    );
}

#[test]
fn mistakes_of_syntax_are_told_at_their_place() {
    for (text, at, message) in [
        ("", 0, "the condition is empty"),
        ("  ", 0, "the condition is empty"),
        ("branch ==", 9, "the condition ends too early"),
        ("branch = 'x'", 7, "`=` does not belong here"),
        ("tag == 'é' tag", 12, "`tag` does not belong here"),
        ("$BRANCH == 'x'", 0, "`$` does not belong here"),
    ] {
        let errors = Condition::parse(text).unwrap_err();
        assert_eq!((errors[0].place.start, errors[0].message.as_str()), (at, message), "{text}");
    }
}

#[test]
fn a_place_is_in_bytes_of_the_text() {
    assert_eq!(wrong("'ü' == 'é' && brunch == ''"), ["brunch: there is no `brunch`"]);
}

#[test]
fn errors_stand_at_their_place_in_the_file_whatever_the_quotes() {
    let place = |condition: &str| {
        let file = format!("stages: [t]\na:\n  stage: t\n  script: ls\n  if: {condition}\n");
        let report = Loader::new().every_key().parse("p.yaml", file.as_bytes()).unwrap_err();
        let position = report.position(&report.findings()[0]);
        (position.line, position.column, report.findings()[0].message.clone())
    };
    let expected = |column| (5, column, "there is no `tags`".to_owned());
    assert_eq!(place("tag == '' || tags == ''"), expected(20));
    assert_eq!(place("\"tag == '' || tags == ''\""), expected(21));
    assert_eq!(place("\"\\x74ag == '' || tags == ''\""), expected(7));
    assert_eq!(place("[x]").2, "`if` must be a condition, such as `branch == \"main\"`, found a list");
}

#[test]
fn a_condition_of_many_jobs_is_read_once() {
    let jobs: String = (0..2_000).map(|i| format!("j{i}: {{extends: .c}}\n")).collect();
    let file = format!("stages: [t]\n.c: {{stage: t, script: ls, if: \"tag.matches('^v[0-9]+$')\"}}\n{jobs}");
    let started = Instant::now();
    let pipeline = Loader::new().every_key().parse("p.yaml", file.as_bytes()).unwrap();
    assert_eq!(pipeline.jobs.len(), 2_000);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn the_number_of_different_conditions_is_bounded() {
    let jobs: String =
        (0..300).map(|i| format!("j{i}: {{stage: t, script: ls, if: \"tag.matches('{i}')\"}}\n")).collect();
    let report =
        Loader::new().every_key().parse("p.yaml", format!("stages: [t]\n{jobs}").as_bytes()).unwrap_err();
    assert_eq!(report.findings().len(), 100);
    assert!(report.findings()[0].message.contains("too many different conditions"));
}

/// Texts that a recursive parser or evaluator pays for.
fn deep() -> Vec<String> {
    let mut texts = vec!["x".repeat(2000), "'".to_owned(), "a\u{0}b".to_owned(), "\u{1F600}".to_owned()];
    for n in [8, 12, 30, 60, 90, 190, 300] {
        texts.push(format!("{}true{}", "(".repeat(n), ")".repeat(n)));
        texts.push(format!("{}true", "!".repeat(n)));
        texts.push(format!("{}true{}", "!(".repeat(n), ")".repeat(n)));
        texts.push(format!("{}true", "true && ".repeat(n)));
        texts.push(format!("{}true", "true || false && ".repeat(n)));
        texts.push(format!("{}tag == ''", "tag + ".repeat(n)));
        texts.push(format!("{}true", "true ? true : ".repeat(n)));
        texts.push(format!("{}1{} == 1", "[".repeat(n), "]".repeat(n)));
        texts.push(format!("tag{} == ''", ".b".repeat(n)));
        texts.push(format!("tag{} == ''", "['b']".repeat(n)));
        texts.push(format!("{}1 == 1", "-".repeat(n)));
        texts.push(format!("{}tag{} == 1", "size(".repeat(n), ")".repeat(n)));
        texts.push("{'a': ".repeat(n));
        texts.push("(".repeat(n));
    }
    texts
}

/// A thread of tokio has two mebibytes; this one has three quarters of that, in a build without optimisation.
#[test]
fn no_condition_overflows_a_small_stack() {
    let run = || {
        let variables = BTreeMap::new();
        let context = ConditionContext {
            variables: &variables,
            branch: "",
            commit: "",
            tag: "",
            event: "",
            changed: Some(&[]),
        };
        let valid =
            deep().into_iter().filter_map(|text| Condition::parse(&text).ok()).map(|c| c.evaluate(&context));
        valid.count()
    };
    let valid = std::thread::Builder::new().stack_size(1536 << 10).spawn(run).unwrap().join().unwrap();
    assert!(valid > 8, "{valid}");
}

#[test]
fn a_costly_regular_expression_is_refused_in_little_time() {
    let started = Instant::now();
    assert_eq!(wrong("tag.matches('((a{100}){100}){100}')").len(), 1);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

const PIECES: [&str; 44] = [
    "branch", "commit", "tag", "event", "vars", ".A", "[", "]", "(", ")", "{", "}", "'", "\"", "'x'",
    "\"y\"", "==", "!=", "<", ">=", "&&", "||", "!", "-", "+", "*", "/", "%", "?", ":", ",", " in ", "true",
    "null", "1", "1.5", "0x1u", "b'a'", "changed", "has", ".matches", "size", "\\", "é",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_pieces_of_a_condition_make_it_panic(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..20)) {
        check(&pieces.concat());
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        check(&text);
    }
}

/// Errors lie within the text; a condition that was taken has an answer or an error.
fn check(text: &str) {
    let variables = BTreeMap::new();
    let context =
        ConditionContext { variables: &variables, branch: "", commit: "", tag: "", event: "", changed: None };
    match Condition::parse(text) {
        Ok(condition) => drop(condition.evaluate(&context)),
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!(text.get(error.place.clone()).is_some(), "{text:?}: {error:?}");
            }
        }
    }
}
