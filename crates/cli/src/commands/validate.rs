//! `jobwright validate`.

use jobwright_engine::find_config;
use jobwright_pipeline::Pipeline;

use crate::args::ValidateArgs;
use crate::exit::Exit;
use crate::failure::{Failure, look};
use crate::show::{aside, sink};

pub(crate) fn run(args: &ValidateArgs) -> Result<Exit, Failure> {
    let path = match &args.config {
        Some(path) => path.clone(),
        None => find_config(&std::path::absolute(&args.project).unwrap_or_else(|_| args.project.clone()))?,
    };
    let pipeline = Pipeline::load(&path)?;
    let warnings = pipeline.warnings();
    if !warnings.is_empty() {
        aside::say(warnings.render(look()).trim_end());
    }
    let (jobs, stages) = (pipeline.jobs.len(), pipeline.stages.len());
    sink::say(format_args!("{} is valid: {jobs} job(s) in {stages} stage(s)", path.display()));
    Ok(Exit::Success)
}
