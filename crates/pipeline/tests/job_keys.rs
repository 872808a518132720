//! The keys of jobs and of the whole file beside stages, scripts and variables: what each holds, and what it refuses. Those that nothing
//! honours yet are let through here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::time::Duration;

use jobwright_pipeline::{
    AccessToken, AllowFailure, CachePolicy, KeepWhen, Loader, Pipeline, PipelineJob, Report, RetryOn,
    SecretSource,
};

fn load(file: &str) -> Result<Pipeline, Report> {
    Loader::new().every_key().parse("p.yaml", file.as_bytes())
}

fn with(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
    format!("stages: [build, test]\na:\n  stage: build\n  image: x\n  script: [ls]\n{lines}")
}

fn job(lines: &str) -> PipelineJob {
    load(&with(lines)).unwrap_or_else(|report| panic!("{report}")).jobs.remove(0)
}

fn whole(lines: &str) -> Pipeline {
    load(&format!("{}{lines}\n", with(""))).unwrap_or_else(|report| panic!("{report}"))
}

/// What is wrong with a job with these lines, one `line:column message` each.
fn wrong(lines: &str) -> Vec<String> {
    lines_of(&load(&with(lines)).expect_err(lines))
}

fn wrong_in_file(lines: &str) -> Vec<String> {
    lines_of(&load(&format!("{}{lines}\n", with(""))).expect_err(lines))
}

fn lines_of(report: &Report) -> Vec<String> {
    let line = |finding: &jobwright_pipeline::Finding| {
        let position = report.position(finding);
        format!("{}:{} {}", position.line, position.column, finding.message)
    };
    report.findings().iter().map(line).collect()
}

/// Each of these values is refused, with one finding.
fn refuses(key: &str, values: &[&str]) {
    for value in values {
        let found = wrong(&format!("{key}: {value}"));
        assert_eq!(found.len(), 1, "{key}: {value}: {found:?}");
    }
}

// covers: local-ci 78
#[test]
fn a_file_that_says_nothing_of_it_has_the_defaults() {
    let job = job("");
    assert!(!job.detached && job.retry.max == 0 && job.allow_failure == AllowFailure::Never);
    assert!(
        job.caches.is_empty() && job.artifacts.is_none() && job.condition.is_none() && job.variant.is_none()
    );
    assert!(job.bootstrap.is_none() && job.cleanup.is_none() && job.concurrency.is_none());
    assert!(!job.network.host_access && !job.network.host_mode && job.backend.is_none());
    let pipeline = whole("");
    assert!(pipeline.bootstrap.is_none() && pipeline.cleanup.is_none() && pipeline.remote_provider.is_none());
}

// covers: local-ci 78
#[test]
fn commands_on_the_host_have_minutes_or_a_duration_and_five_minutes_otherwise() {
    let pipeline = whole("bootstrap: {run: [make, 'echo a'], timeout: 2}\ncleanup: {run: rm -rf tmp}");
    let bootstrap = pipeline.bootstrap.unwrap();
    assert_eq!(
        (bootstrap.run.as_slice(), bootstrap.timeout.as_secs()),
        (&["make".to_owned(), "echo a".to_owned()][..], 120)
    );
    assert_eq!(pipeline.cleanup.unwrap().timeout, Duration::from_secs(300));
    for (text, seconds) in [("90s", 90), ("0", 300), ("'3'", 180), ("1h30m", 5400)] {
        let job = job(&format!("job_bootstrap: {{run: [ls], timeout: {text}}}\njob_cleanup: {{run: [ls]}}"));
        assert_eq!(job.bootstrap.unwrap().timeout.as_secs(), seconds, "{text}");
        assert_eq!(job.cleanup.unwrap().run, ["ls"]);
    }
}

// covers: local-ci 78, local-ci 79
#[test]
fn commands_on_the_host_need_run_and_cleanup_needs_bootstrap() {
    assert_eq!(wrong_in_file("bootstrap: {timeout: 2}"), ["6:1 `bootstrap` has no `run`"]);
    assert_eq!(
        wrong_in_file("bootstrap: {run: []}"),
        ["6:18 `run` must have at least one command, found an empty list"]
    );
    assert_eq!(
        wrong_in_file("bootstrap: [ls]"),
        ["6:12 `bootstrap` must be a mapping with `run`, found a list"]
    );
    assert_eq!(wrong_in_file("cleanup: {run: [ls]}"), ["6:1 `cleanup` without `bootstrap`"]);
    for timeout in ["-1", "soon", "1.5", "true", "[1]", "99999999999"] {
        let found = wrong_in_file(&format!("bootstrap: {{run: [ls], timeout: {timeout}}}"));
        assert!(
            found.len() == 1 && found[0].contains("`timeout` must be whole minutes"),
            "{timeout}: {found:?}"
        );
    }
    assert_eq!(wrong("job_cleanup: {run: [ls]}"), ["6:3 `job_cleanup` without `job_bootstrap`"]);
    assert_eq!(
        wrong("job_bootstrap: {}\njob_cleanup: {run: []}"),
        [
            "6:3 `job_bootstrap` has no `run`",
            "7:22 `run` must have at least one command, found an empty list"
        ]
    );
}

