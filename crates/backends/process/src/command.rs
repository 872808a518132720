//! What a step runs: its program and arguments, or a script and the shell that reads it, and where; and what about a step
//! this backend cannot do (said, not ignored).

use std::path::{Component, Path, PathBuf};

use jobwright_backend::{Error, Result};
use jobwright_model::{Step, StepType};
use jobwright_shim::protocol::SCRIPT_FILE;

use crate::backend::NAME;
use crate::place::TaskRecord;
use crate::script;

/// Shells that an `image` may name; anything else that is no path is taken for a container's image.
const SHELLS: [&str; 6] = ["sh", "bash", "zsh", "dash", "ash", "ksh"];
const DEFAULT_SHELL: &str = "/bin/sh";
/// Where the workspace is when a workflow does not say it (Woodpecker's default).
const DEFAULT_BASE: &str = "/woodpecker";

/// What is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) argv: Vec<String>,
    /// The text of the file that `argv` names last.
    pub(crate) script: Option<String>,
    /// Whether that is a file of the task's; else the shim holds it.
    pub(crate) script_in_file: bool,
    /// The shell, for the environment and for what is said when it is missing.
    pub(crate) shell: String,
    /// Where it starts.
    pub(crate) directory: PathBuf,
}

impl Command {
    /// What `step` runs in the task of `record`.
    ///
    /// # Errors
    /// [`Error::UnsupportedStepType`], [`Error::InvalidStep`], and [`Error::Unsupported`] for what only a container can have.
    pub(crate) fn of(step: &Step, record: &TaskRecord, is_root: bool) -> Result<Self> {
        refuse_unsupported(step, is_root && record.owner.is_none())?;
        let directory = directory(step, &record.workspace)?;
        let shell = shell(&step.image);
        let argv = if !step.entrypoint.is_empty() {
            step.entrypoint.clone()
        } else if !step.commands.is_empty() {
            // The shell starts in the workspace.
            let elsewhere = Some(directory.as_path()).filter(|directory| *directory != record.workspace);
            let script = script::text(&step.commands, elsewhere);
            let script_in_file = script.len() > script::LONG;
            let file = match script_in_file {
                true => record.script(&step.uuid).to_string_lossy().into_owned(),
                false => SCRIPT_FILE.to_owned(),
            };
            return Ok(Self {
                argv: vec![shell.clone(), file],
                script: Some(if script_in_file { script } else { script::on_descriptor(&script) }),
                script_in_file,
                shell,
                // The script goes to its directory itself, which it may have to make.
                directory: record.workspace.clone(),
            });
        } else {
            vec![program(step)?]
        };
        Ok(Self::without_script(argv, shell, directory, &record.workspace))
    }

    /// What runs `argv` where `step` works.
    ///
    /// # Errors
    /// [`Error::InvalidStep`] for a working directory that leads out of the workspace.
    pub(crate) fn beside(step: &Step, argv: Vec<String>, record: &TaskRecord) -> Result<Self> {
        let directory = directory(step, &record.workspace)?;
        Ok(Self::without_script(argv, shell(&step.image), directory, &record.workspace))
    }

    /// A directory that is not there is made by the step's own user, on the way to its program.
    fn without_script(argv: Vec<String>, shell: String, directory: PathBuf, workspace: &Path) -> Self {
        if directory.is_dir() || !directory.starts_with(workspace) {
            return Self { argv, script: None, script_in_file: false, shell, directory };
        }
        let make = r#"mkdir -p "$0" && cd "$0" && exec "$@""#;
        let wrapper = [DEFAULT_SHELL, "-c", make].map(str::to_owned);
        let argv =
            wrapper.into_iter().chain([directory.to_string_lossy().into_owned()]).chain(argv).collect();
        Self { argv, script: None, script_in_file: false, shell, directory: workspace.to_owned() }
    }
}

