//! The rules for `retry` and `allow_failure` (local-ci.md 1.3).

use std::collections::BTreeSet;

use crate::check::fields::{Field, Fields};
use crate::check::quantities::{flag, number_of, whole};
use crate::check::values::{describe, one_or_more, word};
use crate::finding::Finding;
use crate::findings::Findings;
use crate::keys::{ALLOW_FAILURE_KEYS, RETRY_KEYS};
use crate::retry::{AllowFailure, Retry, RetryOn};
use crate::yaml::Value;

/// The most tries after the first.
const MOST_RETRIES: u32 = 10;

/// A number of tries, or a mapping that also says what for.
pub(super) fn retry(field: &Field<'_>, findings: &mut Findings) -> Option<Retry> {
    if field.value.entries().is_none() {
        return Some(Retry { max: whole(field, 0..=MOST_RETRIES, findings)?, ..Retry::default() });
    }
    let fields = Fields::of(field, RETRY_KEYS, findings)?;
    let on = fields.get("on").map(|field| causes(field, findings)).unwrap_or_default();
    let exit_codes = fields.get("exit_codes").map(|field| exit_codes(field, findings)).unwrap_or_default();
    let Some(max) = fields.get("max") else {
        findings.push(
            Finding::error(field.key_span, "`retry` has no `max`").help("add `max: 1`, or more up to 10"),
        );
        return None;
    };
    Some(Retry { max: whole(max, 0..=MOST_RETRIES, findings)?, on, exit_codes })
}

fn causes(field: &Field<'_>, findings: &mut Findings) -> BTreeSet<RetryOn> {
    let kinds = [RetryOn::Infrastructure, RetryOn::Timeout, RetryOn::OutOfMemory];
    let words = kinds.map(|kind| (kind.as_str(), kind));
    let items = one_or_more(field, findings);
    items.iter().filter_map(|item| word(&Field { value: item, ..*field }, &words, findings)).collect()
}

/// Whether the run passes over the job's failure.
pub(super) fn allow_failure(field: &Field<'_>, findings: &mut Findings) -> Option<AllowFailure> {
    if !matches!(field.value.value(), Value::Mapping(_)) {
        let allowed = flag(field, findings)?;
        return Some(if allowed { AllowFailure::Always } else { AllowFailure::Never });
    }
    let fields = Fields::of(field, ALLOW_FAILURE_KEYS, findings)?;
    match fields.get("exit_codes") {
        Some(codes) => Some(AllowFailure::ExitCodes(exit_codes(codes, findings))),
        None => {
            let finding = Finding::error(field.key_span, "`allow_failure` has no `exit_codes`");
            findings.push(finding.help("write `allow_failure: true` for every failure"));
            None
        }
    }
}

fn exit_codes(field: &Field<'_>, findings: &mut Findings) -> BTreeSet<i32> {
    let mut codes = BTreeSet::new();
    for item in one_or_more(field, findings) {
        match number_of(item).filter(|code| (1..=255).contains(code)) {
            Some(code) => {
                codes.extend(i32::try_from(code));
            }
            None => {
                let message =
                    format!("an exit code must be a number from 1 to 255, found {}", describe(item));
                findings.push(Finding::error(item.span, message));
            }
        }
    }
    codes
}