// covers: local-ci 78
#[test]
fn a_cache_has_a_key_paths_and_a_policy() {
    let caches = job("cache: {key: 'deps-${V}', paths: [node_modules, /root/.cache]}").caches;
    assert_eq!(caches[0].key.expand(|name| (name == "V").then_some("7")), "deps-7");
    assert_eq!((caches[0].paths.len(), caches[0].policy), (2, CachePolicy::PullPush));
    let caches =
        job("cache:\n  - {key: a, paths: x, policy: pull}\n  - {key: b, paths: y, policy: push}").caches;
    assert_eq!((caches[0].policy, caches[1].policy), (CachePolicy::Pull, CachePolicy::Push));
    assert!(caches[0].policy.pulls() && !caches[0].policy.pushes());
}

// covers: local-ci 78
#[test]
fn a_cache_without_key_or_paths_or_with_an_empty_path_is_refused() {
    assert_eq!(wrong("cache: {paths: [x]}"), ["6:10 this cache has no `key`"]);
    assert_eq!(wrong("cache: {key: k}"), ["6:10 this cache has no `paths`"]);
    assert_eq!(
        wrong("cache: {key: k, paths: []}"),
        ["6:26 `paths` must have at least one path, found an empty list"]
    );
    assert_eq!(wrong("cache: {key: k, paths: ['']}"), ["6:27 `paths` must have paths, found an empty text"]);
    assert_eq!(wrong("cache: {key: k, paths: [a/../b]}"), ["6:27 the path `a/../b` must not have `..`"]);
    assert_eq!(wrong("cache: {}").len(), 2);
    refuses(
        "cache",
        &["x", "{key: '', paths: x}", "{key: '${', paths: x}", "{key: k, paths: x, policy: all}", "[x]", "1"],
    );
    let pipeline = load(&with("cache: {key: '$REF', paths: x}")).unwrap();
    assert!(pipeline.warnings().summary().contains("`$REF` is not replaced in a key (write `${REF}`"));
}

// covers: local-ci 83
#[test]
fn artifacts_are_paths_below_the_working_directory() {
    let artifacts = job("artifacts: {paths: [dist/, '**/*.xml'], when: always}").artifacts.unwrap();
    assert_eq!((artifacts.paths.len(), artifacts.when), (2, KeepWhen::Always));
    assert_eq!(job("artifacts: {paths: dist}").artifacts.unwrap().when, KeepWhen::OnSuccess);
    assert_eq!(wrong("artifacts: {}"), ["6:3 `artifacts` has no `paths`"]);
    assert_eq!(
        wrong("artifacts: {paths: []}"),
        ["6:22 `paths` must have at least one path, found an empty list"]
    );
    for (path, why) in [
        ("''", "`paths` must have paths, found an empty text"),
        ("/dist", "the path `/dist` must be relative to the job's working directory"),
        ("a/../b", "the path `a/../b` must not have `..`"),
        ("'[z-a]'", "the path `[z-a]` is no glob: invalid range; 'z' > 'a'"),
    ] {
        assert_eq!(wrong(&format!("artifacts: {{paths: [{path}]}}")), [format!("6:23 {why}")]);
    }
    refuses("artifacts", &["x", "{paths: x, when: never}", "{paths: {a: b}}", "{paths: x, when: }"]);
}

