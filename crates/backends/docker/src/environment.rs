//! A step's environment, in two parts: what the engine may show to whoever asks it, and what it must not. The second part
//! goes into the created container as a file, which the script reads and removes before the first command runs.
//!
//! Secret are: the variables named in `secret_mapping`, the netrc password, and every variable whose value contains the value
//! of one of these. This works for steps with `commands` only; an image's own entrypoint takes its variables from the engine,
//! so there all of them are visible to whoever may ask the engine.

use jobwright_backend::{Error, Result};
use jobwright_model::Step;

use crate::script::{Script, quoted};

/// The folder for [`SECRETS_FILE`] and [`SCRIPT_FILE`]: every user may write to it, so that a step that is not root can
/// remove what it has read.
pub(crate) const FOLDER: &str = ".jobwright";
/// Shell assignments of the secret variables.
pub(crate) const SECRETS_FILE: &str = "/.jobwright/secrets";
/// The script, when it is too long for a variable.
pub(crate) const SCRIPT_FILE: &str = "/.jobwright/script";

/// What Woodpecker's compilers call the password for the forge.
const NETRC_PASSWORD: &str = "CI_NETRC_PASSWORD";

/// A step's environment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// `NAME=value`, in the order of names, for the engine.
    pub(crate) visible: Vec<String>,
    /// Files below [`FOLDER`], by name, for the container alone.
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
}

impl Environment {
    /// Divides what `step` asks for.
    ///
    /// # Errors
    /// [`Error::InvalidStep`] for a name with `=` or NUL, a value with NUL, and a secret whose name no shell can export.
    pub(crate) fn of(step: &Step, script: Option<&Script>) -> Result<Self> {
        let mut environment = Self::default();
        let mut secrets = String::new();
        for (name, value) in variables(step)? {
            if script.is_some() && is_secret(step, name, value) {
                if !is_identifier(name) {
                    let why = format!(
                        "the secret variable {name:?} is no name that a shell can export (A-Z a-z 0-9 _)"
                    );
                    return Err(Error::invalid_step(step, why));
                }
                secrets.push_str(&format!("export {name}={}\n", quoted(value)));
            } else {
                environment.visible.push(format!("{name}={value}"));
            }
        }
        if let Some(script) = script {
            environment.visible.push("SHELL=/bin/sh".to_owned());
            match script.variable() {
                Some(variable) => environment.visible.push(format!("CI_SCRIPT={variable}")),
                None => environment.files.push(("script", script.text().as_bytes().to_vec())),
            }
        }
        if !secrets.is_empty() {
            environment.files.push(("secrets", secrets.into_bytes()));
        }
        Ok(environment)
    }

    /// The files as a tar archive to be unpacked at `/`; none when there are none.
    pub(crate) fn archive(&self) -> Option<Vec<u8>> {
        if self.files.is_empty() {
            return None;
        }
        let mut archive = tar::Builder::new(Vec::new());
        let folder = (FOLDER.to_owned(), tar::EntryType::Directory, 0o777, &[][..]);
        let files = self.files.iter().map(|(name, bytes)| {
            (format!("{FOLDER}/{name}"), tar::EntryType::Regular, 0o666, bytes.as_slice())
        });
        for (name, kind, mode, bytes) in std::iter::once(folder).chain(files) {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes).expect("writing to memory does not fail");
        }
        Some(archive.into_inner().expect("writing to memory does not fail"))
    }
}

/// `NAME=value` of what the engine was not told of `step`: the commands' own shell has read it from a file, and whoever else comes into
/// the container has to be given it.
pub(crate) fn untold(step: &Step) -> Result<Vec<String>> {
    if step.commands.is_empty() {
        return Ok(Vec::new());
    }
    let secret = variables(step)?.into_iter().filter(|(name, value)| is_secret(step, name, value));
    Ok(secret.map(|(name, value)| format!("{name}={value}")).collect())
}

/// Names and values; what has no name is dropped.
fn variables(step: &Step) -> Result<Vec<(&str, &str)>> {
    let mut variables = Vec::with_capacity(step.environment.len());
    let unmapped = step.secret_mapping.iter().filter(|(name, _)| !step.environment.contains_key(*name));
    for (name, value) in step.environment.iter().chain(unmapped) {
        if name.contains(['=', '\0']) {
            return Err(Error::invalid_step(
                step,
                format!("the variable name {name:?} has a = or NUL in it"),
            ));
        }
        if value.contains('\0') {
            return Err(Error::invalid_step(step, format!("the value of variable {name:?} has a NUL in it")));
        }
        if !name.is_empty() {
            variables.push((name.as_str(), value.as_str()));
        }
    }
    Ok(variables)
}

fn is_secret(step: &Step, name: &str, value: &str) -> bool {
    name == NETRC_PASSWORD
        || step.secret_mapping.contains_key(name)
        || step.secret_mapping.values().any(|secret| !secret.is_empty() && value.contains(secret.as_str()))
}

fn is_identifier(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use jobwright_model::StepUuid;

    use super::*;

    fn step(environment: &[(&str, &str)], secrets: &[(&str, &str)]) -> Step {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let mut step = Step::new("build", StepUuid::new("s1").unwrap());
        step.environment = owned(environment);
        step.secret_mapping = owned(secrets);
        step
    }

    fn script() -> Script {
        Script::new(&["true".to_owned()], "")
    }

    #[test]
    fn secrets_and_what_contains_them_are_kept_from_the_engine() {
        let step = step(
            &[
                ("A", "plain"),
                ("TOKEN", "s3'cret"),
                ("URL", "https://u:s3'cret@h/"),
                ("CI_NETRC_PASSWORD", "pw"),
            ],
            &[("TOKEN", "s3'cret")],
        );
        let environment = Environment::of(&step, Some(&script())).unwrap();
        let shown = environment.visible.join("\n");
        assert!(shown.contains("A=plain") && shown.contains("SHELL=/bin/sh"), "{shown}");
        assert!(!shown.contains("s3") && !shown.contains("=pw"), "{shown}");
        let (name, file) = &environment.files[0];
        let file = String::from_utf8(file.clone()).unwrap();
        assert_eq!(*name, "secrets");
        assert_eq!(
            file,
            "export CI_NETRC_PASSWORD='pw'\nexport TOKEN='s3'\\''cret'\nexport URL='https://u:s3'\\''cret@h/'\n"
        );
    }

    #[test]
    fn an_image_s_own_entrypoint_gets_all_of_it_from_the_engine() {
        let environment = Environment::of(&step(&[("TOKEN", "x")], &[("TOKEN", "x")]), None).unwrap();
        assert_eq!(environment.visible, ["TOKEN=x"]);
        assert_eq!(environment.archive(), None);
    }

    #[test]
    fn a_variable_without_a_name_is_dropped() {
        assert!(Environment::of(&step(&[("", "x")], &[]), None).unwrap().visible.is_empty());
    }

    #[test]
    fn what_no_environment_can_hold_is_refused_without_showing_the_value() {
        for (name, value) in [("A=B", "hidden"), ("A\0", "hidden"), ("A", "hid\0den"), ("a-b", "hidden")] {
            let step = step(&[(name, value)], &[(name, value)]);
            let error = Environment::of(&step, Some(&script())).unwrap_err();
            assert!(
                matches!(error, Error::InvalidStep { .. }) && !error.to_string().contains("hid"),
                "{error}"
            );
        }
    }
}
