//! `parallel`: how often a job runs. A matrix that ours can hold stays one; one with other values, or whose variables stand where only the
//! shell would put them in, is written out as one job for each combination. Not for what a combination does.

use crate::check::describe;
use crate::import::Notes;
use crate::import::document::Out;
use crate::import::node::{get, items, mapping, names_in, note_others, number, text, wrong_kind};
use crate::text::shown;
use crate::yaml::{Entry, Node, Value};

/// The most combinations, as in GitLab.
const MOST: usize = 200;

/// How often a job runs.
pub(super) enum Parallel {
    /// Once.
    Once,
    /// With a matrix of ours, and variables beside.
    Matrix(Out, Vec<(String, String)>),
    /// As jobs of their own: what each is called behind the job's name, and its variables.
    WrittenOut(Vec<(String, Vec<(String, String)>)>),
}

type Axes = Vec<(String, Vec<String>)>;

/// What `parallel` says.
pub(super) fn read(keys: &[Entry], notes: &mut Notes) -> Parallel {
    let Some(entry) = get(keys, "parallel") else { return Parallel::Once };
    if let Some(count) = number(&entry.value) {
        if !(1..=200).contains(&count) {
            notes.wrong(entry.value.span, "`parallel` must be a number from 1 to 200");
            return Parallel::Once;
        }
        let numbers = (1..=count).map(|number| number.to_string());
        let matrix = Out::List(vec![Out::map([("CI_NODE_INDEX", Out::texts(numbers))])]);
        return Parallel::Matrix(matrix, vec![("CI_NODE_TOTAL".to_owned(), count.to_string())]);
    }
    let Some(entries) = mapping(entry, notes) else { return Parallel::Once };
    note_others(entries, &["matrix"], "`parallel`", notes);
    let Some(matrix) = get(entries, "matrix") else {
        wrong_kind(entry, "a number or a mapping with `matrix`", notes);
        return Parallel::Once;
    };
    let all: Vec<Axes> = items(&matrix.value).iter().filter_map(|item| axes(item, notes)).collect();
    let count =
        |axes: &Axes| axes.iter().fold(1_usize, |count, (_, values)| count.saturating_mul(values.len()));
    let combinations = all.iter().map(count).fold(0, usize::saturating_add);
    if combinations > MOST {
        notes.wrong(matrix.key_span, format!("this matrix has more than {MOST} combinations"));
        return Parallel::Once;
    }
    if combinations == 0 {
        if !notes.has_error() {
            notes.wrong(matrix.key_span, "this matrix has no combinations");
        }
        return Parallel::Once;
    }
    let combinations: Vec<Vec<(String, String)>> = all.iter().flat_map(product).collect();
    let distinct: std::collections::HashSet<_> = combinations.iter().map(|values| sorted(values)).collect();
    if distinct.len() != combinations.len() {
        notes.wrong(matrix.key_span, "two combinations of this matrix are the same");
        return Parallel::Once;
    }
    if stays_a_matrix(&all, keys) {
        return Parallel::Matrix(native(&all), Vec::new());
    }
    notes.note(matrix.key_span, "this matrix is written out as one job for each combination");
    Parallel::WrittenOut(combinations.into_iter().map(|values| (called(&values), values)).collect())
}

fn sorted(values: &[(String, String)]) -> Vec<(String, String)> {
    let mut values = values.to_vec();
    values.sort();
    values
}

fn called(values: &[(String, String)]) -> String {
    let values: Vec<&str> = values.iter().map(|(_, value)| value.as_str()).collect();
    format!(": [{}]", values.join(", "))
}

fn axes(node: &Node, notes: &mut Notes) -> Option<Axes> {
    let Some(entries) = node.entries().filter(|entries| !entries.is_empty()) else {
        let message = format!(
            "an entry of a matrix must be a mapping of variables to values, found {}",
            describe(node)
        );
        notes.wrong(node.span, message);
        return None;
    };
    let mut axes = Axes::new();
    for entry in entries {
        if crate::check::check_variable_name(&entry.key).is_err() {
            notes.wrong(entry.key_span, format!("`{}` is no name of a variable", shown(&entry.key)));
            return None;
        }
        let mut values = Vec::new();
        for item in items(&entry.value) {
            match text(item) {
                Some(value) if value.chars().count() <= 60 && !value.chars().any(char::is_control) => {
                    values.push(value.to_owned())
                }
                _ => {
                    notes.wrong(item.span, "a value of a matrix must be a short text");
                    return None;
                }
            }
        }
        if values.is_empty() {
            notes.wrong(entry.key_span, format!("the variable `{}` has no values", shown(&entry.key)));
            return None;
        }
        axes.push((entry.key.clone(), values));
    }
    Some(axes)
}

fn product(axes: &Axes) -> Vec<Vec<(String, String)>> {
    axes.iter().fold(vec![Vec::new()], |products, (name, values)| {
        let with = |product: &Vec<(String, String)>, value: &String| {
            let mut product = product.clone();
            product.push((name.clone(), value.clone()));
            product
        };
        products.iter().flat_map(|product| values.iter().map(move |value| with(product, value))).collect()
    })
}

fn native(all: &[Axes]) -> Out {
    let one = |axes: &Axes| {
        Out::Map(axes.iter().map(|(name, values)| (name.clone(), Out::texts(values))).collect())
    };
    Out::List(all.iter().map(one).collect())
}

/// Whether ours can hold it: its names and values are simple, and nothing but scripts and rules reads them.
fn stays_a_matrix(all: &[Axes], keys: &[Entry]) -> bool {
    let is_simple = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    let simple = all
        .iter()
        .flatten()
        .all(|(name, values)| is_simple(name) && values.iter().all(|value| is_simple(value)));
    let names: Vec<&str> = all.iter().flatten().map(|(name, _)| name.as_str()).collect();
    let read_by_shell = ["script", "before_script", "after_script", "rules", "parallel", "only", "except"];
    let others = keys.iter().filter(|entry| !read_by_shell.contains(&entry.key.as_str()));
    simple && !others.into_iter().any(|entry| reads(&entry.value, &names)) && get(keys, "services").is_none()
}

fn reads(node: &Node, names: &[&str]) -> bool {
    match node.value() {
        Value::Scalar(scalar) => names_in(&scalar.text).any(|name| names.contains(&name)),
        Value::Sequence(items) => items.iter().any(|item| reads(item, names)),
        Value::Mapping(entries) => entries.iter().any(|entry| reads(&entry.value, names)),
    }
}
