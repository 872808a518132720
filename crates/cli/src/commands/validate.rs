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
        Err(LoadError::Invalid(report)) => Checked { report, counts: None, provider: None },
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
    /// The server that has further variables, which is not asked.
    provider: Option<String>,
}

/// The form of `--format json`: the report's own fields and whether the file runs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<usize>,
    /// Where further variables are, which were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_fetched: Option<&'a str>,
    #[serde(flatten)]
    report: &'a Report,
}

impl Checked {
    fn valid(pipeline: &Pipeline) -> Self {
        let counts = Some((pipeline.jobs.len(), pipeline.stages.len()));
        let provider = pipeline.remote_provider.as_ref().map(ToString::to_string);
        Self { report: pipeline.warnings(), counts, provider }
    }

    fn exit(&self) -> Exit {
        if self.counts.is_some() { Exit::Success } else { Exit::Invalid }
    }

    fn document(&self) -> Document<'_> {
        let (jobs, stages) = self.counts.unzip();
        Document {
            valid: self.counts.is_some(),
            jobs,
            stages,
            not_fetched: self.provider.as_deref(),
            report: &self.report,
        }
    }

    /// Findings go where errors go, so that a script may keep the answer and a person still sees them.
    fn say(&self) {
        if !self.report.is_empty() {
            aside::say(self.report.render(look()).trim_end());
        }
        if let Some((jobs, stages)) = self.counts {
            let file = self.report.source().name();
            sink::say(format_args!("{file} is valid: {jobs} job(s) in {stages} stage(s)"));
            if let Some(provider) = &self.provider {
                sink::say(format_args!(
                    "the variables of {provider} are fetched by a run; nothing was asked for now"
                ));
            }
        }
    }
}
