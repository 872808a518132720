//! What a step gets, and what is known of it afterwards.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod support;

use std::os::unix::fs::PermissionsExt;

use jobwright_shim::frame::{OutputEnd, Stream};
use jobwright_shim::protocol::{Limit, Resource, RunAs};
use jobwright_shim::{ExitRecord, ExitStatus, Refusal, StartFailure, StartOrder, StartProblem};
use support::{Fixture, until};

#[test]
fn output_exit_code_times_and_usage_are_written() {
    let mut shim = Fixture::new();
    let step =
        shim.sh("step", "echo one; echo two >&2; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 7");
    let exit = shim.client.wait(&step.id).unwrap();
    assert_eq!(exit.status, ExitStatus::Code(7));
    assert_eq!(ExitRecord::read(&step.files).unwrap().unwrap(), exit);
    assert!(exit.output.complete && exit.output.lost == 0);
    assert!(exit.finished.since(&exit.started).as_micros() > 0);
    assert!(exit.usage.user_us + exit.usage.system_us > 0);
    assert!(exit.usage.max_rss_bytes > 100 << 10);
    let output = step.output();
    assert_eq!((output.stdout(), output.stderr()), ("one\n".into(), "two\n".into()));
    assert_eq!(output.end, Some(OutputEnd::Eof));
    assert_eq!(step.files.output().metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_two_streams_keep_their_order_when_they_are_apart_in_time() {
    let mut shim = Fixture::new();
    // A fifo for each line makes the step wait until the line was seen in the file. One for all would be raced: who opens it
    // again before the writer has closed it reads an end and goes on.
    let script = "mkfifo go1 go2 go3 go4 go5 go6; n=0; pause() { n=$((n + 1)); read x <go$n; }; \
                  for i in 1 2 3; do echo out$i; pause; echo err$i >&2; pause; done";
    let step = shim.sh("step", script);
    for count in 1..=6 {
        until("the next line", || (step.output().frames.len() == count).then_some(()));
        std::fs::write(step.files.dir.join(format!("go{count}")), "\n").unwrap();
    }
    let streams: Vec<Stream> = step.whole_output().frames.into_iter().map(|(stream, _)| stream).collect();
    assert_eq!(streams, [Stream::Stdout, Stream::Stderr].repeat(3));
}

#[test]
fn a_signal_is_not_an_exit_code() {
    let mut shim = Fixture::new();
    let (exit, _) = shim.run("killed", "kill -USR1 $$");
    assert_eq!(exit.status, ExitStatus::Signal { number: 10, core_dumped: false });
    let (exit, _) = shim.run("code", "exit 138");
    assert_eq!(exit.status, ExitStatus::Code(138));
}

#[test]
fn a_step_finds_a_clean_process() {
    let mut shim = Fixture::new();
    let script = "env | sort; echo; ls -l /proc/self/fd | grep -c -- '->'; readlink /proc/self/fd/0; umask; \
                  grep -E '^Sig(Ign|Blk)' /proc/self/status; cat /proc/self/oom_score_adj; ulimit -Sn; \
                  test $(ps -o sid= -p $$) -eq $$ && echo leader";
    let step = shim.sh_with("step", script, |order| {
        order.env.insert("GREETING".into(), "hello\nworld".into());
    });
    shim.client.wait(&step.id).unwrap();
    let text = step.whole_output().stdout();
    let (environment, rest) = text.split_once("\n\n").unwrap();
    let names: Vec<&str> = environment.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    // PWD is the shell's own doing.
    assert_eq!(names, ["GREETING", "JOBWRIGHT_STEP_TOKEN", "PATH", "PWD"], "{environment}");
    let lines: Vec<&str> = rest.lines().collect();
    // 0, 1, 2 and the one with which `ls` reads the folder.
    assert_eq!(lines[0], "4");
    assert_eq!(lines[1], "/dev/null");
    assert_eq!(lines[2], "0022");
    assert!(lines[3].ends_with("0000000000000000") && lines[4].ends_with("0000000000000000"), "{lines:?}");
    assert_eq!(lines[5], "0");
    let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap();
    assert_eq!(lines[6], own.to_string());
    assert_eq!(lines[7], "leader");
}

#[test]
fn limits_and_user_hold_in_the_step() {
    if !support::is_root() {
        eprintln!("skipped: only root can change the user");
        return;
    }
    let mut shim = Fixture::new();
    let step = shim.sh_with(
        "step",
        "id -u; id -g; id -G; ulimit -n; ulimit -c; grep NoNewPrivs /proc/self/status",
        |order| {
            order.cwd = "/".into();
            order.run_as = Some(RunAs { uid: 54321, gid: 54322, groups: vec![54323] });
            order.limits = vec![
                Limit { resource: Resource::OpenFiles, soft: Some(77), hard: Some(77) },
                Limit { resource: Resource::Core, soft: Some(0), hard: None },
            ];
            order.no_new_privileges = true;
        },
    );
    shim.client.wait(&step.id).unwrap();
    assert_eq!(step.whole_output().stdout(), "54321\n54322\n54322 54323\n77\n0\nNoNewPrivs:\t1\n");
}

#[test]
fn each_way_not_to_start_has_its_name_and_leaves_nothing() {
    let mut shim = Fixture::new();
    let root = shim.root.path().to_owned();
    let file = |name: &str, content: &str, mode: u32| {
        std::fs::write(root.join(name), content).unwrap();
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        root.join(name).to_str().unwrap().to_owned()
    };
    let denied = file("the-denied", "#!/bin/sh\n", 0o644);
    let interpreter = file("the-interpreter", "#!/no/such/interpreter\n", 0o755);
    let format = file("the-format", "just text\n", 0o755);
    let long = "x".repeat(3 << 20);
    type Change = fn(&mut StartOrder);
    let same: Change = |_| {};
    let cases: Vec<(&str, Vec<&str>, Change, StartProblem)> = vec![
        ("in-path", vec!["no-such-program"], same, StartProblem::ProgramNotFound),
        ("by-path", vec!["/no/such/program"], same, StartProblem::ProgramNotFound),
        ("a-file-as-folder", vec!["/etc/passwd/program"], same, StartProblem::ProgramNotFound),
        ("mode", vec![&denied], same, StartProblem::ProgramDenied),
        ("interpreter", vec![&interpreter], same, StartProblem::InterpreterMissing),
        ("format", vec![&format], same, StartProblem::ProgramFormat),
        ("long", vec!["true", &long], same, StartProblem::ArgumentsTooLong),
        (
            "no-cwd",
            vec!["true"],
            |order| order.cwd = "/no/such/folder".into(),
            StartProblem::DirectoryMissing,
        ),
        ("file-cwd", vec!["true"], |order| order.cwd = "/etc/passwd".into(), StartProblem::DirectoryMissing),
        ("relative", vec!["true"], |order| order.cwd = "here".into(), StartProblem::Order),
        ("no-folder", vec!["true"], |order| order.files.dir = "/no/such/folder".into(), StartProblem::Folder),
        ("empty", vec![], same, StartProblem::Order),
        ("nul", vec!["true", "a\0b"], same, StartProblem::Order),
        ("cgroup", vec!["true"], |order| order.cgroups.push("/no/cgroup".into()), StartProblem::Cgroup),
    ];
    for (name, argv, change, problem) in cases {
        let mut order = shim.order(name, &argv);
        change(&mut order);
        let dir = root.join(name);
        let error = shim.client.start(order).unwrap_err();
        match error.refusal() {
            Some(Refusal::Start(failure)) => assert_eq!(failure.problem, problem, "{name}: {failure}"),
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "{name} left files");
    }
    assert!(shim.client.list().unwrap().is_empty());
}

#[test]
fn a_value_that_cannot_be_passed_is_not_shown() {
    let mut shim = Fixture::new();
    let mut order = shim.order("step", &["true"]);
    order.env.insert("PASSWORD".into(), "top\0secret".into());
    let error = shim.client.start(order).unwrap_err().to_string();
    assert_eq!(error, "bad order: variable `PASSWORD` holds a NUL byte");
}

#[test]
fn a_folder_or_a_name_is_used_once() {
    let mut shim = Fixture::new();
    shim.run("step", "true");
    let again = shim.order("step", &["true"]);
    let same_name = shim.client.start(again.clone()).unwrap_err();
    assert!(matches!(same_name.refusal(), Some(Refusal::StepExists { .. })), "{same_name}");
    shim.client.forget(&again.step).unwrap();
    let same_folder = shim.client.start(again).unwrap_err();
    let is_folder = matches!(
        same_folder.refusal(),
        Some(Refusal::Start(StartFailure { problem: StartProblem::Folder, .. }))
    );
    assert!(is_folder, "{same_folder}");
    let files = jobwright_shim::record::StepFiles::in_folder(shim.root.path().join("step"));
    assert!(ExitRecord::read(&files).unwrap().is_some(), "the first step's record was taken away");
}

#[test]
fn a_grandchild_that_holds_the_pipe_does_not_delay_the_exit() {
    let mut shim = Fixture::new();
    let step = shim.sh("step", "echo before; sleep 300 & echo $!");
    let exit = shim.client.wait(&step.id).unwrap();
    assert_eq!(exit.status, ExitStatus::Code(0));
    assert!(!exit.output.complete);
    assert_eq!(ExitRecord::read(&step.files).unwrap().unwrap(), exit);
    assert!(step.output().end.is_none());
    let refused = shim.client.forget(&step.id).unwrap_err();
    assert!(matches!(refused.refusal(), Some(Refusal::StillRunning { .. })));
    shim.client.call(jobwright_shim::Order::CloseOutput { step: step.id.clone() }).unwrap();
    assert_eq!(step.output().end, Some(OutputEnd::Closed));
    let record = ExitRecord::read(&step.files).unwrap().unwrap();
    assert!(record.output.complete, "the record was not written again");
    assert!(!shim.client.stop(&step.id, support::GENEROUS).unwrap());
    assert!(step.processes().is_empty());
    shim.client.forget(&step.id).unwrap();
}

#[test]
fn reap_ends_what_the_first_process_leaves_behind() {
    let mut shim = Fixture::new();
    let step = shim.sh_with("step", "sleep 300 & setsid sleep 300 & echo started", |order| order.reap = true);
    assert_eq!(shim.client.wait(&step.id).unwrap().status, ExitStatus::Code(0));
    assert_eq!(step.whole_output().end, Some(OutputEnd::Eof));
    until("the step is gone", || (shim.client.status(&step.id).unwrap().processes == 0).then_some(()));
    assert!(step.processes().is_empty());
}

#[test]
fn steps_may_share_a_folder_and_say_what_they_are_called() {
    use jobwright_shim::frame::{Frame, FrameReader};
    let mut shim = Fixture::new();
    let change = |stem: &'static str| {
        move |order: &mut StartOrder| {
            order.files.stem = stem.into();
            order.label = format!("the {stem} step");
        }
    };
    let (one, two) = (shim.sh_with("shared", "echo one", change("one")), {
        let mut order = shim.order("shared", &["sh", "-c", "echo two"]);
        order.step = jobwright_shim::StepId::new("another");
        change("two")(&mut order);
        let files = order.files.clone();
        shim.client.start(order).unwrap();
        files
    });
    shim.client.wait(&one.id).unwrap();
    shim.client.wait(&jobwright_shim::StepId::new("another")).unwrap();
    assert_eq!(support::Output::read(&one.files).stdout(), "one\n");
    assert_eq!(support::Output::read(&two).stdout(), "two\n");
    let mut reader = FrameReader::at(0);
    reader.push(&std::fs::read(two.output()).unwrap());
    assert_eq!(reader.next_frame().unwrap().map(|placed| placed.frame), Some(Frame::Exit));
    let Some(Frame::Start(info)) = reader.next_frame().unwrap().map(|placed| placed.frame) else { panic!() };
    assert_eq!((info.label.as_str(), info.shim.as_deref()), ("the two step", Some(shim.shim_dir().path())));
}

#[test]
fn a_script_comes_on_a_descriptor_and_cannot_be_changed() {
    use jobwright_shim::protocol::SCRIPT_FILE;
    let mut shim = Fixture::new();
    let script = "if echo x >>/proc/self/fd/9; then echo changed; fi\nexec 9<&-\nls -l /proc/self/fd; exit 3";
    let step = shim.sh_with("step", "", |order| {
        order.argv = vec!["sh".into(), SCRIPT_FILE.into()];
        order.script = Some(script.into());
    });
    assert_eq!(shim.client.wait(&step.id).unwrap().status, ExitStatus::Code(3));
    let output = step.whole_output();
    let text = output.stdout();
    assert!(text.contains("->") && !text.contains("memfd") && !text.contains("changed"), "{text}");
}

#[test]
fn a_spare_file_becomes_the_output_of_the_next_step() {
    use std::os::unix::fs::MetadataExt;
    let mut shim = Fixture::new();
    let dir = shim.root.path().join("step");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("spare"), "").unwrap();
    let inode = dir.join("spare").metadata().unwrap().ino();
    let step = shim.sh_with("step", "echo here", |order| order.files.stem = "s".into());
    assert_eq!(step.whole_output().stdout(), "here\n");
    assert_eq!(step.files.output().metadata().unwrap().ino(), inode);
    assert!(!dir.join("spare").exists());
}
