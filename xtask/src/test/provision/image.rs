//! Builds the images that tests and examples run, from this machine's busybox: nothing is pulled. Not for
//! registries.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::super::{processes, suites::find_program};
use super::engines::podman_settings;

/// The base image's name, as tests and examples give it.
pub(crate) const NAME: &str = "jobwright-test/base:latest";
/// The images: the same files, and what runs when nothing else is said.
const IMAGES: [(&str, &str); 2] = [
    (NAME, r#"["/bin/sh"]"#),
    ("jobwright-test/web:latest", r#"["httpd", "-f", "-p", "80", "-h", "/var/www"]"#),
];
/// Goes up when the images' content changes, so that older ones are replaced.
const RECIPE: &str = "dev.jobwright.test.recipe=2";
const LIMIT: Duration = Duration::from_secs(120);

/// Brings the images into the engines that are there: Docker at `docker`, Podman when its service is up.
pub(crate) fn build(files: &Path, docker: Option<&str>) -> Result<()> {
    let archive = root_archive(files)?;
    for (name, cmd) in IMAGES {
        if let Some(host) = docker {
            import(&archive, "docker", &[("DOCKER_HOST", host.into())], &[name], cmd)?;
        }
        if files.join("podman.sock").exists() {
            // Podman keeps what has no registry under localhost/; its Docker-compatible side asks for docker.io/.
            let names = [&format!("localhost/{name}")[..], &format!("docker.io/{name}")];
            import(&archive, "podman", &podman_settings(files), &names, cmd)?;
        }
    }
    Ok(())
}

fn import(
    archive: &Path,
    engine: &str,
    settings: &[(&str, PathBuf)],
    names: &[&str],
    cmd: &str,
) -> Result<()> {
    let command = |arguments: &[&str]| {
        let mut command = Command::new(engine);
        command.args(arguments).envs(settings.iter().map(|(name, value)| (name, value)));
        command
    };
    let label = RECIPE.split_once('=').map_or(RECIPE, |(name, _)| name);
    let format = format!("{{{{index .Config.Labels \"{label}\"}}}}");
    let current = |name: &str| {
        let found = processes::output(&mut command(&["image", "inspect", "--format", &format, name]), LIMIT);
        found.is_ok_and(|recipe| RECIPE.ends_with(&format!("={}", recipe.trim())))
    };
    if names.iter().all(|name| current(name)) {
        return Ok(());
    }
    let archive = archive.to_string_lossy();
    let path = "ENV PATH=/bin:/usr/bin:/sbin:/usr/sbin";
    let (cmd, recipe) = (format!("CMD {cmd}"), format!("LABEL {RECIPE}"));
    let import = ["import", "--change", path, "--change", &cmd, "--change", &recipe, &archive, names[0]];
    processes::output(&mut command(&import), LIMIT)
        .with_context(|| format!("failed to import into {engine}"))?;
    for name in &names[1..] {
        processes::output(&mut command(&["tag", names[0], name]), LIMIT)?;
    }
    println!("built {} in {engine}", names[0]);
    Ok(())
}

/// A tar archive of a root file system: one static busybox, a link for each of its applets, the usual folders.
fn root_archive(files: &Path) -> Result<PathBuf> {
    let busybox = find_program("busybox").context("busybox is not installed")?;
    let applets = processes::output(Command::new(&busybox).arg("--list"), LIMIT)?;
    let root = files.join("root");
    for folder in
        ["bin", "sbin", "usr/bin", "etc", "root", "home", "dev", "proc", "sys", "tmp", "var/tmp", "var/www"]
    {
        fs::create_dir_all(root.join(folder))?;
    }
    for folder in ["tmp", "var/tmp"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o1777))?;
    }
    fs::copy(&busybox, root.join("bin/busybox"))?;
    // The list names busybox itself; a link there would point to itself and replace the program.
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    symlink("/bin/env", root.join("usr/bin/env"))?;
    fs::write(
        root.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    )?;
    fs::write(root.join("var/www/index.html"), "<p>it works</p>\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\nnogroup:x:65534:\n")?;
    let archive = files.join("root.tar");
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--owner=0", "--group=0", "-cf"])
        .arg(&archive)
        .arg("-C")
        .arg(&root)
        .arg(".");
    processes::output(&mut tar, LIMIT)?;
    if fs::metadata(&archive)?.len() < 100_000 {
        bail!("{} has no busybox in it", archive.display());
    }
    Ok(archive)
}
