//! The rules for `remote_provider` (local-ci.md 1.2). No message quotes a token.

use jobwright_model::Secret;

use crate::check::fields::{Field, Fields};
use crate::check::names::check_variable_name;
use crate::check::quantities::whole;
use crate::check::values::{describe_kind, scalar, text};
use crate::check::variables;
use crate::finding::Finding;
use crate::findings::Findings;
use crate::keys::REMOTE_KEYS;
use crate::remote::{AccessToken, RemoteProvider};
use crate::secrets::SecretSource;

pub(super) fn read(field: &Field<'_>, findings: &mut Findings) -> Option<RemoteProvider> {
    let fields = Fields::of(field, REMOTE_KEYS, findings)?;
    for key in REMOTE_KEYS.iter().filter(|key| fields.get(key.name).is_none()) {
        let finding = Finding::error(field.key_span, format!("`remote_provider` has no `{}`", key.name));
        findings.push(finding.help(format!("add `{}:` with {}", key.name, key.holds)));
    }
    let url = fields.get("url").and_then(|field| url(field, findings));
    let project_id = fields.get("project_id").and_then(|field| whole(field, 1..=u32::MAX, findings));
    let access_token = fields.get("access_token").and_then(|field| token(field, findings));
    Some(RemoteProvider {
        url: url?,
        project_id: project_id?,
        access_token: access_token?,
        span: field.key_span,
    })
}

fn url(field: &Field<'_>, findings: &mut Findings) -> Option<String> {
    let url = text(field, findings)?;
    let whole = if url.contains("://") { url.to_owned() } else { format!("https://{url}") };
    let rest = whole.strip_prefix("https://").or_else(|| whole.strip_prefix("http://"));
    let is_address = rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'))
        && !whole.contains(|c: char| c.is_whitespace() || c.is_control());
    if !is_address {
        findings.push(field.wrong());
        return None;
    }
    Some(whole.trim_end_matches('/').to_owned())
}

fn token(field: &Field<'_>, findings: &mut Findings) -> Option<AccessToken> {
    if let Some(entries) = field.value.entries() {
        return variables::source(entries, field.key_span, "the access token", findings)
            .map(AccessToken::From);
    }
    let text = scalar(field.value).map(|scalar| scalar.text.as_str()).filter(|text| !text.is_empty());
    let Some(text) = text else {
        findings.hide(field.value.span);
        let message =
            format!("`access_token` must be {}, found {}", field.key.holds, describe_kind(field.value));
        findings.push(Finding::error(field.place(), message));
        return None;
    };
    let Some(name) = text.strip_prefix('$') else {
        findings.hide(field.value.span);
        let finding = Finding::warning(field.place(), "the access token stands in the file");
        findings.push(finding.help("write `$NAME`, and set that variable where jobwright is started"));
        let name = "access_token".to_owned();
        return Some(AccessToken::Literal(Secret { name, value: text.to_owned() }));
    };
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    if let Err(error) = check_variable_name(name) {
        findings.push(Finding::error(field.place(), error.to_string()));
        return None;
    }
    Some(AccessToken::From(SecretSource::Env(name.to_owned())))
}
