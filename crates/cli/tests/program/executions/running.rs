//! `jobwright exec` itself: output, exit codes, what is refused, and how it is ended.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::Signal;

use super::{HOST, executions, listed, sites};
use crate::support::{Bench, IMAGE, docker, wait, wait_for};

// covers: nunet 1, 11, 17, 19, 68
#[test]
fn output_and_exit_code_are_those_of_the_program() {
    for site in sites() {
        let bench = site.bench();
        let ended = site.exec(&bench, &[], "echo out; echo err >&2; exit 7").expect(7);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("out\n", "err\n"), "{}", site.name);
        let ended = site.exec(&bench, &["-e", "A=1 2", "-w", "/tmp"], "echo $A; pwd").expect(0);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("1 2\n/tmp\n", ""), "{}", site.name);
        site.exec(&bench, &[], "sh -c 'kill -9 $$'; exit $?").expect(137);
        site.exec(&bench, &[], "sh -c 'kill -TERM $$'; exit $?").expect(143);
        site.exec(&bench, &[], "exit 255").expect(255);
        assert!(listed(&bench).is_empty() && bench.runs().is_empty(), "{}: it is kept", site.name);
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

#[test]
fn on_this_host_it_works_where_we_are_and_takes_no_standard_input() {
    let bench = HOST.bench();
    let mut command = HOST.command(&bench, &[], &["sh", "-c", "pwd; cat"]);
    command.stdin(File::open(bench.file("input", "nobody reads this")).unwrap());
    assert_eq!(bench.end(command).expect(0).stdout, format!("{}\n", bench.project().display()));
}

// covers: nunet 52
#[test]
fn every_byte_comes_out_as_it_went_in() {
    for site in sites() {
        let bench = site.bench();
        let bytes: Vec<u8> =
            (0..3_000_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let data = bench.file("data", &bytes);
        let out = bench.root().join("out");
        let volume = format!("{0}:{0}{1}", data.display(), if site.host.is_some() { ":ro" } else { "" });
        let mut command = site.command(&bench, &["-v", &volume], &["cat", data.to_str().unwrap()]);
        command.stdout(File::create(&out).unwrap()).stderr(Stdio::piped());
        let status = wait(&mut command.spawn().unwrap());
        assert!(status.success(), "{}", site.name);
        assert!(fs::read(out).unwrap() == bytes, "{}: the bytes are others", site.name);
    }
}

// covers: nunet 6, 7, 18, 62, 63
#[test]
fn what_goes_wrong_on_our_side_is_one_clear_error_and_125() {
    let bench = HOST.bench();
    let data = format!("{}:/elsewhere", bench.project().display());
    let read_only = format!("{0}:{0}:ro", bench.project().display());
    for (args, expected) in [
        (&["-b", "teleport", "--", "true"][..], "there is no backend \"teleport\""),
        (&["--"], "there is no command; write it behind `--`"),
        (
            &["--image", IMAGE, "--", "true"],
            "--image needs a container engine, and no backend is available; docker: not available",
        ),
        (
            &["-b", "process", "--image", IMAGE, "--", "true"],
            "the process backend runs programs of this host",
        ),
        (&["-e", "=x", "--", "true"], "--env"),
        (
            &["--secret", "NOT_SET_ANYWHERE", "--", "true"],
            "--secret \"NOT_SET_ANYWHERE\": it has no value here",
        ),
        (&["-v", "name:/x", "--", "true"], "SRC is a path of this host"),
        (&["-v", "./missing:/x", "--", "true"], "missing is not there"),
        (&["-v", &data, "--", "true"], "does not support volumes in another place"),
        (&["-v", &read_only, "--", "true"], "does not support read-only volumes"),
        (&["-v", "./missing:/x", "--", "true"], "--volume \"./missing:/x\": "),
        (&["--memory", "5", "--", "true"], "--memory: 5 bytes are too few"),
        (&["-e", "A=1", "--secret", "A=22222222", "--", "true"], "--secret A: a variable of that name"),
        (&["-p", "80", "--", "true"], "it is HOST:PORT"),
        (&["-p", "80:80", "--", "true"], "does not support ports"),
        (&["-u", "nobody", "--", "true"], "the process engine knows no such parameter"),
        (&["-it", "--", "true"], "are not a terminal"),
        (&["--", "no-such-program"], "no-such-program"),
        (&["-w", "/no/such/directory", "--", "true"], "/no/such/directory"),
    ] {
        let ended = bench.run(&[&["exec"], args].concat()).expect(125);
        assert!(ended.stderr.contains(expected) && ended.stdout.is_empty(), "{args:?}: {}", ended.said());
        assert_eq!(ended.stderr.matches("error: ").count(), 1, "{args:?}: {}", ended.said());
    }
    for wrong in
        [&["--id", "../x"][..], &["--memory", "lots"], &["--cpus", "0"], &["--timeout", "soon"], &["-t"]]
    {
        bench.run(&[&["exec"], wrong, &["--", "true"]].concat()).expect(2);
    }
    assert!(listed(&bench).is_empty() && bench.runs().is_empty());
    assert_eq!(bench.leftovers(), [""; 0]);
}

// covers: nunet 4, 7, 18
#[test]
fn a_container_that_cannot_be_started_is_125_and_leaves_nothing() {
    let Some(host) = docker() else { return };
    let bench = Bench::new().on(host);
    for (args, expected) in [
        (&["--image", "jobwright-test/no-such-image:none", "--", "true"][..], "no-such-image"),
        (&["--image", IMAGE, "--", "no-such-program"], "no-such-program"),
        (&["-b", "docker", "--", "true"], "say which by --image"),
    ] {
        let mut command = bench.command(&[&["exec"], args].concat());
        command.env("JOBWRIGHT_DOCKER_PULL", "never");
        let ended = bench.end(command).expect(125);
        assert!(ended.stderr.contains(expected), "{args:?}: {}", ended.said());
    }
    assert_eq!(bench.leftovers(), [""; 0]);
}

// covers: nunet 24, 25, 29
#[test]
fn a_signal_ends_the_program_in_good_order_and_nothing_is_left() {
    for site in sites() {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 8)] {
            let bench = site.bench();
            let running =
                site.start(&bench, &[], "trap 'echo bye; exit 3' TERM; while :; do sleep 0.05; done");
            running.signal(signal);
            let ended = running.end().expect(code);
            assert_eq!(ended.stdout, "ready\nbye\n", "{}", site.name);
            assert!(listed(&bench).is_empty(), "{}", site.name);
            assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
        }
    }
}

