//! A real shim in a folder of its own, and short words for what the tests order. No behaviour is checked here.
#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jobwright_shim::frame::{Frame, FrameReader, OutputEnd, Stream};
use jobwright_shim::record::StepFiles;
use jobwright_shim::{Answer, Client, ExitRecord, ShimDir, StartOrder, StepId};

pub(crate) const GENEROUS: Duration = Duration::from_secs(30);

pub(crate) fn program() -> &'static Path {
    env!("CARGO_BIN_EXE_jobwright-shim").as_ref()
}

/// A shim and the folder it and its steps live in; both end with it.
pub(crate) struct Fixture {
    pub(crate) root: tempfile::TempDir,
    pub(crate) client: Client,
}

/// A running step.
pub(crate) struct Running {
    pub(crate) id: StepId,
    pub(crate) files: StepFiles,
    pub(crate) pid: u32,
    pub(crate) token: String,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// Starts the shim with more arguments.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("shim");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let status = Command::new(program()).arg("--dir").arg(&dir).args(arguments).status().unwrap();
        assert!(status.success());
        Self { client: Client::connect(&dir).unwrap(), root }
    }

    pub(crate) fn shim_dir(&self) -> ShimDir {
        ShimDir::new(self.root.path().join("shim"))
    }

    pub(crate) fn order(&self, name: &str, argv: &[&str]) -> StartOrder {
        let dir = self.root.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        let mut order = StartOrder::new(StepId::new(name), dir, argv.iter().copied());
        order.env.insert("PATH".into(), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into());
        order
    }

    pub(crate) fn sh(&mut self, name: &str, script: &str) -> Running {
        self.sh_with(name, script, |_| {})
    }

    pub(crate) fn sh_with(
        &mut self,
        name: &str,
        script: &str,
        change: impl FnOnce(&mut StartOrder),
    ) -> Running {
        let mut order = self.order(name, &["sh", "-c", script]);
        change(&mut order);
        let (id, files) = (order.step.clone(), order.files.clone());
        match self.client.start(order).unwrap() {
            Answer::Started { pid, token, .. } => Running { id, files, pid, token },
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn run(&mut self, name: &str, script: &str) -> (ExitRecord, Output) {
        let step = self.sh(name, script);
        let exit = self.client.wait(&step.id).unwrap();
        (exit, step.whole_output())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let pid = self.client.shim_pid();
        let _ = self.client.call(jobwright_shim::Order::Shutdown { grace_ms: 0 });
        // The folder is removed next; a shim that is still writing would leave it behind.
        let until = Instant::now() + GENEROUS;
        while is_alive(pid) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// What a step wrote.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Output {
    pub(crate) frames: Vec<(Stream, Vec<u8>)>,
    pub(crate) gaps: u64,
    pub(crate) end: Option<OutputEnd>,
}

impl Output {
    pub(crate) fn read(files: &StepFiles) -> Self {
        let mut output = Self::default();
        let mut reader = FrameReader::at(0);
        reader.push(&fs::read(files.output()).unwrap());
        while let Some(placed) = reader.next_frame().unwrap() {
            match placed.frame {
                Frame::Exit | Frame::Start(_) => {}
                Frame::Data { stream, bytes } => output.frames.push((stream, bytes.to_vec())),
                Frame::Gap { lost, .. } => output.gaps += lost,
                Frame::End(end) => output.end = Some(end),
            }
        }
        output
    }

    pub(crate) fn of(&self, stream: Stream) -> Vec<u8> {
        self.frames.iter().filter(|(of, _)| *of == stream).flat_map(|(_, bytes)| bytes.clone()).collect()
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.of(Stream::Stdout)).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.of(Stream::Stderr)).into_owned()
    }
}

impl Running {
    pub(crate) fn output(&self) -> Output {
        Output::read(&self.files)
    }

    /// The output once it has its end mark.
    pub(crate) fn whole_output(&self) -> Output {
        until("the output has its end mark", || Some(self.output()).filter(|output| output.end.is_some()))
    }

    /// The step's standard output once it has this many lines.
    pub(crate) fn lines(&self, count: usize) -> Vec<String> {
        until("the step wrote its lines", || {
            let text = self.output().stdout();
            (text.matches('\n').count() >= count).then(|| text.lines().map(str::to_owned).collect())
        })
    }

    /// All process numbers that carry this step's token, zombies left out.
    pub(crate) fn processes(&self) -> Vec<u32> {
        jobwright_shim::procfs::all()
            .into_iter()
            .filter(|pid| {
                jobwright_shim::procfs::environment(*pid, jobwright_shim::protocol::TOKEN_VARIABLE)
                    .is_some_and(|token| token == self.token.as_bytes())
            })
            .collect()
    }
}

/// Asks until there is an answer; a test that waits in vain fails with what it waited for.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + GENEROUS;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn is_alive(pid: u32) -> bool {
    jobwright_shim::procfs::stat(pid).is_some_and(|stat| !stat.is_zombie())
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// This test program again, running only the ignored test of this name, with these variables.
pub(crate) fn run_self(test: &str, variables: &[(&str, &Path)]) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command.envs(variables.iter().copied()).stdout(Stdio::null()).spawn().unwrap()
}
