//! For a person at a terminal: jobs that run side by side are a board of spinners that stays below what is printed; a job that runs
//! alone prints as it goes. Of a job on the board that did not pass, the end of its output is shown.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jobwright_events::{Event, EventKind, ExecKind};

use super::plain::Plain;
use super::{Show, aside, words};

/// How much of a job's output is kept for the case that it fails, in bytes.
const KEPT: usize = 16 * 1024;

/// How many of its last lines are shown then.
const SHOWN: usize = 30;

pub(crate) struct Board {
    plain: Plain,
    board: MultiProgress,
    running: BTreeMap<String, Running>,
}

struct Running {
    spinner: ProgressBar,
    output: VecDeque<u8>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { plain: Plain::new(), board: aside::board(), running: BTreeMap::new() }
    }

    fn start(&mut self, job: &str, stage: &str) {
        let spinner = self.board.add(ProgressBar::new_spinner());
        let style = ProgressStyle::with_template(template());
        spinner.set_style(style.expect("the template is well-formed"));
        spinner.set_message(format!("{job} ({stage})"));
        spinner.enable_steady_tick(Duration::from_millis(100));
        self.running.insert(job.to_owned(), Running { spinner, output: VecDeque::new() });
    }

    /// Whether a job has its place on the board. The only job of a run prints as it goes, whatever the run's mode.
    fn shows(&self, exec: ExecKind) -> bool {
        exec != ExecKind::Standalone && !self.plain.has_one_job()
    }

    /// Whatever is printed goes above the board.
    fn above(&mut self, show: impl FnOnce(&mut Plain)) {
        let plain = &mut self.plain;
        self.board.suspend(|| show(plain));
    }
}

/// A spinner's line; what does not fit is cut. Colours by the same choice as everywhere.
fn template() -> &'static str {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => "{spinner} {elapsed:>4} {wide_msg}",
        _ => "{spinner:.cyan} {elapsed:>4.dim} {wide_msg}",
    }
}

impl Running {
    fn keep(&mut self, data: &[u8]) {
        self.output.extend(data.iter().skip(data.len().saturating_sub(KEPT)));
        let surplus = self.output.len().saturating_sub(KEPT);
        self.output.drain(..surplus);
    }

    fn last_lines(&self) -> String {
        let bytes: Vec<u8> = self.output.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(SHOWN)..].join("\n")
    }
}

impl Show for Board {
    fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::JobStarted { job, stage, exec, .. } if self.shows(*exec) => self.start(job, stage),
            EventKind::LogLine { job: Some(job), data, exec, .. } if self.shows(*exec) => {
                if let Some(running) = self.running.get_mut(&**job) {
                    running.keep(data);
                }
            }
            EventKind::JobFinished { job, ending, .. } => {
                let ended = self.running.remove(&**job);
                if let Some(running) = &ended {
                    running.spinner.finish_and_clear();
                    self.board.remove(&running.spinner);
                }
                let tail = ended
                    .filter(|_| !ending.succeeded())
                    .map(|running| running.last_lines())
                    .unwrap_or_default();
                self.above(|plain| {
                    plain.event(event);
                    if !tail.is_empty() {
                        plain.say(&words::indented(&tail));
                    }
                });
            }
            _ => self.above(|plain| plain.event(event)),
        }
    }
}
