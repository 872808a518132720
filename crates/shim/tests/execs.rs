//! Programs beside a running step: streams of their own, and otherwise the step's processes.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use jobwright_shim::protocol::RunAs;
use jobwright_shim::{Client, ExecOrder, ExitStatus, Refusal, StartProblem, procfs};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use support::{Fixture, Running, is_alive, is_root, until};

const FOREVER: &str = "echo ready; sleep 1000000 & wait";

/// A running step, and a connection for programs beside it.
fn running(shim: &mut Fixture, script: &str) -> (Running, Client) {
    let step = shim.sh("step", script);
    step.lines(1);
    (step, Client::connect(shim.shim_dir().path()).unwrap())
}

fn order(step: &Running, script: &str) -> ExecOrder {
    ExecOrder {
        step: step.id.clone(),
        argv: ["sh", "-c", script].map(str::to_owned).into(),
        env: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        cwd: step.files.dir.clone(),
        terminal: false,
    }
}

/// The owner's ends of a program's pipes, after the program has its own.
struct Streams {
    stdin: File,
    stdout: File,
    stderr: File,
}

fn exec(client: &mut Client, order: ExecOrder) -> (u32, Streams) {
    let [(in_read, in_write), (out_read, out_write), (err_read, err_write)] =
        [(); 3].map(|()| rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap());
    let pid = client.exec(order, &[in_read.as_fd(), out_write.as_fd(), err_write.as_fd()]).unwrap();
    (pid, Streams { stdin: in_write.into(), stdout: out_read.into(), stderr: err_read.into() })
}

fn all(mut file: File) -> String {
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    text
}

fn null() -> File {
    File::options().read(true).write(true).open("/dev/null").unwrap()
}

#[test]
fn a_program_beside_a_step_has_streams_and_an_exit_code_of_its_own() {
    let mut shim = Fixture::new();
    let (step, mut client) = running(&mut shim, FOREVER);
    let (pid, mut streams) = exec(&mut client, order(&step, "cat; echo apart >&2; pwd; exit 7"));
    streams.stdin.write_all(b"to its end\n").unwrap();
    drop(streams.stdin);
    assert_eq!(all(streams.stdout), format!("to its end\n{}\n", step.files.dir.display()));
    assert_eq!(all(streams.stderr), "apart\n");
    let end = client.wait_exec(pid).unwrap();
    assert_eq!(end.status, ExitStatus::Code(7));
    assert!(end.finished.since(&end.started).as_nanos() > 0);
    // Nothing of it is the step's own output, and nothing of it is left.
    assert_eq!(step.output().stdout(), "ready\n");
    assert_eq!(shim.client.status(&step.id).unwrap().processes, 2);
}

#[test]
fn a_terminal_becomes_the_programs_own() {
    let mut shim = Fixture::new();
    let (step, mut client) = running(&mut shim, FOREVER);
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let terminal = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    let script = "test -t 0 && test -t 1 && test -t 2 && echo through its name >/dev/tty";
    let pid = client.exec(ExecOrder { terminal: true, ..order(&step, script) }, &[terminal.as_fd()]).unwrap();
    drop(terminal);
    assert_eq!(client.wait_exec(pid).unwrap().status, ExitStatus::Code(0));
    let mut said = [0; 64];
    let length = File::from(master).read(&mut said).unwrap();
    assert_eq!(&said[..length], b"through its name\r\n");
}

