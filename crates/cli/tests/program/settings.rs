//! Settings: which place wins, what `config show` says of it, and files that are wrong.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Bench, Ended, pinned};

/// The program with a `config.toml` of that content.
fn with_config(bench: &Bench, config: impl AsRef<[u8]>, args: &[&str]) -> Command {
    let path = bench.file("config.toml", config);
    let mut command = bench.command(args);
    command.env("JOBWRIGHT_CONFIG", path);
    command
}

/// What `config show` says of one setting, without its key.
#[track_caller]
fn row(shown: &Ended, key: &str) -> Value {
    let rows: Vec<Value> = serde_json::from_str(&shown.stdout).unwrap();
    let mut row = rows.into_iter().find(|row| row["key"] == key).unwrap();
    row.as_object_mut().unwrap().remove("key");
    row
}

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let bench = Bench::new();
    let path = bench.project().join("config.toml");
    let file = |line: usize| json!({ "source": "file", "file": path.to_str().unwrap(), "line": line });
    let and_value = |mut origin: Value, value: u64| {
        origin["value"] = value.into();
        origin
    };
    let show = ["config", "show", "--json"];
    let limit = |command: Command| row(&bench.end(command).expect(0), "limit");
    let mut all = with_config(&bench, "# mine\nlimit = 3\n", &[&show[..], &["--limit", "5"]].concat());
    all.env("JOBWRIGHT_LIMIT", "4");
    assert_eq!(limit(all), and_value(json!({ "source": "flag" }), 5));
    let mut no_flag = with_config(&bench, "# mine\nlimit = 3\n", &show);
    no_flag.env("JOBWRIGHT_LIMIT", "4");
    let of_environment = json!({ "source": "environment", "variable": "JOBWRIGHT_LIMIT" });
    assert_eq!(limit(no_flag), and_value(of_environment, 4));
    assert_eq!(limit(with_config(&bench, "# mine\nlimit = 3\n", &show)), and_value(file(2), 3));
    assert_eq!(limit(with_config(&bench, "", &show)), json!({ "source": "default", "value": null }));
}

// covers: woodpecker 1 (each backend's flags)
#[test]
fn every_setting_is_shown_with_where_it_came_from() {
    let bench = Bench::new().without_engine();
    let config = "docker-ipv6 = true\ncolor = \"never\"\nprocess-env = [\"LANG\", \"LC_*\"]\n";
    let mut command =
        with_config(&bench, config, &["config", "show", "--docker-pull=never", "--log", "info"]);
    command.env("JOBWRIGHT_PROCESS_ENV", "A,B");
    let shown = bench.end(command).expect(0);
    pinned(&bench).bind(|| insta::assert_snapshot!(shown.stdout));
    assert_eq!(shown.stderr, "");
    assert!(!bench.state().exists(), "showing settings makes no state");
}

#[test]
fn what_the_file_says_holds_for_every_command() {
    let bench = Bench::with("stages: [a]\nx: {stage: a, script: [echo $SAID_HERE]}\n");
    let run = |config: &str, args: &[&str]| {
        let mut command = with_config(&bench, config, args);
        command.env("SAID_HERE", "hello from here");
        bench.end(command)
    };
    let state = bench.root().join("elsewhere");
    let config =
        format!("state-dir = '{}'\nbackend = 'process'\nprocess-env = ['SAID_*']\n", state.display());
    // The bench itself names a state directory, which wins over the file.
    let ran = run(&config, &["run"]).expect(0);
    assert!(ran.stdout.contains("hello from here"), "{}", ran.stdout);
    assert!(bench.state().exists() && !state.exists());
    let mut elsewhere = with_config(&bench, &config, &["clean"]);
    elsewhere.env_remove("JOBWRIGHT_STATE_DIR");
    bench.end(elsewhere).expect(0);
    assert!(state.exists());
    let refused = run("backend = 'dokcer'\n", &["run"]).expect(3);
    assert!(refused.stderr.contains("dokcer"), "{}", refused.stderr);
    run("backend = 'dokcer'\n", &["run", "--backend", "process"]).expect(0);
}

#[test]
fn the_users_own_file_is_found() {
    let bench = Bench::new();
    let folder = bench.root().join("xdg/jobwright");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("config.toml"), "limit = 6\n").unwrap();
    let found = |place: &str, at: &Path| {
        let mut command = bench.command(&["config", "show", "--json"]);
        command.env_remove("JOBWRIGHT_CONFIG").env_remove("XDG_CONFIG_HOME").env(place, at);
        row(&bench.end(command).expect(0), "limit")["value"].clone()
    };
    assert_eq!(found("XDG_CONFIG_HOME", &bench.root().join("xdg")), 6);
    std::fs::rename(bench.root().join("xdg"), bench.root().join(".config")).unwrap();
    assert_eq!(found("HOME", bench.root()), 6);
}

#[test]
fn a_file_that_is_wrong_is_one_clear_error_for_every_command_and_nothing_is_done() {
    let bench = Bench::with("stages: [a]\nx: {stage: a, script: ['true']}\n");
    let mut said = String::new();
    for (what, config) in [
        ("no TOML", &b"limit = = 3\n"[..]),
        ("unknown keys", b"# mine\ndocker-hosst = 'x'\n[process]\nenv = ['A']\n"),
        ("wrong values", b"limit = 'many'\ndocker-pull = 'often'\n"),
        ("not UTF-8", b"log = '\xff'\n"),
        ("binary", b"\x00\x01\x02\x7f"),
    ] {
        for args in [&["run"][..], &["validate"], &["clean"], &["config", "show"]] {
            let ended = bench.end(with_config(&bench, config, args)).expect(2);
            assert_eq!(ended.stdout, "", "{what}");
            if args == ["run"] {
                said += &format!("### {what}\n{}", ended.stderr);
            }
        }
        // What asks for no setting is answered all the same.
        for args in [&["--help"][..], &["--version"], &["completions", "bash"]] {
            bench.end(with_config(&bench, config, args)).expect(0);
        }
    }
    pinned(&bench).bind(|| insta::assert_snapshot!(said));
    assert!(!bench.state().exists());
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let bench = Bench::new();
    std::fs::create_dir(bench.project().join("folder")).unwrap();
    std::os::unix::fs::symlink("loop", bench.project().join("loop")).unwrap();
    for path in ["folder", "loop", "not-there", "/dev/zero", "/proc/self/mem"] {
        let mut command = bench.command(&["config", "show"]);
        command.env("JOBWRIGHT_CONFIG", path);
        let ended = bench.end(command).expect(4);
        assert!(ended.stderr.contains(&format!("the settings {path} cannot be read")), "{}", ended.stderr);
        assert_eq!((ended.stdout.as_str(), ended.stderr.lines().count()), ("", 1), "{}", ended.stderr);
    }
    // The user's own file, when it is there, is not passed over.
    std::fs::create_dir_all(bench.root().join("xdg/jobwright/config.toml")).unwrap();
    let mut command = bench.command(&["config", "show"]);
    command.env_remove("JOBWRIGHT_CONFIG").env("XDG_CONFIG_HOME", bench.root().join("xdg"));
    let ended = bench.end(command).expect(4);
    assert!(ended.stderr.contains("xdg/jobwright/config.toml"), "{}", ended.stderr);
}
