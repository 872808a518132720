//! Choosing a backend: an explicit name wins, else the first that is available, in the order they were registered
//! (woodpecker.md 1.7).

use std::fmt;
use std::sync::Arc;

use crate::{Availability, Backend};

/// The backends of this program, in order of preference.
#[derive(Clone, Default)]
pub struct BackendRegistry {
    backends: Vec<Arc<dyn Backend>>,
}

/// Why no backend was chosen. Lists what there is, and why the others are not available.
#[derive(Debug, PartialEq, Eq)]
pub enum FindError {
    /// No backend has that name.
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Every backend's name and availability.
        known: Vec<(&'static str, Availability)>,
    },
    /// That backend cannot be used here.
    Unavailable {
        /// The name that was asked for.
        name: String,
        /// Why not.
        reason: String,
        /// Every other backend's name and availability.
        others: Vec<(&'static str, Availability)>,
    },
    /// None can be used here.
    NoneAvailable {
        /// Every backend's name and availability.
        known: Vec<(&'static str, Availability)>,
    },
}

impl BackendRegistry {
    /// Backends in order of preference; auto-detection takes the first available one.
    #[must_use]
    pub fn new(backends: Vec<Arc<dyn Backend>>) -> Self {
        Self { backends }
    }

    /// The backends in order of preference.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Backend>> {
        self.backends.iter()
    }

    /// The backend `name`, or the first available one when no name is given.
    ///
    /// # Errors
    /// [`FindError`] when the name is unknown, that backend is not available, or none is.
    pub async fn find(&self, name: Option<&str>) -> Result<Arc<dyn Backend>, FindError> {
        match name {
            Some(name) => self.find_named(name).await,
            None => self.detect().await,
        }
    }

    async fn find_named(&self, name: &str) -> Result<Arc<dyn Backend>, FindError> {
        let Some(found) = self.backends.iter().find(|backend| backend.name() == name) else {
            return Err(FindError::Unknown { name: name.to_owned(), known: self.availability().await });
        };
        match found.is_available().await {
            Availability::Available => Ok(Arc::clone(found)),
            Availability::Unavailable(reason) => {
                let mut others = self.availability().await;
                others.retain(|(other, _)| *other != name);
                Err(FindError::Unavailable { name: name.to_owned(), reason, others })
            }
        }
    }

    async fn detect(&self) -> Result<Arc<dyn Backend>, FindError> {
        for backend in &self.backends {
            if backend.is_available().await.is_available() {
                return Ok(Arc::clone(backend));
            }
        }
        Err(FindError::NoneAvailable { known: self.availability().await })
    }

    /// Every backend's name and whether it can be used here.
    pub async fn availability(&self) -> Vec<(&'static str, Availability)> {
        let mut all = Vec::with_capacity(self.backends.len());
        for backend in &self.backends {
            all.push((backend.name(), backend.is_available().await));
        }
        all
    }
}

impl std::error::Error for FindError {}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rest = match self {
            Self::Unknown { name, known } => {
                write!(f, "there is no backend {name:?}")?;
                known
            }
            Self::Unavailable { name, reason, others } => {
                write!(f, "the {name} backend is not available: {reason}")?;
                others
            }
            Self::NoneAvailable { known } => {
                write!(f, "no backend is available")?;
                known
            }
        };
        for (name, availability) in rest {
            match availability {
                Availability::Available => write!(f, "; {name}: available")?,
                Availability::Unavailable(reason) => write!(f, "; {name}: not available, {reason}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dummy::Dummy;

    /// A registry of dummies by other names, of which those that say so are not available.
    fn registry(backends: &[(&'static str, bool)]) -> BackendRegistry {
        let backends = backends.iter().map(|&(name, available)| {
            let dummy = Dummy::default().named(name);
            if !available {
                dummy.engine().vanish();
            }
            Arc::new(dummy) as Arc<dyn Backend>
        });
        BackendRegistry::new(backends.collect())
    }

    async fn found(registry: &BackendRegistry, name: Option<&str>) -> Result<&'static str, FindError> {
        registry.find(name).await.map(|backend| backend.name())
    }

    // covers: woodpecker 9
    #[tokio::test]
    async fn detection_takes_the_first_that_is_available() {
        let registry = registry(&[("kubernetes", false), ("docker", true), ("local", true)]);
        assert_eq!(found(&registry, None).await, Ok("docker"));
    }

    // covers: woodpecker 9
    #[tokio::test]
    async fn an_explicit_name_wins() {
        let registry = registry(&[("docker", true), ("local", true)]);
        assert_eq!(found(&registry, Some("local")).await, Ok("local"));
    }

    // covers: woodpecker 9
    #[tokio::test]
    async fn an_unknown_name_is_an_error_that_lists_what_there_is() {
        let registry = registry(&[("docker", true), ("local", false)]);
        let error = found(&registry, Some("podman")).await.unwrap_err();
        assert!(matches!(&error, FindError::Unknown { name, known } if name == "podman" && known.len() == 2));
        assert_eq!(
            error.to_string(),
            "there is no backend \"podman\"; docker: available; local: not available, \
             the dummy engine does not answer: it was made to vanish"
        );
    }

    // covers: woodpecker 9
    #[tokio::test]
    async fn an_explicit_name_that_is_not_available_is_an_error_not_another_backend() {
        let registry = registry(&[("docker", true), ("local", false)]);
        let error = found(&registry, Some("local")).await.unwrap_err();
        assert!(matches!(&error, FindError::Unavailable { others, .. } if others.len() == 1), "{error:?}");
        let text = error.to_string();
        assert!(
            text.starts_with("the local backend is not available: the dummy engine does not answer"),
            "{text}"
        );
        assert!(text.ends_with("docker: available"), "{text}");
    }

    // covers: woodpecker 9
    #[tokio::test]
    async fn nothing_available_is_an_error_that_says_why_of_each() {
        let registry = registry(&[("docker", false), ("local", false)]);
        let error = found(&registry, None).await.unwrap_err();
        assert!(matches!(&error, FindError::NoneAvailable { known } if known.len() == 2), "{error:?}");
        assert_eq!(error.to_string().matches("not available, the dummy engine").count(), 2);
        let nothing = BackendRegistry::default();
        assert_eq!(found(&nothing, None).await, Err(FindError::NoneAvailable { known: Vec::new() }));
    }
}
