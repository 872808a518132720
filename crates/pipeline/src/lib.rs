//! Pipeline file to checked pipeline to jobs: YAML is read into a tree of our own with source positions, every rule is applied and
//! every violation reported with its place, and each job of what is left is compiled into a job of the model.
//!
//! Nothing here runs anything, chooses a backend or orders jobs: that is `engine`'s.

mod check;
mod compile;
mod condition;
mod dialect;
mod discover;
mod env_file;
mod files;
mod finding;
mod findings;
mod import;
mod include;
mod job;
mod keys;
mod load;
mod overlay;
mod pipeline;
mod remote;
mod render;
mod retry;
mod schema;
mod secrets;
mod source;
mod text;
mod yaml;

pub use check::{InvalidVariableName, check_variable_name};
pub use compile::{
    Around, CompileContext, DEFAULT_WORKDIR, HOST_BACKEND, Target, compile, compile_around, visible_variables,
};
pub use condition::{Condition, ConditionContext, EvaluationError, InvalidCondition};
pub use discover::{discover, is_pipeline_file_name};
pub use env_file::{InvalidEnvFile, parse as parse_env_file};
pub use files::{Artifacts, Cache, CacheKey, CachePolicy, InvalidCacheKey, KeepWhen};
pub use finding::{Finding, Report, Severity};
pub use import::{
    ImportError, Imported, import_gitlab, import_gitlab_bytes, import_woodpecker, import_woodpecker_bytes,
};
pub use job::{Concurrency, EnvFile, HostCommands, Network, PipelineJob, Ready, Resources, Service, Variant};
pub use keys::{
    ALLOW_FAILURE_KEYS, ARTIFACTS_KEYS, CACHE_KEYS, CONCURRENCY_KEYS, Form, HOOK_KEYS, JOB_KEYS, Key,
    MATRIX_KEYS, NETWORK_KEYS, PIPELINE_KEYS, READY_KEYS, REMOTE_KEYS, RESOURCES_KEYS, RETRY_KEYS,
    SECRET_KEYS, SERVICE_KEYS, Support, TABLES, Table, nearest,
};
pub use load::{LoadError, Loader};
pub use pipeline::{Pipeline, Secret};
pub use remote::{AccessToken, RemoteProvider, RemoteVariable};
pub use render::Look;
pub use retry::{AllowFailure, Retry, RetryOn};
pub use schema::schema;
pub use secrets::{HostSecrets, ResolveSecret, SecretError, SecretSource};
pub use source::{FileId, Position, Source, Sources, Span};
pub use yaml::MAX_BYTES;
