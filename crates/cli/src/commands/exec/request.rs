//! From the flags of `jobwright exec` to a request. What is wrong with the request itself is found by the executor.

use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use jobwright_backend::Backend;
use jobwright_executor::Error;
use jobwright_model::{
    ExecutionId, ExecutionRequest, PortToBind, Resources, SpecConfig, StorageVolume, TaskUuid,
};

use crate::args::ExecArgs;
use crate::commands::run::variables;
use crate::exit::Exit;
use crate::failure::Failure;

/// Long enough that two never meet, short enough to be typed.
const ID_LENGTH: usize = 16;

/// What `args` ask of `backend`.
pub(super) fn of(args: &ExecArgs, backend: &dyn Backend) -> Result<ExecutionRequest, Failure> {
    let id = args.id.clone().map_or_else(new_id, Ok)?;
    let mut request = ExecutionRequest::new(args.of_job.clone(), id, spec(args, backend)?);
    request.environment = variables("--env", &args.env)?;
    request.secrets = variables("--secret", &args.secrets)?;
    request.resources = Resources { cpu_cores: args.cpus, ram_bytes: args.memory, ..Resources::default() };
    request.inputs = args.volumes.iter().map(|text| volume(text)).collect::<Result<_, _>>()?;
    request.ports_to_bind = args.ports.iter().map(|text| port(text)).collect::<Result<_, _>>()?;
    request.results_dir = args.results.as_deref().map(absolute).transpose()?;
    request.timeout = args.timeout;
    Ok(request)
}

/// Why a request of [`of`] was refused, in the words of the flags that it was made of.
pub(super) fn refused(error: Error, args: &ExecArgs) -> Failure {
    match &error {
        Error::Invalid { field, reason } => match flag(field, args) {
            Some(flag) => Failure::new(Exit::Ourselves, format!("{flag}: {reason}")),
            None => error.into(),
        },
        _ => error.into(),
    }
}

/// The flag that a field of the request came from.
fn flag(field: &str, args: &ExecArgs) -> Option<String> {
    let (first, rest) = field.split_once(['.', '[']).unwrap_or((field, ""));
    let place = || rest.split(']').next().and_then(|place| place.parse::<usize>().ok());
    let one_of = |flag: &str, all: &[String]| Some(format!("{flag} {:?}", all.get(place()?)?));
    let named = |flag: &str| Some(format!("{flag} {rest}").trim_end().to_owned());
    match (first, rest) {
        ("inputs", _) => one_of("--volume", &args.volumes),
        ("ports_to_bind", _) => one_of("--port", &args.ports),
        ("environment", _) => named("--env"),
        ("secrets", _) => named("--secret"),
        ("results_dir", _) => Some("--results".to_owned()),
        ("timeout", _) => Some("--timeout".to_owned()),
        ("resources", "cpu_cores") => Some("--cpus".to_owned()),
        ("resources", "ram_bytes") => Some("--memory".to_owned()),
        ("engine_spec", "params.image") => Some("--image".to_owned()),
        ("engine_spec", "params.entrypoint") => Some("--entrypoint".to_owned()),
        ("engine_spec", "params.working_directory") => Some("--workdir".to_owned()),
        ("engine_spec", "params.user") => Some("--user".to_owned()),
        _ => None,
    }
}

fn new_id() -> Result<ExecutionId, Failure> {
    let random = TaskUuid::random();
    ExecutionId::new(&random.as_str()[..ID_LENGTH]).map_err(|error| Failure::new(Exit::Ourselves, error))
}

fn spec(args: &ExecArgs, backend: &dyn Backend) -> Result<SpecConfig, Failure> {
    let mut spec = SpecConfig::new(backend.name());
    let images = backend.capabilities().images;
    if let Some(image) = &args.image {
        if !images {
            let text =
                format!("--image: the {} backend runs programs of this host; leave it out", backend.name());
            return Err(Failure::new(Exit::Ourselves, text));
        }
        spec = spec.with_param("image", image.clone());
    } else if images {
        let text = format!("the {} backend runs images; say which by --image", backend.name());
        return Err(Failure::new(Exit::Ourselves, text));
    }
    // A visitor brings the command itself.
    if let Some(program) = &args.entrypoint {
        spec = spec.with_param("entrypoint", vec![program.clone()]);
    }
    if !args.command.is_empty() {
        spec = spec.with_param("cmd", args.command.clone());
    } else if !images && args.entrypoint.is_none() && !args.interactive {
        return Err(Failure::new(Exit::Ourselves, "there is no command; write it behind `--`"));
    }
    let directory = match &args.workdir {
        Some(directory) if images => Some(directory.clone()),
        Some(directory) => Some(absolute(directory)?),
        // As if it were run here.
        None if !images => Some(absolute(Path::new("."))?),
        None => None,
    };
    if let Some(directory) = directory {
        spec = spec.with_param("working_directory", text("--workdir", directory)?);
    }
    if let Some(user) = &args.user {
        spec = spec.with_param("user", user.clone());
    }
    Ok(spec)
}

