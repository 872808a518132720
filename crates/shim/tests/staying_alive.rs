//! What the shim outlives, what it does not, and who may talk to it.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use jobwright_shim::record::{ShimRecord, StepFiles};
use jobwright_shim::{
    Client, ExitRecord, ExitStatus, Order, Refusal, ShimDir, ShimError, StartOrder, StepId, socket,
};
use support::{Fixture, Output, is_alive, program, run_self, until};

/// Not a test of its own: the owner that the next test kills.
#[test]
#[ignore = "run by the_kill_of_the_owner_costs_nothing"]
fn an_owner_that_waits_to_be_killed() {
    let Some(root) = std::env::var_os("OWNER_ROOT") else { return };
    let root = Path::new(&root);
    let dir = ShimDir::new(root.join("shim"));
    dir.launch(program()).unwrap();
    let mut client = Client::connect(dir.path()).unwrap();
    std::fs::create_dir(root.join("step")).unwrap();
    let script = "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo line $i; sleep 0.005; done; exit 5";
    let mut order = StartOrder::new(StepId::new("step"), root.join("step"), ["/bin/sh", "-c", script]);
    order.env.insert("PATH".into(), "/usr/bin:/bin".into());
    client.start(order).unwrap();
    std::fs::write(root.join("started"), "").unwrap();
    client.wait(&StepId::new("never")).unwrap_err();
    loop {
        std::thread::park();
    }
}

#[test]
fn the_kill_of_the_owner_costs_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut owner = run_self("an_owner_that_waits_to_be_killed", &[("OWNER_ROOT", root.path())]);
    until("the owner started its step", || root.path().join("started").exists().then_some(()));
    owner.kill().unwrap();
    owner.wait().unwrap();
    let dir = root.path().join("step");
    assert!(
        ExitRecord::read(&StepFiles::in_folder(&dir)).unwrap().is_none(),
        "the step ended before the owner was killed"
    );
    let mut adopter = Client::connect(&root.path().join("shim")).unwrap();
    let exit = adopter.wait(&StepId::new("step")).unwrap();
    assert_eq!(exit.status, ExitStatus::Code(5));
    let lines: String = (1..=200).map(|i| format!("line {i}\n")).collect();
    assert_eq!(Output::read(&StepFiles::in_folder(&dir)).stdout(), lines);
    adopter.call(Order::Shutdown { grace_ms: 0 }).unwrap();
}

#[test]
fn the_shim_has_left_its_callers_session_and_files() {
    let shim = Fixture::new();
    let stat = jobwright_shim::procfs::stat(shim.client.shim_pid()).unwrap();
    let own = jobwright_shim::procfs::stat(std::process::id()).unwrap();
    assert_ne!(stat.session, own.session);
    assert_ne!(stat.parent, std::process::id());
    let environ = std::fs::read(format!("/proc/{}/cmdline", shim.client.shim_pid())).unwrap();
    assert!(String::from_utf8_lossy(&environ).contains("jobwright-shim"));
}

#[test]
fn it_ends_by_itself_when_its_first_owner_never_comes() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("shim");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let launched =
        Command::new(program()).arg("--dir").arg(&dir).args(["--linger-ms", "50"]).status().unwrap();
    assert!(launched.success());
    until("the shim is gone", || (!dir.join("shim.json").exists()).then_some(()));
    assert!(!ShimDir::new(&dir).is_alive().unwrap());
}

