//! What of a job's output nobody may read: what the queue says, with its replacements, and what is secret of the agent itself (sourcegraph.md 2).

use jobwright_queue::Payload;
use jobwright_redact::{Masker, Secret, Warning};

use crate::settings::Identity;
use crate::source::Held;

/// What is shown in place of a secret of the agent.
const REMOVED: &str = "SECRET_REMOVED";

/// Masks all of it. The job's own replacement wins; what is empty is nothing to be masked.
///
/// # Errors
/// A value that cannot be masked: the job must not run.
pub(crate) fn masker(payload: &Payload, held: &Held, identity: &Identity) -> Result<Masker, String> {
    let mut builder = Masker::builder();
    for (place, (value, replacement)) in payload.redacted_values.iter().enumerate() {
        if !value.is_empty() {
            let secret = Secret::new(format!("redacted value {}", place + 1), value);
            builder = builder.with(secret.replaced_by(replacement).even_if_short());
        }
    }
    let is_own = |value: &String| payload.redacted_values.contains_key(value.as_str());
    for (name, value) in &identity.secrets {
        if !value.is_empty() && !is_own(value) {
            builder = builder.with(Secret::new(name, value).replaced_by(REMOVED));
        }
    }
    if !held.token.is_empty() && !is_own(&held.token) {
        builder = builder.with(Secret::new("the job's token", &held.token).replaced_by(REMOVED));
    }
    for (host, auth) in &payload.docker_auths {
        let auth = String::from_utf8_lossy(auth);
        if let Some((_, password)) = auth.split_once(':').filter(|(_, password)| !password.is_empty()) {
            builder =
                builder.with(Secret::new(format!("the password for {host}"), password).replaced_by(REMOVED));
        }
    }
    let built = builder.build();
    for warning in &built.warnings {
        if matches!(warning, Warning::TooLong { .. } | Warning::NoRoom { .. }) {
            return Err(format!("a secret of the job cannot be masked: {warning}"));
        }
        tracing::warn!(job = %held.job, "{warning}");
    }
    Ok(built.masker)
}

#[cfg(test)]
mod tests {
    use jobwright_model::{JobRef, QueueName};

    use super::*;

    // covers: sourcegraph 43 (the rule), 45
    #[test]
    fn what_the_queue_redacts_has_its_own_replacement_and_overlaps_are_one() {
        let mut payload = Payload::default();
        for (value, replacement) in
            [("", "X"), ("abcd", "ONE"), ("cdef", "TWO"), ("s3", "SHORT"), ("hunter22", "LOGIN")]
        {
            payload.redacted_values.insert(value.into(), replacement.into());
        }
        let held =
            Held { job: JobRef::new(QueueName::new("q").unwrap(), 1), token: "0123456789abcdef0123".into() };
        let mut identity = Identity::default();
        identity.secrets.insert("the token".into(), "swordfish".into());
        identity.secrets.insert("the login".into(), "hunter22".into());
        let masker = masker(&payload, &held, &identity).unwrap();
        for (text, expected) in [
            ("a s3 b", "a SHORT b"),
            ("my swordfish", "my SECRET_REMOVED"),
            ("my hunter22", "my LOGIN"),
            ("0123456789abcdef0123", "SECRET_REMOVED"),
            ("plain", "plain"),
        ] {
            assert_eq!(masker.mask_str(text), expected);
        }
        let masked = masker.mask_str("-abcdef-");
        assert!(!masked.contains("ab") && !masked.contains("ef"), "{masked}");
    }
}
