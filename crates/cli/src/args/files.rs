//! The flags of `jobwright cache` and `jobwright artifacts`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};
use jobwright_model::parse_duration;
use jobwright_workspace::Size;

#[derive(Debug, Subcommand)]
pub(crate) enum CacheCommand {
    /// Show the caches with their sizes and when they were last used.
    Ls(CacheLsArgs),
    /// Remove caches by their keys or ids. A run that takes one just now is not disturbed.
    Rm(CacheRmArgs),
    /// Remove caches that were not used for long or are too much, and what is damaged.
    Prune(CachePruneArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CacheLsArgs {
    /// Only those of this project.
    #[arg(short = 'C', long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) project: Option<PathBuf>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CacheRmArgs {
    /// A cache's key, or the beginning of its id (6 characters at least).
    #[arg(value_name = "KEY", required_unless_present = "all")]
    pub(crate) keys: Vec<String>,
    /// All caches; with -C, all of that project.
    #[arg(long, conflicts_with = "keys")]
    pub(crate) all: bool,
    /// Only among those of this project.
    #[arg(short = 'C', long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) project: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CachePruneArgs {
    /// Remove what was neither taken nor stored for so long, such as `30d` or `12h`.
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub(crate) unused_for: Option<Age>,
    /// Remove the longest unused ones until all together take no more than this, such as `10GiB`.
    #[arg(long, value_name = "SIZE")]
    pub(crate) max_size: Option<Size>,
}

/// How long something has been so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Age(pub(crate) Duration);

/// Days, or what a duration is elsewhere.
fn age(text: &str) -> Result<Age, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    match days {
        Some(days) => Ok(Age(Duration::from_secs(u64::from(days) * 86_400))),
        None => parse_duration(text).map(Age).map_err(|error| format!("{error}, or days such as \"30d\"")),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactsCommand {
    /// Show what the jobs of a run left.
    Ls(ArtifactsLsArgs),
    /// Unpack what the jobs of a run left, or one of them, into a directory.
    Get(ArtifactsGetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ArtifactsLsArgs {
    /// The run's id; `last` means the newest.
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Only this job's.
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<String>,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ArtifactsGetArgs {
    /// The run's id; `last` means the newest.
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Only this job's.
    #[arg(value_name = "JOB")]
    pub(crate) job: Option<String>,
    /// Where to. It is made when it is not there; files of the same names in it are replaced.
    #[arg(short, long, value_name = "DIR", default_value = "artifacts", value_hint = ValueHint::DirPath)]
    pub(crate) output: PathBuf,
}
