//! Pipeline file to checked pipeline to jobs: YAML is read into a tree of our own with source positions, every rule is applied and
//! every violation reported with its place, and each job of what is left is compiled into a job of the model.
//!
//! Nothing here runs anything, chooses a backend or orders jobs: that is `engine`'s.

mod check;
mod compile;
mod dialect;
mod discover;
mod finding;
mod findings;
mod include;
mod keys;
mod load;
mod overlay;
mod pipeline;
mod render;
mod secrets;
mod source;
mod text;
mod yaml;

pub use check::{InvalidVariableName, check_variable_name};
pub use compile::{CompileContext, DEFAULT_WORKDIR, JOB_LABEL, RUN_LABEL, STAGE_LABEL, Target, compile};
pub use discover::{discover, is_pipeline_file_name};
pub use finding::{Finding, Report, Severity};
pub use keys::{JOB_KEYS, Key, PIPELINE_KEYS, SECRET_KEYS, SERVICE_KEYS, Support};
pub use load::{LoadError, Loader};
pub use pipeline::{Pipeline, PipelineJob, Secret, Service};
pub use render::Look;
pub use secrets::{HostSecrets, ResolveSecret, SecretError, SecretSource};
pub use source::{FileId, Position, Source, Sources, Span};
pub use yaml::MAX_BYTES;
