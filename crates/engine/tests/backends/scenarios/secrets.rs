//! What must not show, on its way through any backend.

use jobwright_backend::StreamKind::{Stderr, Stdout};
use jobwright_backend::conformance::Script;
use jobwright_model::{Secret, Workflow};

use super::{scenario, shell};
use crate::suite::Scenario;
use crate::world::{World, ending};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        scenario!(a_secret_cut_in_two_is_masked_in_both_streams),
        scenario!(a_secret_of_several_lines_is_masked_line_by_line),
        scenario!(a_secret_that_a_step_uses_is_masked_in_any_form, shell),
        scenario!(a_registry_password_is_masked_without_being_declared),
        scenario!(a_secret_in_an_engines_own_words_is_masked),
    ]
}

fn knowing(mut workflow: Workflow, secrets: &[&str]) -> Workflow {
    let secret = |value: &&str| Secret { name: "S".to_owned(), value: (*value).to_owned() };
    workflow.secrets = secrets.iter().map(secret).collect();
    workflow
}

/// A second lies between the two halves, so that no backend gives them in one chunk. No step uses the secret.
// covers: woodpecker 57, 58
async fn a_secret_cut_in_two_is_masked_in_both_streams(world: World) {
    let script = Script::new()
        .print("out hunter2-sw")
        .complain("err hunter2-sw")
        .sleep(1)
        .print("ordfish.\n")
        .complain("ordfish.\n");
    let workflow = knowing(world.workflow([vec![world.step("build", &script)]]), &["hunter2-swordfish"]);
    assert!(world.run(&workflow).await.ending.succeeded());
    assert_eq!(world.seen.bytes("build", &[Stdout]), b"out ********.\n");
    assert_eq!(world.seen.bytes("build", &[Stderr]), b"err ********.\n");
    assert!(!world.seen.text().contains("hunter2"));
}

// covers: woodpecker 57
async fn a_secret_of_several_lines_is_masked_line_by_line(world: World) {
    let script = Script::new().print("a second-line-of-it b\n").complain("c first-line-of-it d\n");
    let secret = "first-line-of-it\nsecond-line-of-it";
    let report = world.run(&knowing(world.workflow([vec![world.step("build", &script)]]), &[secret])).await;
    assert!(report.ending.succeeded());
    assert_eq!(world.seen.bytes("build", &[Stdout]), b"a ******** b\n");
    assert_eq!(world.seen.bytes("build", &[Stderr]), b"c ******** d\n");
}

/// Also where it is echoed with the command that uses it.
async fn a_secret_that_a_step_uses_is_masked_in_any_form(world: World) {
    let value = "hunter2&swordfish/5";
    let mut step = world.empty_step("build");
    step.image = if world.backend.capabilities().images { step.image } else { "sh".to_owned() };
    step.commands = vec![
        "echo \"plain $TOKEN.\"".to_owned(),
        "printf %s \"$TOKEN\" | base64".to_owned(),
        format!("echo 'written {value}'"),
        "echo hunter2%26swordfish%2F5".to_owned(),
    ];
    step.environment.insert("TOKEN".to_owned(), value.to_owned());
    step.secret_mapping.insert("TOKEN".to_owned(), value.to_owned());
    let report = world.run(&world.workflow([vec![step]])).await;
    assert!(report.ending.succeeded(), "{report:?} {}", world.seen.text());
    let text = world.seen.text();
    assert!(text.contains("plain ********."), "{text}");
    for form in ["hunter2", "swordfish", "aHVudGVyMiZzd29yZGZpc2gvN"] {
        assert!(!text.contains(form), "{form} shows in {text}");
    }
}

// covers: woodpecker 58
async fn a_registry_password_is_masked_without_being_declared(world: World) {
    let mut step = world.step("build", &Script::new().print("it is correct-horse-battery"));
    step.auth_config.username = "somebody".to_owned();
    step.auth_config.password = "correct-horse-battery".to_owned();
    assert!(world.run(&world.workflow([vec![step]])).await.ending.succeeded());
    assert_eq!(world.seen.output("build"), "it is ********");
}

/// The secret is part of the name that the refusal quotes.
async fn a_secret_in_an_engines_own_words_is_masked(world: World) {
    let mut step = world.unstartable("build");
    step.entrypoint = vec!["/no/hunter2-swordfish".to_owned()];
    let report = world.run(&knowing(world.workflow([vec![step]]), &["hunter2-swordfish"])).await;
    let shown = format!("{report:?} {}", world.seen.text());
    assert!(!shown.contains("hunter2"), "{shown}");
    if shell(&world).is_none() {
        let evidence = ending(&report, "build").evidence.clone().unwrap_or_default();
        assert!(evidence.contains("/no/********"), "{evidence}");
    }
}
