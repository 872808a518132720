//! What a person, or a program, sees of a run. Every form reads the run's event log as it is written (DESIGN section 6), so a slow
//! terminal slows nobody.

pub(crate) mod aside;
mod board;
mod json;
mod lines;
mod plain;
pub(crate) mod sink;
mod words;

use std::io::IsTerminal;

use futures_util::StreamExt;
use jobwright_events::{Event, EventLogReader, WireLine};
use tokio::task::JoinHandle;

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
pub(crate) struct Shown(JoinHandle<()>);

impl Shown {
    /// Waits until everything is shown.
    pub(crate) async fn finish(self) {
        if let Err(error) = self.0.await {
            tracing::error!(%error, "the run could not be shown to its end");
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
    Shown(tokio::spawn(async move {
        let mut lines = std::pin::pin!(reader.subscribe(0));
        while let Some(line) = lines.next().await {
            match line {
                // Writing to a terminal or pipe may block; other tasks of this thread go elsewhere meanwhile.
                Ok(line) => tokio::task::block_in_place(|| show.line(&line)),
                Err(error) => {
                    tracing::error!(%error, "the event log cannot be read");
                    break;
                }
            }
        }
    }))
}
