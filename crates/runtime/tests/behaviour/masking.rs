//! No secret gets out: not in output, not in an error, not in a notice, not into the journal.

use std::sync::Arc;

use jobwright_backend::dummy::Verb;
use jobwright_journal::Journal;
use jobwright_model::{Auth, Secret, Step, Workflow};
use jobwright_redact::Masker;
use jobwright_runtime::WorkflowReport;

use crate::support::{Event, Twist, World, gist, seconds, step, tight, with, workflow};

const SECRET: &str = "hunter2-token";

fn secret() -> Secret {
    Secret { name: "TOKEN".to_owned(), value: SECRET.to_owned() }
}

/// A workflow of one step, with a secret.
fn flow(step: Step) -> Workflow {
    Workflow { secrets: vec![secret()], ..workflow([vec![step]]) }
}

fn assert_hidden(world: &World, report: &WorkflowReport) {
    for text in [world.seen.text(), format!("{report:?}")] {
        assert!(!text.contains(SECRET), "{text}");
    }
}

// covers: woodpecker 57
#[tokio::test(start_paused = true)]
async fn a_secret_is_masked_wherever_a_chunk_cuts_it() {
    for size in 1..=SECRET.len() + 1 {
        let world = World::new();
        let text = format!("a {SECRET}{SECRET} b\n");
        let prints = step("a", &[("DUMMY_OUTPUT", &text), ("DUMMY_SPLIT", &size.to_string())]);
        let report = world.run(&flow(prints)).await;
        assert_eq!(world.seen.output("a"), "a **************** b\n", "in chunks of {size}");
        assert_hidden(&world, &report);
    }
}

// covers: woodpecker 57
#[tokio::test(start_paused = true)]
async fn a_secret_of_many_lines_is_masked_line_by_line_and_one_of_three_bytes_is_not() {
    let world = World::new();
    let mut flow = flow(step("a", &[("DUMMY_OUTPUT", "x second-line y, abc z\n")]));
    flow.secrets = vec![
        Secret { name: "KEY".into(), value: " first-line\nsecond-line\n".into() },
        Secret { name: "PIN".into(), value: "abc".into() },
    ];
    world.run(&flow).await;
    assert_eq!(world.seen.output("a"), "x ******** y, abc z\n");
    let notices = world.seen.notices();
    assert!(matches!(notices.as_slice(), [notice] if notice.contains("`PIN` is not masked")), "{notices:?}");
}

// covers: woodpecker 58
#[tokio::test(start_paused = true)]
async fn everything_secret_in_a_workflow_is_masked_whichever_step_prints_it() {
    let world = World::new();
    let other = with(step("other", &[]), |step| {
        step.secret_mapping.insert("MAPPED".into(), "mapped-value".into());
        step.environment.insert("CI_NETRC_PASSWORD".into(), "netrc-value".into());
        step.auth_config = Auth { username: "who".into(), password: "registry-value".into() };
    });
    let text = format!("mapped-value netrc-value registry-value {SECRET} who\n");
    let mut flow = flow(step("a", &[("DUMMY_OUTPUT", &text)]));
    flow.stages[0].steps.push(other);
    world.run(&flow).await;
    assert_eq!(world.seen.output("a"), "******** ******** ******** ******** who\n");
}

