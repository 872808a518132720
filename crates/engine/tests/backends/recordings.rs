//! The files of the original's recordings, run for real on host processes and in Docker: the same jobs in the same order, groups and
//! states, and the same output. What is compared on a scripted executor, texts of errors included, is `tests/golden.rs`'s.

use std::collections::BTreeMap;

use jobwright_events::{RunMode, WireEvent};
use serde_json::{Value, json};

use crate::engines::IMAGE;
use crate::golden::{pipeline, recorded, shape};
use crate::project::{Project, docker};
use crate::world::Site;

/// A recording with the file and the mode that it was made of.
const RECORDINGS: [(&str, &str, RunMode); 4] = [
    ("sequential.ndjson", "seq.yaml", RunMode::Sequential),
    ("parallel.ndjson", "seq.yaml", RunMode::Parallel),
    ("dag.ndjson", "dag.yaml", RunMode::Sequential),
    ("matrix-and-detached.ndjson", "matrix.yaml", RunMode::Sequential),
];

/// Which errors there are is compared, not what they say: backends say it in their own words.
fn state(event: WireEvent) -> Option<Value> {
    let mut json = shape(event).filter(|json| json["type"] != "log_line")?;
    if let Some(error) = json.as_object_mut()?.get_mut("err") {
        *error = json!(error.as_str().unwrap_or_default().lines().count());
    }
    Some(json)
}

/// What is told of the run and of groups, in order; of each job, in order; of jobs among each other, only where they follow each other.
fn order(events: &[WireEvent]) -> (Vec<Value>, BTreeMap<String, Vec<Value>>) {
    let of = |event: &WireEvent| event.job.clone();
    let run = events.iter().filter(|event| event.job.is_empty() && event.r#type != "log_line").cloned();
    let mut jobs: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in events.iter().filter(|event| !event.job.is_empty()) {
        let told = jobs.entry(of(event)).or_default();
        told.extend(state(event.clone()));
    }
    jobs.retain(|_, told| !told.is_empty());
    (run.filter_map(state).collect(), jobs)
}

/// The jobs that run alone, in order: `a`'s start, `a`'s end, and so on.
fn chain(events: &[WireEvent]) -> Vec<Value> {
    events.iter().filter(|event| event.exec == "standalone").cloned().filter_map(state).collect()
}

/// What each job printed, without the echo of its commands, which the original does not have; and what the run said.
fn output(events: &[WireEvent]) -> BTreeMap<String, String> {
    let mut printed: BTreeMap<String, String> = BTreeMap::new();
    for event in events.iter().filter(|event| event.r#type == "log_line") {
        printed.entry(event.job.clone()).or_default().push_str(&event.data);
    }
    for text in printed.values_mut() {
        *text = text.lines().filter(|line| !line.starts_with("+ ")).map(|line| format!("{line}\n")).collect();
    }
    printed.retain(|_, text| !text.is_empty());
    printed
}

async fn the_recordings(site: Option<Site>) {
    let Some(site) = site else { return };
    for (recording, file, mode) in RECORDINGS {
        let Some(theirs) = recorded(recording) else { return };
        let text = pipeline(file).replace("image: x", &format!("image: {IMAGE}"));
        let told = Project::of_file(&[&site], &text).await.run_in(mode, None).await;
        let ours = told.events;
        assert_eq!(order(&ours), order(&theirs), "{recording}");
        assert_eq!(chain(&ours), chain(&theirs), "{recording}");
        assert_eq!(output(&ours), output(&theirs), "{recording}");
    }
}

// covers: local-ci 26, 29, 35-39, 42, 44, 51, 53-54
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_originals_files_run_as_they_were_recorded_on_host_processes() {
    the_recordings(Some(Site::Process)).await;
}

// covers: local-ci 26, 29, 35-39, 42, 44, 51, 53-54
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_originals_files_run_as_they_were_recorded_in_docker() {
    the_recordings(docker().await).await;
}
