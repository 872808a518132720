//! GitLab's keys, one behaviour a test.

use std::collections::BTreeSet;
use std::time::Duration;

use jobwright_pipeline::{AllowFailure, CachePolicy, KeepWhen, RetryOn};

use crate::{check_noted, condition, gitlab, job, notes, pipeline, wrong_gitlab};

pub(crate) const JOB: &str = "a:\n  image: i\n  script: [x]\n";

/// A job `a` with this key.
pub(crate) fn with(key: &str) -> String {
    format!("{JOB}  {key}\n")
}

#[test]
fn a_file_without_stages_has_gitlabs_and_a_job_without_a_stage_is_in_test() {
    let imported = gitlab(JOB);
    assert_eq!(pipeline(&imported).stages, ["build", "test", "deploy"]);
    assert_eq!(job(&imported, "a").stage, "test");
    assert_eq!(notes(&imported), [""; 0]);
}

#[test]
fn pre_and_post_are_stages_of_their_own_when_they_are_used() {
    let imported = gitlab(
        "stages: [b]\na: {stage: .pre, image: i, script: [x]}\nz: {stage: .post, image: i, script: [x]}\n",
    );
    assert_eq!(pipeline(&imported).stages, ["pre", "b", "post"]);
    assert_eq!(job(&imported, "z").stage, "post");
}

#[test]
fn an_unknown_stage_is_wrong() {
    assert_eq!(
        wrong_gitlab("stages: [b]\na:\n  stage: c\n  script: [x]\n"),
        "3:10 the stage `c` of `a` is not in `stages`"
    );
}

#[test]
fn before_script_stands_before_the_script_and_lists_in_lists_are_flat() {
    let imported = gitlab("before_script: [b]\na: {image: i, script: [[x, [y]], z], after_script: c}\n");
    assert_eq!(job(&imported, "a").script, ["b", "x", "y", "z"]);
    assert_eq!(job(&imported, "a").after_script, ["c"]);
}

#[test]
fn a_script_of_blanks_passes() {
    assert_eq!(job(&gitlab("a:\n  image: i\n  script:\n    - |\n      \n"), "a").script, [":"]);
}

#[test]
fn default_gives_what_a_job_does_not_say_and_inherit_keeps_it_out() {
    let file = "default: {image: d, timeout: 1h, before_script: [b]}\na: {script: [x]}\nb: {script: [x], inherit: {default: false}, image: own}\n\
                c: {script: [x], inherit: {default: [image]}}\n";
    let imported = gitlab(file);
    let (a, b, c) = (job(&imported, "a"), job(&imported, "b"), job(&imported, "c"));
    assert_eq!(
        (a.image.as_deref(), a.script.len(), a.timeout),
        (Some("d"), 2, Some(Duration::from_secs(3600)))
    );
    assert_eq!((b.image.as_deref(), b.script.len(), b.timeout), (Some("own"), 1, None));
    assert_eq!((c.image.as_deref(), c.script.len(), c.timeout), (Some("d"), 1, None));
}

#[test]
fn variables_that_a_job_does_not_inherit_are_not_at_the_top() {
    let imported = gitlab(
        "variables: {A: '1', B: '2'}\na: {image: i, script: [x], inherit: {variables: [A]}}\nb: {image: i, script: [x]}\n",
    );
    assert!(pipeline(&imported).variables.is_empty());
    assert_eq!(job(&imported, "a").variables.keys().collect::<Vec<_>>(), ["A"]);
    assert_eq!(job(&imported, "b").variables.keys().collect::<Vec<_>>(), ["A", "B"]);
}

#[test]
fn extends_merges_mappings_deeply_and_replaces_lists() {
    let file = ".a: {image: i, variables: {A: a, B: a}, script: [a], artifacts: {paths: [p], when: always}}\n\
                .b: {extends: .a, variables: {B: b}}\n\
                c: {extends: [.b], script: [c], variables: {C: c}, artifacts: {paths: [q]}}\n";
    let c = job(&gitlab(file), "c");
    assert_eq!(c.script, ["c"]);
    let variables: Vec<_> = c.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(variables, ["A=a", "B=b", "C=c"]);
    let artifacts = c.artifacts.unwrap();
    assert_eq!((artifacts.paths, artifacts.when), (vec!["q".to_owned()], KeepWhen::Always));
}

