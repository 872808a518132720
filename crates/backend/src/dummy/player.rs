//! Performs a step's acts: what stands in for its process and for all that the process leaves behind.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jobwright_model::{ExitStatus, Step};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use super::act::Act;
use super::files::Files;
use super::scenario::{Delivery, variable};
use super::spool::Spool;
use crate::StreamKind;

/// The signals that the dummy tells from the others; the numbers are Linux's.
pub(super) const SIGKILL: i32 = 9;
/// The signal by which destroying asks first.
pub(super) const SIGTERM: i32 = 15;
/// SIGCHLD, SIGCONT, SIGURG, SIGWINCH: they end no process that does not ask for it.
const HARMLESS: [i32; 4] = [17, 18, 23, 28];

/// The largest piece in which [`Act::Fill`] writes: a multiple of the 80 bytes of a line.
const PIECE: usize = 64_000;

/// How the acts ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) status: ExitStatus,
    pub(super) oom: bool,
}

impl End {
    fn code(code: u8) -> Self {
        Self { status: ExitStatus::Code(code.into()), oom: false }
    }

    fn signal(signal: i32) -> Self {
        Self { status: ExitStatus::Signal(signal), oom: false }
    }
}

/// What SIGTERM does.
#[derive(Debug, Clone)]
enum OnTerm {
    End,
    Ignore,
    Trap { path: PathBuf, code: u8 },
}

/// A process that the step left behind.
struct Child {
    ignores_term: bool,
    _writer: Option<AbortOnDropHandle<()>>,
}

/// The stand-in for a step's process. Its output closes when it is dropped, so that no reader waits for nobody.
pub(super) struct Player {
    step: Step,
    delivery: Delivery,
    spool: Arc<Spool>,
    files: Arc<Files>,
    signals: mpsc::UnboundedReceiver<i32>,
    stopped: watch::Receiver<bool>,
    pending: VecDeque<i32>,
    on_term: OnTerm,
    children: Vec<Child>,
}

