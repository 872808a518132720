//! The deadline of a step: its owner's to keep while there is one, the shim's when there is none.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod support;

use std::time::Duration;

use jobwright_shim::record::{EndedBy, Instants};
use jobwright_shim::{Answer, Client, ExitRecord, ExitStatus, Order, ShimDir, StartOrder, StepId};
use support::{Running, is_alive, program, until};

const UNMOVED: &str = "trap '' TERM; echo ready; while :; do sleep 1; done";

/// An owner and its shim, which is left alone by dropping the owner.
struct Owner {
    root: tempfile::TempDir,
    client: Client,
}

impl Owner {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = ShimDir::new(root.path().join("shim"));
        dir.launch(program()).unwrap();
        Self { client: Client::connect(dir.path()).unwrap(), root }
    }

    /// A step whose deadline is so many milliseconds from now.
    fn start(&mut self, script: &str, within_ms: u64, grace_ms: u64) -> Running {
        let mut order = StartOrder::new(StepId::new("step"), self.root.path(), ["/bin/sh", "-c", script]);
        order.env.insert("PATH".into(), "/usr/bin:/bin".into());
        order.deadline_ns = Some(Instants::now().boottime_ns + within_ms * 1_000_000);
        order.grace_ms = grace_ms;
        let (id, files) = (order.step.clone(), order.files.clone());
        match self.client.start(order).unwrap() {
            Answer::Started { pid, token, .. } => Running { id, files, pid, token },
            other => panic!("{other:?}"),
        }
    }

    fn connect(&self) -> Client {
        Client::connect(&self.root.path().join("shim")).unwrap()
    }

    /// Goes as its death would, and gives the record of the step that it leaves. The shim goes too, once nothing is left to do.
    fn leave(self, step: &Running) -> ExitRecord {
        let Self { root, client } = self;
        let shim = client.shim_pid();
        drop(client);
        let exit = until("the deadline was kept", || ExitRecord::read(&step.files).unwrap());
        until("its tree is gone", || step.processes().is_empty().then_some(()));
        until("the shim ends when nobody needs it", || (!is_alive(shim)).then_some(()));
        drop(root);
        exit
    }

    fn end(mut self) {
        self.client.call(Order::Shutdown { grace_ms: 0 }).unwrap();
        let shim = self.client.shim_pid();
        until("the shim ends", || (!is_alive(shim)).then_some(()));
    }
}

#[test]
fn without_an_owner_the_whole_tree_is_ended_after_its_grace_and_the_record_says_why() {
    let mut owner = Owner::new();
    let script = format!("(setsid sh -c \"{UNMOVED}\" &) ; {UNMOVED}");
    let step = owner.start(&script, 300, 100);
    let exit = owner.leave(&step);
    assert_eq!(exit.ended_by, Some(EndedBy::Deadline));
    assert_eq!(exit.status, ExitStatus::Signal { number: 9, core_dumped: false });
    let took = exit.finished.since(&exit.started).as_millis();
    assert!((350..10_000).contains(&took), "{took} ms");
}

#[test]
fn a_step_that_obeys_within_its_grace_tells_its_own_code_and_the_deadline() {
    let mut owner = Owner::new();
    let step = owner.start("trap 'exit 0' TERM; while :; do sleep 0.01; done", 200, 20_000);
    let exit = owner.leave(&step);
    assert_eq!((exit.status, exit.ended_by), (ExitStatus::Code(0), Some(EndedBy::Deadline)));
}

#[test]
fn while_an_owner_lives_the_deadline_is_its_own_to_keep() {
    let mut owner = Owner::new();
    let step = owner.start(UNMOVED, 0, 0);
    // Each is answered in a later turn than the one before, and deadlines are looked at in each turn.
    for _ in 0..50 {
        let status = owner.client.status(&step.id).unwrap();
        assert!(status.exit.is_none() && status.stopping.is_none(), "{status:?}");
    }
    owner.client.stop(&step.id, Duration::ZERO).unwrap();
    let exit = ExitRecord::read(&step.files).unwrap().unwrap();
    assert_eq!(exit.ended_by, Some(EndedBy::Stop));
    owner.end();
}

#[test]
fn a_new_owner_takes_the_deadline_over() {
    let mut owner = Owner::new();
    let step = owner.start(UNMOVED, 400, 0);
    let next = owner.connect();
    drop(std::mem::replace(&mut owner.client, next));
    let passed = Instants::now().boottime_ns + 500_000_000;
    until("the deadline passes", || (Instants::now().boottime_ns > passed).then_some(()));
    assert!(owner.client.status(&step.id).unwrap().exit.is_none());
    owner.end();
}

#[test]
fn a_deadline_that_passed_while_it_was_owned_holds_as_soon_as_it_is_not() {
    let mut owner = Owner::new();
    let step = owner.start(UNMOVED, 0, 0);
    assert!(owner.client.status(&step.id).unwrap().exit.is_none());
    assert_eq!(owner.leave(&step).ended_by, Some(EndedBy::Deadline));
}

/// Whoever only opens the socket has not said that it is an owner.
#[test]
fn a_connection_that_says_nothing_is_no_owner() {
    let mut owner = Owner::new();
    let step = owner.start(UNMOVED, 0, 0);
    let silent = jobwright_shim::socket::connect(&owner.root.path().join("shim")).unwrap();
    let Owner { root, client } = owner;
    let shim = client.shim_pid();
    drop(client);
    let exit = until("the deadline was kept", || ExitRecord::read(&step.files).unwrap());
    assert_eq!(exit.ended_by, Some(EndedBy::Deadline));
    drop(silent);
    until("the shim ends when nobody needs it", || (!is_alive(shim)).then_some(()));
    drop(root);
}
