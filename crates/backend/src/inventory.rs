//! Taking stock: everything in an engine that a Jobwright made, whoever's it is. For people who ask what is there; whether it is to be
//! adopted or removed is told by journals, which a backend does not read.

use std::fmt;

use async_trait::async_trait;
use jobwright_model::{OwnerId, RunId, TaskUuid};

use crate::Result;

/// A thing that carries a Jobwright's marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Whose it is; none when its mark is no owner's id.
    pub owner: Option<OwnerId>,
    /// The task that it belongs to, where it tells.
    pub task: Option<TaskUuid>,
    /// The run that it belongs to, where it tells.
    pub run: Option<RunId>,
    /// What kind of thing it is, for people: `container`, `volume`.
    pub kind: &'static str,
    /// The engine's own name for it.
    pub name: String,
    /// Whether something of it runs now.
    pub runs: bool,
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)?;
        f.write_str(if self.runs { " (runs)" } else { "" })
    }
}

/// Lists what Jobwrights have in an engine.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Everything that carries a Jobwright's marks, of any owner as far as this engine shows others'; ended things too. Changes nothing,
    /// and needs no `load`.
    ///
    /// # Errors
    /// [`crate::Error::EngineGone`] when the engine does not answer: that is not the same as nothing (DESIGN rule 6).
    async fn holdings(&self) -> Result<Vec<Holding>>;
}
