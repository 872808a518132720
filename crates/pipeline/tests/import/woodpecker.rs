//! Woodpecker's keys, one behaviour a test.

use jobwright_pipeline::{AllowFailure, SecretSource, import_woodpecker, import_woodpecker_bytes};

use crate::{check_noted, condition, job, pipeline, woodpecker, wrong, wrong_woodpecker};

/// A workflow with these steps, each on its line.
fn steps(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("steps:\n{lines}")
}

const BUILD: &str = "build: {image: i, commands: [x]}";

#[test]
fn steps_follow_each_other_and_share_what_they_leave() {
    let imported = woodpecker(&steps(&[BUILD, "test: {image: i, commands: [y]}"]));
    assert_eq!(job(&imported, "test").needs, ["build"]);
    assert_eq!(job(&imported, "build").artifacts.unwrap().paths, ["**"]);
    assert_eq!(job(&imported, "test").artifacts, None);
    assert_eq!(pipeline(&imported).stages, ["woodpecker"]);
    check_noted(&imported, "all that a job leaves is packed, as artifacts");
}

#[test]
fn steps_may_be_a_list_and_one_without_a_name_gets_its_number() {
    let imported =
        woodpecker("steps:\n  - name: a\n    image: i\n    commands: x\n  - image: i\n    commands: [y]\n");
    assert_eq!(job(&imported, "step-1").needs, ["a"]);
}

// covers: woodpecker 93
#[test]
fn with_depends_on_the_steps_are_a_graph() {
    let imported = woodpecker(&steps(&[
        BUILD,
        "lint: {image: i, commands: [x]}",
        "test: {image: i, commands: [x], depends_on: [build, lint, build]}",
        "note: {image: i, commands: [x], depends_on: test}",
    ]));
    assert!(job(&imported, "lint").needs.is_empty());
    assert_eq!(job(&imported, "test").needs, ["build", "lint"]);
    assert_eq!(job(&imported, "note").needs, ["test"]);
}

// covers: woodpecker 93
#[test]
fn an_unknown_dependency_and_a_circle_are_wrong() {
    let unknown = steps(&["a: {image: i, commands: [x], depends_on: [b]}"]);
    assert_eq!(wrong_woodpecker(&unknown), "2:45 `a` depends on `b`, but there is no such step");
    let circle = |step| wrong_woodpecker(&steps(&[step, "b: {image: i, commands: [x], depends_on: [a]}"]));
    assert_eq!(
        circle("a: {image: i, commands: [x], depends_on: [b]}"),
        "2:45 `depends_on` goes round in a circle: `a` → `b` → `a`"
    );
    assert_eq!(
        circle("a: {image: i, commands: [x], depends_on: a}"),
        "2:44 `depends_on` goes round in a circle: `a` → `a`"
    );
    let a = ("a.yaml".to_owned(), b"depends_on: [b]\nsteps: {x: {image: i, commands: [x]}}\n".to_vec());
    let b = ("b.yaml".to_owned(), b"depends_on: [a]\nsteps: {x: {image: i, commands: [x]}}\n".to_vec());
    assert!(wrong(import_woodpecker_bytes(&[a, b])).contains("in a circle"));
}

// covers: woodpecker 93
#[test]
fn a_step_that_is_left_out_hands_its_dependencies_on() {
    let imported = woodpecker(&steps(&[
        BUILD,
        "publish: {image: plugins/x, depends_on: [build]}",
        "note: {image: i, commands: [x], depends_on: [publish]}",
    ]));
    assert_eq!(job(&imported, "note").needs, ["build"]);
    let in_order =
        woodpecker(&steps(&[BUILD, "publish: {image: plugins/x}", "note: {image: i, commands: [x]}"]));
    assert_eq!(job(&in_order, "note").needs, ["build"]);
}

#[test]
fn workflows_that_depend_on_others_are_in_later_stages() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("build.yaml", "steps:\n  a: {image: i, commands: [x]}\n  b: {image: i, commands: [x]}\n");
    file(
        "deploy.yml",
        "depends_on: [{name: build, optional: true}]\nsteps:\n  a: {image: i, commands: [x]}\n",
    );
    file("notes.txt", "not yaml: [");
    let imported = import_woodpecker(folder.path()).unwrap();
    assert_eq!(pipeline(&imported).stages, ["build", "deploy"]);
    assert_eq!(job(&imported, "deploy/a").needs, ["build/b"]);
}

