//! Which rule masks a job: what its workflows hold that nobody may read. Not for how masking is done: that is `redact`.

use std::collections::BTreeSet;

use jobwright_model::Workflow;
use jobwright_redact::{Built, Masker, Warning};

use crate::observer::Observer;

/// Everything in the workflow that must not be shown, as names and values: what it declares, what its steps map, registry and
/// netrc passwords (woodpecker.md 8, item 58).
pub fn secrets_of(workflow: &Workflow) -> impl Iterator<Item = (&str, &str)> {
    let declared = workflow.secrets.iter().map(|secret| (secret.name.as_str(), secret.value.as_str()));
    let of_steps = workflow.steps().flat_map(|step| {
        let mapped = step.secret_mapping.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let netrc =
            step.environment.get("CI_NETRC_PASSWORD").map(|value| ("CI_NETRC_PASSWORD", value.as_str()));
        mapped.chain(netrc).chain([("registry password", step.auth_config.password.as_str())])
    });
    declared.chain(of_steps)
}

/// What masks all that is secret in any of these workflows, with what cannot be masked.
pub fn masker_for<'w>(workflows: impl Iterator<Item = &'w Workflow>) -> Built {
    let all: BTreeSet<(&str, &str)> = workflows.flat_map(secrets_of).collect();
    all.into_iter().fold(Masker::builder(), |builder, (name, value)| builder.secret(name, value)).build()
}

/// The rule that was `given`, else one for all `workflows`: what is secret in one of them is so in all. A person is told of
/// values that are too short to be masked.
///
/// # Errors
/// A value that is too long to be masked would be shown: better not to run.
pub(crate) fn rule<'w>(
    given: Option<Masker>,
    workflows: impl Iterator<Item = &'w Workflow>,
    observer: &dyn Observer,
) -> Result<Masker, Warning> {
    if let Some(given) = given {
        return Ok(given);
    }
    let built = masker_for(workflows);
    for warning in built.warnings {
        if matches!(warning, Warning::TooLong { .. } | Warning::NoRoom { .. }) {
            return Err(warning);
        }
        observer.notice(None, &built.masker.mask_str(&warning.to_string()));
    }
    Ok(built.masker)
}
