//! The rules for `network`, `resources` and `concurrency` (local-ci.md 1.3).

use std::collections::HashMap;
use std::num::NonZeroU32;

use crate::check::fields::{Field, Fields};
use crate::check::names::wrong_name;
use crate::check::quantities::{bytes, flag, millicores, whole};
use crate::check::values::text;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::job::{Concurrency, Network, Resources};
use crate::keys::{CONCURRENCY_KEYS, NETWORK_KEYS, RESOURCES_KEYS};
use crate::source::Span;
use crate::text::shown;

pub(super) fn network(field: &Field<'_>, findings: &mut Findings) -> Option<Network> {
    let fields = Fields::of(field, NETWORK_KEYS, findings)?;
    let mut read = |name| fields.get(name).and_then(|field| flag(field, findings)).unwrap_or_default();
    Some(Network { host_access: read("host_access"), host_mode: read("host_mode") })
}

pub(super) fn resources(field: &Field<'_>, findings: &mut Findings) -> Option<Resources> {
    let fields = Fields::of(field, RESOURCES_KEYS, findings)?;
    let cpu_millis = fields.get("cpu").and_then(|field| millicores(field, findings));
    let memory = fields.get("memory").and_then(|field| bytes(field, findings));
    Some(Resources { cpu_millis, memory })
}

/// The limit that `field` sets for the job `base`, or for the group that it names.
pub(super) fn concurrency(field: &Field<'_>, base: &str, findings: &mut Findings) -> Option<Concurrency> {
    let fields = Fields::of(field, CONCURRENCY_KEYS, findings)?;
    let limit = fields.get("limit").and_then(|field| whole(field, 1..=10_000, findings));
    let group = match fields.get("group") {
        None => base.to_owned(),
        Some(field) => {
            let group = text(field, findings)?;
            if let Some(why) = wrong_name(group) {
                findings.push(Finding::error(field.place(), format!("the name of this group {why}")));
            }
            group.to_owned()
        }
    };
    Some(Concurrency { group, limit: limit.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN) })
}

/// The limits of all groups: the jobs of one group agree.
#[derive(Default)]
pub(super) struct Groups(HashMap<String, (NonZeroU32, Span)>);

impl Groups {
    /// Takes note of what one job says.
    pub(super) fn add(&mut self, concurrency: &Concurrency, span: Span, findings: &mut Findings) {
        let Concurrency { group, limit } = concurrency;
        let (known, first) = *self.0.entry(group.clone()).or_insert((*limit, span));
        if known != *limit {
            let message =
                format!("the group `{}` has the limit {limit} here and {known} elsewhere", shown(group));
            let finding = Finding::error(span, message).related(first, "elsewhere");
            findings.push(finding.help("give all jobs of the group the same `limit`"));
        }
    }
}
