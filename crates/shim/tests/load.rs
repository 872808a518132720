//! Many steps, much output, and a disk that takes no more.

#![allow(clippy::unwrap_used, reason = "a test that meets an error fails")]

mod support;

use std::process::Command;

use jobwright_shim::frame::Stream;
use jobwright_shim::record::StepFiles;
use jobwright_shim::{Answer, ExitRecord, ExitStatus, Order, StepId};
use support::{Fixture, until};

/// Kibibytes of memory that belong to one process alone.
fn private_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    private.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

#[test]
fn a_hundred_steps_at_once_each_with_its_own_output_and_exit() {
    let mut shim = Fixture::new();
    let steps: Vec<_> = (0..100)
        .map(|i| {
            shim.sh(&format!("step-{i}"), &format!("echo begin {i}; read x <../go; echo end {i}; exit {i}"))
        })
        .collect();
    steps.iter().for_each(|step| drop(step.lines(1)));
    let running = private_kib(shim.client.shim_pid());
    assert!(running < 4 << 10, "{running} KiB for a hundred running steps");
    assert_eq!(shim.client.list().unwrap().len(), 100);
    // All of them wait for this name; a link to an empty file lets every reader go on.
    std::fs::write(shim.root.path().join("go"), "").unwrap();
    for (i, step) in steps.iter().enumerate() {
        let exit = shim.client.wait(&step.id).unwrap();
        assert!(exit.output.complete, "{i}");
        assert_eq!(step.output().stdout().lines().next().unwrap(), format!("begin {i}"));
        shim.client.forget(&step.id).unwrap();
    }
    assert!(shim.client.list().unwrap().is_empty());
}

#[test]
fn a_hundred_trivial_steps_have_true_exit_codes() {
    let mut shim = Fixture::new();
    let steps: Vec<_> =
        (0..100).map(|i| shim.sh(&format!("step-{i}"), &format!("echo {i}; exit {i}"))).collect();
    for (i, step) in steps.iter().enumerate() {
        assert_eq!(shim.client.wait(&step.id).unwrap().status, ExitStatus::Code(i as i32));
        assert_eq!(step.whole_output().stdout(), format!("{i}\n"));
    }
}

#[test]
fn much_output_comes_back_exactly_in_little_memory() {
    const MIB: usize = 64;
    let mut shim = Fixture::new();
    let step = shim.sh("step", &format!("seq -f '%015.0f' 1 {}", MIB << 16));
    assert_eq!(shim.client.wait(&step.id).unwrap().status, ExitStatus::Code(0));
    let output = step.whole_output().of(Stream::Stdout);
    assert_eq!(output.len(), MIB << 20);
    for (i, line) in output.chunks(16).enumerate() {
        assert_eq!(line, format!("{:015}\n", i + 1).as_bytes());
    }
    let used = private_kib(shim.client.shim_pid());
    assert!(used < 4 << 10, "{used} KiB");
}

#[test]
fn a_greedy_step_does_not_starve_another() {
    let mut shim = Fixture::new();
    let greedy = shim.sh("greedy", "exec head -c 2000000000 /dev/zero");
    for i in 0..20 {
        let (exit, output) = shim.run(&format!("modest-{i}"), "echo here");
        assert_eq!((exit.status, output.stdout().as_str()), (ExitStatus::Code(0), "here\n"));
    }
    shim.client.stop(&greedy.id, std::time::Duration::ZERO).unwrap();
}

#[test]
fn an_owner_that_does_not_read_slows_nobody() {
    let mut shim = Fixture::new();
    let lazy = jobwright_shim::Client::connect(shim.shim_dir().path()).unwrap();
    for i in 0..300 {
        let step = shim.sh(&format!("step-{i}"), "exit 0");
        shim.client.wait(&step.id).unwrap();
        shim.client.forget(&step.id).unwrap();
    }
    drop(lazy);
}

/// A file system of one mebibyte; unmounted when dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(path: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&path).unwrap();
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "none"]).arg(&path).status();
        let mounted = support::is_root() && done.is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("skipped: cannot mount a tmpfs here (needs root)");
        }
        mounted.then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_costs_output_but_neither_the_step_nor_its_exit() {
    let mut shim = Fixture::new();
    let Some(disk) = SmallDisk::mount(shim.root.path().join("small")) else { return };
    let script =
        "echo first; head -c 5000000 /dev/zero; echo told >&2; echo x >done; read x <go; echo last; exit 6";
    std::fs::create_dir(disk.0.join("step")).unwrap();
    let work = shim.root.path().join("work");
    std::fs::create_dir(&work).unwrap();
    let step = shim.sh_with("step", script, |order| {
        order.files.dir = disk.0.join("step");
        order.cwd = work.clone();
        order.argv[2] = format!("mkfifo go; {script}");
    });
    until("the step wrote everything", || work.join("done").exists().then_some(()));
    // The step's own file is the only one on the disk, so room comes from a larger disk.
    let remount = Command::new("mount").args(["-o", "remount,size=4m"]).arg(&disk.0).status().unwrap();
    assert!(remount.success());
    until("the gap is marked", || (step.output().gaps > 0).then_some(()));
    std::fs::write(work.join("go"), "\n").unwrap();
    let exit = shim.client.wait(&step.id).unwrap();
    assert_eq!(exit.status, ExitStatus::Code(6));
    assert!(exit.output.lost > 3_000_000, "{:?}", exit.output);
    let output = until("the end mark", || {
        Some(support::Output::read(&step.files)).filter(|output| output.end.is_some())
    });
    assert_eq!(output.gaps, exit.output.lost);
    let text = output.of(Stream::Stdout);
    assert!(text.starts_with(b"first\n") && text.ends_with(b"last\n"));
    assert_eq!(
        text.len() as u64 + output.of(Stream::Stderr).len() as u64 + output.gaps,
        5_000_000 + 6 + 5 + 5
    );
}

#[test]
fn on_a_disk_that_stays_full_the_exit_is_still_recorded() {
    let mut shim = Fixture::new();
    let Some(disk) = SmallDisk::mount(shim.root.path().join("small")) else { return };
    let dir = disk.0.join("step");
    std::fs::create_dir(&dir).unwrap();
    let order = shim.order("step", &["sh", "-c", "head -c 5000000 /dev/zero; exit 8"]);
    let order = jobwright_shim::StartOrder { files: StepFiles::in_folder(&dir), ..order };
    assert!(matches!(shim.client.start(order).unwrap(), Answer::Started { .. }));
    let id = StepId::new("step");
    assert_eq!(shim.client.wait(&id).unwrap().status, ExitStatus::Code(8));
    let record = ExitRecord::read(&StepFiles::in_folder(&dir)).unwrap().expect("the space was set aside");
    assert_eq!(record.status, ExitStatus::Code(8));
    assert!(record.output.lost > 3_000_000);
    // What never got its end mark can still be cleared away.
    shim.client.call(Order::Stop { step: id, grace_ms: 0, forget: true }).unwrap();
    assert!(shim.client.list().unwrap().is_empty());
}

#[test]
fn no_step_starts_on_a_disk_without_room() {
    let mut shim = Fixture::new();
    let Some(disk) = SmallDisk::mount(shim.root.path().join("small")) else { return };
    let dir = disk.0.join("step");
    std::fs::create_dir(&dir).unwrap();
    let _ = std::fs::write(disk.0.join("filler"), vec![1; 2 << 20]);
    let order = shim.order("step", &["true"]);
    let error = shim
        .client
        .start(jobwright_shim::StartOrder { files: StepFiles::in_folder(&dir), ..order })
        .unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}
