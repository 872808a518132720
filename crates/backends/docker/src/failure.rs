//! From what the engine answers to the port's errors. Docker and Podman differ in status codes and words; what both mean is
//! decided here and nowhere else. Not for judging whether an error matters: callers do that.

use bollard::errors::Error as EngineError;
use jobwright_backend::{Error, ImageProblem};

use crate::engine::EngineKind;

/// The HTTP status of a refusal; none when there was no answer.
pub(crate) fn status(error: &EngineError) -> Option<u16> {
    match error {
        EngineError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// What the engine said, or what went wrong on the way to it.
pub(crate) fn words(error: &EngineError) -> String {
    match error {
        EngineError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        EngineError::DockerStreamError { error } => error.trim().to_owned(),
        other => with_sources(other),
    }
}

/// An error and what caused it; hyper's own text says only "client error (Connect)".
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

/// No container, network or volume of that name.
pub(crate) fn is_absent(error: &EngineError) -> bool {
    status(error) == Some(404)
}

/// The image is not here (a create's 404 that is not about a network or volume). Podman says so with 500, and speaks of the image's number, when
/// somebody removes it between its two looks at it.
pub(crate) fn is_image_absent(error: &EngineError) -> bool {
    let words = words(error).to_lowercase();
    let went_meanwhile =
        words.contains("image not known") || words.contains("cannot specify 64-byte hexadecimal strings");
    is_absent(error) && words.contains("no such image")
        || status(error) == Some(500) && words.contains("creating container storage") && went_meanwhile
}

/// A container of that name exists: 409 by Docker, 500 by Podman.
pub(crate) fn is_name_taken(error: &EngineError) -> bool {
    matches!(status(error), Some(409 | 500)) && words(error).contains("is already in use by")
}

/// There are two networks of one name, and Docker knows those that a container joins by their names when it starts it.
pub(crate) fn is_ambiguous(error: &EngineError) -> bool {
    words(error).contains("is ambiguous")
}

/// Podman looks at all interfaces of the host when it makes a network, and one of them went away meanwhile. It did nothing.
pub(crate) fn is_interface_gone(error: &EngineError) -> bool {
    words(error).contains("no such network interface")
}

/// Somebody removes it at this moment.
pub(crate) fn is_being_removed(error: &EngineError) -> bool {
    let words = words(error);
    words.contains("is already in progress")
        || words.contains("is marked for removal")
        || words.contains("is being removed")
}

/// The container is paused, which keeps it from being stopped.
pub(crate) fn is_paused(error: &EngineError) -> bool {
    words(error).contains("paused")
}

/// The container has ended, or never began: a stop or kill that finds nothing to do.
pub(crate) fn is_not_running(error: &EngineError) -> bool {
    let words = words(error);
    status(error) == Some(304)
        || words.contains("is not running")
        || words.contains("can only kill running containers")
        || words.contains("container state improper") && words.contains("can only")
        || words.contains("can only stop")
}

/// A volume that some container still has, or a network with endpoints.
pub(crate) fn is_in_use(error: &EngineError) -> bool {
    let words = words(error);
    status(error) == Some(409)
        || words.contains("in use")
        || words.contains("being used")
        || words.contains("has active endpoints")
}

/// The engine did not answer, as opposed to answered with a refusal.
pub(crate) fn is_gone(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::RequestTimeoutError
            | EngineError::IOError { .. }
            | EngineError::HyperResponseError { .. }
            | EngineError::HyperLegacyError { .. }
            | EngineError::SocketNotFoundError(_)
    )
}

/// The port's error for a call that should have worked. `operation` is a verb: `create the container`.
pub(crate) fn translate(kind: EngineKind, operation: &str, error: &EngineError) -> Error {
    let words = words(error);
    if is_disk_full(&words) {
        Error::DiskFull(format!("the engine had to {operation}"))
    } else if is_gone(error) {
        Error::EngineGone { engine: kind.name(), reason: format!("it had to {operation}: {words}") }
    } else {
        Error::Engine { engine: kind.name(), operation: operation.to_owned(), message: words }
    }
}

/// Whether a refusal's words are those of a full disk.
pub(crate) fn is_disk_full(words: &str) -> bool {
    words.contains("no space left on device") || words.contains("disk quota exceeded")
}

/// What a failed pull means.
pub(crate) fn pull_problem(error: &EngineError) -> ImageProblem {
    let words = words(error);
    let lower = words.to_lowercase();
    let says = |marks: &[&str]| marks.iter().any(|mark| lower.contains(mark));
    if matches!(status(error), Some(401 | 403))
        || says(&["unauthorized", "authentication required", "denied", "no basic auth"])
    {
        ImageProblem::Unauthorized(words)
    } else if says(&["manifest unknown", "name unknown", "not found", "does not exist"])
        && !says(&["no such host"])
    {
        ImageProblem::NotFound(words)
    } else if says(&["invalid reference", "invalid repository name"]) {
        ImageProblem::InvalidReference(words)
    } else {
        ImageProblem::PullFailed(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status_code: u16, message: &str) -> EngineError {
        EngineError::DockerResponseServerError { status_code, message: message.to_owned() }
    }

    #[test]
    fn both_engines_ways_to_say_that_a_name_is_taken_are_understood() {
        let docker = r#"Conflict. The container name "/c" is already in use by container "45b6". You have to remove it"#;
        let podman = r#"container create: creating container storage: the container name "c" is already in use by 048b."#;
        assert!(is_name_taken(&refusal(409, docker)));
        assert!(is_name_taken(&refusal(500, podman)));
        assert!(!is_name_taken(&refusal(500, "something else")));
    }

    #[test]
    fn an_image_that_goes_while_podman_looks_at_it_is_absent() {
        let gone =
            "container create: creating container storage: locating image with ID \"b997\": image not known";
        let number = "container create: creating container storage: parsing named reference \"5136\": invalid repository \
                      name (5136), cannot specify 64-byte hexadecimal strings";
        assert!(is_image_absent(&refusal(500, gone)) && is_image_absent(&refusal(500, number)));
        assert!(is_image_absent(&refusal(404, "No such image: x")));
        assert!(!is_image_absent(&refusal(500, "container create: creating container storage: no")));
    }

    #[test]
    fn a_full_disk_is_its_own_error() {
        let full = refusal(500, "mkdir /var/lib/docker/overlay2/x: no space left on device");
        assert!(matches!(translate(EngineKind::Docker, "create the container", &full), Error::DiskFull(_)));
    }

    #[test]
    fn no_answer_is_not_a_refusal() {
        let gone = EngineError::RequestTimeoutError;
        assert!(matches!(
            translate(EngineKind::Podman, "start it", &gone),
            Error::EngineGone { engine: "podman", .. }
        ));
        assert!(matches!(
            translate(EngineKind::Docker, "start it", &refusal(500, "no")),
            Error::Engine { .. }
        ));
    }

    #[test]
    fn registries_are_understood() {
        let unauthorized = "Get \"http://localhost:5000/v2/\": unauthorized: authentication required";
        for (words, expected) in [
            (unauthorized, ImageProblem::Unauthorized(unauthorized.to_owned())),
            ("manifest for x:1 not found", ImageProblem::NotFound("manifest for x:1 not found".to_owned())),
            (
                "dial tcp: lookup r: no such host",
                ImageProblem::PullFailed("dial tcp: lookup r: no such host".to_owned()),
            ),
        ] {
            assert_eq!(pull_problem(&refusal(500, words)), expected);
        }
    }
}
