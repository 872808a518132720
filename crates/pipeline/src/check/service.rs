//! The rules for `services` (local-ci.md 1.7).

use std::collections::HashMap;

use crate::check::fields::{Field, Fields};
use crate::check::names::is_alias;
use crate::check::quantities::duration;
use crate::check::values::{describe, scalar, text};
use crate::check::variables::Environment;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::job::{Network, Ready, Service};
use crate::keys::{READY_KEYS, SERVICE_KEYS};
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Node, Value};

/// The services of one job.
pub(super) fn read_all(field: Option<&Field<'_>>, findings: &mut Findings) -> Vec<Service> {
    let items: &[Node] = match field.map(|field| (field, field.value.value())) {
        None => &[],
        Some((_, Value::Sequence(items))) => items,
        Some((_, Value::Scalar(scalar))) if scalar.is_null() => &[],
        Some((field, _)) => {
            findings.push(field.wrong().help("put a `- ` before each service"));
            &[]
        }
    };
    let services: Vec<Service> = items.iter().filter_map(|item| read(item, findings)).collect();
    check_aliases(&services, findings);
    services
}

fn read(item: &Node, findings: &mut Findings) -> Option<Service> {
    match item.value() {
        Value::Scalar(_) => {
            let Some(image) = scalar(item).map(|scalar| scalar.text.clone()).filter(|image| is_image(image))
            else {
                let message = format!("a service must be the name of an image, found {}", describe(item));
                findings.push(Finding::error(item.span, message));
                return None;
            };
            service(image, None, Environment::default(), Ready::default(), item.span, findings)
        }
        Value::Mapping(entries) => {
            let fields = Fields::read(entries, SERVICE_KEYS, findings);
            let environment = Environment::read(&fields, findings);
            let ready = fields.get("ready").and_then(|field| ready(field, findings)).unwrap_or_default();
            let Some(image) = fields.get("image") else {
                findings.push(Finding::error(item.span, "this service has no `image`"));
                return None;
            };
            let image = image_of(image, findings)?;
            let alias = match fields.get("alias") {
                Some(alias) => Some((text(alias, findings)?, alias.value.span)),
                None => None,
            };
            service(image, alias, environment, ready, item.span, findings)
        }
        Value::Sequence(_) => {
            let message =
                format!("a service must be an image or a mapping with `image`, found {}", describe(item));
            findings.push(Finding::error(item.span, message));
            None
        }
    }
}

fn service(
    image: String,
    alias: Option<(&str, Span)>,
    environment: Environment,
    ready: Ready,
    span: Span,
    findings: &mut Findings,
) -> Option<Service> {
    let (alias, place) = alias.map_or_else(|| (derived_alias(&image), span), |(alias, place)| (alias, place));
    if !is_alias(alias) {
        let message = format!("`{}` cannot be the alias of a service", shown(alias));
        findings
            .push(Finding::error(place, message).help("use letters, digits, `_`, `.` and `-`; set `alias`"));
        return None;
    }
    Some(Service { alias: alias.to_owned(), image, variables: environment.variables, ready, span })
}

fn ready(field: &Field<'_>, findings: &mut Findings) -> Option<Ready> {
    let fields = Fields::of(field, READY_KEYS, findings)?;
    let command = fields.get("command").and_then(|field| text(field, findings)).map(str::to_owned);
    let timeout = fields.get("timeout").and_then(|field| duration(field, findings));
    Some(Ready { command, timeout: timeout.unwrap_or(Ready::DEFAULT_TIMEOUT) })
}

/// Services have a network of their own with the job, which a job on the host's network is not in.
pub(super) fn check_network(services: &[Service], network: Network, findings: &mut Findings) {
    if let (Some(first), true) = (services.first(), network.host_mode) {
        let finding = Finding::error(first.span, "a job with `network.host_mode` cannot have services");
        findings.push(finding.help("take `host_mode` out, or the services"));
    }
}

/// The last part of the image's path, without tag and digest.
fn derived_alias(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or(image);
    last.split([':', '@']).next().unwrap_or(last)
}

fn check_aliases(services: &[Service], findings: &mut Findings) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for service in services {
        if let Some(first) = seen.insert(&service.alias, service.span) {
            let message = format!("two services of this job have the alias `{}`", service.alias);
            let finding = Finding::error(service.span, message).related(first, "the first one");
            findings.push(finding.help("give one of them an `alias` of its own"));
        }
    }
}

/// The image that a field names.
pub(super) fn image_of(field: &Field<'_>, findings: &mut Findings) -> Option<String> {
    let image = text(field, findings)?;
    if !is_image(image) {
        findings.push(field.wrong());
        return None;
    }
    Some(image.to_owned())
}

/// No engine takes blanks or control characters in an image's name; the rest is the engine's to judge.
fn is_image(image: &str) -> bool {
    !image.is_empty() && !image.contains(|c: char| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    // covers: local-ci 82
    #[test]
    fn an_alias_is_the_images_last_part_without_tag_and_digest() {
        for (image, alias) in [
            ("postgres", "postgres"),
            ("postgres:16", "postgres"),
            ("registry.example:5000/team/redis:7-alpine", "redis"),
            ("ghcr.io/a/b@sha256:00ff", "b"),
        ] {
            assert_eq!(derived_alias(image), alias, "{image}");
        }
    }
}