#[test]
fn it_ends_by_itself_when_nobody_needs_it_and_cleans_up() {
    let shim = Fixture::with(&["--linger-ms", "100"]);
    let (pid, dir) = (shim.client.shim_pid(), shim.shim_dir());
    assert!(dir.is_alive().unwrap());
    let root = {
        let Fixture { .. } = &shim;
        let order = shim.order("step", &["sleep", "0.5"]);
        let mut client = Client::connect(dir.path()).unwrap();
        client.start(order).unwrap();
        shim.root.path().join("step")
    };
    let mut shim = shim;
    // The fixture's own connection goes too; a new one could only find a shim that is gone.
    let idle = Client::connect(dir.path()).unwrap();
    shim.client = idle;
    shim.client.call(Order::List).unwrap();
    let (client_end, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(client_end);
    shim.client = {
        let other = Fixture::new();
        Client::connect(other.shim_dir().path()).unwrap()
    };
    until("the shim ended", || (!is_alive(pid)).then_some(()));
    assert!(
        ExitRecord::read(&StepFiles::in_folder(&root)).unwrap().is_some(),
        "it left before the step ended"
    );
    assert!(!dir.is_alive().unwrap());
    assert!(!dir.path().join(socket::SOCKET_FILE).exists());
    assert!(ShimRecord::read(dir.path()).unwrap().is_none());
}

#[test]
fn a_second_shim_for_the_same_directory_leaves_it_to_the_first() {
    let mut shim = Fixture::new();
    let first = shim.client.shim_pid();
    let launches: Vec<_> = (0..4)
        .map(|_| {
            let dir = shim.shim_dir();
            std::thread::spawn(move || dir.launch(program()).unwrap())
        })
        .collect();
    launches.into_iter().for_each(|launch| launch.join().unwrap());
    assert_eq!(Client::connect(shim.shim_dir().path()).unwrap().shim_pid(), first);
    shim.client.list().unwrap();
}

#[test]
fn when_the_shim_is_killed_its_steps_die_and_have_no_exit() {
    let mut shim = Fixture::new();
    let step = shim.sh("step", "echo ready; sleep 300");
    step.lines(1);
    let pid = shim.client.shim_pid();
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
    until("the step died", || (!is_alive(step.pid)).then_some(()));
    assert!(ExitRecord::read(&step.files).unwrap().is_none());
    assert!(step.output().end.is_none());
    assert!(!shim.shim_dir().is_alive().unwrap());
    assert!(matches!(shim.client.list(), Err(ShimError::Gone)));
    // A successor takes the directory although the dead one left its files.
    shim.shim_dir().launch(program()).unwrap();
    shim.client = Client::connect(shim.shim_dir().path()).unwrap();
    assert!(shim.client.list().unwrap().is_empty());
    // Its grandchild is not the dead shim's any more; the token still finds it.
    for left in step.processes() {
        Command::new("kill").args(["-KILL", &left.to_string()]).status().unwrap();
    }
}

#[test]
fn terminate_stops_the_steps_in_order() {
    let mut shim = Fixture::new();
    let step = shim.sh("step", "trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done");
    step.lines(1);
    let pid = shim.client.shim_pid();
    assert!(Command::new("kill").arg(pid.to_string()).status().unwrap().success());
    until("the shim ended", || (!is_alive(pid)).then_some(()));
    let exit = ExitRecord::read(&step.files).unwrap().unwrap();
    assert_eq!(exit.status, ExitStatus::Code(9));
    assert_eq!(exit.ended_by, Some(jobwright_shim::record::EndedBy::Shutdown));
}

#[test]
fn another_protocol_is_refused_with_what_would_be_right() {
    let shim = Fixture::new();
    let mut stream = socket::connect(shim.shim_dir().path()).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let mut ask = |line: &str| {
        stream.write_all(line.as_bytes()).unwrap();
        answers.next().unwrap().unwrap()
    };
    assert!(ask("{\"id\":1,\"order\":\"list\"}\n").contains("hello_first"));
    assert!(
        ask("{\"id\":2,\"order\":{\"hello\":{\"min\":90,\"max\":99}}}\n")
            .contains("\"protocol\":{\"min\":2,\"max\":2")
    );
    assert!(ask("not json\n").contains("bad_order"));
    assert!(ask("{\"id\":3,\"order\":{\"hello\":{\"min\":1,\"max\":99}}}\n").contains("\"protocol\":2"));
    assert!(ask("{\"id\":4,\"order\":\"list\"}\n").contains("{\"list\":[]}"));
}

/// Not a test of its own: a stranger who finds the socket open.
#[test]
#[ignore = "run by a_stranger_is_turned_away"]
fn a_stranger() {
    let Some(dir) = std::env::var_os("STRANGER_DIR") else { return };
    let refused = Client::connect(Path::new(&dir)).unwrap_err();
    assert!(matches!(refused, ShimError::Gone), "{refused}");
}

#[test]
fn a_stranger_is_turned_away() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if !support::is_root() {
        eprintln!("skipped: only root can become a stranger");
        return;
    }
    let mut shim = Fixture::new();
    // Even where the folder's own protection is gone.
    let dir = shim.shim_dir();
    for path in [shim.root.path(), dir.path(), &dir.path().join(socket::SOCKET_FILE)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let copy = shim.root.path().join("stranger");
    // Copied by another process: a descriptor that is open for writing here would be inherited by the children of other tests
    // for a moment, and the program could not be started meanwhile.
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&copy).status().unwrap();
    assert!(copied.success());
    let mut command = Command::new(copy);
    command.args(["--exact", "a_stranger", "--ignored"]).env("STRANGER_DIR", dir.path());
    let output = command.uid(54321).gid(54321).current_dir("/").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    shim.client.list().unwrap();
}

#[test]
fn a_directory_that_others_can_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let root = tempfile::tempdir().unwrap();
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let error = ShimDir::new(root.path()).launch(program()).unwrap_err().to_string();
    assert!(error.contains("must have mode 0700"), "{error}");
}

#[test]
fn a_directory_deeper_than_a_socket_name_is_served() {
    let root = tempfile::tempdir().unwrap();
    let dir = ShimDir::new(root.path().join("deep/".repeat(40)));
    dir.launch(program()).unwrap();
    let mut client = Client::connect(dir.path()).unwrap();
    assert!(client.list().unwrap().is_empty());
    client.call(Order::Shutdown { grace_ms: 0 }).unwrap();
}

#[test]
fn it_serves_without_a_socket_too() {
    let root = tempfile::tempdir().unwrap();
    let mut shim = Command::new(program())
        .args(["--stdio", "--linger-ms", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let order = StartOrder::new(StepId::new("s"), root.path(), ["/bin/sh", "-c", "exit 4"]);
    let requests = [
        jobwright_shim::Request {
            id: 1,
            order: Order::Hello {
                min: jobwright_shim::protocol::PROTOCOL_MIN,
                max: jobwright_shim::protocol::PROTOCOL,
            },
        },
        jobwright_shim::Request { id: 2, order: Order::Start(Box::new(order)) },
    ];
    for request in requests {
        let line = jobwright_shim::codec::encode(&request).unwrap();
        shim.stdin.as_mut().unwrap().write_all(&line).unwrap();
    }
    let output = shim.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("\"started\"") && text.contains("\"exited\"") && text.contains("{\"code\":4}"),
        "{text}"
    );
}

#[test]
fn a_refusal_reads_as_a_sentence() {
    let mut shim = Fixture::new();
    let unknown = shim.client.status(&StepId::new("nobody")).unwrap_err();
    assert_eq!(unknown.to_string(), "no step `nobody` in this shim");
    assert!(matches!(unknown.refusal(), Some(Refusal::UnknownStep { .. })));
}