#[tokio::test(start_paused = true)]
async fn the_streams_are_masked_each_on_its_own() {
    let world = World::new();
    let prints = step("a", &[("DUMMY_OUTPUT", "hunter2"), ("DUMMY_STDERR", "-token")]);
    world.run(&flow(prints)).await;
    let mut output = world.seen.output("a").into_bytes();
    output.sort_unstable();
    let mut expected = SECRET.to_owned().into_bytes();
    expected.sort_unstable();
    assert_eq!(output, expected, "neither of them printed the secret");
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_masked_in_every_error_of_a_backend() {
    let faults = ["DUMMY_SETUP_FAIL", "DUMMY_PREPARE_FAIL", "DUMMY_WAIT_FAIL", "DUMMY_DESTROY_FAIL"];
    for fault in faults {
        let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
        let path = dir.path().join("journal");
        let journal = Arc::new(Journal::open(&path).unwrap().0);
        let says = format!("the token {SECRET} is refused");
        let run = world.plan(&flow(step("a", &[(fault, &says)]))).journal(journal);
        let report = world.finish(run).await;
        assert!(
            report.error.as_deref().is_some_and(|error| error.contains("********")),
            "{fault}: {report:?}"
        );
        assert_hidden(&world, &report);
        let journal = std::fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&journal).contains(SECRET), "{fault} in the journal");
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_masked_in_the_message_of_an_exit() {
    let world = World::new();
    let twisted = world.twisted(Twist::ExitSays("it ended with hunter2-token in its hand"));
    let report = world.finish(world.plan_on(twisted, &flow(step("a", &[("STEP_EXIT_CODE", "1")])))).await;
    assert_eq!(report.ending.evidence.as_deref(), Some("it ended with ******** in its hand"));
    assert_hidden(&world, &report);
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_masked_in_progress() {
    let world = World::new();
    let twisted = world.twisted(Twist::PullSays("GET https://x:hunter2-token@registry"));
    let report = world.finish(world.plan_on(twisted, &flow(step("a", &[])))).await;
    assert!(world.seen.of("a").iter().any(|event| matches!(event, Event::Progress(_))));
    assert_hidden(&world, &report);
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_masked_in_notices() {
    let world = World::new();
    let named = with(step("a", &[("DUMMY_TAIL_BREAK", "3")]), |step| step.name = SECRET.to_owned());
    world.run(&flow(named)).await;
    let notices = world.seen.notices();
    assert!(
        notices.iter().any(|notice| notice.contains("breaks off") && notice.contains("********")),
        "{notices:?}"
    );
    assert!(!notices.concat().contains(SECRET));
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_masked_in_a_refusal() {
    let world = World::new();
    let unknown = with(step("a", &[]), |step| step.depends_on = vec![SECRET.to_owned()]);
    let report = world.run(&flow(unknown)).await;
    assert!(report.error.is_some());
    assert_hidden(&world, &report);
}

#[tokio::test(start_paused = true)]
async fn the_beginning_of_a_secret_is_not_shown_when_the_log_breaks_off_within_it() {
    let world = World::new();
    let text = format!("it is {SECRET}\n");
    let broken = step("a", &[("DUMMY_OUTPUT", &text), ("DUMMY_TAIL_BREAK", "18")]);
    world.run(&flow(broken)).await;
    assert_eq!(world.seen.output("a"), "it is ********");
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_masked_over_an_outage_of_the_engine() {
    let world = World::new();
    let text = "begin hunter2-\ntoken end\n";
    let prints = step("a", &[("DUMMY_OUTPUT", text), ("DUMMY_LINE_DELAY", "10s")]);
    let mut flow = flow(prints);
    flow.secrets[0].value = "hunter2-\ntoken".into();
    let outage = async {
        world.engine.calls().until(Verb::Wait, "a").await;
        tokio::time::sleep(seconds(5)).await;
        world.engine.vanish();
        tokio::time::sleep(seconds(2)).await;
        world.engine.come_back();
    };
    let run = world.plan(&flow).limits(tight());
    let (_, ()) = tokio::join!(world.finish(run), outage);
    assert_eq!(world.seen.output("a"), "begin ******** end\n");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_too_long_to_be_masked_lets_nothing_run() {
    let world = World::new();
    let mut flow = flow(step("a", &[]));
    flow.secrets = vec![Secret { name: "HUGE".into(), value: "x".repeat(2 << 20) }];
    let report = world.run(&flow).await;
    assert_eq!(gist(&report.ending).1, "start_failure");
    assert!(report.error.as_deref().is_some_and(|error| error.contains("HUGE") && error.len() < 200));
    assert!(world.engine.calls().all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_given_is_the_one_that_masks() {
    let world = World::new();
    let masker = Masker::builder().secret("OTHER", "other-value").build().masker;
    let flow = workflow([vec![step("a", &[("DUMMY_OUTPUT", "other-value\n")])]]);
    world.finish(world.plan(&flow).masker(masker)).await;
    assert_eq!(world.seen.output("a"), "********\n");
}
