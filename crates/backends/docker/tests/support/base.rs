//! The image that steps of tests run in: the host's static busybox with its applets, a root user, `/tmp`.

use std::path::Path;
use std::process::Command;

use bollard::query_parameters::{CreateImageOptionsBuilder, TagImageOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt;
use tar::{Builder, EntryType, Header};

/// A client of the engine at `host`.
pub fn client(host: &str) -> Result<Docker, String> {
    let opened = match host.strip_prefix("unix://") {
        Some(path) => Docker::connect_with_unix(path, 120, API_DEFAULT_VERSION),
        None => Docker::connect_with_http(host, 120, API_DEFAULT_VERSION),
    };
    opened.map_err(|error| error.to_string())
}

/// Makes sure that the image is in the engine at `host`.
pub async fn provide(host: &str) -> Result<(), String> {
    let client = client(host)?;
    if client.inspect_image(super::IMAGE).await.is_ok() {
        return Ok(());
    }
    import(&client, super::IMAGE, &[]).await
}

/// Imports an image of busybox and `files` (path, content) under `name`.
pub async fn import(client: &Docker, name: &str, files: &[(&str, &str)]) -> Result<(), String> {
    import_with(client, name, files, &[]).await
}

/// The same, with what a Dockerfile's lines say of the image (`ENTRYPOINT ["cat"]`).
pub async fn import_with(
    client: &Docker,
    name: &str,
    files: &[(&str, &str)],
    lines: &[&str],
) -> Result<(), String> {
    let failed = |error: bollard::errors::Error| format!("importing {name}: {error}");
    let (repository, tag) = name.rsplit_once(':').ok_or("an image name has a tag")?;
    let options = CreateImageOptionsBuilder::new().from_src("-");
    let options = options.changes(lines.iter().map(|&line| line.to_owned()).collect()).build();
    let body = bollard::body_full(archive(files)?.into());
    let mut import = client.create_image(Some(options), Some(body), None).boxed();
    let mut id = String::new();
    while let Some(item) = import.next().await {
        let status = item.map_err(failed)?.status.unwrap_or_default();
        if status.starts_with("sha256:") {
            id = status;
        }
    }
    // Podman does not heed a tag that comes with the import.
    let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
    client.tag_image(&id, Some(options)).await.map_err(failed)
}

fn archive(files: &[(&str, &str)]) -> Result<Vec<u8>, String> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let busybox = busybox.ok_or("there is no busybox (install busybox-static)")?;
    let list = Command::new(busybox).arg("--list").output().map_err(|error| error.to_string())?;
    let mut image = Builder::new(Vec::new());
    for (folder, mode) in
        [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("var/tmp", 0o1777)]
    {
        entry(&mut image, folder, EntryType::Directory, mode, &[])?;
    }
    let program = std::fs::read(busybox).map_err(|error| error.to_string())?;
    entry(&mut image, "bin/busybox", EntryType::Regular, 0o755, &program)?;
    // The list names busybox itself; a link of that name would point at itself.
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|applet| *applet != "busybox") {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        image
            .append_link(&mut header, format!("bin/{applet}"), "busybox")
            .map_err(|error| error.to_string())?;
    }
    let users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n";
    entry(&mut image, "etc/passwd", EntryType::Regular, 0o644, users.as_bytes())?;
    entry(&mut image, "etc/group", EntryType::Regular, 0o644, b"root:x:0:\nnogroup:x:65534:\n")?;
    // Debian's static busybox lacks this applet.
    let printenv = b"#!/bin/sh\nenv | sed -n \"s/^$1=//p\"\n";
    entry(&mut image, "bin/printenv", EntryType::Regular, 0o755, printenv)?;
    for (path, content) in files {
        entry(&mut image, path, EntryType::Regular, 0o644, content.as_bytes())?;
    }
    image.into_inner().map_err(|error| error.to_string())
}

fn entry(
    image: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    content: &[u8],
) -> Result<(), String> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(content.len() as u64);
    image.append_data(&mut header, path, content).map_err(|error| error.to_string())
}
