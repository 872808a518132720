//! Rule 9: grace, then force, for the whole tree.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod support;

use std::time::{Duration, Instant};

use jobwright_shim::record::EndedBy;
use jobwright_shim::{ExitStatus, Order};
use support::{Fixture, GENEROUS, is_alive, until};

#[test]
fn stop_asks_first_and_says_that_no_force_was_needed() {
    let mut shim = Fixture::new();
    let step = shim.sh("step", "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    step.lines(1);
    assert!(!shim.client.stop(&step.id, GENEROUS).unwrap());
    let exit = shim.client.wait(&step.id).unwrap();
    assert_eq!((exit.status, exit.ended_by), (ExitStatus::Code(3), Some(EndedBy::Stop)));
    assert_eq!(step.output().stdout(), "ready\nbye\n");
}

#[test]
fn a_tree_that_ignores_the_request_is_killed_after_the_grace() {
    let mut shim = Fixture::new();
    let script = "trap '' TERM; sh -c 'sh -c \"echo in; while :; do sleep 1; done\" & while :; do sleep 1; done' & \
                  echo out; while :; do sleep 1; done";
    let step = shim.sh("step", script);
    step.lines(2);
    assert!(step.processes().len() >= 3);
    let begin = Instant::now();
    assert!(shim.client.stop(&step.id, Duration::from_millis(200)).unwrap());
    assert!(begin.elapsed() >= Duration::from_millis(200) && begin.elapsed() < Duration::from_secs(5));
    assert_eq!(step.processes(), [] as [u32; 0]);
}

#[test]
fn a_second_stop_shortens_the_grace() {
    let mut shim = Fixture::new();
    let step = shim.sh("step", "trap '' TERM; echo ready; while :; do sleep 1; done");
    step.lines(1);
    let mut second = jobwright_shim::Client::connect(shim.shim_dir().path()).unwrap();
    let id = step.id.clone();
    let first = std::thread::spawn(move || second.stop(&id, Duration::from_secs(3600)).unwrap());
    until("the first stop began", || shim.client.status(&step.id).unwrap().stopping);
    assert!(shim.client.stop(&step.id, Duration::ZERO).unwrap());
    assert!(first.join().unwrap(), "the first one who asked was not answered");
}

#[test]
fn grandchildren_in_sessions_of_their_own_go_too() {
    let mut shim = Fixture::new();
    // One below its parent, one whose parent ended, one that also shed its environment and its pipes.
    let script = "setsid sleep 301 & \
                  sh -c 'setsid sleep 302 & echo orphaned' ; \
                  sh -c 'env -i setsid sh -c \"echo \\$\\$; exec sleep 303 >/dev/null 2>&1\" & ' ; \
                  echo ready; wait";
    let step = shim.sh("step", script);
    let stray: u32 = step.lines(3).iter().find_map(|line| line.parse().ok()).unwrap();
    until("the stray runs its program", || {
        (std::fs::read(format!("/proc/{stray}/cmdline")).ok()? == b"sleep\x00303\x00").then_some(())
    });
    assert!(shim.client.status(&step.id).unwrap().processes >= 4);
    shim.client.stop(&step.id, GENEROUS).unwrap();
    assert!(!is_alive(stray) && step.processes().is_empty());
}

#[test]
fn a_stray_goes_with_the_last_step_it_can_belong_to() {
    let mut shim = Fixture::new();
    let other = shim.sh("other", "echo ready; sleep 300");
    other.lines(1);
    let script = "sh -c 'env -i setsid sh -c \"echo \\$\\$; exec sleep 304 >/dev/null 2>&1\" & '; sleep 300";
    let step = shim.sh("step", script);
    let stray: u32 = step.lines(1)[0].parse().unwrap();
    until("it shed its pipes", || {
        (std::fs::read(format!("/proc/{stray}/cmdline")).ok()? == b"sleep\x00304\x00").then_some(())
    });
    shim.client.call(Order::Stop { step: step.id.clone(), grace_ms: 100, forget: true }).unwrap();
    shim.client.call(Order::Stop { step: other.id.clone(), grace_ms: 100, forget: true }).unwrap();
    assert!(!is_alive(stray));
}

#[test]
fn a_stop_touches_no_other_step() {
    let mut shim = Fixture::new();
    let other = shim.sh("other", "setsid sleep 300 & echo ready; wait");
    let step = shim.sh("step", "setsid sleep 300 & echo ready; wait");
    other.lines(1);
    step.lines(1);
    let before = other.processes().len();
    shim.client.stop(&step.id, Duration::ZERO).unwrap();
    assert_eq!(other.processes().len(), before);
    assert!(shim.client.status(&other.id).unwrap().exit.is_none());
}

#[test]
fn a_deep_chain_is_ended_to_its_last_link() {
    let mut shim = Fixture::new();
    let script = "if [ $1 -gt 0 ]; then setsid sh \"$0\" $(($1 - 1)); else echo bottom; sleep 300; fi; true";
    std::fs::write(shim.root.path().join("chain.sh"), script).unwrap();
    let chain = shim.root.path().join("chain.sh");
    let step = shim.sh("step", &format!("sh {} 150; true", chain.display()));
    step.lines(1);
    assert!(shim.client.status(&step.id).unwrap().processes > 150);
    shim.client.stop(&step.id, Duration::from_millis(50)).unwrap();
    assert!(step.processes().is_empty());
}

#[test]
fn processes_that_multiply_are_outrun() {
    let mut shim = Fixture::new();
    // Twelve loops that ignore SIGTERM, each in its own session, start short-lived processes as fast as they can.
    let script = "trap '' TERM; i=0; while [ $i -lt 12 ]; do i=$((i+1)); \
                  setsid sh -c 'while :; do (setsid sleep 0.2 &) ; done' & done; echo ready; wait";
    let step = shim.sh_with("step", script, |order| {
        order.limits.push(jobwright_shim::protocol::Limit {
            resource: jobwright_shim::protocol::Resource::Processes,
            soft: Some(2000),
            hard: Some(2000),
        });
    });
    step.lines(1);
    assert!(shim.client.stop(&step.id, Duration::from_millis(100)).unwrap());
    assert!(step.processes().is_empty(), "{:?}", step.processes());
}

#[test]
fn no_zombie_stays() {
    let mut shim = Fixture::new();
    let step = shim.sh("step", "for i in 1 2 3 4 5; do (setsid true &); done; echo ready; sleep 300");
    step.lines(1);
    let pid = shim.client.shim_pid();
    until("only the step is left", || {
        (jobwright_shim::procfs::children(pid).unwrap() == [step.pid]).then_some(())
    });
}

#[test]
fn a_signal_reaches_one_process_or_all() {
    let mut shim = Fixture::new();
    let step = shim.sh("step", "trap 'echo one' USR1; setsid sh -c 'trap \"echo two\" USR1; echo in; while :; do sleep 0.02; done' & echo out; while :; do sleep 0.02; done");
    step.lines(2);
    let signal = |whole_tree| Order::Signal { step: step.id.clone(), signo: 10, whole_tree };
    shim.client.call(signal(false)).unwrap();
    assert_eq!(step.lines(3)[2], "one");
    // `sleep` has no handler and dies of it, which its shell does not mind.
    shim.client.call(signal(true)).unwrap();
    let mut rest = step.lines(5)[3..].to_vec();
    rest.sort();
    assert_eq!(rest, ["one", "two"]);
}
