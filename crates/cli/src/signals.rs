//! What Ctrl-C and its relatives do: the first asks for the end of the run and lets it clean up, the second leaves at once
//! (DESIGN rule 9).

use std::fmt::Display;
use std::sync::OnceLock;
use std::time::Duration;

use clap::ValueEnum;
use jobwright_model::Cause;
use jobwright_runtime::Scope;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::shell::terminal;
use crate::show::aside;

/// What SIGTERM does to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnTerm {
    /// It ends the run, as Ctrl-C does.
    Cancel,
    /// It ends this process alone. Steps of the host are their shim's, containers their engine's, and the journal says what is whose.
    Leave,
}

/// What was chosen; a program has one choice.
static ON_TERM: OnceLock<OnTerm> = OnceLock::new();

impl OnTerm {
    /// Makes the choice hold for whatever is run from now on.
    pub(crate) fn apply(self) {
        // A second choice would be for another program.
        let _ = ON_TERM.set(self);
    }

    fn leaves() -> bool {
        ON_TERM.get() == Some(&Self::Leave)
    }
}

/// How long the last words may take: a terminal that was stopped takes none.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What is said to whoever asks for the end.
pub(crate) struct Words {
    /// At the first signal, while what runs is ended.
    pub(crate) ending: String,
    /// At the second, which waits for nothing.
    pub(crate) left: String,
}

/// Ends `scope` at the first SIGINT, SIGTERM or SIGHUP, and the program at the second. Watches for as long as the program lives.
///
/// # Errors
/// When the operating system does not let us listen.
pub(crate) fn watch(scope: &Scope) -> Result<(), Failure> {
    let words = Words {
        ending: "ending the run and cleaning up; once more leaves at once".to_owned(),
        left: "left at once; `jobwright clean` removes what is left".to_owned(),
    };
    watch_for(scope, words)
}

/// As [`watch`], for something else than a run.
///
/// # Errors
/// As [`watch`].
pub(crate) fn watch_for(scope: &Scope, words: Words) -> Result<(), Failure> {
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    let scope = scope.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => Cause::ByUser,
                _ = terminate.recv() => {
                    if OnTerm::leaves() {
                        leave().await;
                    }
                    Cause::ByShutdown
                }
                _ = hang_up.recv() => Cause::ByShutdown,
            }
        };
        scope.cancel(next().await);
        say(words.ending);
        let cause = next().await;
        let said = say(words.left);
        // Whether it could be said or not, the user wants to leave.
        let _ = tokio::time::timeout(LAST_WORDS, said).await;
        terminal::restore();
        let exit = if cause == Cause::ByUser { Exit::Interrupted } else { Exit::Cancelled };
        std::process::exit(exit.code().into());
    });
    Ok(())
}

/// As [`watch`], for a run that nobody sits before: SIGINT ends it (`jobwright cancel` sends one). SIGTERM and SIGHUP end this process
/// and nothing else, as its death would: what runs goes on, and the run can be resumed (woodpecker.md 8, item 87).
///
/// # Errors
/// As [`watch`].
pub(crate) fn watch_detached(scope: &Scope) -> Result<(), Failure> {
    let (mut interrupt, mut terminate, mut hang_up) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    let scope = scope.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => scope.cancel(Cause::ByUser),
                _ = terminate.recv() => leave().await,
                _ = hang_up.recv() => leave().await,
            }
        }
    });
    Ok(())
}

/// Resolves when the program is asked to end, by whichever signal.
///
/// # Errors
/// As [`watch`].
pub(crate) fn asked_to_end() -> Result<impl Future<Output = ()>, Failure> {
    let (mut interrupt, mut terminate, mut hang_up) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}

/// As [`asked_to_end`]; a second signal ends the program at once: what runs is taken up by the next one.
///
/// # Errors
/// As [`watch`].
pub(crate) fn asked_to_drain() -> Result<impl Future<Output = ()>, Failure> {
    let (first, second) = (asked_to_end()?, asked_to_end()?);
    Ok(async move {
        first.await;
        say("no more jobs are taken; what runs goes on to its end; once more leaves at once");
        tokio::spawn(async move {
            // It heard the first one, too.
            second.await;
            let Ok(third) = asked_to_end() else { return };
            third.await;
            let said = say("left at once; the next agent of this state directory reports what ran");
            let _ = tokio::time::timeout(LAST_WORDS, said).await;
            std::process::exit(Exit::Success.code().into());
        });
    })
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(Exit::Unavailable, format!("signals: {error}")))
}

/// Ends this process as its death would, at any moment, and nothing else: what was decided is in the journal, and what was printed is kept
/// by whoever runs the steps.
async fn leave() {
    let said = say("leaving; what runs goes on, and `jobwright doctor` tells how to take it up again");
    let _ = tokio::time::timeout(LAST_WORDS, said).await;
    std::process::exit(Exit::Left.code().into());
}

/// Says it from a thread of its own: writing to a terminal that was stopped takes for ever, and the next signal must be heard.
fn say(text: impl Display + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(move || aside::say(text))
}
