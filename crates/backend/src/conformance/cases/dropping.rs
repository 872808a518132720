//! That any future may be dropped at any await: what it began is found and removed by the next destroy.

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::poll_fn;
use jobwright_model::ExitStatus;
use tokio::time::timeout;

use super::case;
use crate::Silent;
use crate::conformance::check::{ensure, same, same_bytes};
use crate::conformance::{Case, CaseResult, Script, Trial};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case!(a_set_up_that_was_dropped_leaves_nothing, "woodpecker 16, 48"),
        case!(a_preparation_that_was_dropped_leaves_nothing, "woodpecker 16, 48"),
        case!(a_start_that_was_dropped_leaves_nothing, "woodpecker 16, 48"),
        case!(a_wait_and_a_tail_that_were_dropped_harm_nothing, "woodpecker 26, 49"),
        case!(a_destruction_that_was_dropped_can_be_repeated, "woodpecker 25"),
    ]
}

/// Where a future is dropped: after so many polls, or after so long.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Polls(u32),
    After(Duration),
}

/// Early, in the middle and late: the first polls one by one, then times up to what a slow engine takes.
fn cuts() -> Vec<Cut> {
    let polls = [0, 1, 2, 3, 4, 5, 6, 8, 12].map(Cut::Polls);
    let times = [1, 4, 15, 50, 120].map(|milliseconds| Cut::After(Duration::from_millis(milliseconds)));
    polls.into_iter().chain(times).collect()
}

/// How long a future may stand still before it is dropped without its last polls: a wait is never polled a second time
/// while its step runs.
const STANDSTILL: Duration = Duration::from_millis(50);

/// Drives `future` up to the cut and drops it there. `None` when it was dropped.
async fn cut<T>(cut: Cut, future: impl Future<Output = T>) -> Option<T> {
    match cut {
        Cut::After(time) => timeout(time, future).await.ok(),
        Cut::Polls(polls) => timeout(STANDSTILL, polled(polls, future)).await.ok().flatten(),
    }
}

/// What `future` answers within so many polls.
async fn polled<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            // Its last poll's outcome need not be waited for: it is dropped anyway.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

async fn nothing_is_left(trial: &Trial<'_>, at: Cut) -> CaseResult {
    let left = trial.fixture().leftovers().await;
    ensure!(left.is_empty(), "dropped at {at:?}, it left behind: {}", left.join(", "));
    Ok(())
}

async fn a_set_up_that_was_dropped_leaves_nothing(trial: &Trial<'_>) -> CaseResult {
    for at in cuts() {
        let step = trial.step("build", &Script::new());
        let task = trial.plan(&[&step]);
        if let Some(done) = cut(at, task.set_up()).await {
            done?;
        }
        task.destroy().await?;
        nothing_is_left(trial, at).await?;
    }
    Ok(())
}

async fn a_preparation_that_was_dropped_leaves_nothing(trial: &Trial<'_>) -> CaseResult {
    for at in cuts() {
        let step = trial.step("build", &Script::new());
        let task = trial.set_up(&[&step]).await?;
        if let Some(done) = cut(at, task.backend.prepare_step(&step, &task.uuid, &Silent)).await {
            done?;
        }
        task.destroy().await?;
        nothing_is_left(trial, at).await?;
    }
    Ok(())
}

async fn a_start_that_was_dropped_leaves_nothing(trial: &Trial<'_>) -> CaseResult {
    for at in cuts() {
        let step = trial.step("build", &Script::new().forever());
        let task = trial.set_up(&[&step]).await?;
        if let Some(done) = cut(at, task.start(&step)).await {
            done?;
        }
        // The step alone first: what it began must not hide from it.
        task.destroy_step(&step).await?;
        task.destroy().await?;
        nothing_is_left(trial, at).await?;
    }
    Ok(())
}

async fn a_wait_and_a_tail_that_were_dropped_harm_nothing(trial: &Trial<'_>) -> CaseResult {
    let step = trial.step("build", &Script::new().say_ready().await_file("go").print("end\n").exit(3));
    let release = trial.step("release", &Script::new().write_file("go", ""));
    let task = trial.set_up(&[&step, &release]).await?;
    task.start_and_await_ready(&step).await?;
    for at in cuts() {
        ensure!(cut(at, task.wait(&step)).await.is_none(), "wait answered before the end");
        drop(cut(at, task.output(&step)).await);
    }
    task.run(&release).await?;
    same("the status", &task.wait(&step).await?.status, &ExitStatus::Code(3))?;
    same_bytes("the output", &task.output(&step).await?.stdout(), b"ready\nend\n")
}

async fn a_destruction_that_was_dropped_can_be_repeated(trial: &Trial<'_>) -> CaseResult {
    for at in cuts() {
        let step = trial.step("build", &Script::new().say_ready().forever());
        let task = trial.set_up(&[&step]).await?;
        task.start_and_await_ready(&step).await?;
        if let Some(done) = cut(at, task.destroy_step(&step)).await {
            done?;
        }
        if let Some(done) = cut(at, task.destroy()).await {
            done?;
        }
        task.destroy().await?;
        nothing_is_left(trial, at).await?;
    }
    Ok(())
}
