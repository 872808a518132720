//! `jobwright validate`.

use jobwright_engine::find_config;
use jobwright_pipeline::Pipeline;

use crate::args::ValidateArgs;
use crate::exit::Exit;
use crate::failure::{Failure, look};

pub(crate) fn run(args: &ValidateArgs) -> Result<Exit, Failure> {
    let path = match &args.config {
        Some(path) => path.clone(),
        None => find_config(&args.project)?,
    };
    let pipeline = Pipeline::load(&path)?;
    let warnings = pipeline.warnings();
    if !warnings.is_empty() {
        anstream::eprint!("{}", warnings.render(look()));
    }
    let (jobs, stages) = (pipeline.jobs.len(), pipeline.stages.len());
    anstream::println!("{} is valid: {jobs} job(s) in {stages} stage(s)", path.display());
    Ok(Exit::Success)
}
