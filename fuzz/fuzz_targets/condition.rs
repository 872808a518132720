//! A condition out of any text: errors lie within it, and what is taken has an answer.
#![no_main]

use std::collections::BTreeMap;

use jobwright_pipeline::{Condition, ConditionContext};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let variables = BTreeMap::from([("A".to_owned(), "1".to_owned())]);
    let changed = ["src/a.rs".to_owned()];
    let context = ConditionContext {
        variables: &variables,
        branch: "main",
        commit: "0123",
        tag: "",
        event: "manual",
        changed: Some(&changed),
    };
    match Condition::parse(text) {
        Ok(condition) => drop(condition.evaluate(&context)),
        Err(errors) => {
            assert!(!errors.is_empty());
            assert!(errors.iter().all(|error| text.get(error.place.clone()).is_some()));
        }
    }
});
