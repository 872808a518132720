//! A Docker engine of a test's own, which may be stopped and started again: its data, sockets and processes are its own, and so is its
//! network namespace. Without that, an engine that makes no bridge removes the one of every other engine of the machine (`docker0`)
//! when it starts. Needs root, `dockerd` and `unshare`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(40);

/// An engine and the folder that all of it is in.
pub struct OwnEngine {
    folder: tempfile::TempDir,
    live_restore: bool,
    process: Option<Child>,
}

impl OwnEngine {
    /// A running engine without any image; why not, where there can be none.
    pub fn start(live_restore: bool) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root can start one".to_owned());
        }
        let folder =
            tempfile::Builder::new().prefix("jw-engine-").tempdir().map_err(|error| error.to_string())?;
        let mut engine = Self { folder, live_restore, process: None };
        engine.up()?;
        Ok(engine)
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// A folder that steps may have mounted.
    pub fn shared(&self) -> PathBuf {
        let folder = self.folder.path().join("shared");
        fs::create_dir_all(&folder).expect("there is room for a folder");
        folder
    }

    /// Starts it, and returns when it answers.
    pub fn up(&mut self) -> Result<(), String> {
        let at = |name: &str| self.folder.path().join(name);
        let log =
            File::options().create(true).append(true).open(at("log")).map_err(|error| error.to_string())?;
        let again = log.try_clone().map_err(|error| error.to_string())?;
        // It becomes the engine, so its number is the engine's.
        let mut command = Command::new("unshare");
        command
            .args(["--net", "--", "dockerd"])
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"));
        command.arg("--pidfile").arg(at("pid")).arg("--host").arg(self.host());
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false"]);
        // The temporary folder may lie on a file system that others cannot be laid over.
        command.args(["--storage-driver=vfs", "--exec-opt=native.cgroupdriver=cgroupfs"]);
        if self.live_restore {
            command.arg("--live-restore");
        }
        command.env("DOCKER_TMPDIR", at("tmp")).stdin(Stdio::null()).stdout(log).stderr(again);
        self.process = Some(command.spawn().map_err(|error| format!("unshare: {error}"))?);
        self.await_answer()
    }

    fn await_answer(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        while !self.answers() {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            if let Some(status) = ended {
                return Err(format!("dockerd: {status}: {}", self.last_words()));
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!(
                    "dockerd: no answer within {} s: {}",
                    PATIENCE.as_secs(),
                    self.last_words()
                ));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// It takes connections long before it answers them: what it had is restored first.
    fn answers(&self) -> bool {
        let asked = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            stream.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        asked().is_ok_and(|answer| answer.ends_with("OK"))
    }

    /// Sends it this signal, and returns when it is gone.
    pub fn down(&mut self, signal: Signal) {
        let Some(mut process) = self.process.take() else { return };
        let _ = kill_process(Pid::from_child(&process), signal);
        process.wait().expect("a child can be waited for");
        // One that was killed leaves its socket, and takes its containerd along, whose number must not be taken for a living one's.
        let _ = fs::remove_file(self.socket());
        if signal == Signal::KILL {
            let begun = Instant::now();
            while self.containerd().is_some_and(runs) && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = fs::remove_file(self.containerd_file());
        }
    }

    fn containerd_file(&self) -> PathBuf {
        self.folder.path().join("exec/containerd/containerd.pid")
    }

    /// The containerd that the engine started.
    fn containerd(&self) -> Option<Pid> {
        Pid::from_raw(fs::read_to_string(self.containerd_file()).ok()?.trim().parse().ok()?)
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines().rev().take(3).collect::<Vec<_>>().join(" | ")
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        self.down(Signal::TERM);
        // What a test that failed leaves: everything that has this folder in its command line, and the containers below it.
        let folder = self.folder.path().to_string_lossy().into_owned();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) =
                entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
            else {
                continue;
            };
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&command).contains(&folder) {
                let below =
                    fs::read_to_string(entry.path().join(format!("task/{}/children", pid.as_raw_nonzero())));
                let below = below.unwrap_or_default();
                let below =
                    below.split_ascii_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?));
                for pid in below.chain([pid]) {
                    // One that ended meanwhile is what was wanted.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }
        // It mounts its data over themselves and keeps that when it ends with containers that live.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.folder.path().join("data"))
            .stderr(Stdio::null())
            .status();
    }
}

/// Whether the process is there and no zombie.
fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}
