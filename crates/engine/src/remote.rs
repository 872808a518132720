//! The variables that a server has for every job (`remote_provider`, local-ci.md 1.9): asked for once, before anything of the run begins.
//! Not for how a server is asked: that is a front end's [`VariableSource`].

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use jobwright_model::Secret;
use jobwright_pipeline::{HostSecrets, RemoteProvider, RemoteVariable, check_variable_name};
use jobwright_runtime::Scope;

use crate::prepare::{PrepareError, Prepared};
use crate::report::RunError;

/// What stands in a message where the token stood.
const MASK: &str = "********";
/// The scope of a variable that is for every environment.
const EVERYWHERE: &str = "*";

/// Asks a server for the variables of a project.
#[async_trait]
pub trait VariableSource: Send + Sync {
    /// All variables of `provider`'s project, asked for with `token`.
    ///
    /// # Errors
    /// [`FetchError`], without the token. It may take as long as it must to find out that nobody answers, and no longer.
    async fn variables(
        &self,
        provider: &RemoteProvider,
        token: &str,
    ) -> Result<Vec<FetchedVariable>, FetchError>;
}

/// A variable as a server has it.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchedVariable {
    /// Its name.
    pub name: String,
    /// Its value; none when the server tells it to nobody.
    pub value: Option<String>,
    /// Whether it is a secret.
    pub masked: bool,
    /// The environments that it is for; `*` for all.
    pub environments: String,
}

/// Why variables cannot be fetched: a clause that names the server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FetchError(pub String);

/// Gives the pipeline of `prepared` the variables of its remote provider, if it has one. Answers what a person should know of
/// them.
///
/// # Errors
/// [`RunError::Jobs`] without a token, [`RunError::Remote`] when they cannot be had, and [`PrepareError::Cancelled`].
pub(crate) async fn fetch(
    prepared: &mut Prepared,
    source: Option<&dyn VariableSource>,
    scope: &Scope,
) -> Result<Vec<String>, RunError> {
    let Some(provider) = prepared.pipeline.remote_provider.clone() else { return Ok(Vec::new()) };
    let secrets = HostSecrets::new(&prepared.plan.project);
    let token = prepared.pipeline.token_for_provider(&secrets);
    let token = token.map_err(|report| RunError::Jobs(Box::new(report)))?.unwrap_or_default();
    let failed = |reason: &str| RunError::Remote {
        provider: provider.to_string(),
        reason: reason.replace(&token, MASK),
    };
    let source = source.ok_or_else(|| failed("this program cannot ask any server"))?;
    let fetched = tokio::select! {
        biased;
        cause = scope.cancelled() => return Err(PrepareError::Cancelled(cause).into()),
        fetched = source.variables(&provider, &token) => fetched,
    };
    let fetched = fetched.map_err(|error| failed(&error.0))?;
    let mut notes = vec![format!("{} variable(s) of {provider}", fetched.len())];
    let variables = usable(fetched, &mut notes);
    let pipeline = Arc::make_mut(&mut prepared.pipeline);
    pipeline.remote_variables = variables;
    pipeline.access_token = Some(Secret { name: "access_token".to_owned(), value: token });
    Ok(notes)
}

/// Those that a job can have, by name. Of several of one name the one for every environment counts, else the last, as in local-ci. What
/// is left out is told by name.
fn usable(fetched: Vec<FetchedVariable>, notes: &mut Vec<String>) -> BTreeMap<String, RemoteVariable> {
    let mut usable: BTreeMap<String, (bool, RemoteVariable)> = BTreeMap::new();
    for FetchedVariable { name, value, masked, environments } in fetched {
        if check_variable_name(&name).is_err() {
            notes.push(format!(
                "the remote variable {name:?} has a name that no job can have, and is left out"
            ));
            continue;
        }
        let Some(value) = value.filter(|value| !value.contains('\0')) else {
            notes.push(format!(
                "the remote variable {name} has no value that the server tells, and is left out"
            ));
            continue;
        };
        let everywhere = environments == EVERYWHERE;
        if usable.get(&name).is_none_or(|(before, _)| everywhere || !before) {
            usable.insert(name, (everywhere, RemoteVariable { value, masked }));
        }
    }
    usable.into_iter().map(|(name, (_, variable))| (name, variable)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, value: Option<&str>, environments: &str) -> FetchedVariable {
        let (name, value) = (name.to_owned(), value.map(str::to_owned));
        FetchedVariable { name, value, masked: false, environments: environments.to_owned() }
    }

    #[test]
    fn of_several_variables_of_one_name_the_one_for_every_environment_counts() {
        let mut notes = Vec::new();
        let fetched =
            [("A", "1", "*"), ("A", "2", "prod"), ("B", "1", "prod"), ("B", "2", "test"), ("B", "3", "*")];
        let fetched = fetched.map(|(name, value, scope)| variable(name, Some(value), scope)).to_vec();
        let usable = usable(fetched, &mut notes);
        assert_eq!((usable["A"].value.as_str(), usable["B"].value.as_str()), ("1", "3"));
        assert!(notes.is_empty());
    }

    #[test]
    fn what_no_job_can_have_is_left_out_and_told_by_its_name() {
        let mut notes = Vec::new();
        let fetched = vec![variable("A=B", Some("secret"), "*"), variable("HIDDEN", None, "*")];
        assert!(usable(fetched, &mut notes).is_empty());
        assert!(notes[0].contains("\"A=B\"") && notes[1].contains("HIDDEN"), "{notes:?}");
        assert!(notes.iter().all(|note| !note.contains("secret")));
    }
}
