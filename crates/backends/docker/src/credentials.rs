//! Registry credentials: a step's own, else those of the user's Docker configuration, credential helpers included. Not for
//! deciding what a failed pull means (`pull`).

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::auth::DockerCredentials;
use jobwright_model::Auth;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;
use tracing::warn;

use crate::image::ImageReference;

/// How long a credential helper may take.
const HELPER: Duration = Duration::from_secs(10);

/// The credentials for `image`: the step's own when user and password are both there, else what the user's Docker
/// configuration has for the image's registry. A configuration or helper that does not work is told as a warning and
/// counts as none, as in Docker's own client: the image may be a public one.
pub(crate) async fn credentials_for(image: &ImageReference, own: &Auth) -> Option<DockerCredentials> {
    if own.is_complete() {
        return Some(DockerCredentials {
            username: Some(own.username.clone()),
            password: Some(own.password.clone()),
            ..DockerCredentials::default()
        });
    }
    let path = configuration_path()?;
    let text = tokio::fs::read_to_string(&path).await.ok()?;
    let found = match serde_json::from_str::<Configuration>(&text) {
        Ok(configuration) => configuration.lookup(image.credentials_key()).await,
        // The parser's own words could show a piece of the file.
        Err(error) => Err(format!("line {}: not a Docker configuration", error.line())),
    };
    found.unwrap_or_else(|reason| {
        warn!("no registry credentials from {}: {reason}", path.display());
        None
    })
}

/// `$DOCKER_CONFIG/config.json`, else `~/.docker/config.json`.
fn configuration_path() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")))?;
    Some(folder.join("config.json"))
}

/// The part of Docker's `config.json` that is about credentials.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Configuration {
    auths: HashMap<String, Entry>,
    #[serde(rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(rename = "credsStore")]
    store: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl Configuration {
    /// A helper for exactly this registry, else the store of all, else what lies in the file itself.
    async fn lookup(&self, registry: &str) -> Result<Option<DockerCredentials>, String> {
        let same = |key: &String| host(key) == host(registry);
        let helper = self.helpers.iter().find(|(key, _)| same(key)).map(|(_, helper)| helper.as_str());
        let helper = helper.or_else(|| Some(self.store.as_str()).filter(|store| !store.is_empty()));
        if let Some(helper) = helper
            && let Some(found) = ask(helper, registry).await?
        {
            return Ok(Some(found));
        }
        match self.auths.iter().find(|(key, _)| same(key)) {
            Some((_, entry)) => entry.credentials(),
            None => Ok(None),
        }
    }
}

impl Entry {
    fn credentials(&self) -> Result<Option<DockerCredentials>, String> {
        let filled = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (mut username, mut password) = (filled(&self.username), filled(&self.password));
        if !self.auth.is_empty() {
            let decoded =
                BASE64_STANDARD.decode(self.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let Some((user, word)) = decoded.as_deref().and_then(|pair| pair.split_once(':')) else {
                return Err("an \"auth\" is not the base64 of user:password".to_owned());
            };
            (username, password) = (filled(user), filled(word.trim_end_matches('\0')));
        }
        let found = DockerCredentials {
            username,
            password,
            identitytoken: filled(&self.identitytoken),
            registrytoken: filled(&self.registrytoken),
            ..DockerCredentials::default()
        };
        let complete = found.username.is_some() && found.password.is_some();
        Ok(Some(found)
            .filter(|found| complete || found.identitytoken.is_some() || found.registrytoken.is_some()))
    }
}

/// What a credential helper answers.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// Runs `docker-credential-<helper> get`.
async fn ask(helper: &str, registry: &str) -> Result<Option<DockerCredentials>, String> {
    let program = format!("docker-credential-{helper}");
    let conversation = async {
        let mut child = Command::new(&program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut input) = child.stdin.take() {
            // A helper that does not read its question answers for every registry; that is its own affair.
            let _ = input.write_all(registry.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = match timeout(HELPER, conversation).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(format!("{program}: {error}")),
        Err(_) => return Err(format!("{program}: no answer within {} s", HELPER.as_secs())),
    };
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let nothing = words.contains("credentials not found");
        return if nothing { Ok(None) } else { Err(format!("{program}: {}: {words}", output.status)) };
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("{program}: its answer is not understood"))?;
    Ok(Some(if answer.username == "<token>" {
        DockerCredentials { identitytoken: Some(answer.secret), ..DockerCredentials::default() }
    } else {
        DockerCredentials {
            username: Some(answer.username),
            password: Some(answer.secret),
            ..DockerCredentials::default()
        }
    }))
}

/// The host of a key of the configuration: keys are hosts, or addresses with scheme and path.
fn host(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = key.split('/').next().unwrap_or(key);
    match host {
        "docker.io" | "registry-1.docker.io" => "index.docker.io",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::DOCKER_HUB_KEY;

    async fn lookup(configuration: &str, image: &str) -> Result<Option<DockerCredentials>, String> {
        let configuration: Configuration = serde_json::from_str(configuration).unwrap();
        configuration.lookup(ImageReference::parse(image).unwrap().credentials_key()).await
    }

    #[tokio::test]
    async fn an_entry_is_found_by_the_image_s_registry_however_its_key_is_written() {
        let auth = BASE64_STANDARD.encode("me:p:w");
        for (key, image) in [
            (DOCKER_HUB_KEY, "alpine"),
            ("docker.io", "team/app"),
            ("https://registry.example/v2/", "registry.example/a"),
            ("localhost:5000", "localhost:5000/a:1"),
        ] {
            let configuration = format!(r#"{{"auths": {{"{key}": {{"auth": "{auth}"}}}}}}"#);
            let found = lookup(&configuration, image).await.unwrap().expect(key);
            assert_eq!(
                (found.username.as_deref(), found.password.as_deref()),
                (Some("me"), Some("p:w")),
                "{key}"
            );
            assert!(lookup(&configuration, "elsewhere.example/a").await.unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn an_identity_token_is_taken_without_a_password() {
        let found =
            lookup(r#"{"auths": {"r.example": {"identitytoken": "t"}}}"#, "r.example/a").await.unwrap();
        assert_eq!(found.unwrap().identitytoken.as_deref(), Some("t"));
    }

    #[tokio::test]
    async fn a_broken_entry_and_a_missing_helper_are_errors_that_name_themselves() {
        let broken = lookup(r#"{"auths": {"r.example": {"auth": "%%"}}}"#, "r.example/a").await.unwrap_err();
        assert!(broken.contains("auth"), "{broken}");
        let missing =
            lookup(r#"{"credHelpers": {"r.example": "jobwright-none"}}"#, "r.example/a").await.unwrap_err();
        assert!(missing.contains("docker-credential-jobwright-none"), "{missing}");
    }

    // covers: woodpecker 65
    #[tokio::test]
    async fn half_a_step_s_credentials_are_none() {
        let image = ImageReference::parse("registry.invalid/a").unwrap();
        let half = Auth { username: "me".to_owned(), password: String::new() };
        assert!(credentials_for(&image, &half).await.is_none());
        let whole = Auth { password: "word".to_owned(), ..half };
        assert_eq!(credentials_for(&image, &whole).await.unwrap().username.as_deref(), Some("me"));
    }
}
