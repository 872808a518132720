//! Bad input: one clear error each, nothing left behind, no panic (issue 2, DESIGN rule 11).

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::support::{Bench, Ended, IMAGE, docker, pinned};

/// Files that are wrong, by what is wrong with them.
fn bad_files() -> Vec<(&'static str, Vec<u8>)> {
    let mut bomb = "stages: [a]\n.a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, ".a{level}: &a{level} [{below}]").unwrap();
    }
    let one_job = |rest: &str| format!("stages: [a]\nx: {{stage: a, script: ['true']{rest}}}\n").into_bytes();
    vec![
        ("unknown-stage", b"stages: [test]\nx:\n  stage: tset\n  script: ['true']\n".to_vec()),
        ("cycle", b"stages: [a]\nx: {stage: a, needs: [y], script: ['true']}\ny: {stage: a, needs: [z], script: ['true']}\nz: {stage: a, needs: [x], script: ['true']}\n".to_vec()),
        ("duplicate-job", b"stages: [a]\nx: {stage: a, script: ['true']}\nx: {stage: a, script: ['false']}\n".to_vec()),
        ("wrong-type", b"stages: [a]\nx:\n  stage: a\n  script: {run: 'true'}\n".to_vec()),
        ("number-for-stages", b"stages: 7\n".to_vec()),
        ("bomb", bomb.into_bytes()),
        ("binary", (0..=255).collect()),
        ("long-line", one_job(&format!(", variables: {{V: {}}}", "v".repeat(10 << 20)))),
        ("nul", b"stages: [a]\nx: {stage: a, script: ['echo \0']}\n".to_vec()),
        ("not-utf8", b"stages: [a]\nx: {stage: a, script: ['echo \xff\xfe']}\n".to_vec()),
        ("empty", Vec::new()),
        ("no-jobs", b"stages: [a]\n".to_vec()),
        ("unclosed", b"stages: [a\nx: {stage: a, script: ['true']}\n".to_vec()),
        ("deep", [b"stages: ".to_vec(), b"[".repeat(100_000)].concat()),
        ("unknown-need", one_job(", needs: [nobody]")),
        ("bad-timeout", one_job(", timeout: soon")),
    ]
}

/// Nothing of the run is left but its record: no task was begun.
#[track_caller]
fn check_nothing_left(bench: &Bench, of: &str) {
    assert_eq!(bench.leftovers(), [""; 0], "{of}");
    for run in bench.runs() {
        let journal = std::fs::read_to_string(bench.state().join("runs").join(run).join("journal")).unwrap();
        assert!(!journal.contains("task_opened"), "{of}: {journal}");
    }
}

/// One error and nothing else; a screenful, not the file.
#[track_caller]
fn check_one_error(ended: &Ended, of: &str) {
    assert!(!ended.stderr.contains("panicked"), "{of}: {}", ended.stderr);
    assert!(ended.stderr.len() < 4096, "{of}: {} bytes", ended.stderr.len());
    assert!(ended.stderr.contains(of), "{of}: the file is named: {}", ended.stderr);
}

#[test]
fn a_file_that_is_wrong_is_one_clear_error_and_leaves_nothing() {
    for (of, content) in bad_files() {
        let bench = Bench::new().without_engine();
        let file = format!("{of}.yaml");
        bench.file(&file, content);
        let begun = std::time::Instant::now();
        let ran = bench.run(&["run", "-c", &file]).expect(2);
        check_one_error(&ran, of);
        assert_eq!(ran.stdout, "", "{of}");
        let validated = bench.run(&["validate", "-c", &file]).expect(2);
        check_one_error(&validated, of);
        let absolute = bench.project().join(&file).display().to_string();
        assert_eq!(ran.stderr.replace(&absolute, &file), validated.stderr, "{of}: both say the same");
        assert!(begun.elapsed() < Duration::from_secs(20), "{of} took {:?}", begun.elapsed());
        check_nothing_left(&bench, of);
    }
}

// covers: local-ci 116
#[test]
fn what_is_said_of_each_is_what_where_why_and_what_would_be_right() {
    let bench = Bench::new();
    let mut said = String::new();
    for (of, content) in bad_files() {
        let file = format!("{of}.yaml");
        bench.file(&file, content);
        let ended = bench.run(&["validate", "-c", &file]).expect(2);
        writeln!(said, "### {of}\n{}", ended.stderr).unwrap();
    }
    pinned(&bench).bind(|| insta::assert_snapshot!(said));
}

