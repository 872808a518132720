//! Image references: which registry, which repository, which version. Not for fetching them (`pull`).

use jobwright_backend::{Error, ImageProblem, Result};

/// The key under which Docker keeps its own registry's credentials.
pub(crate) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// `[registry/]repository[:tag][@digest]`, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageReference {
    /// Registry host with its port, as credentials are kept under it; none for Docker's own.
    registry: Option<String>,
    /// What the engine is asked for: registry and repository as they were written.
    pub(crate) name: String,
    /// Tag or digest; `latest` when none was written.
    pub(crate) version: String,
}

impl ImageReference {
    /// Reads `text`.
    ///
    /// # Errors
    /// [`ImageProblem::InvalidReference`] with the rule that it breaks.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        parse(text).map_err(|rule| Error::Image {
            image: text.to_owned(),
            problem: ImageProblem::InvalidReference(rule.to_owned()),
        })
    }

    /// The name under which Docker's configuration keeps this registry's credentials.
    pub(crate) fn credentials_key(&self) -> &str {
        self.registry.as_deref().unwrap_or(DOCKER_HUB_KEY)
    }
}

fn parse(text: &str) -> Result<ImageReference, &'static str> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    // A colon after the last slash begins a tag; one before it belongs to the registry's port.
    let (name, tag) = match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (rest, None),
    };
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if is_registry(first) => (Some(first), rest),
        _ => (None, name),
    };
    if repository.is_empty() {
        return Err("it names no repository");
    }
    if !repository.split('/').all(is_component) {
        return Err(
            "a repository is made of a-z, 0-9 and single . _ - between them, in parts separated by /",
        );
    }
    if !tag.is_none_or(is_tag) {
        return Err(
            "a tag is 1 to 128 characters out of A-Z a-z 0-9 _ . -, the first one a letter, digit or _",
        );
    }
    if !digest.is_none_or(is_digest) {
        return Err("a digest looks like sha256:<64 hexadecimal digits>");
    }
    let hub = ["docker.io", "index.docker.io", "registry-1.docker.io"];
    Ok(ImageReference {
        registry: registry.filter(|registry| !hub.contains(registry)).map(str::to_owned),
        name: name.to_owned(),
        version: digest.or(tag).unwrap_or("latest").to_owned(),
    })
}

/// The first part of a name is a registry when it could not be a part of a repository.
fn is_registry(part: &str) -> bool {
    part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn is_component(part: &str) -> bool {
    let ends =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = part.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(byte))
        && !part.contains("..")
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty()
            && algorithm.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte))
            && hex.len() >= 32
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_taken_apart() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, registry, name, version) in [
            ("alpine", DOCKER_HUB_KEY, "alpine", "latest"),
            ("golang:1.23", DOCKER_HUB_KEY, "golang", "1.23"),
            ("docker.io/library/golang:1.23", DOCKER_HUB_KEY, "docker.io/library/golang", "1.23"),
            ("localhost:5000/a/b", "localhost:5000", "localhost:5000/a/b", "latest"),
            ("ghcr.io/a/b:v1_0-x", "ghcr.io", "ghcr.io/a/b", "v1_0-x"),
            ("team/app_1__2", DOCKER_HUB_KEY, "team/app_1__2", "latest"),
            (&format!("a:1@{digest}"), DOCKER_HUB_KEY, "a", &digest),
        ] {
            let reference = ImageReference::parse(text).unwrap();
            assert_eq!(reference.credentials_key(), registry, "{text}");
            assert_eq!((reference.name.as_str(), reference.version.as_str()), (name, version), "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_by_name() {
        for text in [
            "",
            "Alpine",
            "a b",
            "a/",
            "/a",
            "a:",
            "a:b c",
            "a@sha256:12",
            "a//b",
            "a..b",
            "-a",
            "a\0",
            "http://x/y",
            ":1",
        ] {
            let error = ImageReference::parse(text).unwrap_err();
            assert!(
                matches!(&error, Error::Image { image, problem: ImageProblem::InvalidReference(_) } if image == text),
                "{text:?}: {error}"
            );
        }
    }
}