#[test]
fn a_step_whose_name_is_a_key_or_a_template_here_is_called_otherwise() {
    let imported = woodpecker(&steps(&[
        "cleanup: {image: i, commands: [x]}",
        ".hidden: {image: i, commands: [y]}",
        "cleanup-job: {image: i, commands: [z]}",
    ]));
    assert_eq!(job(&imported, "cleanup-job_").script, ["x"]);
    assert_eq!(job(&imported, "hidden-job").needs, ["cleanup-job_"]);
    assert_eq!(job(&imported, "cleanup-job").needs, ["hidden-job"]);
    check_noted(&imported, "`cleanup` is called `cleanup-job_` here");
}

// covers: woodpecker 94
#[test]
fn a_matrix_is_written_out_in_the_order_of_its_names() {
    let imported = woodpecker(
        "matrix:\n  Z: [1, 2]\n  A: [x]\nsteps:\n  t: {image: 'go:${Z}', commands: ['echo ${A} $${A}']}\n",
    );
    let names: Vec<_> = pipeline(&imported).jobs.iter().map(|job| job.name.clone()).collect();
    assert_eq!(names, ["t [A=x, Z=1]", "t [A=x, Z=2]"]);
    let second = job(&imported, "t [A=x, Z=2]");
    assert_eq!((second.image.as_deref(), second.script.join(";").as_str()), (Some("go:2"), "echo x ${A}"));
    assert_eq!(second.variables["A"], "x");
}

// covers: woodpecker 94
#[test]
fn a_matrix_whose_variables_or_values_cannot_be_shown_is_wrong() {
    let of = |matrix: &str| {
        wrong_woodpecker(&format!("matrix: {matrix}\nsteps: {{t: {{image: i, commands: [x]}}}}\n"))
    };
    assert_eq!(of("{\"A\\uFEFF\": [1]}"), "1:10 `A\\u{feff}` cannot be the name of a variable");
    assert_eq!(of("{include: [{\"A=\": 1}]}"), "1:21 `A=` cannot be the name of a variable");
    assert!(of("{A: [\"\\uFEFF\"]}").contains("`A` must be a short text"));
}

// covers: woodpecker 94
#[test]
fn a_matrix_may_list_its_combinations_and_a_step_choose_among_them() {
    let file = "matrix:\n  include:\n    - {A: '1', B: x}\n    - {A: '2'}\nsteps:\n  t: {image: i, commands: [x]}\n  \
                u: {image: i, commands: [x], when: [{matrix: {A: '2'}}]}\n";
    let imported = woodpecker(file);
    let names: Vec<_> = pipeline(&imported).jobs.iter().map(|job| job.name.clone()).collect();
    assert_eq!(names, ["t [A=1, B=x]", "t [A=2]", "u [A=2]"]);
}

// covers: woodpecker 95
#[test]
fn a_plugin_keeps_its_settings_and_does_not_run() {
    let file = steps(&[
        "p: {image: plugins/docker, settings: {repo: a/b, dry-run: true, tags: [x, 1], deep: {a: [1, true]}, none: null, pass: {from_secret: docker_pass}}}",
        BUILD,
    ]);
    let imported = woodpecker(&file);
    let plugin = job(&imported, "p");
    let variables: Vec<_> = plugin.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        variables,
        ["PLUGIN_DEEP={\"a\":[1,true]}", "PLUGIN_DRY_RUN=true", "PLUGIN_REPO=a/b", "PLUGIN_TAGS=x,1"]
    );
    assert_eq!(plugin.secrets["PLUGIN_PASS"].source, SecretSource::Env("DOCKER_PASS".to_owned()));
    assert_eq!(condition(&imported, "p"), "false");
    check_noted(&imported, "`p` runs the plugin `plugins/docker`, which is not carried over");
    check_noted(&imported, "the secret `docker_pass` is not in this file");
}

