//! `jobwright run`: modes, files, the project's place, exit codes.

use std::process::Command;

use crate::support::Bench;

/// A job that notes its begin and end in a file outside of its workspace.
fn noting(bench: &Bench, name: &str, stage: &str) -> String {
    let notes = bench.root().join("notes");
    let notes = notes.display();
    format!(
        "{name}:\n  stage: {stage}\n  script: ['echo begin-{name} >> {notes}', 'sleep 0.05', 'echo end-{name} >> {notes}']\n"
    )
}

fn notes(bench: &Bench) -> Vec<String> {
    let notes = std::fs::read_to_string(bench.root().join("notes")).unwrap_or_default();
    notes.lines().map(str::to_owned).collect()
}

/// A job that passes only while the job `other` runs.
fn meeting(bench: &Bench, name: &str, other: &str, stage: &str) -> String {
    let at = |name: &str| bench.root().join(format!("at-{name}")).display().to_string();
    let (here, there) = (at(name), at(other));
    format!(
        "{name}:\n  stage: {stage}\n  timeout: 30s\n  script: ['touch {here}', 'until test -e {there}; do sleep 0.02; done']\n"
    )
}

// covers: local-ci 36
#[test]
fn jobs_run_one_after_the_other_by_stage_and_then_in_the_files_order() {
    let bench = Bench::new();
    let jobs = [noting(&bench, "last", "two"), noting(&bench, "a", "one"), noting(&bench, "b", "one")];
    bench.file(".jobwright.yaml", format!("stages: [one, two]\n{}", jobs.concat()));
    bench.run(&["run"]).expect(0);
    let order = ["begin-a", "end-a", "begin-b", "end-b", "begin-last", "end-last"];
    assert_eq!(notes(&bench), order);
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn in_parallel_all_jobs_run_at_once() {
    let bench = Bench::new();
    let jobs = [meeting(&bench, "a", "b", "one"), meeting(&bench, "b", "a", "two")];
    bench.file(".jobwright.yaml", format!("stages: [one, two]\n{}", jobs.concat()));
    bench.run(&["run", "--parallel", "--limit", "2"]).expect(0);
}

#[test]
fn no_more_jobs_run_at_once_than_the_limit() {
    let bench = Bench::new();
    let jobs: String = ["a", "b", "c"].iter().map(|name| noting(&bench, name, "one")).collect();
    bench.file(".jobwright.yaml", format!("stages: [one]\n{jobs}"));
    bench.run(&["run", "--parallel", "--limit", "1"]).expect(0);
    let notes = notes(&bench);
    let names: Vec<_> = notes.iter().filter_map(|note| note.split_once('-')).collect();
    assert_eq!(names.len(), 6);
    assert!(names.chunks(2).all(|pair| pair[0].0 == "begin" && pair[1] == ("end", pair[0].1)), "{names:?}");
    bench.run(&["run", "--limit", "0"]).expect(2);
}

// covers: local-ci 41
#[test]
fn in_parallel_stages_a_stages_jobs_run_at_once_and_a_failed_stage_stops_the_next() {
    let bench = Bench::new();
    let jobs = [
        meeting(&bench, "a", "b", "one"),
        meeting(&bench, "b", "a", "one"),
        "broken: {stage: two, script: ['false']}\nnever: {stage: three, script: ['true']}\n".to_owned(),
    ];
    bench.file(".jobwright.yaml", format!("stages: [one, two, three]\n{}", jobs.concat()));
    let ended = bench.run(&["run", "--parallel-stages", "--limit", "2"]).expect(1);
    assert!(ended.stdout.contains("- never  skipped: broken did not pass"), "{}", ended.stdout);
}

#[test]
fn both_parallel_modes_at_once_are_wrong_usage() {
    let bench = Bench::with("stages: [a]\nx: {stage: a, script: ['true']}\n");
    bench.run(&["run", "--parallel", "--parallel-stages"]).expect(2);
    assert!(bench.runs().is_empty());
}

#[test]
fn a_job_works_on_a_copy_of_the_project_or_in_place_on_the_project_itself() {
    let bench = Bench::with("stages: [a]\nx: {stage: a, script: ['cat given > made']}\n");
    bench.file("given", "content");
    bench.run(&["run"]).expect(0);
    let made = bench.project().join("made");
    assert!(!made.exists());
    bench.run(&["run", "--in-place"]).expect(0);
    assert_eq!(std::fs::read_to_string(made).unwrap(), "content");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn the_project_and_the_file_can_be_named() {
    let bench = Bench::new();
    let elsewhere = bench.root().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::write(elsewhere.join("mark"), "").unwrap();
    let pipeline = "stages: [a]\nx: {stage: a, script: ['test -e mark', 'echo here we are']}\n";
    std::fs::write(elsewhere.join(".jobwright.yaml"), pipeline).unwrap();
    let ended = bench.run(&["run", "-C", "../elsewhere"]).expect(0);
    assert!(ended.stdout.contains("\nhere we are\n"), "{}", ended.stdout);
    // A file is looked for where one stands, as every path on a command line; its project is another matter.
    let file = bench.file("other.yaml", pipeline);
    bench.run(&["run", "-C", "../elsewhere", "-c", "other.yaml"]).expect(0);
    bench.run(&["run", "-C", "../elsewhere", "-c", file.to_str().unwrap()]).expect(0);
    bench.run(&["run", "-c", "other.yaml"]).expect(1);
}

#[test]
fn a_remote_repository_is_cloned_run_and_removed() {
    let bench = Bench::new();
    let repository = bench.root().join("repository");
    std::fs::create_dir(&repository).unwrap();
    let pipeline = "stages: [a]\nx: {stage: a, script: ['git log --format=%s', 'cat file']}\n";
    std::fs::write(repository.join(".jobwright.yaml"), pipeline).unwrap();
    std::fs::write(repository.join("other.yaml"), pipeline.replace("cat file", "echo the other")).unwrap();
    std::fs::write(repository.join("file"), "from the repository\n").unwrap();
    let script =
        "git init -q -b main . && git add -A && git -c user.name=a -c user.email=a@b commit -qm subject";
    assert!(Command::new("sh").args(["-c", script]).current_dir(&repository).status().unwrap().success());
    let url = format!("file://{}", repository.display());
    let ended = bench.run(&["run", "--remote", &url]).expect(0);
    assert!(ended.stdout.contains("\nsubject\n") && ended.stdout.contains("\nfrom the repository\n"));
    let ended = bench.run(&["run", "--remote", &url, "-c", "other.yaml"]).expect(0);
    assert!(ended.stdout.contains("\nthe other\n"), "{}", ended.stdout);
    let by_path = bench.run(&["run", "--remote", "../repository"]).expect(0);
    assert!(by_path.stdout.contains("\nsubject\n"), "{}", by_path.stdout);
    let nowhere = format!("file://{}/nowhere", bench.root().display());
    let ended = bench.run(&["run", "--remote", &nowhere]).expect(3);
    assert!(ended.stderr.contains("git clone of file://"), "{}", ended.stderr);
    bench.run(&["run", "--remote", &url, "--in-place"]).expect(2);
    assert_eq!(bench.leftovers(), [""; 0]);
}

// covers: local-ci 74
#[test]
fn the_exit_code_says_what_became_of_the_run() {
    let bench = Bench::with(
        "stages: [a]\ngood: {stage: a, script: ['true']}\nbad: {stage: a, script: ['exit 7']}\nslow: {stage: a, timeout: 1s, script: ['sleep 60']}\n",
    );
    for (args, code) in [
        (&["run", "-j", "good"][..], 0),
        (&["run", "-j", "bad"], 1),
        (&["run", "--no-such-flag"], 2),
        (&["run", "-e", "=x"], 2),
        (&["run", "-b", "nowhere"], 3),
        (&["run", "-j", "nobody"], 4),
        (&["run", "-s", "nowhere"], 4),
        (&["run", "-c", "nothing.yaml"], 4),
        (&["run", "-j", "slow"], 5),
        (&["run", "--log", "what=ever=this"], 2),
    ] {
        let ended = bench.run(args);
        assert_eq!(ended.code(), code, "{args:?}: {ended:?}");
    }
    assert_eq!(bench.leftovers(), [""; 0]);
}

// covers: woodpecker 9
#[test]
fn a_backend_that_is_not_there_is_an_error_that_lists_those_that_are() {
    let bench = Bench::with("stages: [a]\nx: {stage: a, script: ['true']}\n").without_engine();
    let unknown = bench.run(&["run", "--backend", "podmann"]).expect(3).stderr;
    assert!(unknown.contains("there is no backend \"podmann\"; docker: not available, "), "{unknown}");
    assert!(unknown.contains("process: available"), "{unknown}");
    let mut unset = bench.command(&["run"]);
    unset.env("JOBWRIGHT_BACKEND", "");
    bench.end(unset).expect(0);
    let absent = bench.run(&["run", "--backend", "docker"]).expect(3).stderr;
    assert!(absent.contains("the docker backend is not available: "), "{absent}");
    assert!(absent.contains("/nonexistent/docker.sock") && absent.contains("process: available"), "{absent}");
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let bench = Bench::with("stages: [a]\nx: {stage: a, script: ['true']}\n");
    std::fs::write(bench.root().join("state"), "a file").unwrap();
    let ended = bench.run(&["run"]).expect(3);
    assert!(ended.stderr.contains(&bench.state().display().to_string()), "{}", ended.stderr);
}
