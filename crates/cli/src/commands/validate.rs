//! `jobwright validate`: everything that is found in a pipeline file and what it includes. Not for how findings look to people: that
//! is the pipeline's `render`.

use jobwright_pipeline::{LoadError, Pipeline, Report};
use serde::Serialize;

use crate::args::{FindingsFormat, ValidateArgs};
use crate::commands::pipeline_file;
use crate::exit::Exit;
use crate::failure::{Failure, look};
use crate::show::sarif::Sarif;
use crate::show::{aside, sink};

pub(crate) fn run(args: &ValidateArgs) -> Result<Exit, Failure> {
    let path = pipeline_file(args.config.as_deref(), &args.project)?;
    let checked = match Pipeline::load(&path) {
        Ok(pipeline) => Checked::valid(&pipeline),
        Err(LoadError::Invalid(report)) => Checked { report, counts: None },
        Err(error) => return Err(error.into()),
    };
    match args.format {
        FindingsFormat::Text => checked.say(),
        FindingsFormat::Json => sink::json(&checked.document()),
        FindingsFormat::Sarif => sink::json(&Sarif::of(&checked.report)),
    }
    Ok(checked.exit())
}

/// What came of checking a file.
struct Checked {
    report: Report,
    /// Of a valid file: its jobs and stages.
    counts: Option<(usize, usize)>,
}

/// The form of `--format json`: the report's own fields and whether the file runs.
#[derive(Serialize)]
struct Document<'a> {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<usize>,
    #[serde(flatten)]
    report: &'a Report,
}

impl Checked {
    fn valid(pipeline: &Pipeline) -> Self {
        let counts = Some((pipeline.jobs.len(), pipeline.stages.len()));
        Self { report: pipeline.warnings(), counts }
    }

    fn exit(&self) -> Exit {
        if self.counts.is_some() { Exit::Success } else { Exit::Invalid }
    }

    fn document(&self) -> Document<'_> {
        let (jobs, stages) = self.counts.unzip();
        Document { valid: self.counts.is_some(), jobs, stages, report: &self.report }
    }

    /// Findings go where errors go, so that a script may keep the answer and a person still sees them.
    fn say(&self) {
        if !self.report.is_empty() {
            aside::say(self.report.render(look()).trim_end());
        }
        if let Some((jobs, stages)) = self.counts {
            let file = self.report.source().name();
            sink::say(format_args!("{file} is valid: {jobs} job(s) in {stages} stage(s)"));
        }
    }
}
