//! Standard input and terminals: `exec -i`, `exec -it`, `executions exec -it`.

use std::fs::File;
use std::process::Stdio;

use super::{HOST, Site, executions, listed, sites, standing};
use crate::shell::OnTerminal;
use crate::support::{Bench, IMAGE, wait, wait_for};

/// The arguments of `exec` on that site.
fn args<'a>(site: Site, flags: &[&'a str], command: &[&'a str]) -> Vec<&'a str> {
    let image: &[&str] = if site.host.is_some() { &["--image", IMAGE] } else { &[] };
    [&["exec"], image, flags, &["--"], command].concat()
}

#[test]
fn what_is_piped_in_is_read_and_the_exit_code_is_the_programs() {
    for site in sites() {
        let bench = site.bench();
        let input = bench.file("input", "one\ntwo\n");
        let mut command =
            site.command(&bench, &["-i", "-e", "A=b"], &["sh", "-c", "cat; echo $A; echo err >&2; exit 6"]);
        command.stdin(File::open(&input).unwrap());
        let ended = bench.end(command).expect(6);
        assert_eq!(
            (ended.stdout.as_str(), ended.stderr.as_str()),
            ("one\ntwo\nb\n", "err\n"),
            "{}",
            site.name
        );
        // Without a command it is a shell that reads.
        let mut command = site.command(&bench, &["-i"], &[]);
        command.stdin(File::open(bench.file("script", "echo $((2 + 3))\nexit 9\n")).unwrap());
        assert_eq!(bench.end(command).expect(9).stdout, "5\n", "{}", site.name);
        assert!(listed(&bench).is_empty(), "{}", site.name);
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

#[test]
fn on_a_terminal_the_program_has_it() {
    for site in sites() {
        let bench = site.bench();
        let command =
            ["sh", "-c", "test -t 0 && test -t 1 && echo on a termi''nal; read x; echo got $x; exit 4"];
        let mut shell = OnTerminal::start(&bench, &args(site, &["-it"], &command));
        shell.wait_for("on a terminal\r\n");
        assert!(wait_for(|| !shell.is_as_it_was()), "{}: the terminal is not raw", site.name);
        shell.type_in("some words\r");
        shell.wait_for("got some words\r\n");
        assert_eq!(wait(&mut shell.child).code(), Some(4), "{}", site.name);
        assert!(shell.is_as_it_was(), "{}: the terminal is left raw", site.name);
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

#[test]
fn somebody_goes_into_one_that_runs_and_it_goes_on_afterwards() {
    for site in sites() {
        let bench = site.bench();
        let running = site.start(&bench, &["--id", "one"], "sleep 1000");
        let command = ["sh", "-c", "test -t 0 && echo on a termi''nal; read x; echo got $x; exit 4"];
        let command = [&["executions", "exec", "-it", "one", "--"], &command[..]].concat();
        let mut shell = OnTerminal::start(&bench, &command);
        shell.wait_for("on a terminal\r\n");
        assert!(wait_for(|| !shell.is_as_it_was()), "{}: the terminal is not raw", site.name);
        shell.type_in("some words\r");
        shell.wait_for("got some words\r\n");
        assert_eq!(wait(&mut shell.child).code(), Some(4), "{}", site.name);
        let mut piped = bench.command(&["executions", "exec", "-i", "one", "--", "cat"]);
        piped.stdin(File::open(bench.file("input", "piped\n")).unwrap());
        assert_eq!(bench.end(piped).expect(0).stdout, "piped\n", "{}", site.name);
        assert_eq!(listed(&bench), standing("one", "running"), "{}", site.name);
        executions(&bench, &["cancel", "one"]).expect(0);
        running.end().expect(8);
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

fn waits_inside(site: Site, bench: &Bench) -> crate::support::Running {
    let mut command =
        site.command(bench, &["-i", "--id", "one"], &["sh", "-c", "echo ready; exec sleep 1000"]);
    command.stdin(Stdio::piped());
    let running = bench.start(command);
    assert!(wait_for(|| running.stdout_now() == "ready\n"), "{}: {}", site.name, running.stderr_now());
    running
}

#[test]
fn a_visit_that_is_told_to_stop_ends_with_all_of_it() {
    for site in sites() {
        let bench = site.bench();
        let running = waits_inside(site, &bench);
        running.signal(rustix::process::Signal::TERM);
        running.end().expect(8);
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

#[test]
fn what_was_there_for_a_visit_ends_when_its_owner_is_killed() {
    for site in sites() {
        let bench = site.bench();
        let mut running = waits_inside(site, &bench);
        running.child.kill().unwrap();
        running.end();
        executions(&bench, &["wait", "one"]).expect(8);
        assert_eq!(listed(&bench), standing("one", "failed"), "{}", site.name);
        assert_eq!(bench.leftovers(), [""; 0], "{}", site.name);
    }
}

#[test]
fn what_cannot_be_gone_into_is_told() {
    let bench = HOST.bench();
    let input = bench.file("input", "");
    let mut command = HOST.command(&bench, &["-i"], &["no-such-program"]);
    command.stdin(File::open(input).unwrap());
    let ended = bench.end(command);
    assert!([Some(125), Some(126), Some(127)].contains(&ended.status.code()), "{ended:?}");
    assert!(ended.stderr.contains("no-such-program"), "{ended:?}");
    HOST.exec(&bench, &["--id", "over"], "true").expect(0);
    let refused = executions(&bench, &["exec", "-i", "over", "--", "true"]).expect(125);
    assert!(refused.stderr.contains("execution (over) has already concluded"), "{}", refused.stderr);
    assert_eq!(bench.leftovers(), [""; 0]);
}