#[test]
fn a_circle_of_extends_and_an_unknown_one_are_wrong() {
    assert_eq!(wrong_gitlab("a: {extends: b}\nb: {extends: a}\n"), "1:5 `a` extends itself");
    assert_eq!(wrong_gitlab("a: {extends: b, script: [x]}\n"), "1:14 `a` extends `b`, which is not there");
}

#[test]
fn a_reference_stands_for_what_it_names() {
    let file = ".s: {script: [one, !reference [.t, script]]}\n.t: {script: [two], variables: {A: '1'}}\n\
                a:\n  image: i\n  script:\n    - !reference [.s, script]\n    - three\n  variables: !reference [.t, variables]\n";
    let a = job(&gitlab(file), "a");
    assert_eq!(a.script, ["one", "two", "three"]);
    assert_eq!(a.variables["A"], "1");
}

#[test]
fn a_reference_to_nothing_or_to_itself_is_wrong() {
    assert_eq!(
        wrong_gitlab("a: {script: [!reference [.b, script]]}\n"),
        "1:25 there is nothing at the reference `[.b, script]`"
    );
    let circle = ".b: {script: [!reference [.b, script]]}\na: {script: [x]}\n";
    assert!(wrong_gitlab(circle).contains("leads back to itself"), "{}", wrong_gitlab(circle));
}

#[test]
fn anchors_and_merges_are_yamls_own() {
    let imported = gitlab(".a: &a {image: i, script: &s [x]}\nb: {<<: *a}\nc: {image: i, script: [*s, y]}\n");
    assert_eq!(job(&imported, "b").image.as_deref(), Some("i"));
    assert_eq!(job(&imported, "c").script, ["x", "y"]);
}

