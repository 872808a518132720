//! The engine's way to a GitLab server, over the HTTP client.

use async_trait::async_trait;
use jobwright_client::{GitLab, Variable};
use jobwright_engine::{FetchError, FetchedVariable, VariableSource};
use jobwright_pipeline::RemoteProvider;

/// Asks the server that the file names.
pub(crate) struct Remote;

#[async_trait]
impl VariableSource for Remote {
    async fn variables(
        &self,
        provider: &RemoteProvider,
        token: &str,
    ) -> Result<Vec<FetchedVariable>, FetchError> {
        let gitlab = GitLab::new().map_err(told)?;
        let variables = gitlab.variables(&provider.url, provider.project_id, token).await.map_err(told)?;
        Ok(variables.into_iter().map(fetched).collect())
    }
}

fn told(error: jobwright_client::Error) -> FetchError {
    FetchError(error.to_string())
}

fn fetched(variable: Variable) -> FetchedVariable {
    FetchedVariable {
        name: variable.key,
        value: variable.value,
        masked: variable.masked,
        environments: variable.environment_scope,
    }
}
