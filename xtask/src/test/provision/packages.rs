//! The programs that the tests need, by Debian package. Not for starting any of them.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::super::{processes, suites::find_program};

/// A program and the package that brings it.
const PROGRAMS: [(&str, &str); 16] = [
    ("dockerd", "docker.io"),
    // From Debian 13 on, the client is a package of its own.
    ("docker", "docker-cli"),
    ("iptables", "iptables"),
    ("podman", "podman"),
    ("netavark", "netavark"),
    ("aardvark-dns", "aardvark-dns"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("htpasswd", "apache2-utils"),
    ("busybox", "busybox-static"),
    ("git", "git"),
    ("python3", "python3"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("cc", "gcc"),
    ("initdb", "postgresql"),
];

const LIMIT: Duration = Duration::from_secs(10 * 60);

/// Installs what is not there.
///
/// # Errors
/// Names what is missing when this is not root on Debian, or when apt-get fails.
pub(crate) fn install() -> Result<()> {
    let lacking = lacking();
    if lacking.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() || find_program("apt-get").is_none() {
        bail!("{} must be installed by hand: this is not root on Debian", lacking.join(", "));
    }
    apt_get(&["update", "-q"])?;
    let known: Vec<&str> = lacking.iter().copied().filter(|package| is_known(package)).collect();
    println!("installing {}", known.join(", "));
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend(known);
    apt_get(&arguments)?;
    let still = self::lacking();
    if still.is_empty() { Ok(()) } else { bail!("apt-get does not have {}", still.join(", ")) }
}

fn lacking() -> Vec<&'static str> {
    PROGRAMS.into_iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| package).collect()
}

/// Podman's own programs are not on the path, nor are those of a PostgreSQL server, of which each version has its folder.
fn is_there(program: &str) -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
    folders.extend(["/usr/lib/podman", "/usr/libexec/podman"].map(Into::into));
    folders.iter().any(|folder| folder.join(program).is_file()) || find_program(program).is_some()
}

/// Releases differ in their packages; one that this release does not have must not spoil the others.
fn is_known(package: &str) -> bool {
    let mut command = Command::new("apt-cache");
    command.args(["show", "--no-all-versions", package]);
    processes::output(&mut command, LIMIT).is_ok()
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    let status = processes::run(&mut command, LIMIT, |line| println!("{line}"))?;
    if status.success() { Ok(()) } else { bail!("apt-get {} ended with {status}", arguments.join(" ")) }
}