// covers: local-ci 78
#[test]
fn a_retry_is_a_number_up_to_ten_or_says_what_for() {
    assert_eq!(job("retry: 10").retry.max, 10);
    assert_eq!(job("retry: 0").retry.max, 0);
    let retry = job("retry: {max: 2, on: [infrastructure, timeout], exit_codes: [137, 143]}").retry;
    assert_eq!(retry.on.into_iter().collect::<Vec<_>>(), [RetryOn::Infrastructure, RetryOn::Timeout]);
    assert_eq!(retry.exit_codes.into_iter().collect::<Vec<_>>(), [137, 143]);
    assert_eq!(job("retry: {max: 1, on: out_of_memory, exit_codes: 7}").retry.exit_codes.len(), 1);
    assert_eq!(
        wrong("retry: 11"),
        ["6:10 `retry` must be a number from 0 to 10, or a mapping with `max`, found the number `11`"]
    );
    refuses(
        "retry",
        &[
            "'2'",
            "-1",
            "1.5",
            "many",
            "[1]",
            "",
            "{on: timeout}",
            "{max: 11}",
            "{max: 1, on: luck}",
            "{max: 1, exit_codes: [0]}",
            "{max: 1, exit_codes: [256]}",
            "{max: 1, exit_codes: ['1']}",
            "99999999999999999999",
        ],
    );
    let report = load(&with("retry: '2'")).unwrap_err();
    assert_eq!(report.findings()[0].help.as_deref(), Some("write it without quotes: `2`"));
}

#[test]
fn a_failure_is_allowed_whole_or_for_some_exit_codes() {
    assert_eq!(job("allow_failure: true").allow_failure, AllowFailure::Always);
    assert_eq!(job("allow_failure: false").allow_failure, AllowFailure::Never);
    assert_eq!(
        job("allow_failure: {exit_codes: [42, 3]}").allow_failure,
        AllowFailure::ExitCodes([3, 42].into())
    );
    refuses("allow_failure", &["'true'", "1", "[42]", "{}", "{exit_codes: x}", "yes"]);
}

// covers: local-ci 79
#[test]
fn a_flag_is_true_or_false_without_quotes() {
    assert!(
        job("parallel: true").detached && !job("parallel: false").detached && job("parallel: True").detached
    );
    refuses("parallel", &["'true'", "1", "yes", "[]", ""]);
    let network = job("network: {host_access: true}").network;
    assert!(network.host_access && !network.host_mode);
    refuses("network", &["host", "{host_mode: 1}", "[host_mode]"]);
}

// covers: local-ci 85
#[test]
fn a_job_may_say_false_where_it_inherits_true() {
    let file = "stages: [t]\n.d: {stage: t, script: ls, parallel: true}\na: {extends: .d, parallel: false}\nb: {extends: .d}\n";
    let detached = |name: &str| load(file).unwrap().job(name).unwrap().detached;
    assert!(!detached("a") && detached("b"));
    let local_ci = Loader::new().every_key().parse(".local-ci.yaml", file.as_bytes()).unwrap();
    assert!(!local_ci.job("a").unwrap().detached && local_ci.job("b").unwrap().detached);
}

// covers: local-ci 85
#[test]
fn a_template_brings_all_keys_and_mappings_replace_whole() {
    let template = ".d: {stage: t, script: ls, retry: 2, timeout: 5, cache: {key: k, paths: x}, artifacts: {paths: x}, \
        network: {host_access: true}, job_bootstrap: {run: ls}, job_cleanup: {run: ls}, matrix: [{A: [1, 2]}]}\n";
    let file = |job: &str| format!("stages: [t]\n{template}j: {job}\n");
    let pipeline = load(&file("{extends: .d}")).unwrap();
    let job = &pipeline.jobs[1];
    assert_eq!((job.name.as_str(), job.retry.max, job.caches.len()), ("j_A.2", 2, 1));
    assert!(
        job.artifacts.is_some()
            && job.network.host_access
            && job.bootstrap.is_some()
            && job.cleanup.is_some()
    );
    let own =
        load(&file("{extends: .d, network: {host_mode: true}, cache: {key: own, paths: y}, matrix: []}"))
            .unwrap();
    let job = own.job("j").unwrap();
    assert!(!job.network.host_access && job.network.host_mode && job.caches[0].paths == ["y"]);
    let reset = load(&file(
        "{extends: .d, cache: ~, retry: 0, artifacts: ~, matrix: ~, job_bootstrap: ~, job_cleanup: ~}",
    ));
    let reset = reset.unwrap();
    let job = reset.job("j").unwrap();
    assert!(
        job.caches.is_empty() && job.retry.max == 0 && job.artifacts.is_none() && job.bootstrap.is_none()
    );
    // In local-ci's own files none of this takes anything back.
    let zeros =
        file("{extends: .d, cache: ~, retry: 0, artifacts: ~, matrix: [], job_bootstrap: ~, timeout: 0}");
    let kept = Loader::new().every_key().parse(".local-ci.yaml", zeros.as_bytes()).unwrap();
    let job = &kept.jobs[0];
    assert!(job.caches.len() == 1 && job.retry.max == 2 && job.variant.is_some() && job.timeout.is_some());
}