#[test]
fn the_flags_of_a_pattern_mean_what_gitlab_means_by_them() {
    for (pattern, said) in [
        ("/^a$/m", r#"branch.matches("(?m)^a$")"#),
        ("/a.b/s", r#"branch.matches("(?s)a.b")"#),
        ("/main/i", r#"branch.matches("(?i)main")"#),
        ("/a.*b/imU", r#"branch.matches("(?im)a.*b")"#),
        ("/a.*b/U", r#"branch.matches("a.*b")"#),
    ] {
        let imported = gitlab(&format!("{JOB}  rules: [{{if: '$CI_COMMIT_BRANCH =~ {pattern}'}}]\n"));
        assert_eq!(condition(&imported, "a"), said, "{pattern}");
    }
    let imported = gitlab(&format!("{JOB}  rules: [{{if: '$CI_COMMIT_BRANCH =~ /a/x'}}]\n"));
    check_noted(&imported, "`/x` is unknown");
}

// covers: local-ci 93
#[test]
fn parallel_with_a_number_is_a_matrix_of_the_node_index() {
    let imported = gitlab(&with("parallel: 3"));
    let names: Vec<_> = pipeline(&imported).jobs.iter().map(|job| job.name.clone()).collect();
    assert_eq!(names, ["a_CI_NODE_INDEX.1", "a_CI_NODE_INDEX.2", "a_CI_NODE_INDEX.3"]);
    assert_eq!(job(&imported, "a_CI_NODE_INDEX.2").variables["CI_NODE_TOTAL"], "3");
}

#[test]
fn a_simple_matrix_stays_one() {
    let imported = gitlab(&with("parallel: {matrix: [{OS: [linux, mac], ARCH: amd64}]}"));
    assert_eq!(pipeline(&imported).jobs[0].name, "a_ARCH.amd64_OS.linux");
    assert_eq!(pipeline(&imported).named("a").count(), 2);
}

#[test]
fn a_matrix_that_the_image_reads_is_written_out_and_needs_mean_all_of_it() {
    let file = "a: {image: 'ruby:$V', script: [x], parallel: {matrix: [{V: ['3.1', '3.2 b']}]}}\n"
        .replace("3.2 b", "3.2")
        + "b: {image: i, script: [x], needs: [a]}\n";
    let imported = gitlab(&file);
    assert_eq!(job(&imported, "a: [3.1]").image.as_deref(), Some("ruby:3.1"));
    assert_eq!(job(&imported, "a: [3.2]").variables["V"], "3.2");
    assert_eq!(job(&imported, "b").needs, ["a: [3.1]", "a: [3.2]"]);
}

#[test]
fn a_matrix_with_values_that_ours_cannot_have_is_written_out() {
    assert_eq!(job(&gitlab(&with("parallel: {matrix: [{V: ['a b']}]}")), "a: [a b]").variables["V"], "a b");
}

#[test]
fn services_get_the_jobs_variables_under_their_own() {
    let file = "variables: {POSTGRES_DB: app}\na:\n  image: i\n  script: [x]\n  services:\n    - name: registry.example/team/postgres:16\n      \
                alias: db\n      entrypoint: [x]\n      variables: {PGUSER: me}\n    - redis\n";
    let imported = gitlab(file);
    let services = job(&imported, "a").services;
    assert_eq!((services[0].alias.as_str(), services[1].alias.as_str()), ("db", "redis"));
    assert_eq!(services[0].variables["PGUSER"], "me");
    assert_eq!(services[1].variables["POSTGRES_DB"], "app");
    check_noted(&imported, "`entrypoint` of this service is not carried over");
}

#[test]
fn a_service_of_a_team_has_gitlabs_alias() {
    let imported = gitlab(&with("services: [tutum/wordpress:latest]"));
    assert_eq!(job(&imported, "a").services[0].alias, "tutum-wordpress");
    check_noted(&imported, "`tutum__wordpress` is not carried over");
}

#[test]
fn artifacts_keep_their_paths_and_when_and_the_rest_is_listed() {
    let imported = gitlab(&with(
        "artifacts: {paths: [dist/, $CI_PROJECT_DIR/out], when: always, exclude: ['*.tmp'], expire_in: 1 week}",
    ));
    let artifacts = job(&imported, "a").artifacts.unwrap();
    assert_eq!(artifacts.paths, ["dist/", "out"]);
    assert_eq!(artifacts.when, KeepWhen::Always);
    check_noted(&imported, "`exclude` of `artifacts` is not carried over");
    check_noted(&imported, "`expire_in` of `artifacts` is not carried over");
}

#[test]
fn a_cache_has_its_key_paths_and_policy() {
    let imported = gitlab(&with(
        "cache: [{key: \"$V-x\", paths: [node_modules/], policy: pull}, {key: {files: [go.sum], prefix: p}, paths: [.go]}]",
    ));
    let caches = job(&imported, "a").caches;
    assert_eq!(caches[0].key.expand(|name| (name == "V").then_some("1")), "1-x");
    assert_eq!(caches[0].policy, CachePolicy::Pull);
    assert_eq!(caches[1].key.expand(|_| None), "p-go.sum");
    check_noted(&imported, "`key:files` is not carried over");
}

#[test]
fn a_cached_glob_is_listed() {
    let imported = gitlab(&with("cache: {paths: ['*.jar', 'lib/*']}"));
    assert_eq!(job(&imported, "a").caches[0].paths, ["lib"]);
    check_noted(&imported, "the cached path `*.jar` is not carried over");
}

#[test]
fn an_allowed_failure_may_name_exit_codes() {
    assert_eq!(job(&gitlab(&with("allow_failure: true")), "a").allow_failure, AllowFailure::Always);
    let codes = job(&gitlab(&with("allow_failure: {exit_codes: [3, 137]}")), "a").allow_failure;
    assert_eq!(codes, AllowFailure::ExitCodes(BTreeSet::from([3, 137])));
}

#[test]
fn a_retry_has_a_number_and_causes() {
    assert_eq!(job(&gitlab(&with("retry: 2")), "a").retry.max, 2);
    let retry =
        job(&gitlab(&with("retry: {max: 1, when: [runner_system_failure, job_execution_timeout]}")), "a")
            .retry;
    assert_eq!((retry.max, retry.on), (1, BTreeSet::from([RetryOn::Infrastructure, RetryOn::Timeout])));
    check_noted(&gitlab(&with("retry: {max: 1, when: script_failure}")), "is a retry for every failure here");
    assert!(
        wrong_gitlab(&with("retry: {max: 1, when: sometimes}"))
            .contains("there is no `sometimes` to retry for")
    );
}

// covers: local-ci 93
#[test]
fn a_timeout_has_all_of_gitlabs_forms() {
    for (text, seconds) in
        [("30 minutes", 1800), ("1 hour 30 minutes", 5400), ("1h30m", 5400), ("90s", 90), ("2 days", 172_800)]
    {
        let timeout = job(&gitlab(&with(&format!("timeout: {text}"))), "a").timeout;
        assert_eq!(timeout, Some(Duration::from_secs(seconds)), "{text}");
    }
    assert!(wrong_gitlab(&with("timeout: soon")).starts_with("4:12 `timeout` must be a duration"));
}

#[test]
fn an_image_may_be_a_mapping_and_what_stands_beside_its_name_is_listed() {
    let imported =
        gitlab("a:\n  image: {name: \"r/$N:1\", entrypoint: ['']}\n  variables: {N: app}\n  script: [x]\n");
    assert_eq!(job(&imported, "a").image.as_deref(), Some("r/app:1"));
    assert_eq!(notes(&imported), ["2:27 `entrypoint` of `image` is not carried over"]);
}

#[test]
fn a_job_without_an_image_says_so() {
    let imported = gitlab("a: {script: [x]}\n");
    assert_eq!(job(&imported, "a").image, None);
    check_noted(&imported, "`a` has no image: GitLab takes the runner's");
}

#[test]
fn variables_have_values_descriptions_and_each_other() {
    let file = "variables:\n  A: {value: 'x', description: \"What it is\", options: [x, y]}\n  B: $A-${A}-$$A\n  C: {value: $A, expand: false}\n  D: 1.50\na: {image: i, script: [x]}\n";
    let imported = gitlab(file);
    let variables = pipeline(&imported).variables;
    assert_eq!(
        (&*variables["A"], &*variables["B"], &*variables["C"], &*variables["D"]),
        ("x", "x-x-$A", "$A", "1.50")
    );
    assert!(imported.text.contains("# What it is (one of: x, y)\n  A: x\n"), "{}", imported.text);
}

#[test]
fn a_variable_that_nobody_knows_stays_as_it_is_and_is_listed() {
    let imported = gitlab(&with("variables: {A: $CI_COMMIT_REF_SLUG-x}"));
    assert_eq!(job(&imported, "a").variables["A"], "$CI_COMMIT_REF_SLUG-x");
    check_noted(&imported, "`$CI_COMMIT_REF_SLUG` is not put into this text");
}

#[test]
fn variables_that_gitlab_sets_are_listed_once_where_a_script_first_reads_them() {
    let imported =
        gitlab("a:\n  image: i\n  script:\n    - echo $CI_COMMIT_SHA\n    - echo ${CI_COMMIT_SHA:0:8}\n");
    assert_eq!(notes(&imported), ["4:7 `CI_COMMIT_SHA` is set by GitLab and not by Jobwright"]);
}

#[test]
fn a_resource_group_is_a_concurrency_of_one() {
    let concurrency = job(&gitlab(&with("resource_group: prod")), "a").concurrency.unwrap();
    assert_eq!((concurrency.group.as_str(), concurrency.limit.get()), ("prod", 1));
}

#[test]
fn what_only_the_server_knows_is_listed_with_its_place() {
    let imported = gitlab(&format!(
        "{JOB}  tags: [linux]\n  interruptible: true\n  environment: prod\n  coverage: /x/\n  id_tokens: {{}}\n"
    ));
    let places: Vec<String> = notes(&imported).iter().map(|note| note.chars().take(19).collect()).collect();
    assert_eq!(
        places,
        [
            "4:3 `tags` of `a` i",
            "5:3 `interruptible`",
            "6:3 `environment` o",
            "7:3 `coverage` of `",
            "8:3 `id_tokens` of "
        ]
    );
}

#[test]
fn a_job_that_triggers_another_pipeline_is_listed_and_left_out_of_needs() {
    let imported = gitlab("t: {trigger: {project: x/y}}\na: {image: i, script: [x], needs: [t]}\n");
    check_noted(&imported, "`t` triggers another pipeline and is not carried over");
    check_noted(&imported, "the need of `t` is not carried over");
    assert_eq!(pipeline(&imported).jobs.len(), 1);
}

#[test]
fn a_job_whose_name_is_a_key_here_is_called_otherwise() {
    let imported = gitlab("cleanup: {image: i, script: [x]}\nb: {image: i, script: [x], needs: [cleanup]}\n");
    assert_eq!(job(&imported, "b").needs, ["cleanup-job"]);
    check_noted(&imported, "`cleanup` is called `cleanup-job` here");
}

#[test]
fn words_of_when_are_conditions_or_listed() {
    for (word, expected) in [
        ("on_success", ""),
        ("never", "false"),
        ("manual", "vars.MANUAL != \"\""),
        ("on_failure", "false"),
        ("always", ""),
        ("delayed", ""),
    ] {
        assert_eq!(condition(&gitlab(&with(&format!("when: {word}"))), "a"), expected, "{word}");
    }
    check_noted(&gitlab(&with("when: on_failure")), "the job does not run");
    assert_eq!(job(&gitlab(&with("when: manual")), "a").allow_failure, AllowFailure::Always);
    assert_eq!(wrong_gitlab(&with("when: later")), "4:9 `when` cannot be `later`");
}

#[test]
fn the_first_rule_that_holds_decides() {
    let rules = |rules: &str| condition(&gitlab(&with(&format!("rules: {rules}"))), "a");
    assert_eq!(rules("[{if: $CI_COMMIT_TAG}]"), "tag != \"\"");
    assert_eq!(rules("[{if: $CI_COMMIT_TAG, when: never}, {when: on_success}]"), "tag == \"\"");
    assert_eq!(
        rules("[{if: '$A == \"1\"'}, {if: '$B == null', when: manual}]"),
        "vars.A == \"1\" || !has(vars.B) && vars.MANUAL != \"\""
    );
    assert_eq!(
        rules("[{changes: [src/**/*]}, {changes: {paths: [Cargo.toml]}}]"),
        "changed(\"src/**/*\") || changed(\"Cargo.toml\")"
    );
    assert_eq!(rules("[{when: never}]"), "false");
    assert_eq!(rules("[]"), "false");
    assert_eq!(rules("[{when: always}]"), "");
}

#[test]
fn expressions_have_gitlabs_operators() {
    let expression = |text: &str| {
        condition(&gitlab(&format!("{JOB}  rules:\n    - if: '{}'\n", text.replace('\'', "''"))), "a")
    };
    for (given, expected) in [
        ("$A", "vars.A != \"\""),
        ("$CI_PIPELINE_SOURCE == \"merge_request_event\"", "event == \"merge_request_event\""),
        (
            "$CI_COMMIT_BRANCH == 'main' && ($A == \"1\" || $B != \"2\")",
            "branch == \"main\" && (vars.A == \"1\" || vars.B != \"2\")",
        ),
        ("$CI_COMMIT_BRANCH =~ /^release-/", "branch.startsWith(\"release-\")"),
        ("$CI_COMMIT_TAG !~ /^v\\d+$/", "!tag.matches(\"^v\\\\d+$\")"),
        ("$CI_COMMIT_MESSAGE =~ /skip/i", "vars.CI_COMMIT_MESSAGE.matches(\"(?i)skip\")"),
        ("$A == null", "!has(vars.A)"),
        ("$A != null", "has(vars.A)"),
        ("$A == \"\"", "has(vars.A) && vars.A == \"\""),
        ("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH", "branch == vars.CI_DEFAULT_BRANCH"),
        ("$CI_COMMIT_REF_NAME == \"x\"", "(branch != \"\" ? branch : tag) == \"x\""),
    ] {
        assert_eq!(expression(given), expected, "{given}");
    }
}

#[test]
fn a_condition_that_cannot_be_said_does_not_let_the_job_run() {
    for rule in ["if: '$A =~ $B'", "exists: [Dockerfile]", "if: '$A > 1'", "changes: ['$X/*']"] {
        let imported = gitlab(&with(&format!("rules: [{{{rule}}}]")));
        assert_eq!(condition(&imported, "a"), "false", "{rule}");
        check_noted(&imported, "the rule counts as not met");
    }
    let imported = gitlab(&with("rules: [{exists: [x], when: never}, {when: always}]"));
    assert_eq!(condition(&imported, "a"), "false");
    check_noted(&imported, "the rule counts as met without it");
}

#[test]
fn rules_give_variables_and_allowed_failures_when_there_is_no_choice() {
    let imported = gitlab(&with("rules: [{if: $A, variables: {V: '1'}, allow_failure: true}]"));
    assert_eq!(job(&imported, "a").variables["V"], "1");
    assert_eq!(job(&imported, "a").allow_failure, AllowFailure::Always);
    let several = gitlab(&with("rules: [{if: $A, variables: {V: '1'}}, {if: $B}]"));
    check_noted(&several, "`variables` of one rule of several are not carried over");
}

#[test]
fn only_and_except_are_conditions() {
    let when = |text: &str| condition(&gitlab(&with(text)), "a");
    assert_eq!(when("only: [main]"), "branch == \"main\" || tag == \"main\"");
    assert_eq!(when("only: [tags, merge_requests]"), "tag != \"\" || event == \"merge_request_event\"");
    assert_eq!(when("except: [schedules]"), "event != \"schedule\"");
    assert_eq!(when("only: {refs: [branches], changes: [a]}"), "branch != \"\" && changed(\"a\")");
    assert_eq!(when("only: {variables: ['$A', '$B == \"x\"']}"), "vars.A != \"\" || vars.B == \"x\"");
    assert_eq!(when("only: ['/^v[0-9]/']"), "branch.matches(\"^v[0-9]\") || tag.matches(\"^v[0-9]\")");
    assert_eq!(when("except: {refs: [tags], changes: [a]}"), "!(tag != \"\" || changed(\"a\"))");
}

#[test]
fn the_rules_of_the_workflow_hold_for_every_job() {
    let file = format!(
        "workflow:\n  name: x\n  rules:\n    - if: $CI_COMMIT_TAG\n      when: never\n    - if: $CI_COMMIT_BRANCH\n{JOB}  rules: [{{if: $A}}]\n"
    );
    let imported = gitlab(&file);
    assert_eq!(condition(&imported, "a"), "tag == \"\" && branch != \"\" && vars.A != \"\"");
    assert_eq!(notes(&imported), ["2:3 `name` of `workflow` is not carried over"]);
}

#[test]
fn a_condition_that_is_too_large_does_not_let_the_job_run() {
    let rules: String =
        (0..40).map(|n| format!("    - if: $VARIABLE_{n} == \"a long value for number {n}\"\n")).collect();
    let imported = gitlab(&format!("{JOB}  rules:\n{rules}"));
    assert_eq!(condition(&imported, "a"), "false");
    check_noted(&imported, "is too large for `if`: the job does not run");
}

#[test]
fn hidden_jobs_do_not_run() {
    assert_eq!(pipeline(&gitlab(&format!(".h: {{script: [x]}}\n{JOB}"))).jobs.len(), 1);
}

#[test]
fn a_file_that_is_wrong_is_an_error_with_its_place() {
    for (file, expected) in [
        ("", "1:1 the file is empty"),
        ("- a\n", "1:1 a pipeline file must be a mapping of names to jobs"),
        ("a: 1\n", "1:1 `a` must be a job (a mapping with `script`)"),
        ("a: {image: i}\n", "1:1 the job `a` has no `script`"),
        ("a:\n  script: [x\n", ""),
        ("a: {script: [{b: c}]}\n", "1:14 a command must be a text, found a mapping"),
        ("variables: {A: [1]}\na: {script: [x]}\n", "1:16 the variable `A` must be a text, found a list"),
        ("a: {script: [x], parallel: 0}\n", "1:28 `parallel` must be a number from 1 to 200"),
        ("stages: [a]\n", "1:1 the file has no jobs"),
        ("a: {script: !secret [x]}\n", "1:13 the YAML tag `!secret` means nothing"),
    ] {
        let found = wrong_gitlab(file);
        assert!(found.starts_with(expected), "{file:?}: {found}");
    }
}