#[test]
fn what_cannot_be_started_is_refused_with_the_reason() {
    let mut shim = Fixture::new();
    let (step, mut client) = running(&mut shim, FOREVER);
    let null = null();
    let three: [BorrowedFd<'_>; 3] = [null.as_fd(), null.as_fd(), null.as_fd()];
    let missing = ExecOrder { argv: vec!["no-such-program".into()], ..order(&step, "") };
    match client.exec(missing, &three).unwrap_err().refusal() {
        Some(Refusal::Start(failure)) => assert_eq!(failure.problem, StartProblem::ProgramNotFound),
        other => panic!("{other:?}"),
    }
    let few = client.exec(order(&step, "true"), &three[..2]).unwrap_err();
    assert_eq!(few.to_string(), "not an order: 2 descriptors came with the order, not 3");
    shim.client.stop(&step.id, std::time::Duration::ZERO).unwrap();
    let late = client.exec(order(&step, "true"), &three).unwrap_err();
    assert!(matches!(late.refusal(), Some(Refusal::NotRunning { .. })), "{late}");
    let unknown = ExecOrder { step: jobwright_shim::StepId::new("other"), ..order(&step, "true") };
    let unknown = client.exec(unknown, &three).unwrap_err();
    assert!(matches!(unknown.refusal(), Some(Refusal::UnknownStep { .. })), "{unknown}");
}

#[test]
fn what_a_program_left_behind_ends_with_the_step() {
    let mut shim = Fixture::new();
    let (step, mut client) = running(&mut shim, FOREVER);
    let null: OwnedFd = null().into();
    let three = [null.as_fd(), null.as_fd(), null.as_fd()];
    // One that ended and left a child in its session, one that left a stranger without any mark, one that still runs.
    let leave = "env -i sleep 1000000 & echo $! >one";
    let shed =
        "env -i setsid sh -c 'echo $$ >two; exec sleep 1000000' & sleep 0; until [ -s two ]; do :; done";
    for script in [leave, shed] {
        let pid = client.exec(order(&step, script), &three).unwrap();
        assert_eq!(client.wait_exec(pid).unwrap().status, ExitStatus::Code(0));
    }
    let running = client.exec(order(&step, "sleep 1000000"), &three).unwrap();
    let read =
        |name: &str| std::fs::read_to_string(step.files.dir.join(name)).unwrap().trim().parse().unwrap();
    let left: [u32; 3] = [read("one"), read("two"), running];
    assert!(left.iter().all(|pid| is_alive(*pid)));
    let members = shim.client.members(&step.id).unwrap();
    assert!(left.iter().all(|pid| members.contains(pid)), "{left:?} are not all of {members:?}");
    shim.client.stop(&step.id, std::time::Duration::from_secs(10)).unwrap();
    assert!(!left.iter().any(|pid| is_alive(*pid)));
    assert_eq!(
        client.wait_exec(running).unwrap().status,
        ExitStatus::Signal { number: 15, core_dumped: false }
    );
}

#[test]
fn a_program_outlives_the_connection_that_started_it() {
    let mut shim = Fixture::new();
    let (step, mut client) = running(&mut shim, FOREVER);
    let null = null();
    let three = [null.as_fd(), null.as_fd(), null.as_fd()];
    let pid = client.exec(order(&step, "until [ -e go ]; do sleep 0.01; done; : >done"), &three).unwrap();
    drop(client);
    assert!(shim.client.members(&step.id).unwrap().contains(&pid));
    std::fs::write(step.files.dir.join("go"), "").unwrap();
    until("the program has ended", || (!is_alive(pid)).then_some(()));
    assert!(step.files.dir.join("done").exists());
    assert!(shim.client.status(&step.id).unwrap().exit.is_none());
}

#[test]
fn a_program_is_as_confined_as_its_step() {
    if !is_root() {
        eprintln!("skipped: only root can run steps as another user");
        return;
    }
    let mut shim = Fixture::new();
    let step = shim.sh_with("step", FOREVER, |order| {
        order.run_as = Some(RunAs { uid: 54_321, gid: 54_322, groups: vec![54_323] });
        order.no_new_privileges = true;
        order.cwd = "/".into();
    });
    step.lines(1);
    let mut client = Client::connect(shim.shim_dir().path()).unwrap();
    let script = "id -u; id -G; grep NoNewPrivs /proc/self/status";
    let (pid, streams) = exec(&mut client, ExecOrder { cwd: "/".into(), ..order(&step, script) });
    assert_eq!(all(streams.stdout), "54321\n54322 54323\nNoNewPrivs:\t1\n");
    client.wait_exec(pid).unwrap();
}

#[test]
fn a_step_that_stands_still_is_asked_to_end_all_the_same() {
    let mut shim = Fixture::new();
    let (step, _) =
        running(&mut shim, "trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    let stop = jobwright_shim::Order::Signal { step: step.id.clone(), signo: 19, whole_tree: true };
    shim.client.call(stop).unwrap();
    until("it stands still", || procfs::stat(step.pid).filter(|stat| stat.state == b'T'));
    let forced = shim.client.stop(&step.id, std::time::Duration::from_secs(20)).unwrap();
    assert!(!forced);
    assert_eq!(shim.client.wait(&step.id).unwrap().status, ExitStatus::Code(3));
    assert_eq!(step.whole_output().stdout(), "ready\nasked\n");
}