/// The program of a step that says neither commands nor entrypoint.
fn program(step: &Step) -> Result<String> {
    match step.kind {
        StepType::Plugin | StepType::Clone if !step.image.is_empty() => Ok(step.image.clone()),
        StepType::Clone => Ok("plugin-git".to_owned()),
        _ => Err(Error::invalid_step(
            step,
            "it has neither commands nor an entrypoint, and the process backend has no images to run; \
             give it commands, or a backend with containers",
        )),
    }
}

/// `image` names the shell, as for Woodpecker's local backend; an image of a container means the default one.
fn shell(image: &str) -> String {
    if image.starts_with('/') || SHELLS.contains(&image) {
        image.to_owned()
    } else {
        DEFAULT_SHELL.to_owned()
    }
}

/// Where the step works: paths below `workspace_base` are the workspace's, relative ones too, others are the host's.
fn directory(step: &Step, workspace: &Path) -> Result<PathBuf> {
    let wanted = Path::new(&step.working_dir);
    let base = if step.workspace_base.is_empty() { DEFAULT_BASE } else { &step.workspace_base };
    let relative = match wanted.strip_prefix(base) {
        Ok(relative) => relative,
        Err(_) if wanted.is_absolute() => return Ok(wanted.to_owned()),
        Err(_) => wanted,
    };
    let mut depth = 0_i32;
    for component in relative.components() {
        depth += match component {
            Component::ParentDir => -1,
            Component::Normal(_) => 1,
            _ => 0,
        };
        if depth < 0 {
            let reason = format!("working_dir {:?} leads out of the workspace", step.working_dir);
            return Err(Error::invalid_step(step, reason));
        }
    }
    // Without what may be empty: a trailing slash would show in messages.
    Ok(if relative.as_os_str().is_empty() { workspace.to_owned() } else { workspace.join(relative) })
}

fn refuse_unsupported(step: &Step, has_all_rights: bool) -> Result<()> {
    if matches!(step.kind, StepType::Cache | StepType::Unknown(_)) {
        let (name, kind) = (step.name.clone(), step.kind.clone());
        return Err(Error::UnsupportedStepType { backend: NAME, name, kind });
    }
    let base = if step.workspace_base.is_empty() { DEFAULT_BASE } else { &step.workspace_base };
    let foreign_volume = step.volumes.iter().find(|volume| !is_here_already(volume, base));
    let what = match foreign_volume {
        Some(volume) => format!("volume {volume:?}"),
        None if step.privileged && !has_all_rights => "privileged steps without being root".to_owned(),
        None if !step.devices.is_empty() => "devices".to_owned(),
        None if !step.tmpfs.is_empty() => "tmpfs".to_owned(),
        None if !step.dns.is_empty() || !step.dns_search.is_empty() => "dns".to_owned(),
        None if !step.extra_hosts.is_empty() => "extra_hosts".to_owned(),
        None if !matches!(step.network_mode.as_str(), "" | "host") => {
            format!("network_mode {:?}", step.network_mode)
        }
        None => return Ok(()),
    };
    Err(Error::Unsupported { backend: NAME, what: format!("{what} (step {:?})", step.name) })
}

/// The workspace's own volume, and a host path that a step sees under its own name anyway.
fn is_here_already(volume: &str, base: &str) -> bool {
    let mut parts = volume.split(':');
    let (source, destination) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let is_workspace = !source.starts_with('/') && Path::new(destination) == Path::new(base);
    is_workspace || (source.starts_with('/') && source == destination)
}

#[cfg(test)]
mod tests {
    use jobwright_model::{HostAlias, StepUuid};

    use super::*;

    fn record() -> TaskRecord {
        TaskRecord { work: "/t/work".into(), workspace: "/t/work/workspace".into(), owner: None }
    }

    fn step() -> Step {
        Step::new("s", StepUuid::new("s1").unwrap())
    }

    fn command(step: &Step) -> Result<Command> {
        Command::of(step, &record(), true)
    }

