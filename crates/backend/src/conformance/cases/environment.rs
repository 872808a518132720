//! What of its environment a step sees.

use super::case;
use crate::Error;
use crate::conformance::check::{ensure, same_bytes};
use crate::conformance::{Case, CaseResult, Script, Trial};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(values_reach_the_step_exactly, "woodpecker 30"),
        case!(ten_thousand_variables_reach_the_step, ""),
        case!(a_value_of_100_kib_reaches_the_step, ""),
        case!(a_secret_reaches_the_step, "woodpecker 71"),
        case!(a_steps_variables_are_its_own, "woodpecker 30"),
        case!(the_hosts_environment_does_not_reach_the_step, "woodpecker 76"),
        case!(a_variable_that_cannot_be_is_a_typed_error, ""),
    ]
}

async fn values_reach_the_step_exactly(trial: &Trial<'_>) -> CaseResult {
    let values = [
        "",
        " spaces around ",
        "two\nlines\n",
        "\n\nnewlines first and last\n\n",
        "single ' double \" back ` slash \\ \\n",
        "$HOME ${HOME} $(id) `id` !x *",
        "größe 📦 \u{202e}",
        "key=value=more",
        "tab\tand \r and \u{7f}",
        "%s %d %%",
        "# not a comment; & | > <",
    ];
    let mut script = Script::new();
    for number in 0..values.len() {
        script = script.print_variable(&format!("VALUE_{number}")).print(b"\0");
    }
    let mut step = trial.step("build", &script);
    for (number, value) in values.iter().enumerate() {
        step.environment.insert(format!("VALUE_{number}"), (*value).to_owned());
    }
    let task = trial.set_up(&[&step]).await?;
    let (output, _) = task.run(&step).await?;
    let expected: String = values.iter().map(|value| format!("{value}\0")).collect();
    same_bytes("the values", &output.stdout(), expected.as_bytes())
}

async fn ten_thousand_variables_reach_the_step(trial: &Trial<'_>) -> CaseResult {
    let script =
        Script::new().print_variable("MANY_0").print_variable("MANY_4999").print_variable("MANY_9999");
    let mut step = trial.step("build", &script);
    for number in 0..10_000 {
        step.environment.insert(format!("MANY_{number}"), format!("<{number}>"));
    }
    let task = trial.set_up(&[&step]).await?;
    same_bytes("the values", &task.run(&step).await?.0.stdout(), b"<0><4999><9999>")
}

async fn a_value_of_100_kib_reaches_the_step(trial: &Trial<'_>) -> CaseResult {
    let value = "größe\n".repeat(100 * 1024 / 8);
    let mut step = trial.step("build", &Script::new().print_variable("LONG"));
    step.environment.insert("LONG".to_owned(), value.clone());
    let task = trial.set_up(&[&step]).await?;
    same_bytes("the value", &task.run(&step).await?.0.stdout(), value.as_bytes())
}

async fn a_secret_reaches_the_step(trial: &Trial<'_>) -> CaseResult {
    let secret = "multi\nline 'secret' $x";
    let mut step = trial.step("build", &Script::new().print_variable("TOKEN"));
    // As a compiler writes it: the environment is whole, the mapping says which part of it is secret.
    step.environment.insert("TOKEN".to_owned(), secret.to_owned());
    step.secret_mapping.insert("TOKEN".to_owned(), secret.to_owned());
    let task = trial.set_up(&[&step]).await?;
    same_bytes("the secret", &task.run(&step).await?.0.stdout(), secret.as_bytes())
}

async fn a_steps_variables_are_its_own(trial: &Trial<'_>) -> CaseResult {
    let script = Script::new().print_variable("MINE").print_variable("YOURS");
    let (mut mine, mut yours) = (trial.step("mine", &script), trial.step("yours", &script));
    mine.environment.insert("MINE".to_owned(), "mine".to_owned());
    yours.environment.insert("YOURS".to_owned(), "yours".to_owned());
    let task = trial.set_up(&[&mine, &yours]).await?;
    same_bytes("what the first sees", &task.run(&mine).await?.0.stdout(), b"mine")?;
    same_bytes("what the second sees", &task.run(&yours).await?.0.stdout(), b"yours")
}

async fn the_hosts_environment_does_not_reach_the_step(trial: &Trial<'_>) -> CaseResult {
    // Cargo sets it for every test that it runs, and nothing else does.
    const OF_THE_TEST: &str = "CARGO_MANIFEST_DIR";
    ensure!(std::env::var_os(OF_THE_TEST).is_some(), "run the suite by cargo, which sets {OF_THE_TEST}");
    let step = trial.step("build", &Script::new().print_variable(OF_THE_TEST));
    let task = trial.set_up(&[&step]).await?;
    same_bytes("what it sees", &task.run(&step).await?.0.stdout(), b"")
}

async fn a_variable_that_cannot_be_is_a_typed_error(trial: &Trial<'_>) -> CaseResult {
    for (name, value) in [("NUL", "a\0b"), ("WITH=SIGN", "x"), ("NUL\0NAME", "x")] {
        let mut step = trial.step("build", &Script::new());
        step.environment.insert(name.to_owned(), value.to_owned());
        let task = trial.plan(&[&step]);
        let ran = async {
            task.set_up().await?;
            task.start(&step).await
        };
        match ran.await {
            Err(Error::InvalidStep { .. } | Error::InvalidWorkflow { .. } | Error::Start { .. }) => {}
            Err(error) => ensure!(false, "the variable {name:?} gave the wrong error: {error:?}"),
            Ok(()) => ensure!(false, "the variable {name:?} with the value {value:?} was accepted"),
        }
        task.destroy().await?;
    }
    Ok(())
}