#[test]
fn a_directory_a_pipe_or_an_unreadable_file_in_place_of_the_pipeline_is_named() {
    let bench = Bench::new();
    std::fs::create_dir(bench.project().join("folder.yaml")).unwrap();
    std::os::unix::fs::symlink("loop.yaml", bench.project().join("loop.yaml")).unwrap();
    for file in ["folder.yaml", "loop.yaml", "/dev/null/x.yaml"] {
        let ended = bench.run(&["run", "-c", file]);
        assert!(matches!(ended.code(), 2 | 4), "{file}: {ended:?}");
        assert!(ended.stderr.contains(file), "{file}: {}", ended.stderr);
        check_nothing_left(&bench, file);
    }
    bench.run(&["run", "-c", "/dev/zero"]).expect(2);
}

#[test]
fn an_image_that_does_not_exist_fails_its_job_and_leaves_nothing() {
    let Some(host) = docker() else { return };
    let pipeline =
        "stages: [a]\nx: {stage: a, image: 'localhost:1/jobwright-test/nothing:1', script: ['true']}\n";
    let bench = Bench::with(pipeline).on(host);
    for args in [&["run"][..], &["run", "--docker-pull", "never"]] {
        let ended = bench.run(args).expect(1);
        let line = ended.stdout.lines().find(|line| line.starts_with("✗ x  ")).unwrap();
        assert!(line.contains("image \"localhost:1/jobwright-test/nothing:1\""), "{line}");
        assert!(!line.contains("image: image"), "{line}");
        assert_eq!(bench.leftovers(), [""; 0]);
    }
    for image in ["UPPER case", "a:b:c", "--privileged", "x\u{0}"] {
        bench.file(
            ".jobwright.yaml",
            format!("stages: [a]\nx: {{stage: a, image: {image:?}, script: ['true']}}\n"),
        );
        let ended = bench.run(&["run"]);
        assert!(matches!(ended.code(), 1 | 2), "{image:?}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        assert_eq!(bench.leftovers(), [""; 0]);
    }
}

#[test]
fn a_shell_that_is_not_there_fails_its_job_and_says_which() {
    let bench = Bench::with("stages: [a]\nx: {stage: a, image: zsh, script: ['true']}\n").without_engine();
    let mut command = bench.command(&["run", "--backend", "process"]);
    command.env("PATH", "/nonexistent");
    let ended = bench.end(command).expect(1);
    let line = ended.stdout.lines().find(|line| line.starts_with("✗ x  ")).unwrap();
    assert!(line.contains("zsh"), "{line}");
    assert_eq!(bench.leftovers(), [""; 0]);
    if let Some(host) = docker() {
        // The image has no such program, whatever it has else.
        let workflow = format!(
            r#"{{"pipeline": [{{"steps": [{{"name": "x", "uuid": "u1", "type": "commands", "image": "{IMAGE}", "entrypoint": ["/no/such/shell"], "commands": ["true"], "on_success": true}}]}}]}}"#
        );
        let bench = Bench::new().on(host);
        bench.file("workflow.json", workflow);
        let ended = bench.run(&["workflow", "run", "workflow.json"]).expect(1);
        assert!(ended.said().contains("/no/such/shell"), "{}", ended.said());
        assert_eq!(bench.leftovers(), [""; 0]);
    }
}

#[test]
fn a_project_that_is_read_only_can_be_run_and_is_not_written_to() {
    let bench =
        Bench::with("stages: [a]\nx: {stage: a, script: ['echo x > made', 'cat made']}\n").without_engine();
    let set_mode =
        |mode| std::fs::set_permissions(bench.project(), std::fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o555);
    let copied = bench.run(&["run"]);
    let in_place = bench.run(&["run", "--in-place"]);
    set_mode(0o755);
    copied.expect(0);
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root writes into read-only directories, so --in-place is not refused");
    } else {
        in_place.expect(1);
    }
    assert_eq!(bench.leftovers(), [""; 0]);
}
