//! The flags of the commands that look after runs which somebody else owns, or nobody.

use clap::Args;
use jobwright_model::RunId;

#[derive(Debug, Args)]
pub(crate) struct AttachArgs {
    /// The run, as `jobwright ps` shows it.
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// Write the run's events, one JSON object per line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The run, as `jobwright ps` shows it.
    #[arg(value_name = "RUN")]
    pub(crate) run: RunId,
    /// Do not wait until the run has ended.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Also the runs that have ended.
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Write JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
