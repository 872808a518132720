//! A PostgreSQL server of the tests' own: an unprivileged user's, on a socket in a private directory, synced as in earnest. Not for what is asked of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// `nobody`.
const USER: u32 = 65534;
const LIMIT: Duration = Duration::from_secs(120);

/// A server, and the shell that ends it by its number when this process is gone or lets go of it.
pub(crate) struct Server {
    programs: PathBuf,
    folder: PathBuf,
    guard: Child,
    server: Pid,
    // Last: the server has ended before its files go.
    _files: TempDir,
}

/// The server that all tests share but those that stop it; why there is none otherwise.
pub(crate) fn shared() -> Result<&'static Server, &'static str> {
    static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
    // It is never dropped: its guard removes its files.
    let start = || {
        let server = Server::start()?;
        fs::remove_file(server.folder.join("keep")).map_err(|error| error.to_string())?;
        Ok(server)
    };
    SHARED.get_or_init(start).as_ref().map_err(String::as_str)
}

impl Server {
    /// Makes and starts one.
    pub(crate) fn start() -> Result<Self, String> {
        let programs = programs().ok_or("no PostgreSQL is installed (Debian package postgresql)")?;
        let files =
            tempfile::Builder::new().prefix("jobwright-pg-").tempdir().map_err(|error| error.to_string())?;
        let folder = files.path().to_owned();
        if geteuid().is_root() {
            chown(&folder, Some(USER), Some(USER)).map_err(|error| error.to_string())?;
        }
        let mut initdb = unprivileged(&programs.join("initdb"));
        initdb.args(["-U", "jobwright", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]);
        let made = initdb.arg(folder.join("data")).output().map_err(|error| error.to_string())?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let (guard, server) = launch(&programs, &folder)?;
        Ok(Self { programs, folder, guard, server, _files: files })
    }

    /// Kills it with all its processes.
    pub(crate) fn kill(&mut self) {
        let number = self.server.as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{number}/task/{number}/children")).unwrap();
        kill_process(self.server, Signal::KILL).unwrap();
        for child in children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)) {
            // One that saw its parent go may have gone as well.
            let _ = kill_process(child, Signal::KILL);
        }
        // Told that nobody needs it any more, the guard finds its server gone and ends.
        drop(self.guard.stdin.take());
        self.guard.wait().unwrap();
    }

    /// Starts it again, with the data that it had.
    pub(crate) fn start_again(&mut self) {
        let begin = Instant::now();
        loop {
            // What the dead one left behind may be in the way for a moment.
            match launch(&self.programs, &self.folder) {
                Ok((guard, server)) => {
                    (self.guard, self.server) = (guard, server);
                    return;
                }
                Err(error) => assert!(begin.elapsed() < LIMIT, "{error}"),
            }
        }
    }

    /// The address of its database of that name.
    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres:///{database}?user=jobwright&host={}", self.folder.display())
    }

    /// A new database's address.
    pub(crate) async fn new_database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        execute(&self.url("postgres"), &format!("CREATE DATABASE {name}")).await;
        self.url(&name)
    }
}

/// The address of a database that has nothing in its tables.
pub(crate) async fn emptied(url: String) -> String {
    execute(&url, "TRUNCATE jobwright.queues, jobwright.executors CASCADE").await;
    url
}

/// Has SQL executed in the database at `url`.
pub(crate) async fn execute(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connected = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap();
    drop(client);
    connected.await.unwrap().unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Starts the server in `folder` under a guard, and waits until it takes connections.
fn launch(programs: &Path, folder: &Path) -> Result<(Child, Pid), String> {
    let script = r#"
        "$@" >"$0/log" 2>&1 & pid=$!
        echo $pid
        cat >/dev/null
        kill -INT $pid 2>/dev/null
        wait $pid 2>/dev/null
        [ -e "$0/keep" ] || rm -rf "$0"
    "#;
    fs::write(folder.join("keep"), "").map_err(|error| error.to_string())?;
    let server = unprivileged(&programs.join("postgres"));
    let mut guard = Command::new("sh");
    guard.arg("-c").arg(script).arg(folder).arg(server.get_program()).args(server.get_args());
    guard.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    guard.args(["-c", "listen_addresses=", "-c", "fsync=on", "-c", "max_connections=200"]);
    guard.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut guard = guard.spawn().map_err(|error| error.to_string())?;
    let mut number = String::new();
    let told = guard.stdout.take().map(|out| BufReader::new(out).read_line(&mut number));
    let server = number.trim().parse().ok().and_then(Pid::from_raw);
    let server = server.ok_or_else(|| format!("the server's number is {number:?}: {told:?}"))?;
    match wait_until_ready(programs, folder) {
        Ok(()) => Ok((guard, server)),
        Err(error) => {
            drop(guard.stdin.take());
            let _ = guard.wait();
            Err(error)
        }
    }
}

fn wait_until_ready(programs: &Path, folder: &Path) -> Result<(), String> {
    let begin = Instant::now();
    let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
    while begin.elapsed() < LIMIT {
        let mut ready = Command::new(programs.join("pg_isready"));
        ready.args(["-q", "-t", "1", "-d", "postgres", "-h"]).arg(folder);
        if ready.status().is_ok_and(|status| status.success()) {
            return Ok(());
        }
        if log().contains("FATAL:  could not")
            || log().contains("FATAL:  lock file")
            || log().contains("FATAL:  pre-existing")
        {
            return Err(log());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("the server does not get ready: {}", log()))
}

/// PostgreSQL refuses to run as root.
fn unprivileged(program: &Path) -> Command {
    if !geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.arg(format!("--reuid={USER}")).arg(format!("--regid={USER}")).arg("--clear-groups").arg(program);
    command.current_dir("/");
    command
}

/// Where Debian keeps the programs of the latest version, else wherever they are.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut debian: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    debian.sort_by_key(|path| path.parent().and_then(|path| path.file_name()?.to_str()?.parse::<u32>().ok()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = debian.into_iter().rev().chain(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}
