//! Scopes: what ends when somebody asks for the end, and why it was asked for (DESIGN rule 2). Cleanup runs outside of any
//! scope, under a deadline of its own.

use std::sync::{Arc, OnceLock};

use jobwright_model::Cause;
use tokio_util::sync::CancellationToken;

/// A scope of work. Cancelling it cancels every child; a child can be cancelled alone. The first cause stays.
#[derive(Debug, Clone, Default)]
pub struct Scope(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    token: CancellationToken,
    cause: OnceLock<Cause>,
    parent: Option<Scope>,
}

impl Scope {
    /// A scope that nothing but a call of [`Scope::cancel`] ends.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A scope within this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(Arc::new(Inner {
            token: self.0.token.child_token(),
            cause: OnceLock::new(),
            parent: Some(self.clone()),
        }))
    }

    /// Ends the scope because of `cause`. Does nothing to one that was ended before.
    pub fn cancel(&self, cause: Cause) {
        if self.cause().is_none() {
            // Whoever comes second finds the cell full, which is as it should be.
            let _ = self.0.cause.set(cause);
        }
        self.0.token.cancel();
    }

    /// Why it was ended; none while it goes on.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        let own = self.0.cause.get().cloned();
        own.or_else(|| self.0.parent.as_ref().and_then(Self::cause))
    }

    /// Waits for its end and says why. For ever, if it never ends.
    pub async fn cancelled(&self) -> Cause {
        self.0.token.cancelled().await;
        self.cause().expect("a token is cancelled only after its cause was set")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_ends_with_its_parent_and_for_its_reason() {
        let parent = Scope::new();
        let child = parent.child();
        assert_eq!(child.cause(), None);
        parent.cancel(Cause::ByUser);
        assert_eq!(child.cancelled().await, Cause::ByUser);
    }

    #[tokio::test]
    async fn a_child_ends_alone_and_the_first_cause_stays() {
        let parent = Scope::new();
        let child = parent.child();
        child.cancel(Cause::Timeout);
        child.cancel(Cause::ByUser);
        parent.cancel(Cause::ByShutdown);
        assert_eq!(child.cancelled().await, Cause::Timeout);
        assert_eq!(parent.cause(), Some(Cause::ByShutdown));
    }
}
