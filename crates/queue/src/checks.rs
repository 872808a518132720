//! What a pushed job has to be, beyond its form: found out when it is pushed, where somebody can put it right, and not by the agent that gets it.

use crate::paths::{check_repository, directory_path, file_path};
use crate::payload::{File, Payload};
use crate::wire::Malformed;

/// Why a job is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPayload {
    /// Its form is wrong.
    #[error("the job is not usable: {0}")]
    Malformed(#[from] Malformed),
    /// Something that it says cannot be done.
    #[error("the job is not usable: {place}: {problem}")]
    Wrong {
        /// Where, as a path such as `dockerSteps[0].image`.
        place: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

fn wrong(place: impl Into<String>, problem: impl ToString) -> InvalidPayload {
    InvalidPayload::Wrong { place: place.into(), problem: problem.to_string() }
}

pub(crate) fn check(payload: &Payload) -> Result<(), InvalidPayload> {
    repository(payload)?;
    for (name, file) in &payload.files {
        check_file(name, file)?;
    }
    for (index, step) in payload.docker_steps.iter().enumerate() {
        let place = format!("dockerSteps[{index}]");
        if step.image.is_empty()
            || step.image.starts_with('-')
            || step.image.chars().any(|c| c.is_control() || c == ' ')
        {
            let problem =
                "a name such as alpine:3.22 is needed, without blanks and not beginning with a hyphen";
            return Err(wrong(format!("{place}.image"), problem));
        }
        step_at(&place, &step.key, &step.dir, &step.env, &step.commands)?;
    }
    for (index, step) in payload.cli_steps.iter().enumerate() {
        let place = format!("cliSteps[{index}]");
        if step.commands.is_empty() {
            return Err(wrong(
                format!("{place}.command"),
                "at least one argument for the program src is needed",
            ));
        }
        step_at(&place, &step.key, &step.dir, &step.env, &step.commands)?;
    }
    if payload.docker_steps.is_empty() && payload.cli_steps.is_empty() {
        return Err(wrong("dockerSteps", "there is nothing to do; give a step here or in cliSteps"));
    }
    Ok(())
}

fn repository(payload: &Payload) -> Result<(), InvalidPayload> {
    directory_path(&payload.repository_directory).map_err(|error| wrong("repositoryDirectory", error))?;
    if let Some(index) =
        payload.sparse_checkout.iter().position(|pattern| pattern.chars().any(char::is_control))
    {
        return Err(wrong(format!("sparseCheckout[{index}]"), "a pattern has no control characters"));
    }
    if payload.repository_name.is_empty() {
        return match payload.commit.as_str() {
            "" => Ok(()),
            _ => Err(wrong("commit", "there is no repository to check it out of; give repositoryName too")),
        };
    }
    check_repository(&payload.repository_name).map_err(|error| wrong("repositoryName", error))?;
    let commit = &payload.commit;
    if commit.is_empty()
        || commit.starts_with('-')
        || commit.chars().any(|c| c.is_control() || c.is_whitespace())
    {
        let problem = "a commit is needed, or a name of one that git knows, without blanks and not beginning with a hyphen";
        return Err(wrong("commit", problem));
    }
    Ok(())
}

fn check_file(name: &str, file: &File) -> Result<(), InvalidPayload> {
    let place = || format!("files[{name:?}]");
    file_path(name).map_err(|error| wrong("files", error))?;
    if file.bucket.is_empty() != file.key.is_empty() {
        return Err(wrong(place(), "bucket and key belong together; give both or none"));
    }
    if !file.bucket.is_empty() && !file.content.is_empty() {
        return Err(wrong(place(), "a file has a content, or a bucket and a key to fetch it from, not both"));
    }
    Ok(())
}

fn step_at(
    place: &str,
    key: &str,
    dir: &str,
    env: &[String],
    commands: &[String],
) -> Result<(), InvalidPayload> {
    if key.chars().any(char::is_control) || key.len() > 255 {
        return Err(wrong(format!("{place}.key"), "a key has at most 255 bytes and no control characters"));
    }
    directory_path(dir).map_err(|error| wrong(format!("{place}.dir"), error))?;
    for (index, variable) in env.iter().enumerate() {
        // A name alone would be given the value that the agent's own environment has for it.
        if variable.split_once('=').is_none_or(|(name, _)| name.is_empty()) || variable.contains('\0') {
            return Err(wrong(format!("{place}.env[{index}]"), "NAME=value is needed, without NUL"));
        }
    }
    match commands.iter().position(|command| command.contains('\0')) {
        Some(index) => Err(wrong(format!("{place}.commands[{index}]"), "a command has no NUL")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(change: impl FnOnce(&mut Value)) -> Value {
        let mut job = json!({
            "repositoryName": "github.com/a/b", "commit": "abc", "files": {"in/a.txt": {"content": "text"}},
            "dockerSteps": [{"image": "alpine", "commands": ["true"], "dir": "sub", "env": ["A=b"]}],
            "cliSteps": [{"command": ["version"]}],
        });
        change(&mut job);
        job
    }

    #[test]
    fn a_usable_job_is_taken_and_kept_as_it_is() {
        let payload = Payload::from_pushed(job(|_| {})).unwrap();
        assert_eq!(payload.files["in/a.txt"].content, b"text");
        assert_eq!(Payload::from_stored(payload.to_stored()).unwrap(), payload);
        assert!(
            Payload::from_pushed(payload.to_stored()).unwrap() == payload,
            "what is kept can be pushed again"
        );
    }

    #[test]
    fn what_cannot_be_run_is_refused_and_the_place_is_named() {
        type Change = fn(&mut Value);
        let cases: [(&str, Change); 19] = [
            ("repositoryName: the repository name", |job| job["repositoryName"] = json!("../x")),
            ("repositoryDirectory: the path \"/x\" is absolute", |job| {
                job["repositoryDirectory"] = json!("/x")
            }),
            ("commit: a commit is needed", |job| job["commit"] = json!("")),
            ("commit: a commit is needed", |job| job["commit"] = json!("--upload-pack=x")),
            ("commit: there is no repository", |job| job["repositoryName"] = json!(null)),
            ("sparseCheckout[0]: a pattern", |job| job["sparseCheckout"] = json!(["a\nb"])),
            ("files: the path \"../a\" leads out", |job| job["files"] = json!({"../a": "x"})),
            ("files[\"a\"]: bucket and key", |job| job["files"] = json!({"a": {"bucket": "batch-changes"}})),
            ("files[\"a\"]: a file has a content, or", |job| {
                job["files"] = json!({"a": {"bucket": "b", "key": "k", "content": "c"}});
            }),
            ("dockerSteps[0].image: a name", |job| job["dockerSteps"][0]["image"] = json!("--privileged")),
            ("dockerSteps[0].dir: the path", |job| job["dockerSteps"][0]["dir"] = json!("a/../..")),
            ("dockerSteps[0].env[0]: NAME=value", |job| job["dockerSteps"][0]["env"] = json!(["HOME"])),
            ("dockerSteps[0].commands[0]: a command", |job| {
                job["dockerSteps"][0]["commands"] = json!(["\0"])
            }),
            ("cliSteps[0].command: at least", |job| job["cliSteps"][0]["command"] = json!([])),
            ("dockerSteps[0].image: a text is needed, not a number", |job| {
                job["dockerSteps"][0]["image"] = json!(1)
            }),
            ("dockerSteps[0].comands: there is no such key; there may be key, image, commands", |job| {
                job["dockerSteps"][0]["comands"] = json!([]);
            }),
            ("id: there is no such key", |job| job["id"] = json!(1)),
            ("there is nothing to do", |job| *job = json!({})),
            ("the body: an object is needed, not a list", |job| *job = json!([])),
        ];
        for (message, change) in cases {
            let error = Payload::from_pushed(job(change)).unwrap_err().to_string();
            assert!(error.starts_with("the job is not usable: ") && error.contains(message), "{error}");
        }
    }
}