    // covers: woodpecker 76
    #[test]
    fn the_image_names_the_shell() {
        for (image, expected) in [
            ("", "/bin/sh"),
            ("sh", "sh"),
            ("bash", "bash"),
            ("zsh", "zsh"),
            ("/usr/bin/bash", "/usr/bin/bash"),
            ("bash:5", "/bin/sh"),
            ("alpine", "/bin/sh"),
            ("registry/x/y:1", "/bin/sh"),
        ] {
            assert_eq!(shell(image), expected, "{image}");
        }
    }

    #[test]
    fn an_entrypoint_is_run_as_given_and_overrides_commands() {
        let mut step = step();
        step.entrypoint = vec!["/bin/echo".into(), "a b".into()];
        step.commands = vec!["false".into()];
        let command = command(&step).unwrap();
        assert!(command.script.is_none());
        assert_eq!(command.argv[command.argv.len() - 2..], ["/bin/echo", "a b"]);
    }

    #[test]
    fn a_plugin_runs_its_image_and_a_step_without_anything_is_an_error() {
        let mut step = step();
        step.image = "plugin-git".into();
        step.working_dir = "/tmp".into();
        step.kind = StepType::Plugin;
        assert_eq!(command(&step).unwrap().argv, ["plugin-git"]);
        step.kind = StepType::Commands;
        assert!(matches!(command(&step), Err(Error::InvalidStep { .. })));
    }

    #[test]
    fn a_working_directory_is_the_workspaces_or_the_hosts() {
        let workspace = Path::new("/t/work/workspace");
        for (base, wanted, expected) in [
            ("", "", "/t/work/workspace"),
            ("/w", "/w", "/t/work/workspace"),
            ("/w", "/w/src/a", "/t/work/workspace/src/a"),
            ("/w", "sub/dir", "/t/work/workspace/sub/dir"),
            ("/w", "a/../b", "/t/work/workspace/a/../b"),
            ("/w", "/wide", "/wide"),
            ("/w", "/tmp", "/tmp"),
            ("", "/woodpecker/src", "/t/work/workspace/src"),
        ] {
            let step = Step { workspace_base: base.into(), working_dir: wanted.into(), ..step() };
            assert_eq!(directory(&step, workspace).unwrap(), Path::new(expected), "{base} {wanted}");
        }
        for bad in ["..", "a/../../b", "/w/../x"] {
            let step = Step { workspace_base: "/w".into(), working_dir: bad.into(), ..step() };
            assert!(matches!(directory(&step, workspace), Err(Error::InvalidStep { .. })), "{bad}");
        }
    }

    // covers: woodpecker 32
    #[test]
    fn what_only_a_container_has_is_refused_by_name() {
        type Change = fn(&mut Step);
        let cases: [(&str, Change); 7] = [
            ("volume \"/etc:/x\"", |step| step.volumes = vec!["/etc:/x".into()]),
            ("volume \"cache:/cache\"", |step| step.volumes = vec!["cache:/cache".into()]),
            ("devices", |step| step.devices = vec!["/dev/kvm:/dev/kvm".into()]),
            ("tmpfs", |step| step.tmpfs = vec!["/tmp".into()]),
            ("dns", |step| step.dns = vec!["1.1.1.1".into()]),
            ("extra_hosts", |step| {
                step.extra_hosts = vec![HostAlias { name: "a".into(), ip: "1.1.1.1".into() }]
            }),
            ("network_mode \"none\"", |step| step.network_mode = "none".into()),
        ];
        for (what, change) in cases {
            let mut step = step();
            step.commands = vec!["true".into()];
            change(&mut step);
            let error = command(&step).unwrap_err().to_string();
            assert!(error.contains(what), "{what}: {error}");
        }
        let cache = Step { kind: StepType::Cache, ..step() };
        assert!(matches!(command(&cache), Err(Error::UnsupportedStepType { .. })));
    }

    #[test]
    fn the_workspace_volume_and_visible_host_paths_are_no_obstacle() {
        assert!(is_here_already("wp_1_default:/woodpecker", "/woodpecker"));
        assert!(is_here_already("/srv:/srv:ro", "/woodpecker"));
        assert!(!is_here_already("wp_1_default:/elsewhere", "/woodpecker"));
    }
}