// covers: local-ci 82
#[test]
fn services_and_the_hosts_own_network_exclude_each_other() {
    assert_eq!(
        wrong("network: {host_mode: true}\nservices: [redis]"),
        ["7:14 a job with `network.host_mode` cannot have services"]
    );
}

// covers: local-ci 82
#[test]
fn a_service_is_ready_by_its_command_within_a_minute_or_as_it_says() {
    let services = job(
        "services: [redis, {image: postgres, ready: {command: pg_isready, timeout: 5}}, {image: x, ready: {timeout: 0}}]",
    )
    .services;
    assert_eq!((services[0].ready.command.as_deref(), services[0].ready.timeout.as_secs()), (None, 60));
    assert_eq!(
        (services[1].ready.command.as_deref(), services[1].ready.timeout.as_secs()),
        (Some("pg_isready"), 5)
    );
    assert_eq!(services[2].ready.timeout.as_secs(), 60);
    for ready in ["x", "{command: [a]}", "{command: ''}", "{timeout: -1}", "{timeout: soon}"] {
        assert_eq!(wrong(&format!("services: [{{image: x, ready: {ready}}}]")).len(), 1, "{ready}");
    }
}

// covers: local-ci 78
#[test]
fn a_remote_provider_has_an_address_a_project_and_a_token() {
    let provider = |lines: &str| whole(&format!("remote_provider: {lines}")).remote_provider.unwrap();
    let given = provider("{url: gitlab.example.org/, project_id: 42, access_token: $TOKEN}");
    assert_eq!((given.url.as_str(), given.project_id), ("https://gitlab.example.org", 42));
    assert_eq!(given.access_token, AccessToken::From(SecretSource::Env("TOKEN".to_owned())));
    let given = provider("{url: 'http://[::1]:80/x', project_id: 1, access_token: '${T}'}");
    assert_eq!(
        (given.url.as_str(), given.access_token),
        ("http://[::1]:80/x", AccessToken::From(SecretSource::Env("T".to_owned())))
    );
    let given = provider("{url: a, project_id: 1, access_token: {file: t}}");
    assert_eq!(given.access_token, AccessToken::From(SecretSource::File("t".into())));
    assert_eq!(wrong_in_file("remote_provider: {}").len(), 3);
    for (lines, what) in [
        ("{url: '', project_id: 1, access_token: $T}", "`url`"),
        ("{url: 'ftp://x', project_id: 1, access_token: $T}", "`url`"),
        ("{url: 'https://', project_id: 1, access_token: $T}", "`url`"),
        ("{url: a, project_id: 0, access_token: $T}", "`project_id`"),
        ("{url: a, project_id: '7', access_token: $T}", "`project_id`"),
        ("{url: a, project_id: -7, access_token: $T}", "`project_id`"),
        ("{url: a, project_id: 1, access_token: ''}", "`access_token`"),
        ("{url: a, project_id: 1, access_token: []}", "`access_token`"),
        ("{url: a, project_id: 1, access_token: $}", "the name of a variable is empty"),
        ("{url: a, project_id: 1, access_token: {vault: x}}", "a secret has no key `vault`"),
        ("x", "`remote_provider`"),
    ] {
        let found = wrong_in_file(&format!("remote_provider: {lines}"));
        assert!(found.len() == 1 && found[0].contains(what), "{lines}: {found:?}");
    }
}

#[test]
fn a_token_in_the_file_is_taken_but_shown_nowhere() {
    let file = format!("{}remote_provider: {{url: a, project_id: 1, access_token: hunter2}}\n", with(""));
    let pipeline = load(&file).unwrap();
    let Some(AccessToken::Literal(token)) = pipeline.remote_provider.as_ref().map(|p| &p.access_token) else {
        panic!()
    };
    assert_eq!(token.value, "hunter2");
    let shown = [pipeline.warnings().to_string(), format!("{:?}", pipeline.remote_provider)];
    assert!(shown[0].contains("the access token stands in the file"));
    assert!(shown.iter().all(|text| !text.contains("hunter2")), "{shown:?}");
}

