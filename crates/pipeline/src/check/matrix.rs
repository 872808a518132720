//! The rules for `matrix` (local-ci.md 1.6): which combinations there are, and what they are called.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;

use crate::check::fields::{Field, Fields};
use crate::check::names::{is_alias, wrong_name};
use crate::check::quantities::whole;
use crate::check::values::{describe, scalar};
use crate::finding::Finding;
use crate::findings::Findings;
use crate::keys::MATRIX_KEYS;
use crate::source::Span;
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// The most combinations of one matrix.
const MOST_VARIANTS: usize = 1000;

/// The combinations of one matrix, in order.
pub(super) struct Matrix {
    pub(super) variants: Vec<Values>,
    pub(super) max_parallel: Option<NonZeroU32>,
}

/// A combination: what each variable is.
pub(super) type Values = BTreeMap<String, String>;

/// The name of a variant: the job's, and each variable with its value in the order of the variables' names.
pub(super) fn name(job: &str, values: &Values) -> String {
    values.iter().fold(job.to_owned(), |name, (key, value)| format!("{name}_{key}.{value}"))
}

/// Reads the matrix of the job `job`; none when the list is empty or nothing can be made of it.
pub(super) fn read(job: &str, field: &Field<'_>, findings: &mut Findings) -> Option<Matrix> {
    let Value::Mapping(entries) = field.value.value() else {
        let variants = combinations(field, findings);
        return finish(job, field, variants, None, findings);
    };
    let fields = Fields::read(entries, MATRIX_KEYS, findings);
    let Some(values) = fields.get("values") else {
        let finding = Finding::error(field.key_span, "`matrix` has no `values`");
        findings.push(finding.help("write a list of mappings, or `values:` with such a list"));
        return None;
    };
    let max_parallel = fields.get("max_parallel").and_then(|field| whole(field, 1..=1000, findings));
    let variants = combinations(values, findings);
    let variants = match fields.get("exclude") {
        Some(exclude) => exclude_from(variants, exclude, findings),
        None => variants,
    };
    finish(job, field, variants, max_parallel.and_then(NonZeroU32::new), findings)
}

fn finish(
    job: &str,
    field: &Field<'_>,
    variants: Vec<Values>,
    max_parallel: Option<NonZeroU32>,
    findings: &mut Findings,
) -> Option<Matrix> {
    let mut seen = HashSet::new();
    for values in &variants {
        let name = name(job, values);
        if let Some(why) = wrong_name(&name) {
            findings
                .push(Finding::error(field.key_span, format!("the name of a variant of this matrix {why}")));
            return None;
        }
        if !seen.insert(values) {
            let message = format!("two variants of this matrix are `{}`", shown(&name));
            findings.push(Finding::error(field.key_span, message).help("take one of them out"));
            return None;
        }
    }
    (!variants.is_empty()).then_some(Matrix { variants, max_parallel })
}

/// The entries of a list of mappings, or of the one mapping there is.
fn entries<'a>(field: &Field<'a>, findings: &mut Findings) -> Vec<(&'a [Entry], Span)> {
    let items = match field.value.value() {
        Value::Sequence(items) => items.as_slice(),
        Value::Mapping(_) => std::slice::from_ref(field.value),
        Value::Scalar(_) => {
            findings.push(field.wrong());
            &[]
        }
    };
    let mut found = Vec::new();
    for item in items {
        match item.entries() {
            Some([]) => findings.push(Finding::error(item.span, "this entry has no variables")),
            Some(entries) => found.push((entries, item.span)),
            None => {
                let message = format!(
                    "an entry of a matrix must be a mapping of variables to values, found {}",
                    describe(item)
                );
                findings.push(Finding::error(item.span, message));
            }
        }
    }
    found
}

/// A variable with its values.
type Axis = (String, Vec<String>);

fn axes(entries: &[Entry], findings: &mut Findings) -> Vec<Axis> {
    let mut axes: Vec<Axis> = entries.iter().filter_map(|entry| axis(entry, findings)).collect();
    axes.sort();
    axes
}

fn axis(entry: &Entry, findings: &mut Findings) -> Option<Axis> {
    let unsafe_text = |what: &str, text: &str| {
        format!("the {what} `{}` has characters that a matrix cannot have", shown(text))
    };
    let help = "use letters, digits, `_`, `.` and `-`";
    if !is_alias(&entry.key) {
        findings.push(Finding::error(entry.key_span, unsafe_text("variable", &entry.key)).help(help));
        return None;
    }
    let items: &[Node] = match entry.value.value() {
        Value::Sequence(items) => items,
        _ => std::slice::from_ref(&entry.value),
    };
    if items.is_empty() {
        let message = format!("the variable `{}` has no values", entry.key);
        findings.push(Finding::error(entry.key_span, message));
        return None;
    }
    let mut values = Vec::new();
    for item in items {
        match scalar(item).map(|scalar| scalar.text.as_str()) {
            Some(text) if is_alias(text) => values.push(text.to_owned()),
            Some(text) => findings.push(Finding::error(item.span, unsafe_text("value", text)).help(help)),
            None => {
                let message = format!("a value of a matrix must be a text, found {}", describe(item));
                findings.push(Finding::error(item.span, message));
            }
        }
    }
    (values.len() == items.len()).then(|| (entry.key.clone(), values))
}

/// The products of all entries, one entry after the other; the variables of each in the order of their names.
fn combinations(field: &Field<'_>, findings: &mut Findings) -> Vec<Values> {
    let mut variants: Vec<Values> = Vec::new();
    for (entry, span) in entries(field, findings) {
        let axes = axes(entry, findings);
        if axes.len() != entry.len() {
            continue;
        }
        let count = axes.iter().try_fold(1_usize, |count, (_, values)| count.checked_mul(values.len()));
        if count.is_none_or(|count| count + variants.len() > MOST_VARIANTS) {
            let message = format!("this matrix has more than {MOST_VARIANTS} variants");
            findings.push(Finding::error(span, message));
            return Vec::new();
        }
        let products = axes.iter().fold(vec![Values::new()], |products, (key, values)| {
            let with = |product: &Values, value: &String| {
                let mut product = product.clone();
                product.insert(key.clone(), value.clone());
                product
            };
            products.iter().flat_map(|product| values.iter().map(move |value| with(product, value))).collect()
        });
        variants.extend(products);
    }
    variants
}

/// The combinations that none of the exclusions has all the values of.
fn exclude_from(mut variants: Vec<Values>, field: &Field<'_>, findings: &mut Findings) -> Vec<Values> {
    let any = !variants.is_empty();
    for (entry, span) in entries(field, findings) {
        let axes = axes(entry, findings);
        if axes.len() != entry.len() {
            continue;
        }
        let is_excluded = |values: &Values| {
            axes.iter().all(|(key, excluded)| values.get(key).is_some_and(|value| excluded.contains(value)))
        };
        let before = variants.len();
        variants.retain(|values| !is_excluded(values));
        if variants.len() == before {
            let finding = Finding::warning(span, "no combination is left out by this");
            findings.push(finding.help("do the variables and values stand in `values` too?"));
        }
    }
    if any && variants.is_empty() {
        findings.push(Finding::error(field.key_span, "`exclude` leaves nothing of this matrix"));
    }
    variants
}