// covers: woodpecker 95
#[test]
fn a_secret_inside_of_a_value_is_listed_and_never_written() {
    let imported = woodpecker(&steps(&[
        "a: {image: i, commands: [x], environment: {A: {b: {from_secret: s}}, T: {from_secret: my-token}}, secrets: [old, {source: s, target: t}]}",
    ]));
    check_noted(&imported, "`A` has a secret inside of a value and is not carried over");
    let secrets = job(&imported, "a").secrets;
    let names: Vec<_> = secrets.iter().map(|(name, secret)| format!("{name}={:?}", secret.source)).collect();
    assert_eq!(names, ["OLD=Env(\"OLD\")", "T=Env(\"S\")"]);
}

#[test]
fn environment_may_be_a_list() {
    assert_eq!(
        job(&woodpecker(&steps(&["a: {image: i, commands: [x], environment: [A=1=2]}"])), "a").variables["A"],
        "1=2"
    );
}

#[test]
fn services_are_beside_every_job_and_that_is_said() {
    let imported = woodpecker(&format!(
        "{}services:\n  db: {{image: 'postgres:16', environment: {{A: b}}, ports: [5432], commands: [x]}}\n",
        steps(&[BUILD])
    ));
    let service = &job(&imported, "build").services[0];
    assert_eq!(
        (service.alias.as_str(), service.image.as_str(), service.variables["A"].as_str()),
        ("db", "postgres:16", "b")
    );
    check_noted(&imported, "every job has services of its own");
    check_noted(&imported, "`commands` of the service `db` is not carried over");
}

#[test]
fn filters_are_conditions() {
    let when = |when: &str| {
        condition(&woodpecker(&steps(&[&format!("a: {{image: i, commands: [x], when: {when}}}")])), "a")
    };
    for (given, expected) in [
        ("{event: push}", "event == \"push\""),
        ("{event: [push, pull_request]}", "event in [\"push\", \"pull_request\"]"),
        ("{event: push, branch: main}", "event == \"push\" && branch == \"main\""),
        ("{branch: main}", "branch == \"main\" || event == \"tag\""),
        (
            "[{event: tag}, {event: push, branch: 'release/*'}]",
            "event == \"tag\" || event == \"push\" && branch.matches(\"^release/[^/]*$\")",
        ),
        (
            "{event: push, branch: {exclude: [dev, 'x/**']}}",
            "event == \"push\" && !(branch == \"dev\" || branch.startsWith(\"x/\"))",
        ),
        ("{event: push, path: {include: ['src/**']}}", "event == \"push\" && changed(\"src/**\")"),
        ("{ref: 'refs/tags/v*'}", "tag.matches(\"^v[^/]*$\")"),
        ("{repo: a/b}", "vars.CI_REPO == \"a/b\""),
        ("{status: [success, failure]}", ""),
        ("{status: failure}", "false"),
        ("{evaluate: 'CI_X == \"1\"'}", "false"),
        ("{cron: nightly}", "false"),
    ] {
        assert_eq!(when(given), expected, "{given}");
    }
}

#[test]
fn a_filter_of_the_workflow_holds_for_every_step() {
    let imported = woodpecker(&format!(
        "when: {{event: push}}\n{}",
        steps(&[BUILD, "t: {image: i, commands: [x], when: {event: push}}"])
    ));
    assert_eq!(condition(&imported, "build"), "event == \"push\"");
    assert_eq!(condition(&imported, "t"), "event == \"push\"");
}

#[test]
fn a_filter_that_cannot_be_said_is_listed() {
    let imported = woodpecker(&steps(&[
        "a: {image: i, commands: [x], when: {evaluate: 'true', path: {include: [a], exclude: [b]}}}",
    ]));
    check_noted(&imported, "`evaluate` of `when` is not carried over: the filter counts as not met");
    check_noted(&imported, "`exclude` of `path` is not carried over");
}

