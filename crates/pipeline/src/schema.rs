//! The JSON schema of pipeline files, made from the tables of keys, so that editors complete and check them. It is wider than the rules:
//! what depends on other keys is not in it. Not for checking files (`check`).

use serde_json::{Map, Value, json};

use crate::keys::{Form, JOB_KEYS, Key, PIPELINE_KEYS};

/// A duration as `jobwright_model::parse_duration` reads it.
const DURATION: &str = r"^([0-9]+|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(h|ms|m|s|us|µs|ns))+)$";
const CORES: &str = r"^([0-9]+(\.[0-9]{1,3})?|[0-9]+m)$";
const SIZE: &str = r"^[0-9]+ ?((Ki|Mi|Gi|Ti|k|K|M|G|T)?B?)$";

/// The schema, in the draft that editors know best (draft 7).
#[must_use]
pub fn schema() -> Value {
    let mut job = fields(JOB_KEYS);
    for property in job["properties"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        *property = or_nothing(property.take());
    }
    let mut whole = fields(PIPELINE_KEYS);
    whole["additionalProperties"] = json!({"$ref": "#/definitions/job"});
    // What only anchors use may be anything.
    whole["patternProperties"] = json!({
        r"^\.": {
            "anyOf": [
                {"$ref": "#/definitions/job"},
                {"type": ["array", "string", "number", "boolean", "null"]},
            ],
        },
    });
    job["description"] = json!("A job, or with a name that begins with `.` a template, which never runs.");
    whole["definitions"] = json!({"job": job});
    whole["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    whole["title"] = json!("Jobwright pipeline");
    whole["description"] = json!("A pipeline file: stages, settings and, under any other name, jobs.");
    whole
}

/// In a job `null` takes back what a template brings.
fn or_nothing(mut property: Value) -> Value {
    let description = property.as_object_mut().and_then(|property| property.remove("description"));
    json!({"description": description, "anyOf": [property, {"type": "null"}]})
}

fn fields(keys: &[Key]) -> Value {
    let property = |key: &Key| {
        let mut form = form(key.form);
        form["description"] = json!(format!("{} It holds {}.", key.about, key.holds));
        (key.name.to_owned(), form)
    };
    let properties: Map<String, Value> = keys.iter().map(property).collect();
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn form(form_of: Form) -> Value {
    match form_of {
        Form::Text => json!({"type": ["string", "number", "boolean"]}),
        Form::Name => json!({"type": "string", "minLength": 1}),
        Form::Flag => json!({"type": "boolean"}),
        Form::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Form::Duration | Form::Minutes => {
            json!({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": DURATION}]})
        }
        Form::Cores => {
            json!({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": CORES}]})
        }
        Form::Size => {
            json!({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": SIZE}]})
        }
        Form::Word(words) => json!({"enum": words}),
        Form::List(item) => json!({"type": "array", "items": form(*item)}),
        Form::OneOrMore(item) => {
            let item = form(*item);
            json!({"anyOf": [item.clone(), {"type": "array", "items": item}]})
        }
        Form::Map(value) => json!({"type": "object", "additionalProperties": form(*value)}),
        Form::Variables => json!({
            "type": ["object", "null"],
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        }),
        Form::Fields(keys) => fields(keys),
        Form::Either(forms) => json!({"anyOf": forms.iter().copied().map(form).collect::<Vec<_>>()}),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::Loader;
    use crate::findings::Findings;
    use crate::source::Source;
    use crate::yaml::{self, Node, Scalar};

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// What an editor sees of a file: merges applied, plain scalars as YAML takes them.
    fn instance(text: &str) -> Value {
        let root = yaml::parse(&Source::new("p.yaml", text), &mut Findings::default());
        json_of(&root.expect("the examples are YAML"))
    }

    fn json_of(node: &Node) -> Value {
        match node.value() {
            yaml::Value::Sequence(items) => items.iter().map(json_of).collect(),
            yaml::Value::Mapping(entries) => {
                entries.iter().map(|entry| (entry.key.clone(), json_of(&entry.value))).collect()
            }
            yaml::Value::Scalar(scalar) => scalar_of(scalar),
        }
    }

    fn scalar_of(scalar: &Scalar) -> Value {
        match scalar.text.parse::<serde_json::Number>() {
            _ if scalar.is_null() => Value::Null,
            _ if scalar.is_bool() => json!(scalar.text.eq_ignore_ascii_case("true")),
            Ok(number) if scalar.is_number() => Value::Number(number),
            _ => json!(scalar.text),
        }
    }

    fn faults(text: &str) -> Vec<String> {
        let validator = jsonschema::draft7::new(&schema()).expect("the schema is one");
        let instance = instance(text);
        validator.iter_errors(&instance).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    fn yaml_files(folder: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).expect("the folder is there");
        let paths = entries.map(|entry| entry.expect("it can be listed").path());
        let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = paths.partition(|path| path.is_dir());
        let is_yaml = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "yaml");
        files
            .into_iter()
            .filter(is_yaml)
            .chain(folders.iter().flat_map(|folder| yaml_files(folder)))
            .collect()
    }

    #[test]
    fn every_example_fits_the_schema() {
        let mut files = yaml_files(&root().join("examples"));
        assert!(!files.is_empty());
        files.extend(yaml_files(&root().join("crates/pipeline/tests/good")));
        files.extend(yaml_files(&root().join("crates/pipeline/tests/language")));
        files.push(root().join(".jobwright.yaml"));
        for path in files {
            let text = std::fs::read_to_string(&path).expect("it can be read");
            assert_eq!(
                faults(text.trim_start_matches('\u{feff}')),
                Vec::<String>::new(),
                "{}",
                path.display()
            );
        }
    }

    #[test]
    fn what_the_checker_refuses_or_warns_of_is_refused_by_the_schema() {
        let job = |lines: &str| format!("stages: [t]\na:\n  stage: t\n  script: ls\n  {lines}\n");
        for lines in [
            "retry: 11",
            "retry: '2'",
            "parallel: yes please",
            "timeout: soon",
            "needs: [1]",
            "cache: {key: k, paths: x, policy: all}",
            "artifacts: {when: never, paths: x}",
            "resources: {memory: 512m}",
            "resources: {cpu: '1.2345'}",
            "services: redis",
            "matrix: 1",
            "allow_failure: {exit_codes: 0}",
            "typo: 1",
            "network: {host: true}",
            "after_script: {a: b}",
            "variables: [a]",
            "secrets: {A: value}",
        ] {
            let file = job(lines);
            assert_ne!(faults(&file), Vec::<String>::new(), "{lines}");
            let checked = Loader::new().every_key().parse("p.yaml", file.as_bytes());
            assert!(checked.map_or(true, |pipeline| !pipeline.warnings().is_empty()), "{lines}");
        }
    }

    #[test]
    fn the_committed_schema_is_this_one() {
        let path = root().join("docs/schema/jobwright.schema.json");
        let committed = std::fs::read_to_string(path).expect("docs/schema/jobwright.schema.json is there");
        let committed: Value = serde_json::from_str(&committed).expect("it is JSON");
        assert!(committed == schema(), "the schema is stale; run `cargo xtask schema`");
    }
}
