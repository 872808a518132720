//! HTTP clients of what Jobwright asks of other servers: the CI variables of a GitLab project, executions and queues of another Jobwright, and jobs of a queue
//! for its agents. Not for
//! what is done with an answer, nor for any engine's API, which is its backend's.
//!
//! What all of them keep: a redirection is not followed, because the header with the token would go along; an answer has a size and a
//! time that it may take (but for output that is followed); no error holds a token, or anything of an answer's body but what another
//! Jobwright says of an error.

mod error;
mod executions;
mod git_proxy;
mod gitlab;
mod http;
mod json;
mod queue;

pub use error::Error;
pub use executions::{
    ByteStream, EventStream, ExecutionsClient, JobLogEvent, JobLogStream, JobsFilter, LogEvent, QueuesClient,
};
pub use git_proxy::GitProxy;
pub use gitlab::{GitLab, Variable};
pub use queue::{ExecutorAuth, Mark, OfJob, QueueClient};
