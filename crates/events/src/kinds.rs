//! The small closed sets of words that events use, each with its string on the wire (local-ci reference, section 2.2).
//! Not for the events themselves.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A name that a person chose: of a job, a stage, a step. Cheap to clone, as every piece of output carries some.
pub type Name = Arc<str>;

/// A word that is none of an enum's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {what}; it is one of {}", expected.join(", "))]
pub struct UnknownWord {
    what: &'static str,
    found: String,
    expected: &'static [&'static str],
}

macro_rules! words {
    (
        $(#[$doc:meta])* $name:ident, $what:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+ $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every value, in the interface document's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The string on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(UnknownWord { what: $what, found: text.to_owned(), expected: &[$($word),+] }),
                }
            }
        }
    };
}

words!(
    /// How a run goes through its jobs, as it was asked for.
    #[derive(Default)]
    RunMode, "run mode" {
        /// One job after the other.
        #[default]
        Sequential = "sequential",
        /// All jobs at once.
        Parallel = "parallel",
        /// One stage after the other, the jobs of a stage at once.
        ParallelStages = "parallel-stages",
    }
);

words!(
    /// How a job is run. A fact of execution, not a hint for presentation.
    #[derive(Default)]
    ExecKind, "execution kind" {
        /// Alone.
        #[default]
        Standalone = "standalone",
        /// As a member of a concurrent barrier (a [`Group`]).
        Concurrent = "concurrent",
        /// Beside everything else, waited for at the end.
        Detached = "detached",
    }
);

words!(
    /// The three flavours of a concurrent barrier.
    #[derive(Default)]
    GroupKind, "group kind" {
        /// The whole run.
        #[default]
        Parallel = "parallel",
        /// The jobs of a stage.
        Stage = "stage",
        /// The variants of a matrix job.
        Matrix = "matrix",
    }
);

words!(
    /// Which output stream a piece of output was written to.
    #[derive(Default)]
    StreamKind, "stream" {
        /// Standard output.
        #[default]
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
    }
);

words!(
    /// Why bytes of output are not in the stream.
    GapReason, "gap reason" {
        /// The job has printed more than its log quota.
        Quota = "quota",
        /// The disk of the event log is full or does not work.
        DiskFull = "disk_full",
        /// The values of its secrets are gone, so that it cannot be masked (DESIGN rule 3).
        Withheld = "withheld",
        /// The backend could not give it any more.
        Unavailable = "unavailable",
    }
);

/// A concurrent barrier. Its id, kind and label on the wire follow from what it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Group {
    /// All jobs of the run at once.
    Parallel,
    /// The run as a graph of `needs`.
    Dag,
    /// The jobs of this stage.
    Stage(Name),
    /// The variants of this matrix job.
    Matrix(Name),
}

impl Group {
    /// `groupId` on the wire: `parallel`, `dag`, `stage:<stage>` or `matrix:<job>`.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Parallel => "parallel".to_owned(),
            Self::Dag => "dag".to_owned(),
            Self::Stage(stage) => format!("stage:{stage}"),
            Self::Matrix(job) => format!("matrix:{job}"),
        }
    }

    /// `groupKind` on the wire; a graph counts as [`GroupKind::Parallel`].
    #[must_use]
    pub fn kind(&self) -> GroupKind {
        match self {
            Self::Parallel | Self::Dag => GroupKind::Parallel,
            Self::Stage(_) => GroupKind::Stage,
            Self::Matrix(_) => GroupKind::Matrix,
        }
    }

    /// `groupLabel` on the wire: the stage's or the matrix job's name, else empty.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Parallel | Self::Dag => "",
            Self::Stage(name) | Self::Matrix(name) => name,
        }
    }

    /// The group that has the given id; none for an id that no group has.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        match id.split_once(':') {
            None if id == "parallel" => Some(Self::Parallel),
            None if id == "dag" => Some(Self::Dag),
            Some(("stage", stage)) => Some(Self::Stage(stage.into())),
            Some(("matrix", job)) => Some(Self::Matrix(job.into())),
            _ => None,
        }
    }
}

/// Where a step's raw output goes on: read from the backend's log position `from`, and leave out what was shown of each stream since.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutputPosition {
    /// The backend's log position.
    pub from: u64,
    /// Bytes of standard output behind it that are in the stream already.
    pub skip_stdout: u64,
    /// As many of standard error.
    pub skip_stderr: u64,
}

impl OutputPosition {
    /// Exactly at the backend's log position `from`.
    #[must_use]
    pub fn at(from: u64) -> Self {
        Self { from, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: local-ci 15
    #[test]
    fn every_word_is_the_one_of_the_wire_and_reads_back() {
        let words = |all: &[&str], expected: &[&str]| assert_eq!(all, expected);
        words(
            &RunMode::ALL.iter().map(|w| w.as_str()).collect::<Vec<_>>(),
            &["sequential", "parallel", "parallel-stages"],
        );
        words(
            &ExecKind::ALL.iter().map(|w| w.as_str()).collect::<Vec<_>>(),
            &["standalone", "concurrent", "detached"],
        );
        words(
            &GroupKind::ALL.iter().map(|w| w.as_str()).collect::<Vec<_>>(),
            &["parallel", "stage", "matrix"],
        );
        words(&StreamKind::ALL.iter().map(|w| w.as_str()).collect::<Vec<_>>(), &["stdout", "stderr"]);
        for mode in RunMode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(*mode));
        }
        assert_eq!(
            "fast".parse::<RunMode>().unwrap_err().to_string(),
            "\"fast\" is no run mode; it is one of sequential, parallel, parallel-stages"
        );
    }

    // covers: local-ci 26, local-ci 34, local-ci 53
    #[test]
    fn a_group_is_named_by_what_it_is() {
        let table = [
            (Group::Parallel, "parallel", GroupKind::Parallel, ""),
            (Group::Dag, "dag", GroupKind::Parallel, ""),
            (Group::Stage("b".into()), "stage:b", GroupKind::Stage, "b"),
            (Group::Matrix("m:x".into()), "matrix:m:x", GroupKind::Matrix, "m:x"),
        ];
        for (group, id, kind, label) in table {
            assert_eq!((group.id().as_str(), group.kind(), group.label()), (id, kind, label));
            assert_eq!(Group::from_id(id), Some(group));
        }
        assert_eq!(Group::from_id("ring:x"), None);
    }
}
