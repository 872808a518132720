//! Random small pipelines against an independent model of local-ci's rules (`rules`): which jobs run, when each begins and ends, in how many
//! attempts, in which groups, and what becomes of it. Where DESIGN section 6 differs (skipped jobs are reported, real exit codes), it is
//! the difference that is expected. Not for the rules one by one: those are `modes`, `barriers`, `attempts` and `selection`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod rules;
mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jobwright_events::{RunMode, WireEvent};
use jobwright_model::{Cause, Outcome};
use proptest::prelude::*;
use rules::{Act, Asked, Came, Expected, Job, Mode, expect};
use support::{Play, Played, Scripted};

/// A file, and how it is run.
#[derive(Debug, Clone)]
struct Case {
    stages: usize,
    jobs: Vec<Job>,
    asked: Asked,
    mode: Mode,
}

impl Case {
    fn expected(&self) -> Expected {
        expect(&self.jobs, self.stages, &self.asked, self.mode)
    }

    /// The file as it is written. `V` is the only variable of each matrix.
    fn text(&self) -> String {
        let stages: Vec<String> = (0..self.stages).map(|stage| format!("s{stage}")).collect();
        let mut text = format!("stages: [{}]\n", stages.join(", "));
        for job in &self.jobs {
            let _ = write!(text, "{}: {{stage: s{}, script: [x]", job.name, job.stage);
            if job.detached {
                text.push_str(", parallel: true");
            }
            if job.retry > 0 {
                let _ = write!(text, ", retry: {}", job.retry);
            }
            if !job.needs.is_empty() {
                let _ = write!(text, ", needs: [{}]", job.needs.join(", "));
            }
            if job.is_matrix {
                let values: Vec<String> = (0..job.acts.len()).map(|value| value.to_string()).collect();
                let _ = write!(text, ", matrix: [{{V: [{}]}}]", values.join(", "));
            }
            text.push_str("}\n");
        }
        text
    }