#[test]
fn a_failure_may_be_ignored_and_a_step_detached() {
    let imported = woodpecker(&steps(&[
        "s: {image: i, commands: [x], detach: true}",
        "a: {image: i, commands: [x], failure: ignore}",
    ]));
    assert_eq!(job(&imported, "a").allow_failure, AllowFailure::Always);
    assert!(job(&imported, "s").detached);
    assert!(job(&imported, "a").needs.is_empty());
    check_noted(&imported, "`s` is detached");
}

// covers: woodpecker 93
#[test]
fn who_depends_on_a_detached_step_waits_for_what_that_waits_for_and_it_is_said() {
    let imported = woodpecker(&steps(&[
        BUILD,
        "db: {image: i, commands: [x], detach: true, depends_on: build}",
        "test: {image: i, commands: [x], depends_on: db}",
    ]));
    assert_eq!(job(&imported, "test").needs, ["build"]);
    check_noted(&imported, "`test` depends on the detached `db`");
}

#[test]
fn the_workspace_is_the_workdir_and_a_directory_a_cd() {
    let imported = woodpecker(&format!(
        "workspace: {{base: /go, path: src/x}}\n{}",
        steps(&["a: {image: i, commands: [x], directory: web}"])
    ));
    let a = job(&imported, "a");
    assert_eq!((a.workdir.as_deref(), a.script.join(";").as_str()), (Some("/go/src/x"), "cd 'web';x"));
}

#[test]
fn limits_of_kubernetes_are_resources() {
    let imported = woodpecker(&steps(&[
        "a: {image: i, commands: [x], backend_options: {kubernetes: {resources: {limits: {cpu: 500m, memory: 1Gi}}}}}",
    ]));
    let resources = job(&imported, "a").resources;
    assert_eq!((resources.cpu_millis, resources.memory), (Some(500), Some(1 << 30)));
}

#[test]
fn what_a_job_cannot_have_is_listed_with_its_place() {
    let imported = woodpecker(&format!(
        "labels: {{a: b}}\nruns_on: [success]\nclone: {{git: {{image: g}}}}\nskip_clone: true\n{}",
        steps(&[
            "a:",
            "  image: i",
            "  commands: [x]",
            "  privileged: true",
            "  volumes: [a:b]",
            "  entrypoint: [sh]",
            "  network_mode: none",
            "  pull: true"
        ])
    ));
    for words in [
        "`labels`",
        "`runs_on`",
        "`clone`",
        "`privileged` of `a`",
        "`volumes` of `a`",
        "`entrypoint` of `a`",
        "`network_mode` of `a`",
        "`pull` of `a`",
    ] {
        check_noted(&imported, words);
    }
    assert!(
        imported.text.contains("#   .woodpecker.yaml:9:5: `privileged` of `a` is not carried over\n"),
        "{}",
        imported.text
    );
}

#[test]
fn a_workflow_that_is_wrong_is_an_error_with_its_place() {
    for (file, expected) in [
        ("", "1:1 the file is empty"),
        ("[]\n", "1:1 a workflow must be a mapping with `steps`"),
        ("when: {event: push}\n", "1:1 the workflow has no `steps`"),
        ("steps: {}\n", "1:1 the workflow has no steps"),
        ("steps:\n  a: {commands: [x]}\n", "2:3 the step `a` has no `image`"),
        ("steps:\n  a: x\n", "2:3 `a` must be a mapping with `image`"),
        (
            "steps:\n  a: {image: i, commands: [x], failure: maybe}\n",
            "2:32 `failure` must be `fail`, `ignore` or `cancel`",
        ),
    ] {
        assert_eq!(wrong_woodpecker(file), expected, "{file:?}");
    }
}

#[test]
fn a_directory_with_too_many_files_is_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..201 {
        std::fs::write(
            folder.path().join(format!("{number:03}.yaml")),
            "steps: [{name: a, image: bash, commands: ['true']}]\n",
        )
        .unwrap();
    }
    let error = jobwright_pipeline::import_woodpecker(folder.path()).unwrap_err();
    assert!(error.to_string().contains("has 201 workflow files, which is more than 200"), "{error}");
    std::fs::remove_file(folder.path().join("000.yaml")).unwrap();
    jobwright_pipeline::import_woodpecker(folder.path()).unwrap();
}
