//! What a person, or a program, sees of a run. Every form reads the run's event log as it is written (DESIGN section 6), so a slow
//! terminal slows nobody.

mod around;
pub(crate) mod aside;
mod board;
pub(crate) mod foresight;
pub(crate) mod harmless;
mod json;
mod lines;
mod plain;
pub(crate) mod sarif;
pub(crate) mod sink;
mod words;

use std::io::IsTerminal;
use std::pin::{Pin, pin};
use std::thread;

use futures_util::{Stream, StreamExt};
use jobwright_events::{Event, EventKind, EventLogReader, LogError, WireLine};
use jobwright_model::Ending;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use around::Around;
use board::Board;
use json::Json;
use plain::Plain;

/// How a run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The events as they are.
    Json,
    /// Lines that are never repainted.
    Plain,
    /// For a terminal: running jobs as a board, a single job's output as it comes.
    Board,
    /// Not at all.
    Nothing,
    /// What there is to say around a shell.
    Around,
}

impl Form {
    /// JSON when it is asked for; else what suits standard output.
    pub(crate) fn choose(json: bool) -> Self {
        match json {
            true => Self::Json,
            false if std::io::stdout().is_terminal() => Self::Board,
            false => Self::Plain,
        }
    }
}

/// Shows events; one value for one run.
trait Show: Send {
    /// Shows a line of the log.
    fn line(&mut self, line: &WireLine) {
        match line.event() {
            Ok(event) => self.event(&event),
            Err(error) => tracing::warn!(seq = line.seq, %error, "an event of the log cannot be read"),
        }
    }

    /// Shows an event.
    fn event(&mut self, event: &Event);
}

/// Shows nothing.
struct Nothing;

impl Show for Nothing {
    fn line(&mut self, _line: &WireLine) {}

    fn event(&mut self, _event: &Event) {}
}

/// A run that is being shown.
pub(crate) struct Shown(oneshot::Receiver<Option<Ending>>);

impl Shown {
    /// Waits until everything is shown, and says how the run ended, if it did.
    pub(crate) async fn finish(self) -> Option<Ending> {
        self.0.await.unwrap_or_else(|_| {
            tracing::error!("the run could not be shown to its end");
            None
        })
    }
}

/// Shows the run that `reader` reads, from its first event to its last.
pub(crate) fn follow(reader: EventLogReader, form: Form) -> Shown {
    follow_while(reader, form, std::future::pending())
}

/// The same until nobody writes the log any more, which `abandoned` tells; what was written by then is shown.
pub(crate) fn follow_while(
    reader: EventLogReader,
    form: Form,
    abandoned: impl Future<Output = ()> + Send + 'static,
) -> Shown {
    let mut show: Box<dyn Show> = match form {
        Form::Json => Box::new(Json::new()),
        Form::Plain => Box::new(Plain::new()),
        Form::Board => Box::new(Board::new()),
        Form::Nothing => Box::new(Nothing),
        Form::Around => Box::new(Around::default()),
    };
    let (done, shown) = oneshot::channel();
    let runtime = Handle::current();
    // Writing to a terminal or a pipe may block: a thread of its own, so that nothing else waits for it.
    let thread = thread::Builder::new().name("show".to_owned()).spawn(move || {
        let ending = runtime.block_on(show_all(reader, &mut *show, abandoned));
        // An error means that nobody waits for it.
        let _ = done.send(ending);
    });
    if let Err(error) = thread {
        tracing::error!(%error, "there is no thread to show the run");
    }
    Shown(shown)
}

async fn show_all(
    reader: EventLogReader,
    show: &mut dyn Show,
    abandoned: impl Future<Output = ()>,
) -> Option<Ending> {
    let mut shown_up_to = 0;
    let lines = pin!(reader.subscribe(0));
    tokio::select! {
        ending = show_lines(lines, show, &mut shown_up_to) => return ending,
        () = abandoned => {}
    }
    show_lines(pin!(reader.replay(shown_up_to)), show, &mut shown_up_to).await
}

/// Shows all lines, notes how far that came, and says how the run ended, if they tell.
async fn show_lines(
    mut lines: Pin<&mut impl Stream<Item = Result<WireLine, LogError>>>,
    show: &mut dyn Show,
    shown_up_to: &mut u64,
) -> Option<Ending> {
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => {
                show.line(&line);
                *shown_up_to = line.seq;
                if line.is_last {
                    return ending(&line);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the event log cannot be read");
                return None;
            }
        }
    }
    None
}

fn ending(line: &WireLine) -> Option<Ending> {
    match line.event().ok()?.kind {
        EventKind::RunFinished { ending, .. } => Some(ending),
        _ => None,
    }
}