    fn play(&self) -> Played {
        let mut play = Play::of(&self.text()).mode(match self.mode {
            Mode::Sequential => RunMode::Sequential,
            Mode::Parallel => RunMode::Parallel,
            Mode::ParallelStages => RunMode::ParallelStages,
        });
        match &self.asked {
            Asked::All => {}
            Asked::Jobs(names) => play.spec.job_names = names.clone(),
            Asked::Stages(stages) => {
                play.spec.stages = stages.iter().map(|stage| format!("s{stage}")).collect()
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.unwrap().block_on(play.run(self.executor()))
    }

    fn executor(&self) -> Arc<Scripted> {
        let mut acts = BTreeMap::new();
        for job in &self.jobs {
            for (value, act) in job.acts.iter().enumerate() {
                let name = if job.is_matrix { format!("{}_V.{value}", job.name) } else { job.name.clone() };
                let exits = if act.fails == Some(0) { 0 } else { 3 };
                let takes = Duration::from_millis(act.takes);
                let fails = act.fails.unwrap_or(0);
                acts.insert(name, support::Act { takes, exits, fails, ..support::Act::default() });
            }
        }
        Scripted::of(acts)
    }
}

fn act() -> impl Strategy<Value = Act> {
    let fails = prop_oneof![6 => Just(Some(0)), 2 => Just(None), 1 => Just(Some(1)), 1 => Just(Some(2))];
    (0_u64..5, fails).prop_map(|(takes, fails)| Act { takes: takes * 10, fails })
}

/// A job without name and needs, with numbers out of which its needs are made.
fn job() -> impl Strategy<Value = (Job, Vec<prop::sample::Index>)> {
    let acts = prop_oneof![
        4 => prop::collection::vec(act(), 1).prop_map(|acts| (acts, false)),
        1 => prop::collection::vec(act(), 1..4).prop_map(|acts| (acts, true)),
    ];
    let needs = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    (acts, 0_usize..3, prop::bool::weighted(0.2), 0_usize..3, needs).prop_map(
        |((acts, is_matrix), stage, detached, retry, needs)| {
            (Job { name: String::new(), stage, detached, retry, needs: Vec::new(), acts, is_matrix }, needs)
        },
    )
}

/// Of the jobs before `job` in the file those that `wanted` points at and that it may need.
fn needs_of(job: &Job, before: &[Job], wanted: &[prop::sample::Index]) -> Vec<String> {
    let may: Vec<&Job> = before.iter().filter(|other| other.stage <= job.stage).collect();
    let mut needs: Vec<String> = Vec::new();
    for index in wanted.iter().filter(|_| !may.is_empty()) {
        let name = &index.get(&may).name;
        if !needs.contains(name) {
            needs.push(name.clone());
        }
    }
    needs
}

fn case() -> impl Strategy<Value = Case> {
    let mode = prop_oneof![Just(Mode::Sequential), Just(Mode::Parallel), Just(Mode::ParallelStages)];
    let asked = (0_u8..4, prop::collection::vec(any::<prop::sample::Index>(), 1..4));
    (prop::collection::vec(job(), 1..8), any::<bool>(), mode, asked).prop_map(
        |(drafts, with_needs, mode, (kind, picks))| {
            let mut jobs: Vec<Job> = Vec::new();
            for (number, (draft, wanted)) in drafts.into_iter().enumerate() {
                let needs = if with_needs { needs_of(&draft, &jobs, &wanted) } else { Vec::new() };
                jobs.push(Job { name: format!("j{number}"), needs, ..draft });
            }
            let asked = match kind {
                0 => Asked::Jobs(picks.iter().map(|pick| pick.get(&jobs).name.clone()).collect()),
                1 => Asked::Stages(picks.iter().map(|pick| pick.get(&jobs).stage).collect()),
                _ => Asked::All,
            };
            Case { stages: 3, jobs, asked, mode }
        },
    )
}

/// The events of that type that belong to the job or group.
fn told<'a>(events: &'a [WireEvent], kind: &str, of: &str) -> Vec<&'a WireEvent> {
    let named = |event: &&WireEvent| event.r#type == kind && (event.job == of || event.group_id == of);
    events.iter().filter(named).collect()
}

fn compare_jobs(case: &Case, expected: &Expected, played: &Played) {
    let (events, spans) = (played.wire(), played.executor.spans());
    for instance in &expected.order {
        let name = &instance.name;
        let report = played.report.jobs.iter().find(|report| *report.name == **name).unwrap();
        let (started, ended) = (told(&events, "job_started", name), told(&events, "job_finished", name));
        match &expected.came[name] {
            Came::Skipped => {
                assert_eq!(report.ending.outcome, Outcome::Skipped, "{name}");
                assert!(started.is_empty() && ended.is_empty() && !spans.contains_key(name), "{name}");
                assert_eq!(told(&events, "job_skipped", name).len(), 1, "{name}: DESIGN section 6");
            }
            Came::Ran { from, to, attempts, passed } => {
                assert_eq!((started.len(), ended.len()), (1, 1), "{name}: one pair whatever the attempts");
                assert_eq!(spans.get(name), Some(&(*from, *to)), "{name} begins and ends");
                assert_eq!(
                    (report.ending.succeeded(), report.attempts as usize),
                    (*passed, *attempts),
                    "{name}"
                );
                assert_eq!(ended[0].exit_code, i64::from(!passed), "{name}: 0 or 1, as the original");
                let exec = expected.exec(instance, case.mode);
                assert_eq!((started[0].exec.as_str(), ended[0].exec.as_str()), (exec, exec), "{name}");
                assert_eq!(started[0].stage, format!("s{}", instance.stage), "{name}");
                let retries = format!("Job {name} failed, retrying (attempt ");
                let notices =
                    events.iter().filter(|event| event.job.is_empty() && event.data.starts_with(&retries));
                assert_eq!(notices.count(), attempts - 1, "{name}: a notice of the run between two attempts");
            }
        }
    }
}