impl Player {
    pub(super) fn new(
        step: Step,
        delivery: Delivery,
        spool: Arc<Spool>,
        files: Arc<Files>,
        signals: mpsc::UnboundedReceiver<i32>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            step,
            delivery,
            spool,
            files,
            signals,
            stopped,
            pending: VecDeque::new(),
            on_term: OnTerm::End,
            children: Vec::new(),
        }
    }

    /// Performs `acts` and says how they ended; what was left behind goes on.
    pub(super) async fn perform(&mut self, acts: &[Act]) -> End {
        for act in acts {
            if let Err(end) = self.act(act).await {
                return end;
            }
        }
        End::code(0)
    }

    /// Waits until nothing is left of what the step left behind.
    pub(super) async fn outlive(&mut self) {
        while !self.children.is_empty() {
            match self.signals.recv().await {
                Some(SIGTERM) => self.children.retain(|child| child.ignores_term),
                Some(signal) if HARMLESS.contains(&signal) => {}
                _ => self.children.clear(),
            }
        }
    }

    async fn act(&mut self, act: &Act) -> Result<(), End> {
        // No signal comes between a step's beginning and the traps with which it begins, so that a test need not wait for them.
        if !matches!(act, Act::IgnoreTerm | Act::OnTerm { .. }) {
            self.idle(tokio::task::yield_now()).await?;
        }
        match act {
            Act::Print { to, bytes } => self.print(*to, Bytes::copy_from_slice(bytes)).await,
            Act::Fill { to, byte, count } => self.fill(*to, &[*byte], *count).await,
            Act::FillLines { count } => self.fill(StreamKind::Stdout, &line_of_80(), *count).await,
            Act::PrintVariable(name) => {
                let value = variable(&self.step, name).cloned().unwrap_or_default();
                self.print(StreamKind::Stdout, value.into()).await
            }
            Act::PrintFile(path) => match self.files.read(&self.place(path)) {
                Some(content) => self.print(StreamKind::Stdout, content).await,
                None => Err(End::code(1)),
            },
            Act::WriteFile { path, bytes } => {
                self.files.write(&self.place(path), Bytes::copy_from_slice(bytes));
                Ok(())
            }
            Act::AwaitFile(path) => {
                let (files, path) = (Arc::clone(&self.files), self.place(path));
                self.idle(files.appears(&path)).await
            }
            Act::Sleep(time) => self.idle(sleep(*time)).await,
            Act::Forever => self.idle(std::future::pending()).await,
            Act::Repeat { line, every } => loop {
                self.print(StreamKind::Stdout, Bytes::copy_from_slice(line)).await?;
                self.idle(sleep(*every)).await?;
            },
            Act::IgnoreTerm => {
                self.on_term = OnTerm::Ignore;
                Ok(())
            }
            Act::OnTerm { path, code } => {
                self.on_term = OnTerm::Trap { path: self.place(path), code: *code };
                Ok(())
            }
            Act::LeaveBehind => {
                self.leave_behind(None);
                Ok(())
            }
            Act::LeaveBehindWriting { line, every } => {
                self.leave_behind(Some((Bytes::copy_from_slice(line), *every)));
                Ok(())
            }
            Act::FillMemory => Err(End { oom: true, ..End::signal(SIGKILL) }),
            Act::Exit(code) => Err(End::code(*code)),
            Act::Die(signal) => Err(End::signal(*signal)),
        }
    }

    /// Writes as the step's delivery asks: line by line with a pause, in chunks, or as it is.
    async fn print(&mut self, to: StreamKind, bytes: Bytes) -> Result<(), End> {
        let Some(pause) = self.delivery.line_delay else {
            self.write(to, &bytes);
            return Ok(());
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
            let line = rest.split_to(end);
            self.write(to, &line);
            self.idle(sleep(pause)).await?;
        }
        Ok(())
    }

    fn write(&self, to: StreamKind, bytes: &Bytes) {
        let size = self.delivery.chunk.unwrap_or(bytes.len()).max(1);
        for start in (0..bytes.len()).step_by(size) {
            self.spool.write(to, bytes.slice(start..bytes.len().min(start + size)));
        }
    }

    async fn fill(&mut self, to: StreamKind, pattern: &[u8], count: u64) -> Result<(), End> {
        let piece = Bytes::from(pattern.repeat(PIECE / pattern.len()));
        let mut left = count;
        while left > 0 {
            let size = left.min(piece.len() as u64);
            self.write(to, &piece.slice(..size as usize));
            left -= size;
            self.idle(tokio::task::yield_now()).await?;
        }
        Ok(())
    }

    fn leave_behind(&mut self, writes: Option<(Bytes, Duration)>) {
        let spool = Arc::clone(&self.spool);
        let writer = writes.map(|(line, every)| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    spool.write(StreamKind::Stdout, line.clone());
                    sleep(every).await;
                }
            }))
        });
        let ignores_term = matches!(self.on_term, OnTerm::Ignore);
        self.children.push(Child { ignores_term, _writer: writer });
    }

    /// Waits for `what`, or for a signal that ends the step. While the step is stopped only SIGKILL counts, and the others
    /// wait.
    async fn idle<T>(&mut self, what: impl Future<Output = T>) -> Result<T, End> {
        let mut what = pin!(what);
        let mut done = None;
        loop {
            if !*self.stopped.borrow_and_update() {
                while let Some(signal) = self.pending.pop_front() {
                    self.take(signal)?;
                }
                if let Some(done) = done {
                    return Ok(done);
                }
            }
            tokio::select! {
                biased;
                signal = self.signals.recv() => match signal {
                    Some(SIGKILL) | None => self.take(SIGKILL)?,
                    Some(signal) => self.pending.push_back(signal),
                },
                changed = self.stopped.changed() => if changed.is_err() { self.take(SIGKILL)? },
                output = &mut what, if done.is_none() => done = Some(output),
            }
        }
    }

    fn take(&mut self, signal: i32) -> Result<(), End> {
        if HARMLESS.contains(&signal) {
            return Ok(());
        }
        if signal == SIGTERM {
            self.children.retain(|child| child.ignores_term);
            return match self.on_term.clone() {
                OnTerm::Ignore => Ok(()),
                OnTerm::End => Err(End::signal(SIGTERM)),
                OnTerm::Trap { path, code } => {
                    self.files.write(&path, Bytes::new());
                    Err(End::code(code))
                }
            };
        }
        self.children.clear();
        Err(End::signal(signal))
    }

    /// Where `path`, as the step sees it, is in the workspace.
    fn place(&self, path: &str) -> PathBuf {
        let directory = Path::new(&self.step.working_dir);
        let below = directory.strip_prefix(&self.step.workspace_base).unwrap_or(directory);
        below.join(path)
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.spool.close();
    }
}

/// A line of 80 bytes, its end included.
fn line_of_80() -> [u8; 80] {
    let mut line = [b'y'; 80];
    line[79] = b'\n';
    line
}
