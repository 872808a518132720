//! The streams that the original recorded (`shared/corpora/local-ci-golden`), and what of an event is compared with them.

use std::path::PathBuf;

use jobwright_events::WireEvent;

/// The corpus, or none with a word where it is absent.
pub(crate) fn corpus() -> Option<PathBuf> {
    let shared =
        std::env::var_os("JOBWRIGHT_SHARED").map_or_else(|| PathBuf::from("../../../shared"), PathBuf::from);
    let corpus = shared.join("corpora/local-ci-golden");
    if corpus.is_dir() {
        return Some(corpus);
    }
    eprintln!("skipped: {} is not there (set JOBWRIGHT_SHARED)", corpus.display());
    None
}

pub(crate) fn recorded(name: &str) -> Option<Vec<WireEvent>> {
    let text = std::fs::read_to_string(corpus()?.join(name)).unwrap();
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The pipeline file of a recording.
pub(crate) fn pipeline(name: &str) -> String {
    std::fs::read_to_string(corpus().unwrap().join(name)).unwrap()
}

/// An event as its JSON, without what differs from run to run and without our additions. Diagnostics are free text, and our new
/// types are none of the original's.
pub(crate) fn shape(event: WireEvent) -> Option<serde_json::Value> {
    if ["diagnostic", "job_skipped", "step_started", "step_finished"].contains(&event.r#type.as_str()) {
        return None;
    }
    let event = WireEvent { seq: 0, duration_ms: 0, ..event.without_additions() };
    let mut json = serde_json::to_value(event).unwrap();
    let fields = json.as_object_mut().unwrap();
    for name in ["time", "runId", "configPath", "projectPath", "commit", "branch"] {
        fields.remove(name);
    }
    Some(json)
}
