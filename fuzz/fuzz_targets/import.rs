//! A foreign file out of any bytes: it is imported or refused, and what is imported is valid in our own language.
#![no_main]

use jobwright_pipeline::{ImportError, import_gitlab_bytes, import_woodpecker_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let files = [("a.yaml".to_owned(), bytes.to_vec())];
    for result in [import_gitlab_bytes(".gitlab-ci.yml", bytes), import_woodpecker_bytes(&files)] {
        match result {
            Err(ImportError::Internal(report)) => panic!("{report}\n{}", report.source().text()),
            Err(ImportError::Invalid(report)) => assert!(report.has_errors()),
            _ => {}
        }
    }
});