/// `SRC:DST[:ro|:rw]`. The source may be relative to where we are.
fn volume(given: &str) -> Result<StorageVolume, Failure> {
    let invalid = |why: &str| Failure::new(Exit::Ourselves, format!("--volume {given:?}: {why}"));
    let (source, target, mode) = match given.split(':').collect::<Vec<_>>()[..] {
        [source, target] => (source, target, "rw"),
        [source, target, mode] => (source, target, mode),
        _ => return Err(invalid("it is SRC:DST, SRC:DST:ro or SRC:DST:rw")),
    };
    if !["ro", "rw"].contains(&mode) {
        return Err(invalid(&format!("{mode:?} is neither `ro` nor `rw`")));
    }
    let is_path = source.starts_with(['/', '.']);
    if !is_path {
        let why =
            "SRC is a path of this host and begins with `/` or `.`; volumes with a name are the engine's own";
        return Err(invalid(why));
    }
    let source = absolute(Path::new(source)).map_err(|_| invalid("SRC is not there"))?;
    let mut volume = StorageVolume::bind(text("--volume", source)?, target);
    volume.read_only = mode == "ro";
    Ok(volume)
}

/// `[IP:]HOST:PORT`; an address of version 6 stands in brackets.
fn port(given: &str) -> Result<PortToBind, Failure> {
    let invalid = |why: &str| Failure::new(Exit::Ourselves, format!("--port {given:?}: {why}"));
    let form = "it is HOST:PORT or IP:HOST:PORT, such as 8080:80 or 127.0.0.1:8080:80";
    let number =
        |text: &str| text.parse::<u16>().map_err(|_| invalid(&format!("{text:?} is no port; {form}")));
    let (before, inside) = given.rsplit_once(':').ok_or_else(|| invalid(form))?;
    let (ip, host) = match before.rsplit_once(':') {
        Some((ip, host)) => (Some(ip), host),
        None => (None, before),
    };
    let address = |text: &str| {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        bare.parse::<IpAddr>().map_err(|_| invalid(&format!("{text:?} is no address; {form}")))
    };
    Ok(PortToBind {
        ip: ip.map(address).transpose()?,
        host_port: number(host)?,
        executor_port: number(inside)?,
    })
}

/// A path that means the same from everywhere, without `..`.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    let failed = |error| Failure::new(Exit::Ourselves, format!("{}: {error}", path.display()));
    let absolute = std::path::absolute(path).map_err(failed)?;
    match absolute.components().any(|part| part == Component::ParentDir) {
        true => absolute.canonicalize().map_err(failed),
        false => Ok(absolute.components().collect()),
    }
}

fn text(flag: &str, path: PathBuf) -> Result<String, Failure> {
    let unreadable = |path: std::ffi::OsString| {
        Failure::new(Exit::Ourselves, format!("{flag} {}: the path is not UTF-8", path.display()))
    };
    path.into_os_string().into_string().map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: nunet 64
    #[test]
    fn a_port_is_the_hosts_and_its_own_with_or_without_an_address() {
        let bound =
            |text: &str| port(text).map(|port| (port.ip, port.host_port, port.executor_port)).unwrap();
        assert_eq!(bound("8080:80"), (None, 8080, 80));
        assert_eq!(bound("127.0.0.1:0:80"), (Some([127, 0, 0, 1].into()), 0, 80));
        assert_eq!(bound("[::1]:8080:80").0.unwrap().to_string(), "::1");
        for wrong in ["80", "a:80", "80:", "70000:80", "example.org:1:2", ":1:2", "1:2/udp"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
    }

    // covers: nunet 62
    #[test]
    fn a_volume_is_a_path_of_this_host_wherever_we_are() {
        let here = std::env::current_dir().unwrap();
        let bound =
            |text: &str| volume(text).map(|volume| (volume.source, volume.target, volume.read_only)).unwrap();
        assert_eq!(bound("/a:/b"), ("/a".to_owned(), "/b".to_owned(), false));
        assert_eq!(bound("./a:/b:ro"), (here.join("a").display().to_string(), "/b".to_owned(), true));
        assert_eq!(bound(".:/b:rw").0, here.display().to_string());
        for wrong in ["/a", "name:/b", "/a:/b:z", "/a:/b:ro:x", ":/b"] {
            assert!(volume(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_new_id_is_another_each_time() {
        assert_ne!(new_id().unwrap(), new_id().unwrap());
    }
}