fn compare_groups(expected: &Expected, events: &[WireEvent]) {
    let opened = events.iter().filter(|event| event.r#type == "group_started");
    let groups: Vec<_> = opened.map(|event| (event.group_id.clone(), event.order.clone())).collect();
    assert_eq!(groups, expected.groups);
    let at = |event: &WireEvent| event.seq;
    for (group, members) in &expected.groups {
        let (opened, closed) = (told(events, "group_started", group), told(events, "group_finished", group));
        assert_eq!((opened.len(), closed.len()), (1, 1), "{group}");
        for event in members.iter().flat_map(|name| told(events, "job_started", name)) {
            assert_eq!(&event.group_id, group, "{}", event.job);
            assert!(at(opened[0]) < at(event), "{}", event.job);
        }
        for event in members.iter().flat_map(|name| told(events, "job_finished", name)) {
            assert!(at(event) < at(closed[0]), "{}", event.job);
        }
    }
}

fn compare_run(case: &Case, expected: &Expected, played: &Played) {
    let events = played.wire();
    let names: Vec<&String> = expected.order.iter().map(|instance| &instance.name).collect();
    assert_eq!(events[0].order.iter().collect::<Vec<_>>(), names);
    assert_eq!(
        (events[0].r#type.as_str(), events.last().unwrap().r#type.as_str()),
        ("run_started", "run_finished")
    );
    assert_eq!(events[0].has_detached, expected.order.iter().any(|instance| instance.detached));
    assert_eq!(events[0].has_matrix, expected.order.iter().any(|instance| instance.is_variant));
    let failed: Vec<_> = names
        .iter()
        .filter(|name| matches!(expected.came[**name], Came::Ran { passed: false, .. }))
        .collect();
    let skipped = expected.came.values().filter(|came| **came == Came::Skipped).count();
    let mut lines: Vec<String> = failed
        .iter()
        .map(|name| format!("Job {name} failed: container exited with non-zero status 3"))
        .collect();
    if expected.is_graph && skipped > 0 {
        lines.push(format!("{skipped} job(s) skipped because a dependency failed"));
    }
    assert_eq!(events.last().unwrap().err, lines.join("\n"));
    assert_eq!(played.report.ending.succeeded(), failed.is_empty());
    let notice = |text: &str| played.story().iter().filter(|word| **word == format!("notice {text}")).count();
    let beside = !expected.is_graph && case.mode == Mode::Sequential && events[0].has_detached;
    assert_eq!(notice("Waiting for detached jobs to finish..."), usize::from(beside));
    assert_eq!(notice("Running jobs in dependency (DAG) order..."), usize::from(expected.is_graph));
}

/// What is skipped names something that it waited for and that did not pass.
fn compare_reasons(expected: &Expected, played: &Played) {
    for report in played.report.jobs.iter().filter(|report| report.ending.outcome == Outcome::Skipped) {
        let Cause::Dependency(named) = &report.ending.cause else { panic!("{report:?}") };
        let of = |name: &str| expected.order.iter().find(|instance| instance.name == name).unwrap();
        assert!(!expected.passed(named), "{} was skipped for {named}, which passed", report.name);
        if expected.is_graph {
            assert!(
                rules::waits_for(of(&report.name), of(named)),
                "{} does not wait for {named}",
                report.name
            );
            let notice = format!("notice Skipping job {} (dependency {named} did not pass)", report.name);
            assert!(played.story().contains(&notice), "{notice}");
        }
    }
}

fn compare(case: &Case) {
    let (expected, played) = (case.expected(), case.play());
    compare_jobs(case, &expected, &played);
    compare_groups(&expected, &played.wire());
    compare_run(case, &expected, &played);
    compare_reasons(&expected, &played);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    // covers: local-ci 29, 33-46, 48-54, 60, 63, 64
    #[test]
    fn any_small_pipeline_runs_as_local_cis_rules_have_it(case in case()) {
        compare(&case);
    }
}
