//! A Podman service for tests. One serves all tests of a machine at the same time: Podman's storage is shared, and its
//! services do not see each other's waits. It is found by its socket and ends by itself when nobody has used it for a while.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Seconds without a request after which the service ends.
const IDLE: u32 = 120;
/// How long it may take to begin.
const BEGIN: Duration = Duration::from_secs(20);

/// A running service.
pub struct Service {
    socket: PathBuf,
}

impl Service {
    /// Uses the service that runs, or starts one.
    pub fn start() -> Result<Self, String> {
        let folder = Path::new("/tmp/jobwright-test-podman");
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let lock = fs::File::create(folder.join("lock")).map_err(|error| error.to_string())?;
        lock.lock().map_err(|error| error.to_string())?;
        let service = Self { socket: folder.join("podman.sock") };
        if !service.answers() {
            service.begin(folder)?;
        }
        Ok(service)
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    fn answers(&self) -> bool {
        UnixStream::connect(&self.socket).is_ok()
    }

    fn begin(&self, folder: &Path) -> Result<(), String> {
        let configuration = folder.join("containers.conf");
        fs::write(&configuration, settings()).map_err(|error| error.to_string())?;
        let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
        let mut child = Command::new("podman")
            .args(["system", "service", &format!("--time={IDLE}"), &self.host()])
            .env("CONTAINERS_CONF", &configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("podman: {error}"))?;
        let begun = Instant::now();
        while !self.answers() {
            if let Ok(Some(status)) = child.try_wait() {
                let words = fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(format!("podman system service: {status}: {words}"));
            }
            if begun.elapsed() > BEGIN {
                let _ = child.kill();
                return Err(format!("podman system service: no answer within {} s", BEGIN.as_secs()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// Podman raises its containers' limits above ours and wants systemd for control groups; neither is to be had everywhere.
fn settings() -> String {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let hard = |name: &str, most: u64| {
        let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|limit| limit.parse().ok()).unwrap_or(most).min(most)
    };
    let (files, processes) = (hard("Max open files", 1_048_576), hard("Max processes", 32_768));
    format!(
        "[containers]\ndefault_ulimits = [\"nofile={files}:{files}\", \"nproc={processes}:{processes}\"]\n\
         [engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"
    )
}
