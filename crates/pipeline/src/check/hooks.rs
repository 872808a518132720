//! The rules for commands on the host: `bootstrap` and `cleanup` of the file, `job_bootstrap` and `job_cleanup` of a job
//! (local-ci.md 1.2 and 1.3).

use crate::check::fields::{Field, Fields};
use crate::check::job::commands;
use crate::check::quantities::minutes;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::job::HostCommands;
use crate::keys::HOOK_KEYS;

/// Reads both keys. Clean-up alone has nothing to clean up.
pub(super) fn read_pair(
    fields: &Fields<'_>,
    before: &str,
    after: &str,
    findings: &mut Findings,
) -> (Option<HostCommands>, Option<HostCommands>) {
    let bootstrap = fields.get(before).and_then(|field| read(field, findings));
    let cleanup = fields.get(after).and_then(|field| read(field, findings));
    if let (None, Some(field)) = (fields.get(before), fields.get(after)) {
        let message = format!("`{after}` without `{before}`");
        findings
            .push(Finding::error(field.key_span, message).help(format!("add `{before}`, or take it out")));
    }
    (bootstrap, cleanup)
}

fn read(field: &Field<'_>, findings: &mut Findings) -> Option<HostCommands> {
    let fields = Fields::of(field, HOOK_KEYS, findings)?;
    let timeout = fields.get("timeout").and_then(|field| minutes(field, findings));
    let Some(run) = fields.get("run") else {
        let finding = Finding::error(field.key_span, format!("`{}` has no `run`", field.key.name));
        findings.push(finding.help("add `run:` with a list of commands"));
        return None;
    };
    let run = commands(run, findings);
    Some(HostCommands {
        run,
        timeout: timeout.unwrap_or(HostCommands::DEFAULT_TIMEOUT),
        span: field.key_span,
    })
}
