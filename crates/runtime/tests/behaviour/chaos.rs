//! Two hundred random workflows with random failures and a cancel at a random moment: whatever happens, nothing is left, every
//! step is traced as it may be, the journal is closed, and nothing passes that did not exit 0.

use std::time::Duration;

use jobwright_journal::Journal;
use jobwright_model::{Cause, FailurePolicy, Outcome, Stage, Step, StepType, Timeouts, Workflow};
use jobwright_runtime::{Record, WorkflowReport, open_tasks};
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::Arc;

use crate::support::{Event, World, step, tight, with};

/// What may go wrong with a step, and what may go right.
const FATES: [&[(&str, &str)]; 22] = [
    &[],
    &[],
    &[("SLEEP", "3s")],
    &[("SLEEP", "40s")],
    &[("SLEEP", "1h")],
    &[("DUMMY_LINES", "20"), ("DUMMY_LINE_DELAY", "300ms")],
    &[("DUMMY_OUTPUT_BYTES", "100000")],
    &[("STEP_EXIT_CODE", "1")],
    &[("SLEEP", "2s"), ("STEP_EXIT_CODE", "130")],
    &[("DUMMY_SIGNAL", "9")],
    &[("STEP_OOM_KILLED", "true")],
    &[("DUMMY_EXIT_UNKNOWN", "true")],
    &[("STEP_START_FAIL", "true")],
    &[("STEP_TAIL_FAIL", "true")],
    &[("DUMMY_PREPARE_FAIL", "x")],
    &[("DUMMY_IMAGE_FAIL", "absent")],
    &[("DUMMY_WAIT_FAIL", "x"), ("SLEEP", "1s")],
    &[("DUMMY_DESTROY_FAIL", "x")],
    &[("DUMMY_ENGINE_GONE", "2s"), ("SLEEP", "20s")],
    &[("DUMMY_TAIL_BREAK", "10")],
    &[("DUMMY_LOG_ENDLESS", "400ms")],
    &[("DUMMY_IGNORE_TERM", "true"), ("DUMMY_LOG_OPEN", "true"), ("SLEEP", "5s")],
];

#[derive(Debug, Clone)]
struct Draft {
    fate: &'static [(&'static str, &'static str)],
    background: u8,
    ignored: bool,
    conditions: (bool, bool),
    /// Which of the steps of earlier stages it names, by chance.
    depends_on: Option<prop::sample::Index>,
}

prop_compose! {
    fn draft()(
        fate in select(&FATES[..]),
        background in 0_u8..8,
        ignored in any::<bool>(),
        conditions in select(vec![(true, false), (true, false), (false, true), (true, true)]),
        depends_on in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) -> Draft {
        Draft { fate, background, ignored, conditions, depends_on }
    }
}

fn build(name: &str, draft: &Draft, earlier: &[String]) -> Step {
    with(step(name, draft.fate), |step| {
        match draft.background {
            0 => step.kind = StepType::Service,
            1 => step.detached = true,
            2 => step.kind = StepType::Plugin,
            _ => {}
        }
        step.failure = draft.ignored.then_some(FailurePolicy::Ignore);
        (step.on_success, step.on_failure) = draft.conditions;
        if let Some(index) = draft.depends_on.filter(|_| !earlier.is_empty()) {
            step.depends_on = vec![index.get(earlier).clone()];
        }
    })
}

prop_compose! {
    fn any_workflow()(stages in prop::collection::vec(prop::collection::vec(draft(), 0..4), 0..5)) -> Workflow {
        let mut names = Vec::new();
        let mut built = Vec::new();
        for (number, drafts) in stages.iter().enumerate() {
            let name = |index| format!("s{number}-{index}");
            let steps = drafts.iter().enumerate().map(|(index, draft)| build(&name(index), draft, &names)).collect();
            names.extend((0..drafts.len()).map(name));
            built.push(Stage { steps });
        }
        Workflow { stages: built, ..Workflow::default() }
    }
}

/// Runs `workflow` with paused time and checks what must hold of any run.
async fn survive(workflow: Workflow, cancel_after: Option<u64>, timeouts: Timeouts) {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let path = dir.path().join("journal");
    let journal = Arc::new(Journal::<Record>::open(&path).unwrap().0);
    let run = world.plan(&workflow).limits(tight()).timeouts(timeouts).journal(journal);
    let cancel = async {
        match cancel_after {
            Some(after) => tokio::time::sleep(Duration::from_millis(after)).await,
            None => std::future::pending().await,
        }
        world.scope.cancel(Cause::ByUser);
        std::future::pending::<()>().await;
    };
    let report = tokio::select! {
        report = world.finish(run) => report,
        () = cancel => unreachable!(),
        () = tokio::time::sleep(Duration::from_secs(5 * 3600)) => panic!("it hangs"),
    };
    check_endings(&world, &workflow, &report);
    let records = Journal::<Record>::read(&path).unwrap().records;
    assert!(open_tasks(&records).is_empty());
    check_journal(&world, &workflow, &records);
}

fn check_endings(world: &World, workflow: &Workflow, report: &WorkflowReport) {
    let mut passed = true;
    for (step, of_step) in workflow.steps().zip(&report.steps) {
        let ending = &of_step.ending;
        if ending.succeeded() {
            assert_eq!(ending.exit_code, Some(0), "{}", step.name);
            assert!(!step.environment.contains_key("STEP_EXIT_CODE"), "{}", step.name);
        }
        let started = world.seen.traces(&step.name).first() == Some(&Event::Started);
        let ignorable = step.failure == Some(FailurePolicy::Ignore) || step.runs_in_background();
        let ended_well = ending.succeeded() || ending.outcome == Outcome::Skipped;
        passed &= ended_well || (ignorable && started);
    }
    if !passed {
        assert!(!report.ending.succeeded(), "{report:?}");
    }
    if report.ending.outcome == Outcome::Cancelled {
        assert_eq!(report.ending.cause, Cause::ByUser);
    }
}

/// Each step that was started on the engine was written down before, and its end after.
fn check_journal(world: &World, workflow: &Workflow, records: &[Record]) {
    for step in workflow.steps() {
        let of_step = records.iter().filter_map(|record| match record {
            Record::StepStarting { step: uuid, .. } if *uuid == step.uuid => Some("starting"),
            Record::StepEnded { step: uuid, .. } if *uuid == step.uuid => Some("ended"),
            _ => None,
        });
        let mut written: Vec<_> = of_step.collect();
        // The end of one that passed and could not be removed is written again, as what it came to then.
        written.dedup();
        let traced = world.seen.traces(&step.name);
        match traced.as_slice() {
            [Event::Started, _] => {
                assert!(matches!(written.as_slice(), ["starting", "ended"] | ["ended"]), "{written:?}");
            }
            _ => assert!(written.is_empty(), "{written:?}"),
        }
        let started =
            world.engine.calls().of_step(&step.name).contains(&jobwright_backend::dummy::Verb::Start);
        assert_eq!(started, written.first() == Some(&"starting"), "{}", step.name);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn whatever_happens_nothing_is_left_and_everything_is_told(
        workflow in any_workflow(),
        cancel_after in prop::option::weighted(0.6, 0_u64..60_000),
        total in prop::option::weighted(0.3, 1_u64..90),
        limit in prop::option::weighted(0.3, 1_u64..30),
        silence in prop::option::weighted(0.3, 1_u64..30),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let timeouts = Timeouts {
            total: total.map(Duration::from_secs),
            step: limit.map(Duration::from_secs),
            silence: silence.map(Duration::from_secs),
        };
        runtime.block_on(survive(workflow, cancel_after, timeouts));
    }
}
