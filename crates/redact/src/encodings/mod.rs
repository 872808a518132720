//! The forms in which programs print a value without being asked to.
//!
//! Not for ciphers, compression or what a job does to hide a value on purpose: nobody can mask those.

mod base64;
mod json;
mod percent;
mod shell;

/// Every encoded form of a text. Forms may be equal to each other or to the text itself.
pub(crate) fn of(text: &[u8]) -> Vec<Vec<u8>> {
    let mut forms = base64::forms(text);
    forms.extend(percent::forms(text));
    forms.extend(json::forms(text));
    forms.extend(shell::forms(text));
    forms.sort_unstable();
    forms.dedup();
    forms
}
