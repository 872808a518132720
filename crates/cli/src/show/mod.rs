//! What a person, or a program, sees of a run. Every form reads the run's event log as it is written (DESIGN section 6), so a slow
//! terminal slows nobody.

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
use std::pin::pin;
use std::thread;

use futures_util::StreamExt;
use jobwright_events::{Event, EventLogReader, WireLine};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

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

/// A run that is being shown.
pub(crate) struct Shown(oneshot::Receiver<()>);

impl Shown {
    /// Waits until everything is shown.
    pub(crate) async fn finish(self) {
        if self.0.await.is_err() {
            tracing::error!("the run could not be shown to its end");
        }
    }
}

/// Shows the run that `reader` reads, from its first event to its last.
pub(crate) fn follow(reader: EventLogReader, form: Form) -> Shown {
    let mut show: Box<dyn Show> = match form {
        Form::Json => Box::new(Json::new()),
        Form::Plain => Box::new(Plain::new()),
        Form::Board => Box::new(Board::new()),
    };
    let (done, shown) = oneshot::channel();
    let runtime = Handle::current();
    // Writing to a terminal or a pipe may block: a thread of its own, so that nothing else waits for it.
    let thread = thread::Builder::new().name("show".to_owned()).spawn(move || {
        runtime.block_on(show_all(reader, &mut *show));
        // An error means that nobody waits for it.
        let _ = done.send(());
    });
    if let Err(error) = thread {
        tracing::error!(%error, "there is no thread to show the run");
    }
    Shown(shown)
}

async fn show_all(reader: EventLogReader, show: &mut dyn Show) {
    let mut lines = pin!(reader.subscribe(0));
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => show.line(&line),
            Err(error) => return tracing::error!(%error, "the event log cannot be read"),
        }
    }
}