#[test]
fn a_second_signal_leaves_at_once_and_what_is_left_is_ended_by_what_it_says() {
    let bench = HOST.bench();
    let leave = || {
        let endless = "trap '' TERM; while :; do sleep 0.05; done";
        let running = HOST.start(&bench, &["--id", "one", "--timeout", "5m"], endless);
        running.signal(Signal::INT);
        assert!(wait_for(|| running.stderr_now().contains("ending execution one; once more leaves at once")));
        running.signal(Signal::INT);
        let ended = running.end().expect(130);
        assert!(
            ended.stderr.contains("`jobwright executions rm --force one` ends and removes it"),
            "{}",
            ended.stderr
        );
    };
    leave();
    executions(&bench, &["rm", "--force", "one"]).expect(0);
    assert!(listed(&bench).is_empty() && bench.leftovers().is_empty());
    leave();
    assert!(bench.run(&["clean"]).expect(0).stdout.contains("1 leftover(s) removed"));
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn one_whose_output_nobody_reads_any_more_is_ended() {
    let bench = HOST.bench();
    let mut command = HOST.command(&bench, &[], &["yes"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!((line.as_str(), wait(&mut child).code()), ("y\n", Some(141)));
    assert_eq!(bench.leftovers(), [""; 0]);
}

// covers: nunet 2, 3, 12, 30
#[test]
fn an_id_is_given_once_and_free_again_when_it_is_removed() {
    let bench = HOST.bench();
    HOST.exec(&bench, &["--id", "one"], "exit 3").expect(3);
    let ended = HOST.exec(&bench, &["--id", "one"], "touch again").expect(125);
    assert!(ended.stderr.contains("execution (one) is already completed"), "{}", ended.stderr);
    let ended = HOST.exec(&bench, &["--id", "one", "--job", "other"], "touch again").expect(125);
    assert!(
        ended.stderr.contains("execution (one) belongs to the job exec, not to other"),
        "{}",
        ended.stderr
    );
    assert!(!bench.project().join("again").exists());
    assert_eq!(executions(&bench, &["rm", "one"]).expect(0).stdout, "one\n");
    HOST.exec(&bench, &["--id", "one"], "exit 4").expect(4);
    executions(&bench, &["wait", "one"]).expect(4);
}

// covers: nunet 10
#[test]
fn of_two_that_want_one_id_one_gets_it() {
    for site in sites() {
        let bench = site.bench();
        let gate = bench.root().join("gate");
        let script = format!("until test -e {}; do sleep 0.05; done; echo won", gate.display());
        let volume = format!("{0}:{0}", bench.root().display());
        let flags = ["--id", "one", "-v", &volume];
        let both = [(); 2].map(|()| bench.start(site.command(&bench, &flags, &["sh", "-c", &script])));
        // The loser ends by itself; only then is the winner let on.
        let [mut one, mut other] = both;
        assert!(wait_for(
            || one.child.try_wait().unwrap().is_some() || other.child.try_wait().unwrap().is_some()
        ));
        fs::write(&gate, "").unwrap();
        let mut ended = [one.end(), other.end()];
        ended.sort_by_key(|ended| ended.code());
        let [winner, loser] = ended;
        assert_eq!((winner.code(), winner.stdout.as_str()), (0, "won\n"), "{}", site.name);
        assert!(loser.code() == 125 && loser.stderr.contains("is already started"), "{loser:?}");
        assert_eq!(bench.runs().len(), 1, "{}", site.name);
    }
}

#[test]
fn its_id_is_told_when_it_is_asked_for_and_it_is_kept_when_that_is() {
    let bench = HOST.bench();
    let ended = HOST.exec(&bench, &["--print-id", "--keep"], "echo out").expect(0);
    let id = ended.stderr.trim_end();
    assert_eq!(listed(&bench), super::standing(id, "success"));
    assert_eq!(executions(&bench, &["logs", id]).expect(0).stdout, "out\n");
}

#[test]
fn one_that_takes_too_long_is_ended_and_says_so() {
    for site in sites() {
        let bench = site.bench();
        let ended = site.exec(&bench, &["--timeout", "2s"], "echo out; sleep 1000").expect(5);
        assert!(ended.stdout == "out\n" && ended.stderr.contains("timed out"), "{}", ended.said());
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

#[test]
fn a_secret_is_given_and_nowhere_shown() {
    for site in sites() {
        let bench = site.bench();
        let script = "test \"$TOKEN\" = s3cr3t-t0k3n && echo is:$TOKEN; echo $OTHER; until test -e gate; do sleep 0.05; done";
        let mut command = site.command(
            &bench,
            &["--id", "one", "--secret", "TOKEN", "--secret", "OTHER=an0ther-secret"],
            &["sh", "-c", script],
        );
        command.env("TOKEN", "s3cr3t-t0k3n");
        let running = bench.start(command);
        assert!(wait_for(|| running.stdout_now().lines().count() == 2), "{}", running.stderr_now());
        let beside =
            executions(&bench, &["exec", "one", "--", "sh", "-c", "printf $TOKEN | sed s/t0k3n/t0k3n/"]);
        assert_eq!(beside.expect(0).stdout, "********", "{}", site.name);
        executions(&bench, &["exec", "one", "--", "touch", "gate"]).expect(0);
        assert_eq!(running.end().expect(0).stdout, "is:********\n********\n", "{}", site.name);
        assert_eq!(executions(&bench, &["logs", "one"]).stdout, "is:********\n********\n");
    }
}

// covers: nunet 50, 55, 62, 64
#[test]
fn limits_ports_volumes_and_results_are_the_requests() {
    let Some(host) = docker() else { return };
    let bench = Bench::new().on(host);
    let results = bench.root().join("results");
    let volume = format!("{}:/data:ro", bench.project().display());
    let flags =
        ["--id", "one", "-m", "64m", "--cpus", "0.5", "-p", "127.0.0.1:0:8080", "-v", &volume, "--results"];
    let flags = [&flags[..], &[results.to_str().unwrap()]].concat();
    let site = super::sites()[0];
    let running = site.start(&bench, &flags, "touch /data/x || echo refused; sleep 1000");
    assert!(wait_for(|| running.stdout_now().ends_with("refused\n")), "{}", running.stdout_now());
    let shown = |what: &str| -> serde_json::Value {
        serde_json::from_str(&executions(&bench, &[what, "one", "--json"]).expect(0).stdout).unwrap()
    };
    assert_eq!(shown("stats")["memory_limit"], 64 << 20);
    let port = &shown("show")["network"]["mapped_ports"][0];
    assert!(port["executor_port"] == 8080 && port["host_port"].as_u64().unwrap() > 0, "{port}");
    assert!(fs::read_to_string(results.join("stdout.log")).unwrap().contains("refused\n"));
    executions(&bench, &["cancel", "one"]).expect(0);
    running.end().expect(8);
}

#[test]
fn many_files_may_be_open_here_and_what_runs_gets_the_limit_that_was() {
    let bench = HOST.bench();
    let mut command = std::process::Command::new("sh");
    let jobwright =
        HOST.command(&bench, &[], &["sh", "-c", "ulimit -Sn; grep 'open files' /proc/$(cat pid)/limits"]);
    command.args(["-c", "ulimit -Sn 300; echo $$ >pid; exec \"$0\" \"$@\""]).arg(jobwright.get_program());
    command.args(jobwright.get_args()).current_dir(bench.project()).stdin(Stdio::null());
    for (name, value) in jobwright.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let said = bench.end(command).expect(0).stdout;
    let (steps, ours) = said.split_once('\n').unwrap();
    let ours: Vec<&str> = ours.split_whitespace().collect();
    assert_eq!((steps, ours[3]), ("300", ours[4]), "{said}");
}