#[test]
fn what_runs_after_the_script_is_a_list_of_commands_too() {
    assert_eq!(job("after_script: [a, b]").after_script, ["a", "b"]);
    assert_eq!(job("after_script: a").after_script, ["a"]);
    assert!(job("after_script: []").after_script.is_empty());
    refuses("after_script", &["[~]", "{a: b}", "[[a]]", ""]);
}

#[test]
fn silence_has_a_limit_of_its_own() {
    assert_eq!(job("silence_timeout: 10m").silence_timeout, Some(Duration::from_secs(600)));
    assert_eq!(job("silence_timeout: 0").silence_timeout, None);
    refuses("silence_timeout", &["soon", "-1", ""]);
}

#[test]
fn resources_are_processors_and_bytes() {
    let resources = job("resources: {cpu: 1.5, memory: 512Mi}").resources;
    assert_eq!((resources.cpu_millis, resources.memory), (Some(1500), Some(512 << 20)));
    refuses(
        "resources",
        &["x", "{cpu: 0}", "{cpu: many}", "{cpu: -1}", "{memory: 0}", "{memory: 1.5G}", "{memory: []}"],
    );
    let report = load(&with("resources: {memory: 512m}")).unwrap_err();
    assert_eq!(report.findings()[0].help.as_deref(), Some("write `512Mi`"));
}

#[test]
fn jobs_of_one_group_agree_on_its_limit() {
    let concurrency = job("concurrency: {limit: 3, group: deploy}").concurrency.unwrap();
    assert_eq!((concurrency.group.as_str(), concurrency.limit.get()), ("deploy", 3));
    let concurrency = job("concurrency: {}").concurrency.unwrap();
    assert_eq!((concurrency.group.as_str(), concurrency.limit.get()), ("a", 1));
    let variants = load(&with("concurrency: {}\nmatrix: [{A: [1, 2]}]")).unwrap();
    assert!(variants.jobs.iter().all(|job| job.concurrency.as_ref().unwrap().group == "a"));
    refuses(
        "concurrency",
        &["1", "{limit: 0}", "{limit: '1'}", "{group: ''}", "{group: [x]}", "{group: \"\\e\"}"],
    );
    let file = "stages: [t]\na: {stage: t, script: ls, concurrency: {group: g}}\nb: {stage: t, script: ls, concurrency: {group: g, limit: 2}}\n";
    let report = load(file).unwrap_err();
    assert_eq!(lines_of(&report), ["3:1 the group `g` has the limit 2 here and 1 elsewhere"]);
}

#[test]
fn a_backend_is_named_and_files_of_variables_are_paths() {
    assert_eq!(job("backend: docker").backend.as_deref(), Some("docker"));
    refuses("backend", &["''", "[x]", "", "1"]);
    let files = job("env_file: [.env, /etc/ci.env]").env_files;
    assert_eq!(
        files.iter().map(|file| file.path.as_path()).collect::<Vec<_>>(),
        [Path::new(".env"), Path::new("/etc/ci.env")]
    );
    refuses("env_file", &["''", "[~]", "{a: b}", ""]);
}

// covers: local-ci 80
#[test]
fn an_unknown_key_of_any_mapping_warns_with_the_nearest_one() {
    for (lines, nearest) in [
        ("cache: {key: a, paths: b, polcy: pull}", "policy"),
        ("artifacts: {path: b, paths: c}", "paths"),
        ("retry: {max: 1, exit_code: 1}", "exit_codes"),
        ("network: {hostmode: true}", "host_mode"),
        ("resources: {memroy: 1}", "memory"),
        ("concurrency: {limits: 1}", "limit"),
        ("job_bootstrap: {run: a, timeuot: 1}", "timeout"),
        ("services: [{image: x, ready: {comand: y}}]", "command"),
        ("matrix: {values: {A: 1}, exlude: []}", "exclude"),
        ("silence_timout: 1", "silence_timeout"),
    ] {
        let warnings = load(&with(lines)).unwrap().warnings();
        assert_eq!(warnings.findings().len(), 1, "{lines}");
        assert_eq!(warnings.findings()[0].help, Some(format!("did you mean `{nearest}`?")), "{lines}");
    }
}

#[test]
fn everything_that_is_wrong_with_a_job_is_told_at_once() {
    let found = wrong(
        "retry: 99\nparallel: maybe\nif: branch\ncache: {}\nartifacts: {paths: [/x]}\nnetwork: 1\nresources: {cpu: x, memory: y}\nmatrix: [{A: []}]\nneeds: b",
    );
    assert_eq!(found.len(), 11, "{found:#?}");
}
